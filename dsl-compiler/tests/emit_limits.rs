//! Rules and batches at their bounds: deep, wide, large, malformed.

mod emit_support;

use std::time::{Duration, Instant};

use betrace_dsl::reference::{self, Trace, Value};
use betrace_dsl::types::tree::{Condition, Constant, Predicate};
use betrace_dsl::{emit, plan};
use emit_support::explained::Explained;
use emit_support::trees::{
    Comparison, attribute, compare, detect, matches, named, not, span, spans, trace, with,
};
use emit_support::{Compiled, batch};

/// Terms of a rule of 64 KiB, at six bytes each.
const WIDE: i64 = 10_000;

/// How deep the language nests.
const DEEP: usize = 100;

/// Longer than any of these takes on a slow and busy machine, and shorter than what hangs.
const SOON: Duration = Duration::from_secs(60);

#[track_caller]
fn agree(condition: Condition, traces: &[Trace]) {
    let started = Instant::now();
    let rule = detect(condition);
    let mut compiled = Compiled::new(&rule, "");
    assert!(started.elapsed() < SOON, "took {:?}", started.elapsed());
    let expected: Vec<_> = traces
        .iter()
        .map(|trace| reference::evaluate(&rule, trace))
        .collect();
    assert_eq!(compiled.evaluate(traces), expected);
    let hits = expected.iter().filter(|found| !found.is_empty()).count();
    assert!(hits > 0 && hits < traces.len(), "the traces tell nothing");
}

#[track_caller]
fn explained_alike(condition: Condition, traces: &[Trace]) {
    let rule = detect(condition);
    let started = Instant::now();
    let mut explained = Explained::new(&rule, "");
    let told: Vec<_> = traces
        .iter()
        .map(|trace| reference::explain(&rule, trace))
        .collect();
    // By `==`: these are more answers than a message can hold.
    assert!(
        explained.explain(traces) == told,
        "it is explained otherwise"
    );
    assert!(started.elapsed() < SOON, "took {:?}", started.elapsed());
}

fn x_is(int: i64) -> Predicate {
    compare(attribute("x"), Comparison::Equal, Constant::Int(int))
}

fn x(int: i64) -> Trace {
    trace(vec![with(Value::Int(int))])
}

#[test]
fn ten_thousand_terms_of_a_predicate() {
    let wide = Predicate::Or((0..WIDE).map(x_is).collect());
    agree(
        Condition::Exists(spans(wide)),
        &[x(0), x(WIDE - 1), x(WIDE)],
    );
    let wide = Predicate::And((0..WIDE).map(|n| not(x_is(n))).collect());
    agree(
        Condition::Exists(spans(wide)),
        &[x(0), x(WIDE - 1), x(WIDE)],
    );
}

#[test]
fn thousands_of_names() {
    let name = |n: i64| format!("n{n}");
    let either = (0..WIDE).map(|n| Condition::Exists(named(&name(n))));
    let of = |n| trace(vec![span(&name(n))]);
    agree(
        Condition::Or(either.collect()),
        &[of(0), of(WIDE - 1), of(WIDE)],
    );
    // Each is a set of its own.
    let each = (0..WIDE / 4).map(|n| Condition::Exists(named(&name(n))));
    let all = trace((0..WIDE / 4).map(|n| span(&name(n))).collect());
    agree(Condition::And(each.collect()), &[of(0), all]);
}

#[test]
fn deep_conditions_and_predicates() {
    let mut condition = Condition::Exists(named("a"));
    let mut predicate = x_is(-1);
    for level in 0..DEEP as i64 {
        condition = Condition::Not(Box::new(if level % 2 == 0 {
            Condition::And(vec![condition, Condition::Exists(named("b"))])
        } else {
            Condition::Or(vec![condition, Condition::Exists(named("c"))])
        }));
        predicate = not(if level % 2 == 0 {
            Predicate::And(vec![predicate, not(x_is(level))])
        } else {
            Predicate::Or(vec![predicate, x_is(level)])
        });
    }
    let names = ["", "a", "b", "c", "a b", "b c", "a c", "a b c"];
    let traces: Vec<Trace> = names
        .iter()
        .map(|names| trace(names.split_whitespace().map(span).collect()))
        .collect();
    agree(condition.clone(), &traces);
    explained_alike(condition, &traces);
    let traces: Vec<Trace> = (-1..DEEP as i64 + 1).map(x).collect();
    agree(Condition::Exists(spans(predicate.clone())), &traces);
    explained_alike(Condition::Exists(spans(predicate)), &traces);
}

#[test]
fn thousands_of_clauses() {
    use betrace_dsl::types::tree::ClauseKind::Never;
    let clauses = (0..1000).map(|n| (Never, Condition::Exists(named(&format!("n{n}")))));
    let rule = emit_support::trees::rule(Some(Condition::Constant(true)), clauses.collect());
    let mut compiled = Compiled::new(&rule, "");
    let of = trace(vec![span("n0"), span("n999"), span("n64")]);
    assert_eq!(compiled.judge(of.clone()), reference::evaluate(&rule, &of));
}

#[test]
fn thousands_of_parts() {
    let wide = Predicate::Or((0..WIDE / 8).map(|n| not(not(x_is(n)))).collect());
    let names = (0..WIDE / 8).map(|n| Condition::Exists(named(&format!("n{n}"))));
    let mut all = vec![Condition::Exists(spans(wide))];
    all.extend(names);
    let n5 = trace(vec![span("n5"), with(Value::Int(5))]);
    explained_alike(Condition::And(all), &[x(0), x(WIDE / 8), n5]);
}

#[test]
fn more_traces_than_can_be_explained_at_once_are_refused() {
    let names = (0..WIDE / 8).map(|n| Condition::Exists(named(&format!("n{n}"))));
    let mut explained = Explained::new(&detect(Condition::Or(names.collect())), "");
    let traces = |count: usize| batch::of(&explained.manifest, &vec![trace(Vec::new()); count]);
    let (many, one) = (traces(20_000), traces(1));
    let refused = explained.call(&many).unwrap_err();
    assert_eq!(
        refused,
        "these are more traces than can be explained at once"
    );
    assert_eq!(explained.call(&one).unwrap().len(), explained.parts.len());
}

#[test]
fn memory_grows_with_the_batch_and_is_reused() {
    let rule = detect(Condition::Exists(spans(matches(attribute("x"), "7$"))));
    let mut compiled = Compiled::new(&rule, "");
    let traces: Vec<Trace> = (0..5_000)
        .map(|n| trace(vec![with(Value::Text(format!("text number {n}"))); 3]))
        .collect();
    let small = traces[..2].to_vec();
    for _ in 0..50 {
        let found = compiled.evaluate(&traces);
        assert_eq!(found.iter().filter(|found| !found.is_empty()).count(), 500);
        assert!(compiled.evaluate(&small).iter().all(Vec::is_empty));
    }
}

#[test]
fn a_batch_whose_lists_are_too_short_or_too_long_is_refused() {
    let rule = detect(Condition::Exists(spans(Predicate::And(vec![
        matches(attribute("x"), "a"),
        x_is(1),
    ]))));
    let mut compiled = Compiled::new(&rule, "");
    let mut explained = Explained::new(&rule, "");
    let good = batch::of(
        &compiled.manifest,
        &[trace(vec![with(Value::Text("a".to_owned()))])],
    );
    assert!(compiled.call(&good).is_ok());
    assert!(explained.call(&good).is_ok());
    for change in [
        (|batch| batch.w32.push(0)) as fn(&mut emit_support::types::Batch),
        |batch| batch.w64.push(0),
        |batch| batch.w8.push(0),
        |batch| batch.w8.clear(),
        |batch| batch.spans += 1,
        |batch| batch.symbols += 1,
    ] {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(compiled.call(&bad).is_err());
        assert!(explained.call(&bad).is_err());
        assert!(
            compiled.call(&good).is_ok(),
            "a refusal leaves nothing behind"
        );
    }
}

#[test]
fn a_small_rule_is_a_small_component() {
    let rule = detect(Condition::Exists(spans(x_is(1))));
    let plan = plan::plan(&rule, "").unwrap();
    let module = emit::core_module(&plan).unwrap();
    assert!(module.len() < 4096, "{} bytes", module.len());
    for payload in wasmparser::Parser::new(0).parse_all(&module) {
        if let wasmparser::Payload::ImportSection(imports) = payload.unwrap() {
            assert_eq!(imports.count(), 0);
        }
    }
}

#[test]
fn patterns_share_one_bound() {
    let pattern = |n: usize| matches(attribute("x"), &format!("{n}(a|b)*a(a|b){{10}}c"));
    let many = Predicate::Or((0..200).map(pattern).collect());
    let started = Instant::now();
    let refused = plan::plan(&detect(Condition::Exists(spans(many))), "");
    assert_eq!(refused.unwrap_err().code.as_str(), "E0315");
    assert!(started.elapsed() < SOON);
}

#[test]
fn a_long_text_is_searched_for_a_long_one_in_time() {
    use betrace_dsl::types::tree::{Pattern, TextOperand};
    /// Looking from every start would take `LONG * LONG / 4` steps, minutes.
    const LONG: usize = 2_000_000;
    let contains = Pattern::Contains(TextOperand::Field(attribute("y")));
    let rule = detect(Condition::Exists(spans(Predicate::Text(
        attribute("x"),
        contains,
    ))));
    let of = |text: String, part: String| {
        let mut span = with(Value::Text(text));
        let place = span.attributes[0].0;
        span.attributes
            .push((place, "y".to_owned(), Value::Text(part)));
        trace(vec![span])
    };
    let part = "a".repeat(LONG / 2) + "b";
    let traces = [
        of("a".repeat(LONG), part.clone()),
        of("a".repeat(LONG) + "b", part),
        of("abababac".to_owned(), "ababac".to_owned()),
        of("aabaabaaab".to_owned(), "aabaaa".to_owned()),
        of("aabaab".to_owned(), "abb".to_owned()),
        of("a".to_owned(), String::new()),
        of(String::new(), "a".to_owned()),
    ];
    let mut compiled = Compiled::new(&rule, "");
    let started = Instant::now();
    let found = compiled.evaluate(&traces);
    assert!(started.elapsed() < SOON, "took {:?}", started.elapsed());
    let hits: Vec<bool> = found.iter().map(|found| !found.is_empty()).collect();
    assert_eq!(hits, [false, true, true, true, false, true, false]);
}
