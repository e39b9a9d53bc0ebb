//! A rule's first calls, before any trace depends on it: one with spans such as it asks for, one with next to nothing.
//!
//! What it finds there is nobody's business. That it answers at all is what puts it in force.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::fault::Fault;
use super::manifest::{Manifest, Trigger};
use super::{Engine, Rule, RuleSet, Worker};
use crate::assemble::trace::{Completion, Requests, SpanRef, Trace};
use crate::columns::batch::Columns;
use crate::columns::projection::{Source, Table};
use crate::otlp::request::Request;
use crate::otlp::scan::Scan;

/// Names, services and attributes of a rule that a probe has spans for. A rule of more is probed with these.
const MOST: usize = 64;

/// A rule that faulted before it was in force.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{}: the rule `{id}` failed on a trial batch: {fault}", path.display())]
pub struct ProbeError {
    pub path: PathBuf,
    pub id: String,
    pub fault: Fault,
}

/// Runs a rule that was just loaded over a batch made up for it.
pub fn probe(engine: &Arc<Engine>, rule: &Arc<Rule>) -> Result<(), ProbeError> {
    let request = batch(&rule.manifest);
    let set = RuleSet::without_index(0, vec![rule.clone()]);
    let mut scan = Scan::default();
    if let Ok(request) = Request::scan(Bytes::from(request.encode_to_vec()), &mut scan) {
        let one = One(request);
        let traces = traces(&scan);
        let mut columns = Columns::default();
        columns.project(&set.projection, &one, &traces);
        let mut worker = Worker::with_warm(engine.clone(), 1);
        worker.evaluate(&set, &columns, &traces, &mut Vec::new());
    }
    if let Some(fault) = rule.last_fault() {
        return Err(ProbeError {
            path: rule.origin.clone(),
            id: rule.id.clone(),
            fault,
        });
    }
    Ok(())
}

/// The one request of a probe.
struct One(Request);

impl Requests for One {
    fn request(&self, _: u32) -> &Request {
        &self.0
    }
}

/// Spans by trace, as they came.
fn traces(scan: &Scan) -> Vec<Trace> {
    let by_trace = scan.spans.chunk_by(|a, b| a.trace_id == b.trace_id);
    by_trace
        .filter_map(|spans| {
            let spans_of = |span: &crate::otlp::scan::ScannedSpan| SpanRef {
                request: 0,
                section: span.section,
                range: span.range,
            };
            Some(Trace {
                id: spans.first()?.trace_id,
                spans: spans.iter().map(spans_of).collect(),
                completion: Completion::Root,
                missing_parents: 0,
                dropped: false,
                root: 0,
                through: 0,
            })
        })
        .collect()
}

/// A trace of spans that the rule asks for, and one of a single bare span.
fn batch(manifest: &Manifest) -> ExportTraceServiceRequest {
    let mut names = vec![String::new()];
    let mut services = vec!["probe".to_owned()];
    let mut keys = Vec::new();
    for trigger in manifest.triggers.iter().flatten().take(MOST) {
        match trigger {
            Trigger::Name(name) | Trigger::NamePrefix(name) => names.push(name.clone()),
            Trigger::Service(service) => services.push(service.clone()),
            Trigger::Attribute { key, .. } => keys.push(key.clone()),
        }
    }
    let columns = manifest.columns.iter().take(MOST);
    keys.extend(columns.filter_map(|column| match &column.key.source {
        Source::Attribute { key, .. } if column.key.table == Table::Spans => Some(key.to_string()),
        _ => None,
    }));
    let mut id = 0_u64;
    let mut resource_spans = Vec::new();
    for service in services {
        let mut spans = Vec::new();
        for name in &names {
            for value in [
                any_value::Value::IntValue(1),
                any_value::Value::StringValue("probe".into()),
            ] {
                id += 1;
                spans.push(span(1, id, name, &keys, &value));
            }
        }
        resource_spans.push(of_service(&service, spans));
    }
    resource_spans.push(ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: vec![Span {
                trace_id: vec![2; 16],
                span_id: vec![2; 8],
                ..Span::default()
            }],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    });
    ExportTraceServiceRequest { resource_spans }
}

fn of_service(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let name = text(service);
    ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", name)],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            spans,
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn span(trace: u8, id: u64, name: &str, keys: &[String], value: &any_value::Value) -> Span {
    let attributes: Vec<KeyValue> = keys
        .iter()
        .map(|key| attribute(key, value.clone()))
        .collect();
    Span {
        trace_id: vec![trace; 16],
        span_id: id.to_be_bytes().to_vec(),
        parent_span_id: match id {
            1 => Vec::new(),
            // A chain and a fan, so that the tree has depth and width.
            id => (id / 2).max(1).to_be_bytes().to_vec(),
        },
        name: name.to_owned(),
        kind: i32::try_from(id % 6).unwrap_or_default(),
        start_time_unix_nano: 1_000 + id,
        end_time_unix_nano: 2_000 + 2 * id,
        events: vec![Event {
            time_unix_nano: 1_500,
            name: name.to_owned(),
            attributes: attributes.clone(),
            ..Event::default()
        }],
        links: vec![Link {
            trace_id: vec![3; 16],
            span_id: vec![3; 8],
            attributes: attributes.clone(),
            ..Link::default()
        }],
        attributes,
        ..Span::default()
    }
}

fn text(text: &str) -> any_value::Value {
    any_value::Value::StringValue(text.to_owned())
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
