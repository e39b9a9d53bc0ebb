//! What predicates mean, construct by construct, as run by wasmtime.

mod emit_support;

use betrace_dsl::reference::{Span, Value};
use betrace_dsl::types::tree::{
    Condition, Constant, Intrinsic, Items, Pattern, Place, Predicate, Table, TextOperand,
};
use emit_support::trees::{
    Comparison, attribute, compare, compare_fields, detect, event, fact, field, matches, not,
    placed, spans, text, trace, with,
};
use emit_support::{Compiled, trees};

const TWO_53: i64 = 1 << 53;

/// Whether the compiled predicate is true of each span.
fn ask(predicate: Predicate, of: Vec<Span>) -> Vec<bool> {
    let mut compiled = Compiled::new(&detect(Condition::Exists(spans(predicate))), "");
    of.into_iter()
        .map(|span| !compiled.judge(trace(vec![span])).is_empty())
        .collect()
}

fn is(predicate: &Predicate, span: Span) -> bool {
    ask(predicate.clone(), vec![span])[0]
}

/// `x == c`, `!=`, `<`, `<=`, `>`, `>=`, in that order.
fn all_comparisons(value: Value, constant: &Constant) -> [bool; 6] {
    use Comparison::*;
    [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual].map(|comparison| {
        is(
            &compare(attribute("x"), comparison, constant.clone()),
            with(value.clone()),
        )
    })
}

const LESS: [bool; 6] = [false, true, true, true, false, false];
const EQUAL: [bool; 6] = [true, false, false, true, false, true];
const GREATER: [bool; 6] = [false, true, false, false, true, true];
const UNEQUAL: [bool; 6] = [false, true, false, false, false, false];
const UNLIKE: [bool; 6] = [false; 6];

#[test]
fn numbers_compare_exactly() {
    use Constant::{Float, Int};
    let cases = [
        (Value::Int(TWO_53 + 1), Int(TWO_53), GREATER),
        (Value::Int(TWO_53 + 1), Float(TWO_53 as f64), GREATER),
        (Value::Float(TWO_53 as f64), Int(TWO_53 + 1), LESS),
        (Value::Float(TWO_53 as f64), Int(TWO_53), EQUAL),
        (Value::Float(TWO_53 as f64 + 2.0), Int(TWO_53 + 1), GREATER),
        (Value::Float(i64::MAX as f64), Int(i64::MAX), GREATER),
        (Value::Float(i64::MIN as f64), Int(i64::MIN), EQUAL),
        (Value::Int(i64::MAX), Float(i64::MAX as f64), LESS),
        (Value::Int(i64::MIN), Float(-1e300), GREATER),
        (Value::Int(2), Float(2.5), LESS),
        (Value::Int(3), Float(2.5), GREATER),
        (Value::Int(-2), Float(-2.5), GREATER),
        (Value::Int(0), Float(-0.0), EQUAL),
        (Value::Float(f64::NAN), Int(1), UNEQUAL),
        (Value::Float(f64::NAN), Int(TWO_53 + 1), UNEQUAL),
        (Value::Float(f64::INFINITY), Int(i64::MAX), GREATER),
        (Value::Float(0.1), Float(0.1), EQUAL),
    ];
    for (value, constant, expected) in cases {
        assert_eq!(
            all_comparisons(value.clone(), &constant),
            expected,
            "{value:?} and {constant:?}"
        );
        // The same between two fields, where the types are known only when a span is read.
        let other = match constant {
            Int(int) => Value::Int(int),
            Float(float) => Value::Float(float),
            _ => continue,
        };
        let mut span = with(value.clone());
        span.attributes
            .push((Place::Span, "y".to_owned(), other.clone()));
        use Comparison::*;
        let found = [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual].map(|op| {
            is(
                &compare_fields(attribute("x"), op, attribute("y")),
                span.clone(),
            )
        });
        assert_eq!(found, expected, "{value:?} and the field {other:?}");
    }
}

#[test]
fn what_is_missing_or_unlike_compares_false() {
    let values = [
        Value::Bool(true),
        Value::Int(1),
        Value::Text("1".to_owned()),
        Value::Array,
        Value::Map,
        Value::Bytes,
    ];
    let constants = [Constant::Bool(true), Constant::Int(1), text("1")];
    for (at, value) in values.iter().enumerate() {
        for (alike, constant) in constants.iter().enumerate() {
            let expected = match (at == alike, constant) {
                (false, _) => UNLIKE,
                // Bools have no order.
                (true, Constant::Bool(_)) => [true, false, false, false, false, false],
                (true, _) => EQUAL,
            };
            assert_eq!(
                all_comparisons(value.clone(), constant),
                expected,
                "{value:?} and {constant:?}"
            );
        }
    }
    let differs = compare(attribute("x"), Comparison::NotEqual, text("a"));
    assert!(!is(&differs, Span::default()));
    assert!(is(
        &not(compare(attribute("x"), Comparison::Equal, text("a"))),
        Span::default()
    ));
    // Also where no row of the batch has the constant's text.
    assert!(!is(
        &compare(fact(Intrinsic::Name), Comparison::Equal, text("a")),
        Span::default()
    ));
    assert!(is(&differs, with(Value::Text("b".to_owned()))));
}

#[test]
fn not_in_needs_the_field_and_a_like_type() {
    let not_in = |items: Vec<Constant>| Predicate::OneOf {
        field: attribute("x"),
        items,
        negated: true,
    };
    let of = vec![
        Span::default(),
        with(Value::Text("a".to_owned())),
        with(Value::Text("b".to_owned())),
        with(Value::Int(1)),
        with(Value::Float(2.0)),
        with(Value::Array),
    ];
    assert_eq!(
        ask(not_in(vec![text("a")]), of.clone()),
        [false, false, true, false, false, false]
    );
    assert_eq!(
        ask(not_in(vec![text("a"), Constant::Int(1)]), of.clone()),
        [false, false, true, false, true, false]
    );
    let many = (0..20).map(|n| text(&format!("t{n}"))).chain([text("a")]);
    assert_eq!(
        ask(not_in(many.collect()), of),
        [false, false, true, false, false, false]
    );
}

#[test]
fn attributes_are_looked_for_where_the_rule_says() {
    let both = Span {
        attributes: vec![
            (Place::Scope, "x".to_owned(), Value::Int(3)),
            (Place::Resource, "x".to_owned(), Value::Int(2)),
            (Place::Span, "x".to_owned(), Value::Int(1)),
            (Place::Span, "x".to_owned(), Value::Int(9)),
        ],
        ..Span::default()
    };
    let is_at = |place, int| {
        is(
            &compare(placed(place, "x"), Comparison::Equal, Constant::Int(int)),
            both.clone(),
        )
    };
    assert!(is_at(Place::Any, 1));
    assert!(is_at(Place::Span, 1));
    assert!(is_at(Place::Resource, 2));
    assert!(is_at(Place::Scope, 3));
}

#[test]
fn presence_is_of_any_type() {
    let of = vec![
        Span::default(),
        with(Value::Bool(false)),
        with(Value::Array),
        with(Value::Text(String::new())),
    ];
    assert_eq!(
        ask(Predicate::Exists(attribute("x")), of.clone()),
        [false, true, true, true]
    );
    assert_eq!(ask(Predicate::IsTrue(attribute("x")), of), [false; 4]);
    assert!(is(
        &Predicate::IsTrue(attribute("x")),
        with(Value::Bool(true))
    ));
    assert!(!is(
        &Predicate::Exists(fact(Intrinsic::Duration)),
        Span::default()
    ));
}

#[test]
fn durations_that_are_missing_are_not_short() {
    let shorter = |ns| {
        compare(
            fact(Intrinsic::Duration),
            Comparison::Less,
            Constant::Duration(ns),
        )
    };
    let of = vec![
        Span::default(),
        Span {
            duration: Some(0),
            ..Span::default()
        },
        Span {
            duration: Some(1000),
            ..Span::default()
        },
    ];
    assert_eq!(ask(shorter(1000), of.clone()), [false, true, false]);
    let not_1us = compare(
        fact(Intrinsic::Duration),
        Comparison::NotEqual,
        Constant::Duration(1000),
    );
    assert_eq!(ask(not_1us, of), [false, true, false]);
}

#[test]
fn text_is_ordered_by_bytes() {
    let texts = ["", "Z", "a", "aa", "b", "é"];
    for left in texts {
        for right in texts {
            let expected = match left.as_bytes().cmp(right.as_bytes()) {
                std::cmp::Ordering::Less => LESS,
                std::cmp::Ordering::Equal => EQUAL,
                std::cmp::Ordering::Greater => GREATER,
            };
            assert_eq!(
                all_comparisons(Value::Text(left.to_owned()), &text(right)),
                expected,
                "{left:?} and {right:?}"
            );
        }
    }
}

#[test]
fn patterns_take_constants_and_fields() {
    let mut span = with(Value::Text("checkout/café".to_owned()));
    for (key, value) in [("y", "check"), ("z", "café"), ("e", "")] {
        span.attributes
            .push((Place::Span, key.to_owned(), Value::Text(value.to_owned())));
    }
    span.attributes
        .push((Place::Span, "n".to_owned(), Value::Int(1)));
    let constant = |text: &str| TextOperand::Constant(text.to_owned());
    let of = |key: &str| TextOperand::Field(attribute(key));
    for (pattern, expected) in [
        (Pattern::Contains(constant("out/c")), true),
        (Pattern::Contains(constant("")), true),
        (Pattern::Contains(constant("outc")), false),
        (Pattern::StartsWith(constant("check")), true),
        (Pattern::StartsWith(constant("heck")), false),
        (Pattern::EndsWith(constant("fé")), true),
        (Pattern::EndsWith(constant("checkout/café!")), false),
        (Pattern::Contains(of("y")), true),
        (Pattern::Contains(of("z")), true),
        (Pattern::Contains(of("e")), true),
        (Pattern::Contains(of("n")), false),
        (Pattern::Contains(of("nothing")), false),
        (Pattern::StartsWith(of("y")), true),
        (Pattern::StartsWith(of("z")), false),
        (Pattern::EndsWith(of("z")), true),
        (Pattern::EndsWith(of("y")), false),
        (Pattern::Like("*/caf?".to_owned()), true),
        (Pattern::Like("caf?".to_owned()), false),
        (Pattern::Matches(r"\bcaf".to_owned()), true),
        (Pattern::Matches("^caf".to_owned()), false),
    ] {
        assert_eq!(
            is(
                &Predicate::Text(attribute("x"), pattern.clone()),
                span.clone()
            ),
            expected,
            "{pattern:?}"
        );
    }
    assert!(!is(
        &Predicate::Text(attribute("n"), Pattern::Matches("1".to_owned())),
        span
    ));
}

#[test]
fn a_pattern_is_asked_again_in_each_batch() {
    let rule = detect(Condition::Exists(spans(matches(attribute("x"), "^a+$"))));
    let mut compiled = Compiled::new(&rule, "");
    // The same symbol stands for other text in each batch.
    for (value, found) in [("aaa", 1), ("b", 0), ("a", 1), ("ab", 0)] {
        let of = trace(vec![with(Value::Text(value.to_owned()))]);
        assert_eq!(compiled.judge(of).len(), found, "{value}");
    }
}

#[test]
fn more_patterns_than_are_remembered_all_answer() {
    let patterns = (0..80).map(|n| matches(attribute("x"), &format!("^v{n}$")));
    let rule = detect(Condition::Exists(spans(Predicate::Or(patterns.collect()))));
    let mut compiled = Compiled::new(&rule, "");
    for (value, found) in [("v0", 1), ("v63", 1), ("v64", 1), ("v79", 1), ("v80", 0)] {
        let of = trace(vec![with(Value::Text(value.to_owned())); 2]);
        assert_eq!(compiled.judge(of).len(), found, "{value}");
    }
}

#[test]
fn an_automaton_of_many_states_has_wide_ones() {
    let rule = detect(Condition::Exists(spans(matches(
        attribute("x"),
        "(a|b)*a(a|b){9}c",
    ))));
    let mut compiled = Compiled::new(&rule, "");
    for (value, found) in [("bbabbbbbbbbbc", 1), ("bbbbbbbbbbbbc", 0)] {
        let of = trace(vec![with(Value::Text(value.to_owned()))]);
        assert_eq!(compiled.judge(of).len(), found, "{value}");
    }
}

#[test]
fn conditions_on_one_event_are_of_the_same_event() {
    let both = Predicate::And(vec![
        compare(
            field(
                Table::Events,
                betrace_dsl::types::tree::Source::Intrinsic(Intrinsic::Name),
            ),
            Comparison::Equal,
            text("exception"),
        ),
        matches(
            field(
                Table::Events,
                betrace_dsl::types::tree::Source::Attribute(Place::Span, "type".to_owned()),
            ),
            "Timeout",
        ),
    ]);
    let typed = |name: &str, of: &str| {
        let mut event = event(name);
        event
            .attributes
            .push(("type".to_owned(), Value::Text(of.to_owned())));
        event
    };
    let with_events = |events| Span {
        events,
        ..Span::default()
    };
    let of = vec![
        Span::default(),
        with_events(vec![typed("exception", "io.Timeout")]),
        with_events(vec![typed("exception", "Other"), typed("retry", "Timeout")]),
        with_events(vec![event("x"), typed("exception", "Timeout")]),
    ];
    let any = Predicate::Items(Table::Events, Items::Any(Box::new(both.clone())));
    assert_eq!(ask(any, of.clone()), [false, true, false, true]);
    let all = Predicate::Items(Table::Events, Items::All(Box::new(both.clone())));
    assert_eq!(ask(all, of.clone()), [true, true, false, false]);
    let two = Predicate::Items(
        Table::Events,
        Items::Count(
            Box::new(Predicate::Constant(true)),
            Comparison::Equal,
            Constant::Int(2),
        ),
    );
    assert_eq!(ask(two, of), [false, false, true, true]);
}

#[test]
fn rows_of_events_are_counted_over_all_traces() {
    let rule = detect(Condition::Exists(spans(Predicate::Items(
        Table::Events,
        Items::Any(Box::new(compare(
            field(
                Table::Events,
                betrace_dsl::types::tree::Source::Intrinsic(Intrinsic::Name),
            ),
            Comparison::Equal,
            text("hit"),
        ))),
    ))));
    let mut compiled = Compiled::new(&rule, "");
    let of = |names: &[&str]| {
        trace(vec![Span {
            events: names.iter().map(|name| event(name)).collect(),
            ..trees::span("s")
        }])
    };
    let found = compiled.evaluate(&[of(&["a", "b"]), of(&[]), of(&["c", "hit"]), of(&["d"])]);
    let hits: Vec<usize> = found.iter().map(Vec::len).collect();
    assert_eq!(hits, [0, 0, 1, 0]);
}
