use opentelemetry_proto::tonic::common::v1::any_value::Value as V;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::{Span, span::Event};

use super::evidence::MAX_TEXT;
use super::fixture::{Batch, START, clause, rule};
use super::judge::{MAX_EVIDENCE, Unfinished};
use super::rule::RuleFacts;
use super::{Certainty, ClauseKind};
use crate::assemble::trace::Completion;
use crate::columns::projection::{ColumnKey, Intrinsic, Place, Table};
use crate::demo::call::{Call, attribute};
use crate::demo::random::Random;
use crate::demo::shop::{self, Order, Steps};

/// A charge of 2310.5 without a fraud check and with the bypass.
fn bad_checkout() -> Call {
    let order = Order {
        id: 314_159,
        customer: 2_718,
        eu: true,
        quantity: 2,
        amount: 2310.5,
        currency: "EUR",
    };
    let mut steps = Steps {
        fraud: None,
        ..Steps::correct(&order, &mut Random::new(1))
    };
    steps
        .processor
        .insert(0, Call::step("payment", "payment.bypass_validation", 200));
    shop::checkout(&order, &steps)
}

#[test]
fn a_signal_has_the_fields_of_the_format_in_their_order() {
    let rules = [rule()];
    let batch = Batch::of_call(&bad_checkout(), &rules);
    let charge = batch.rows("payment.charge_card");
    let mut with_bypass = charge.clone();
    with_bypass.extend(batch.rows("payment.bypass_validation"));
    let signals = batch.judge(
        &rules,
        &[(0, 1, with_bypass, 0), (0, 0, charge, 0)],
        Unfinished::Stable,
    );
    assert_eq!(signals.len(), 1);
    insta::assert_snapshot!(serde_json::to_string_pretty(&*signals[0].signal).unwrap());
}

#[test]
fn rules_that_break_in_one_trace_signal_apart() {
    let rules = [
        rule(),
        RuleFacts {
            id: "other".to_owned(),
            ..rule()
        },
    ];
    let batch = Batch::of_call(&bad_checkout(), &rules);
    let signals = batch.judge(
        &rules,
        &[(1, 0, vec![], 0), (0, 0, vec![], 0), (1, 1, vec![], 0)],
        Unfinished::Stable,
    );
    let ids: Vec<_> = signals
        .iter()
        .map(|e| (e.signal.rule.as_str(), e.signal.clauses.len()))
        .collect();
    assert_eq!(ids, [("payment-fraud-check", 1), ("other", 2)]);
    assert_ne!(signals[0].signal.id, signals[1].signal.id);
}

#[test]
fn without_evidence_the_first_span_stands_for_it() {
    let rules = [rule()];
    let batch = Batch::of_call(&bad_checkout(), &rules);
    let signals = batch.judge(&rules, &[(0, 0, vec![], 0)], Unfinished::Stable);
    let evidence = &signals[0].signal.evidence;
    assert_eq!(evidence.len(), 1);
    assert_eq!(evidence[0].name.as_deref(), Some("POST /checkout"));
    assert_eq!(signals[0].signal.evidence_more, 0);
}

#[test]
fn certainty_needs_a_stable_clause_or_the_whole_trace() {
    let rules = [rule()];
    let mut batch = Batch::of_call(&bad_checkout(), &rules);
    let certainty = |batch: &Batch, clause| {
        batch.judge(&rules, &[(0, clause, vec![], 0)], Unfinished::All)[0]
            .signal
            .certainty
    };
    assert_eq!(certainty(&batch, 0), Certainty::Certain);
    batch.traces[0].missing_parents = 1;
    assert_eq!(certainty(&batch, 0), Certainty::Unsure);
    assert_eq!(certainty(&batch, 1), Certainty::Certain);
    batch.traces[0].missing_parents = 0;
    batch.traces[0].dropped = true;
    assert_eq!(certainty(&batch, 0), Certainty::Unsure);
    batch.traces[0].dropped = false;
    batch.traces[0].completion = Completion::Idle;
    assert_eq!(certainty(&batch, 0), Certainty::Unsure);
}

#[test]
fn a_drained_trace_signals_stable_clauses_alone_unless_there_is_no_more_to_come() {
    let rules = [rule()];
    let mut batch = Batch::of_call(&bad_checkout(), &rules);
    batch.traces[0].completion = Completion::Drained;
    let found = [(0, 0, vec![], 0), (0, 1, vec![], 0)];
    let clauses = |unfinished| {
        let signals = batch.judge(&rules, &found, unfinished);
        signals[0]
            .signal
            .clauses
            .iter()
            .map(|c| c.index)
            .collect::<Vec<_>>()
    };
    assert_eq!(clauses(Unfinished::Stable), [1]);
    assert_eq!(clauses(Unfinished::All), [0, 1]);
    assert!(
        batch
            .judge(&rules, &found[..1], Unfinished::Stable)
            .is_empty()
    );
}

#[test]
fn evidence_is_cut_and_what_is_cut_counted() {
    let rules = [rule()];
    let spans = (0..300_u64)
        .map(|i| span(i + 1, if i == 0 { 0 } else { 1 }))
        .collect();
    let batch = Batch::of_spans(spans, &rules);
    let first: Vec<u32> = (0..100).collect();
    let second: Vec<u32> = (100..180).collect();
    let signals = batch.judge(
        &rules,
        &[(0, 0, first, 150), (0, 1, second, 0)],
        Unfinished::Stable,
    );
    assert_eq!(signals[0].signal.evidence.len(), MAX_EVIDENCE);
    assert_eq!(signals[0].signal.evidence_more, 150);
}

#[test]
fn findings_that_name_nothing_are_ignored() {
    let rules = [rule()];
    let batch = Batch::of_call(&bad_checkout(), &rules);
    let found = [(0, 9, vec![], 0), (5, 0, vec![], 0)];
    assert!(batch.judge(&rules, &found, Unfinished::Stable).is_empty());
    let signals = batch.judge(&rules, &[(0, 0, vec![u32::MAX, 0], 0)], Unfinished::Stable);
    assert_eq!(signals[0].signal.evidence.len(), 1);
}

#[test]
fn values_are_read_as_the_rule_names_them() {
    let text = |text: &str| V::StringValue(text.to_owned());
    let any = |value| AnyValue { value: Some(value) };
    let entry = |key: &str, value| KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    };
    let list = V::ArrayValue(ArrayValue {
        values: vec![any(text("a")), any(V::IntValue(2))],
    });
    let map = V::KvlistValue(KeyValueList {
        values: vec![entry("k", V::BoolValue(true))],
    });
    let mut span = span(1, 0);
    span.kind = 5;
    span.attributes = vec![
        attribute("twice", text("first")),
        attribute("twice", text("second")),
        attribute("list", list),
        attribute("map", map),
        attribute("blob", V::BytesValue(vec![1, 2, 255])),
        attribute("infinite", V::DoubleValue(f64::NEG_INFINITY)),
        attribute("big", V::IntValue((1 << 53) + 1)),
        attribute("long", text(&"x".repeat(MAX_TEXT + 1))),
    ];
    span.events = ["retry", "exception"]
        .map(|name| Event {
            name: name.to_owned(),
            time_unix_nano: START + 5,
            ..Event::default()
        })
        .to_vec();
    span.events[1].attributes = vec![attribute("exception.type", text("Timeout"))];

    let of_span = |key| ColumnKey::attribute(Table::Spans, Place::Any, key);
    let mut reads: Vec<_> = [
        "twice", "list", "map", "blob", "infinite", "big", "long", "absent",
    ]
    .map(of_span)
    .to_vec();
    reads.push(ColumnKey::intrinsic(Table::Spans, Intrinsic::Kind));
    reads.push(ColumnKey::intrinsic(Table::Spans, Intrinsic::Status));
    reads.push(ColumnKey::intrinsic(Table::Spans, Intrinsic::ChildCount));
    reads.push(ColumnKey::intrinsic(Table::Spans, Intrinsic::SelfTime));
    reads.push(ColumnKey::intrinsic(Table::Events, Intrinsic::Name));
    reads.push(ColumnKey::attribute(
        Table::Events,
        Place::Span,
        "exception.type",
    ));
    let rules = [RuleFacts {
        clauses: vec![clause(ClauseKind::Detect, "all of it", true)],
        reads,
        ..rule()
    }];
    let batch = Batch::of_spans(vec![span], &rules);
    let signals = batch.judge(&rules, &[(0, 0, vec![0], 0)], Unfinished::Stable);
    let fields = &signals[0].signal.evidence[0].fields;
    let long = fields
        .0
        .iter()
        .find(|(name, _)| name == "long")
        .unwrap()
        .1
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(long, format!("{}…", "x".repeat(MAX_TEXT)));
    let short: Vec<_> = fields
        .0
        .iter()
        .filter(|(name, _)| name != "long")
        .map(|(n, v)| format!("{n} = {v}"))
        .collect();
    insta::assert_snapshot!(short.join("\n"), @r#"
    twice = "first"
    list = ["a",2]
    map = {"k":true}
    blob = "AQL/"
    infinite = "-Infinity"
    big = 9007199254740993
    kind = "consumer"
    status = "unset"
    child_count = 0
    self_time = 999
    events.name = ["retry","exception"]
    events.exception.type = [null,"Timeout"]
    "#);
}

#[test]
fn a_span_without_times_or_name_is_shown_as_such() {
    let mut bare = span(1, 0);
    bare.start_time_unix_nano = 0;
    bare.end_time_unix_nano = 0;
    bare.name = String::new();
    let rules = [rule()];
    let batch = Batch::of_spans(vec![bare], &rules);
    let signals = batch.judge(&rules, &[(0, 0, vec![0], 0)], Unfinished::Stable);
    let evidence = &signals[0].signal.evidence[0];
    // As columns have it: a start of 0 is the trace's first start, and without an end there is no duration.
    assert_eq!((evidence.offset_ns, evidence.duration_ns), (Some(0), None));
    assert_eq!(
        (evidence.name.as_deref(), evidence.service.as_deref()),
        (Some(""), None)
    );
    assert!(signals[0].signal.services.is_empty());
}

fn span(id: u64, parent: u64) -> Span {
    let parent = if parent == 0 {
        Vec::new()
    } else {
        parent.to_be_bytes().to_vec()
    };
    Span {
        trace_id: vec![5; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: parent,
        name: format!("span {id}"),
        start_time_unix_nano: START + id,
        end_time_unix_nano: START + 1_000,
        ..Span::default()
    }
}
