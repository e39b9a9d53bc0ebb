use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::*;
use crate::assemble::limits::Limits;
use crate::assemble::shard::{DrainMode, Shard};
use crate::assemble::trace::Parcel;
use crate::engine::{EngineLimits, RuleSource};
use crate::otlp::request::Request;
use crate::otlp::scan::Scan;
use crate::replay::kept::Judgement;
use crate::sinks::paint::Paint;
use crate::time::Time;

const PLAIN: Paint = Paint { color: false };

fn engine() -> Arc<Engine> {
    Arc::new(Engine::new(EngineLimits::for_workers(1)).expect("an engine"))
}

/// The one rule of a file `rule.betrace`, with its source.
fn rule(engine: &Engine, source: &str) -> Arc<Rule> {
    let compiled = betrace_dsl::compile("rule", source.as_bytes());
    let component = compiled.rules.first().map(|rule| &rule.component);
    let component = component.unwrap_or_else(|| panic!("{:?}", compiled.diagnostics));
    let rule = Rule::load(engine, component, "rule.betrace").expect("it loads");
    let source = RuleSource {
        stem: "rule".to_owned(),
        text: source.as_bytes().to_vec(),
    };
    Arc::new(rule.in_force(None, Some(&Arc::new(source))))
}

fn attributes(of: &[(&str, Value)]) -> Vec<KeyValue> {
    let attribute = |(key, value): &(&str, Value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(value.clone()),
        }),
        ..KeyValue::default()
    };
    of.iter().map(attribute).collect()
}

fn span(name: &str, of: &[(&str, Value)]) -> Span {
    Span {
        name: name.to_owned(),
        attributes: attributes(of),
        ..Span::default()
    }
}

fn int(value: i64) -> Value {
    Value::IntValue(value)
}

fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

/// A trace of a root and these spans below it, each a millisecond after the last.
fn trace(id: u8, spans: &[Span]) -> Arc<Kept> {
    let root = span("POST /checkout", &[]);
    let spans = std::iter::once(&root).chain(spans);
    let spans = (0_u64..).zip(spans).map(|(index, span)| Span {
        trace_id: vec![id; 16],
        span_id: (index + 1).to_be_bytes().to_vec(),
        parent_span_id: match index {
            0 => Vec::new(),
            _ => 1_u64.to_be_bytes().to_vec(),
        },
        start_time_unix_nano: 1_000_000_000 + index * 1_000_000,
        end_time_unix_nano: 1_000_000_000 + index * 1_000_000 + 500_000,
        ..span.clone()
    });
    let request = ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: attributes(&[("service.name", text("shop"))]),
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans: spans.collect(),
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    };
    let mut scan = Scan::default();
    let request = Request::scan(Bytes::from(request.encode_to_vec()), &mut scan).expect("OTLP");
    let mut shard = Shard::new(Limits::default());
    shard.insert(Parcel::whole(Arc::new(request), scan.spans), Time(0));
    let mut traces = Vec::new();
    while shard.drain(Time(0), DrainMode::End, &mut traces) {}
    let judged = Judgement {
        at: 0,
        generation: 3,
        signalled: &[],
    };
    Arc::new(Kept::copy(&traces[0], &shard, judged))
}

fn charge(amount: Value) -> Span {
    span("payment.charge_card", &[("amount", amount)])
}

const FRAUD: &str = "rule fraud {
  when   { payment.charge_card.where(amount > 1000) }
  always { payment.fraud_check }
  never  { payment.bypass_validation }
}";

/// What a person reads, of a rule and some traces.
fn seen(source: &str, traces: &[Arc<Kept>]) -> String {
    let engine = engine();
    let rule = rule(&engine, source);
    let explained = explain_all(&engine, &rule, traces).expect("it is explained");
    let pages: Vec<String> = traces
        .iter()
        .zip(explained)
        .map(|(kept, explained)| {
            let explanation = Explanation::new(&rule, kept.id, Where::Recorded, Some(explained));
            let json = serde_json::to_string(&explanation).expect("it serialises");
            let back: Explanation = serde_json::from_str(&json).expect("it can be read back");
            assert_eq!(back, explanation);
            view(&explanation, PLAIN, 110)
        })
        .collect();
    pages.join("\n")
}

#[test]
fn what_a_person_reads() {
    let check = || span("payment.fraud_check", &[]);
    let bypass = || span("payment.bypass_validation", &[]);
    insta::assert_snapshot!(seen(
        FRAUD,
        &[
            trace(1, &[charge(text("2310.5")), charge(text("12"))]),
            trace(2, &[charge(int(5)), span("payment.charge_card", &[])]),
            trace(3, &[check()]),
            trace(4, &[charge(int(5_000))]),
            trace(5, &[charge(int(5_000)), check(), bypass()]),
            trace(6, &[charge(int(5_000)), check()]),
        ]
    ));
}
