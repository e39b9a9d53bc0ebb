//! Which spans a finding names.

mod emit_support;

use betrace_dsl::reference::{Finding, Trace};
use betrace_dsl::types::tree::{
    Base, ClauseKind, Condition, Constant, Intrinsic, Number, Predicate,
};
use emit_support::Compiled;
use emit_support::trees::{Comparison, compare, detect, fact, named, rule, set, span, text, trace};

fn of(names: &str) -> Trace {
    trace(names.split_whitespace().map(span).collect())
}

fn exists(name: &str) -> Condition {
    Condition::Exists(named(name))
}

fn not(condition: Condition) -> Condition {
    Condition::Not(Box::new(condition))
}

fn every(base: Base, name: &str) -> Condition {
    let is_name = compare(fact(Intrinsic::Name), Comparison::Equal, text(name));
    Condition::Every(set(base, Vec::new()), is_name)
}

fn count(name: &str, comparison: Comparison, int: i64) -> Condition {
    Condition::Compare(Number::Count(named(name)), comparison, Number::Int(int))
}

#[track_caller]
fn evidence(condition: Condition, names: &str, expected: &[usize]) {
    let found = Compiled::new(&detect(condition), "").judge(of(names));
    assert_eq!(
        found,
        [Finding {
            clause: 0,
            spans: expected.to_vec(),
            more: 0
        }]
    );
}

#[test]
fn true_parts_are_evidence_and_false_ones_are_not() {
    let either = Condition::Or(vec![
        exists("a"),
        exists("b"),
        count("c", Comparison::Greater, 1),
    ]);
    evidence(either.clone(), "b x a b", &[0, 2, 3]);
    evidence(either, "c a x", &[1]);
    let both = Condition::And(vec![exists("a"), exists("b")]);
    evidence(both.clone(), "x a b a", &[1, 2, 3]);
    // Of a false `and`, what made it false: that nothing is there has no spans.
    evidence(not(both), "a a", &[]);
}

#[test]
fn every_shows_its_set_or_what_violates_it() {
    evidence(every(Base::All, "a"), "a a", &[0, 1]);
    evidence(not(every(Base::All, "a")), "a b a c", &[1, 3]);
    evidence(every(Base::Named("z".to_owned()), "a"), "a b", &[]);
}

#[test]
fn counted_spans_are_evidence_whichever_way_they_compare() {
    evidence(count("a", Comparison::Greater, 1), "a b a a", &[0, 2, 3]);
    evidence(count("a", Comparison::Less, 3), "a b", &[0]);
    evidence(not(count("a", Comparison::Greater, 1)), "b a", &[1]);
    evidence(count("a", Comparison::GreaterOrEqual, 0), "b a", &[1]);
    let more = Condition::Compare(
        Number::Count(named("a")),
        Comparison::Greater,
        Number::Count(named("b")),
    );
    evidence(more, "a b x a", &[0, 1, 3]);
}

#[test]
fn the_spans_of_when_are_evidence_of_each_clause() {
    let rule = rule(
        Some(exists("charge")),
        vec![
            (ClauseKind::Always, exists("check")),
            (ClauseKind::Never, exists("bypass")),
            (ClauseKind::Never, exists("other")),
        ],
    );
    let mut compiled = Compiled::new(&rule, "");
    let finding = |clause, spans: &[usize]| Finding {
        clause,
        spans: spans.to_vec(),
        more: 0,
    };
    assert_eq!(
        compiled.judge(of("x charge bypass charge")),
        [finding(0, &[1, 3]), finding(1, &[1, 2, 3])]
    );
    assert_eq!(compiled.judge(of("bypass")), []);
    assert_eq!(compiled.judge(of("check charge")), []);
}

#[test]
fn a_hundred_spans_are_named_and_the_rest_counted() {
    let mut compiled = Compiled::new(&detect(exists("a")), "");
    for length in [99, 100, 101, 1000] {
        let found = compiled.judge(trace(vec![span("a"); length]));
        let named = length.min(100);
        assert_eq!(
            found,
            [Finding {
                clause: 0,
                spans: (0..named).collect(),
                more: length - named
            }]
        );
    }
}

#[test]
fn marks_do_not_leak_into_the_next_trace_or_clause() {
    let rule = rule(
        Some(Condition::Constant(true)),
        vec![
            (ClauseKind::Never, exists("a")),
            (ClauseKind::Never, exists("b")),
            (ClauseKind::Never, exists("nothing")),
            (ClauseKind::Always, exists("nothing")),
        ],
    );
    let mut compiled = Compiled::new(&rule, "");
    let found = compiled.evaluate(&[of("a b"), of("b"), of(""), of("x a")]);
    let spans: Vec<Vec<(usize, Vec<usize>)>> = found
        .into_iter()
        .map(|of| {
            of.into_iter()
                .map(|found| (found.clause, found.spans))
                .collect()
        })
        .collect();
    assert_eq!(
        spans,
        [
            vec![(0, vec![0]), (1, vec![1]), (3, vec![])],
            vec![(1, vec![0]), (3, vec![])],
            vec![(3, vec![])],
            vec![(0, vec![1]), (3, vec![])],
        ]
    );
}

#[test]
fn a_set_asked_for_twice_is_the_same_both_times() {
    let many = |limit| count("a", Comparison::Greater, limit);
    let twice = Condition::And(vec![exists("a"), many(2), not(many(3)), exists("b")]);
    let mut compiled = Compiled::new(&detect(twice), "");
    let found = compiled.evaluate(&[of("a b"), of("a a a b"), of("a a a a b"), of("a a a")]);
    let hits: Vec<usize> = found.iter().map(Vec::len).collect();
    assert_eq!(hits, [0, 1, 0, 0]);
}

#[test]
fn filters_that_are_never_true_leave_an_empty_set() {
    let none = set(
        Base::All,
        vec![compare(
            fact(Intrinsic::Duration),
            Comparison::Equal,
            Constant::Int(1),
        )],
    );
    let mut compiled = Compiled::new(&detect(Condition::Exists(none.clone())), "");
    assert_eq!(compiled.judge(of("a")), []);
    evidence(not(Condition::Exists(none)), "a", &[]);
    let all = set(Base::All, vec![Predicate::Constant(true)]);
    evidence(Condition::Exists(all), "a b", &[0, 1]);
}
