//! Any rule and any trace, for properties.

use betrace_dsl::reference::{Item, Span, Trace, Value};
use betrace_dsl::types::tree::{
    Base, ClauseKind, Comparison, Condition, Constant, Field, Intrinsic, Items, Number, Operand,
    Pattern, Place, Predicate, Rule, Set, Source, Table, TextOperand,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::trees;

const TWO_53: i64 = 1 << 53;

fn name() -> impl Strategy<Value = String> {
    select(vec!["a", "b", "pay.charge", "pay.check", "pay.", ""]).prop_map(str::to_owned)
}

fn word() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "a",
        "ab",
        "abc",
        "b",
        "bab",
        "é",
        "aé",
        "a\nb",
        "a b",
        "\u{1f600}",
        "3",
    ])
    .prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["k", "l"]).prop_map(str::to_owned)
}

fn int() -> impl Strategy<Value = i64> {
    select(vec![
        0,
        1,
        -1,
        2,
        3,
        TWO_53,
        TWO_53 + 1,
        -TWO_53 - 1,
        i64::MAX,
        i64::MAX - 1,
        i64::MIN,
    ])
}

fn float() -> impl Strategy<Value = f64> {
    select(vec![
        0.0,
        -0.0,
        0.5,
        1.0,
        2.0,
        2.5,
        -1.0,
        TWO_53 as f64,
        i64::MAX as f64,
        i64::MIN as f64,
        1e300,
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
    ])
}

fn ns() -> impl Strategy<Value = i64> {
    select(vec![0, 1, 2, 1000, i64::MAX])
}

fn comparison() -> impl Strategy<Value = Comparison> {
    use Comparison::*;
    select(vec![
        Equal,
        NotEqual,
        Less,
        LessOrEqual,
        Greater,
        GreaterOrEqual,
    ])
}

fn constant() -> impl Strategy<Value = Constant> {
    prop_oneof![
        1 => any::<bool>().prop_map(Constant::Bool),
        3 => int().prop_map(Constant::Int),
        2 => float().prop_map(Constant::Float),
        3 => word().prop_map(Constant::Text),
        1 => name().prop_map(Constant::Text),
        2 => ns().prop_map(Constant::Duration),
        2 => (0u8..6).prop_map(Constant::Enum),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    select(vec![Place::Any, Place::Span, Place::Resource, Place::Scope])
}

fn intrinsic() -> impl Strategy<Value = Intrinsic> {
    use Intrinsic::*;
    select(vec![
        Name,
        Service,
        Kind,
        Status,
        StatusMessage,
        Duration,
        Start,
        End,
        Depth,
        ChildCount,
        SelfTime,
        IsRoot,
        IsLeaf,
        TraceId,
        SpanId,
        ParentId,
    ])
}

/// A field of the item at hand, or of the span that has it.
fn any_field(table: Table) -> BoxedStrategy<Field> {
    let of_span = prop_oneof![
        1 => intrinsic().prop_map(Source::Intrinsic),
        2 => (place(), key()).prop_map(|(place, key)| Source::Attribute(place, key)),
    ]
    .prop_map(|source| trees::field(Table::Spans, source));
    let facts = match table {
        Table::Spans => return of_span.boxed(),
        Table::Events => vec![Intrinsic::Name, Intrinsic::Time],
        Table::Links => vec![Intrinsic::TraceId, Intrinsic::SpanId],
    };
    let of_item = prop_oneof![
        select(facts).prop_map(Source::Intrinsic),
        key().prop_map(|key| Source::Attribute(Place::Span, key)),
    ]
    .prop_map(move |source| trees::field(table, source));
    prop_oneof![4 => of_item, 1 => of_span].boxed()
}

fn pattern(table: Table) -> BoxedStrategy<Pattern> {
    let operand = || {
        prop_oneof![
            2 => word().prop_map(TextOperand::Constant),
            1 => any_field(table).prop_map(TextOperand::Field),
        ]
    };
    let glob = select(vec![
        "", "*", "?", "a*", "*b", "?b*", "a?b", "*é", "**a**", "pay.*",
    ]);
    let regex = select(vec![
        "", "a", "^a", "b$", "^.$", r"\d", r"\w$", r"\bb", r"a\B", "(?i)É|A", "a.b", "(?s)a.b",
        r"^\W", "[^a]", "pay",
    ]);
    prop_oneof![
        operand().prop_map(Pattern::Contains),
        operand().prop_map(Pattern::StartsWith),
        operand().prop_map(Pattern::EndsWith),
        glob.prop_map(|glob| Pattern::Like(glob.to_owned())),
        regex.prop_map(|regex| Pattern::Matches(regex.to_owned())),
    ]
    .boxed()
}

fn leaf(table: Table) -> BoxedStrategy<Predicate> {
    prop_oneof![
        1 => any::<bool>().prop_map(Predicate::Constant),
        1 => any_field(table).prop_map(Predicate::IsTrue),
        2 => any_field(table).prop_map(Predicate::Exists),
        8 => (any_field(table), comparison(), constant())
            .prop_map(|(field, op, constant)| Predicate::Compare(field, op, Operand::Constant(constant))),
        5 => (any_field(table), comparison(), any_field(table))
            .prop_map(|(left, op, right)| Predicate::Compare(left, op, Operand::Field(right))),
        3 => (any_field(table), vec(constant(), 1..4), any::<bool>())
            .prop_map(|(field, items, negated)| Predicate::OneOf { field, items, negated }),
        1 => (any_field(table), vec(word().prop_map(Constant::Text), 10..14), any::<bool>())
            .prop_map(|(field, items, negated)| Predicate::OneOf { field, items, negated }),
        4 => (any_field(table), pattern(table)).prop_map(|(field, pattern)| Predicate::Text(field, pattern)),
    ]
    .boxed()
}

fn predicate(table: Table) -> BoxedStrategy<Predicate> {
    leaf(table)
        .prop_recursive(3, 12, 3, move |inner| {
            let logic = prop_oneof![
                inner
                    .clone()
                    .prop_map(|inner| Predicate::Not(Box::new(inner))),
                vec(inner.clone(), 2..4).prop_map(Predicate::And),
                vec(inner, 2..4).prop_map(Predicate::Or),
            ];
            if table != Table::Spans {
                return logic.boxed();
            }
            prop_oneof![3 => logic, 1 => items()].boxed()
        })
        .boxed()
}

fn items() -> BoxedStrategy<Predicate> {
    select(vec![Table::Events, Table::Links])
        .prop_flat_map(|table| {
            let inner = predicate(table).prop_map(Box::new);
            let number = prop_oneof![
                (-1i64..4).prop_map(Constant::Int),
                float().prop_map(Constant::Float)
            ];
            prop_oneof![
                inner.clone().prop_map(Items::Any),
                inner.clone().prop_map(Items::All),
                (inner, comparison(), number)
                    .prop_map(|(inner, op, number)| Items::Count(inner, op, number)),
            ]
            .prop_map(move |items| Predicate::Items(table, items))
        })
        .boxed()
}

fn any_set() -> impl Strategy<Value = Set> {
    let base = prop_oneof![
        1 => Just(Base::All),
        2 => name().prop_map(Base::Named),
        1 => select(vec!["pay.", "a", ""]).prop_map(|prefix| Base::Prefixed(prefix.to_owned())),
    ];
    (base, vec(predicate(Table::Spans), 0..3)).prop_map(|(base, filters)| trees::set(base, filters))
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        3 => any_set().prop_map(Number::Count),
        2 => (-1i64..4).prop_map(Number::Int),
        1 => float().prop_map(Number::Float),
    ]
}

fn condition() -> BoxedStrategy<Condition> {
    prop_oneof![
        1 => any::<bool>().prop_map(Condition::Constant),
        6 => any_set().prop_map(Condition::Exists),
        3 => (any_set(), predicate(Table::Spans)).prop_map(|(set, each)| Condition::Every(set, each)),
        4 => (number(), comparison(), number()).prop_map(|(left, op, right)| Condition::Compare(left, op, right)),
    ]
    .prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|inner| Condition::Not(Box::new(inner))),
            vec(inner.clone(), 2..4).prop_map(Condition::And),
            vec(inner, 2..4).prop_map(Condition::Or),
        ]
    })
    .boxed()
}

pub fn any_rule() -> impl Strategy<Value = Rule> {
    let consequence = (
        select(vec![ClauseKind::Always, ClauseKind::Never]),
        condition(),
    );
    prop_oneof![
        2 => condition().prop_map(|c| trees::rule(None, vec![(ClauseKind::Detect, c)])),
        1 => condition().prop_map(|c| trees::rule(None, vec![(ClauseKind::Expect, c)])),
        2 => (condition(), vec(consequence, 1..4))
            .prop_map(|(when, clauses)| trees::rule(Some(when), clauses)),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        2 => any::<bool>().prop_map(Value::Bool),
        4 => int().prop_map(Value::Int),
        3 => float().prop_map(Value::Float),
        4 => word().prop_map(Value::Text),
        1 => select(vec![Value::Array, Value::Map, Value::Bytes]),
    ]
}

fn item() -> impl Strategy<Value = Item> {
    (
        option::weighted(0.8, name()),
        option::of(ns()),
        vec((key(), value()), 0..3),
    )
        .prop_map(|(name, time, attributes)| Item {
            trace_id: name.clone(),
            span_id: attributes.first().map(|(key, _)| key.clone()),
            name,
            time,
            attributes,
        })
}

pub fn any_span() -> impl Strategy<Value = Span> {
    let place = select(vec![Place::Span, Place::Resource, Place::Scope]);
    let texts = (
        option::weighted(0.9, name()),
        option::weighted(0.8, word()),
        option::weighted(0.3, word()),
        option::weighted(0.5, word()),
    );
    let times = (
        option::of(ns()),
        option::of(ns()),
        option::of(ns()),
        option::of(ns()),
    );
    let numbers = (
        0u8..6,
        0u8..3,
        0u32..4,
        0u32..4,
        any::<bool>(),
        any::<bool>(),
    );
    (
        texts,
        times,
        numbers,
        vec((place, key(), value()), 0..4),
        vec(item(), 0..3),
        vec(item(), 0..3),
    )
        .prop_map(|(texts, times, numbers, attributes, events, links)| Span {
            name: texts.0,
            service: texts.1,
            status_message: texts.2,
            parent_id: texts.3,
            trace_id: Some("3".to_owned()),
            span_id: Some("a".to_owned()),
            start: times.0,
            end: times.1,
            duration: times.2,
            self_time: times.3,
            kind: numbers.0,
            status: numbers.1,
            depth: numbers.2,
            child_count: numbers.3,
            is_root: numbers.4,
            is_leaf: numbers.5,
            attributes,
            events,
            links,
        })
}

pub fn any_trace() -> impl Strategy<Value = Trace> {
    vec(any_span(), 0..6).prop_map(trees::trace)
}
