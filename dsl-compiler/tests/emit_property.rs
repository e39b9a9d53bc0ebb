//! The compiled rule and the reference interpreter agree on every rule and every trace.

mod emit_support;

use betrace_dsl::reference::{self, Span};
use emit_support::any::{any_rule, any_span, any_trace};
use emit_support::explained::Explained;
use emit_support::{Compiled, is_candidate, trees, types};
use proptest::collection::vec;
use proptest::prelude::*;

/// Facts of a span that other spans change.
fn moved(mut span: Span) -> Span {
    span.depth += 1;
    span.child_count = 3 - span.child_count;
    span.self_time = None;
    span.is_leaf = !span.is_leaf;
    span
}

proptest! {
    // With 20 traces a rule, 5,120 pairs a run.
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn compiled_equals_interpreted(rule in any_rule(), traces in vec(any_trace(), 20)) {
        let mut compiled = Compiled::new(&rule, "");
        let expected: Vec<_> = traces.iter().map(|trace| reference::evaluate(&rule, trace)).collect();
        // Twice: what a call leaves behind is no matter to the next.
        for _ in 0..2 {
            prop_assert_eq!(&compiled.evaluate(&traces), &expected);
        }
        for (trace, found) in traces.iter().zip(&expected) {
            prop_assert!(
                found.is_empty() || is_candidate(&compiled.manifest, trace),
                "{:?} keep {trace:?} from the rule, which finds {found:?}", compiled.manifest.triggers
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn what_is_stable_stays(
        rule in any_rule(),
        trace in any_trace(),
        more in vec((any_span(), any::<prop::sample::Index>()), 0..4),
    ) {
        let plan = betrace_dsl::plan::plan(&rule, "").unwrap();
        let mut grown = trees::trace(trace.spans.iter().cloned().map(moved).collect());
        for (span, at) in more {
            let at = at.index(grown.spans.len() + 1);
            grown.spans.insert(at, span);
        }
        let still: Vec<usize> = reference::evaluate(&rule, &grown).iter().map(|found| found.clause).collect();
        for found in reference::evaluate(&rule, &trace) {
            prop_assert!(
                !plan.manifest.clauses[found.clause].stable || still.contains(&found.clause),
                "clause {} was undone by {grown:?}", found.clause
            );
        }
    }
}

/// The clauses that a rule finds broken, by the roots of its explanation.
fn broken(manifest: &types::Manifest, roots: &[bool]) -> Vec<usize> {
    use types::ClauseKind::{Detect, Never};
    let clauses = manifest.clauses.len();
    let (when, values) = roots.split_at(roots.len() - clauses);
    if when.contains(&false) {
        return Vec::new();
    }
    let clauses = manifest.clauses.iter().zip(values).enumerate();
    clauses
        .filter(|(_, (clause, value))| **value == matches!(clause.kind, Detect | Never))
        .map(|(index, _)| index)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn explained_equals_interpreted(rule in any_rule(), traces in vec(any_trace(), 20)) {
        let mut explained = Explained::new(&rule, "");
        let expected: Vec<_> = traces.iter().map(|trace| reference::explain(&rule, trace)).collect();
        for _ in 0..2 {
            prop_assert_eq!(&explained.explain(&traces), &expected);
        }

        let mut compiled = Compiled::new(&rule, "");
        prop_assert_eq!(format!("{:?}", &explained.manifest), format!("{:?}", &compiled.manifest));
        let roots: Vec<usize> = (0..explained.parts.len())
            .filter(|part| explained.parts[*part].parent.is_none())
            .collect();
        for (answers, found) in expected.iter().zip(compiled.evaluate(&traces)) {
            let values: Vec<bool> = roots.iter().map(|root| answers[*root].holds).collect();
            let found: Vec<usize> = found.iter().map(|finding| finding.clause).collect();
            prop_assert_eq!(broken(&explained.manifest, &values), found);
        }
    }
}
