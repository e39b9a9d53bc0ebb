//! Kept traces for tests and benches: spans written by hand, assembled as the host assembles them.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test binary uses a part of it"
)]

use std::sync::Arc;

use betrace::assemble::limits::Limits;
use betrace::assemble::shard::{DrainMode, Shard};
use betrace::assemble::trace::{Completion, Parcel};
use betrace::engine::{Engine, Rule};
use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use betrace::replay::kept::{Judgement, Kept};
use betrace::time::Time;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

/// A trace: the first span is the root, and the parent of the others.
pub fn trace(id: u64, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().enumerate().map(|(index, span)| Span {
        trace_id: trace_id(id).to_vec(),
        span_id: (index as u64 + 1).to_be_bytes().to_vec(),
        parent_span_id: match index {
            0 => Vec::new(),
            _ => 1_u64.to_be_bytes().to_vec(),
        },
        ..span
    });
    let scope_spans = vec![ScopeSpans {
        spans: spans.collect(),
        ..ScopeSpans::default()
    }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

pub fn trace_id(id: u64) -> [u8; 16] {
    (u128::from(id) + 1).to_be_bytes()
}

pub fn span(name: &str, attributes: &[(&str, Value)]) -> Span {
    let attribute = |(key, value): &(&str, Value)| KeyValue {
        key: (*key).to_owned(),
        value: Some(AnyValue {
            value: Some(value.clone()),
        }),
        ..KeyValue::default()
    };
    Span {
        name: name.to_owned(),
        start_time_unix_nano: 1_000,
        end_time_unix_nano: 2_000,
        attributes: attributes.iter().map(attribute).collect(),
        ..Span::default()
    }
}

pub fn int(value: i64) -> Value {
    Value::IntValue(value)
}

pub fn text(value: &str) -> Value {
    Value::StringValue(value.to_owned())
}

/// The traces of these requests, as they are kept when an input ends; the last is the newest and comes first.
pub fn kept(requests: &[ExportTraceServiceRequest], generation: u64) -> Vec<Arc<Kept>> {
    let mut shard = Shard::new(Limits::default());
    for request in requests {
        let mut scan = Scan::default();
        let request =
            Request::scan(Bytes::from(request.encode_to_vec()), &mut scan).expect("it is OTLP");
        shard.insert(Parcel::whole(Arc::new(request), scan.spans), Time(0));
    }
    let mut kept = Vec::new();
    loop {
        let mut traces = Vec::new();
        let more = shard.drain(Time(0), DrainMode::End, &mut traces);
        for trace in traces {
            let judged = Judgement {
                at: 1 + kept.len() as u64,
                generation,
                signalled: &[],
            };
            kept.push(Arc::new(Kept::copy(&trace, &shard, judged)));
            shard.release(trace);
        }
        if !more {
            break;
        }
    }
    kept.reverse();
    kept
}

/// The same traces, completed by something else.
pub fn completed(kept: Vec<Arc<Kept>>, completion: Completion) -> Vec<Arc<Kept>> {
    let other = |kept: Arc<Kept>| {
        let mut kept = Arc::try_unwrap(kept).expect("it is nobody else's");
        kept.completion = completion;
        Arc::new(kept)
    };
    kept.into_iter().map(other).collect()
}

/// The rules of a source.
pub fn rules(engine: &Engine, source: &str) -> Vec<Arc<Rule>> {
    let output = betrace_dsl::compile("rule", source.as_bytes());
    assert!(!output.rules.is_empty(), "{:?}", output.diagnostics);
    let mut rules = Vec::new();
    for rule in &output.rules {
        let rule = Rule::load(engine, &rule.component, "rule.betrace");
        rules.push(Arc::new(rule.expect("it loads")));
    }
    rules
}

/// The one rule of a source.
pub fn rule(engine: &Engine, source: &str) -> Arc<Rule> {
    rules(engine, source).remove(0)
}
