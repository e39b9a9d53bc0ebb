//! What targets that run rules share: an engine with small limits, a batch with something of everything, and what has to hold
//! of a rule that loaded, whatever it does.

#![allow(dead_code, reason = "each target uses a part of it")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use betrace::assemble::trace::{Completion, Requests, SpanRef, Trace};
use betrace::columns::batch::Columns;
use betrace::columns::projection::{Intrinsic, Place};
use betrace::engine::manifest::Trigger;
use betrace::engine::probe::probe;
use betrace::engine::{Engine, EngineLimits, Finding, LoadError, Rule, RuleSet, Tried, Worker};
use betrace::otlp::request::Request;
use betrace::otlp::scan::Scan;
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::guests::{Describe, Reads, load};

/// Where all rules of a run come from.
const ORIGIN: &str = "fuzz";

/// A refusal is a sentence or a compiler's paragraph, not a copy of what was refused.
const MOST_TOLD: usize = 64 << 10;

/// Names, services and keys of the batch, and some that it has not.
pub const WORDS: [&str; 12] = [
    "GET",
    "GET /orders",
    "pay",
    "",
    "shop",
    "ledger",
    "amount",
    "region",
    "library",
    "service.name",
    "é",
    "nowhere",
];

/// A span of the batch.
struct Plain {
    name: &'static str,
    service: Option<&'static str>,
    attributes: &'static [&'static str],
    resource: &'static [&'static str],
    scope: &'static [&'static str],
}

/// Traces of spans; the first of each is its root.
static BATCH: [&[Plain]; 5] = [
    &[
        plain("GET", Some("shop"), &["amount"], &["region"], &[]),
        plain("pay", Some("ledger"), &[], &["region"], &["library"]),
        plain("GET /orders", Some("shop"), &["amount", "region"], &[], &[]),
    ],
    &[plain("", None, &[], &[], &[])],
    &[
        plain("pay", Some("shop"), &[], &[], &["amount"]),
        plain("é", Some(""), &["é"], &[], &[]),
    ],
    &[plain("GET", Some("ledger"), &["library"], &["amount"], &[])],
    &[
        plain("GET /orders", None, &[""], &[], &[]),
        plain("GET /orders", None, &["amount"], &[], &[]),
    ],
];

const fn plain(
    name: &'static str,
    service: Option<&'static str>,
    attributes: &'static [&'static str],
    resource: &'static [&'static str],
    scope: &'static [&'static str],
) -> Plain {
    Plain {
        name,
        service,
        attributes,
        resource,
        scope,
    }
}

/// The engine of the whole run.
pub fn engine() -> &'static Arc<Engine> {
    static ENGINE: OnceLock<Arc<Engine>> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let limits = EngineLimits {
            warm_instances: 8,
            // Less than a tick: what loops is ended at the second.
            deadline: Duration::from_millis(5),
            memory_bytes: 8 << 20,
            trace_bytes: 1 << 20,
            component_bytes: 128 << 10,
            compile: Duration::from_secs(1),
            ..EngineLimits::for_workers(1)
        };
        Arc::new(Engine::new(limits).expect("the limits are valid"))
    })
}

/// Loads what may be a rule; a refusal says where and why.
pub fn try_load(bytes: &[u8]) -> Result<Arc<Rule>, LoadError> {
    let loaded = Rule::load(engine(), bytes, ORIGIN);
    if let Err(error) = &loaded {
        let told = error.to_string();
        assert!(told.starts_with(ORIGIN), "{told}");
        assert!(
            told.len() > ORIGIN.len() + 2 && told.len() < MOST_TOLD,
            "{told}"
        );
    }
    loaded.map(Arc::new)
}

/// A rule that loaded is probed, then judges a batch beside an honest one: that one finds what it always finds, the index makes
/// the rule a candidate of the traces that plain code says, and what it finds points at what it was given.
pub fn judge(rule: Arc<Rule>) {
    static HONEST: OnceLock<Arc<Rule>> = OnceLock::new();
    let honest = HONEST.get_or_init(|| {
        let describe = Describe {
            id: "honest",
            columns: &[Reads::Intrinsic(Intrinsic::Name)],
            constants: &["GET"],
            ..Describe::default()
        };
        load(engine(), "name", &describe)
    });
    // In force or not: either is an answer.
    let _ = probe(engine(), &rule);
    let set = RuleSet::new(1, vec![rule.clone(), honest.clone()]);
    assert_eq!(set.bindings[0].columns.len(), rule.manifest.columns.len());
    assert_eq!(
        set.bindings[0].constants.len(),
        rule.manifest.constants.len()
    );

    let (request, traces) = batch();
    let mut columns = Columns::default();
    columns.project(&set.projection, request, traces);
    let (mut findings, mut tried) = (Vec::new(), Tried::default());
    let mut worker = Worker::with_warm(engine().clone(), 2);
    worker.try_out(&set, &columns, traces, &mut findings, &mut tried, &|| false);

    let of_honest: Vec<u32> = findings
        .iter()
        .filter(|f| f.rule == 1)
        .map(|f| f.trace)
        .collect();
    assert_eq!(of_honest, [0, 3], "an honest rule beside it");
    let candidates = BATCH
        .iter()
        .filter(|trace| is_candidate(trace, &rule.manifest.triggers));
    let asked = tried.candidates.get(&0).copied().unwrap_or_default();
    assert_eq!(
        asked,
        candidates.count() as u64,
        "{:?}",
        rule.manifest.triggers
    );
    for finding in findings.iter().filter(|finding| finding.rule == 0) {
        check(finding, &rule, &columns);
    }
}

fn check(finding: &Finding, rule: &Rule, columns: &Columns) {
    let trace = finding.trace as usize;
    assert!((finding.clause as usize) < rule.manifest.clauses.len());
    assert!(is_candidate(BATCH[trace], &rule.manifest.triggers));
    let rows = columns.offsets[trace]..columns.offsets[trace + 1];
    assert!(
        finding.rows.iter().all(|row| rows.contains(row)),
        "{finding:?}"
    );
    assert!(finding.rows.is_sorted(), "{finding:?}");
}

/// Whether each group has a trigger that some span of the trace meets.
fn is_candidate(trace: &[Plain], triggers: &[Vec<Trigger>]) -> bool {
    let met = |trigger: &Trigger| trace.iter().any(|span| meets(span, trigger));
    triggers.iter().all(|group| group.iter().any(met))
}

fn meets(span: &Plain, trigger: &Trigger) -> bool {
    match trigger {
        Trigger::Name(name) => span.name == name,
        Trigger::NamePrefix(prefix) => span.name.starts_with(prefix.as_str()),
        Trigger::Service(service) => span.service.is_some_and(|name| name == service),
        Trigger::Attribute { place, key } => {
            let key = key.as_str();
            let of_span = span.attributes.contains(&key);
            let of_resource =
                span.resource.contains(&key) || (key == "service.name" && span.service.is_some());
            let of_scope = span.scope.contains(&key);
            match place {
                Place::Any => of_span || of_resource || of_scope,
                Place::Span => of_span,
                Place::Resource => of_resource,
                Place::Scope => of_scope,
            }
        }
    }
}

/// The request of the batch.
pub struct One(Request);

impl Requests for One {
    fn request(&self, _: u32) -> &Request {
        &self.0
    }
}

fn batch() -> &'static (One, Vec<Trace>) {
    static MADE: OnceLock<(One, Vec<Trace>)> = OnceLock::new();
    MADE.get_or_init(|| {
        let mut scan = Scan::default();
        let request = Request::scan(Bytes::from(encoded()), &mut scan).expect("it is a request");
        let traces = scan.spans.chunk_by(|a, b| a.trace_id == b.trace_id);
        let traces = traces.map(|spans| Trace {
            id: spans[0].trace_id,
            spans: spans
                .iter()
                .map(|span| SpanRef {
                    request: 0,
                    section: span.section,
                    range: span.range,
                })
                .collect(),
            completion: Completion::Root,
            missing_parents: 0,
            dropped: false,
            root: 0,
            through: 0,
        });
        let traces = traces.collect();
        (One(request), traces)
    })
}

fn encoded() -> Vec<u8> {
    let mut resource_spans = Vec::new();
    for (trace, spans) in BATCH.iter().enumerate() {
        for (at, span) in spans.iter().enumerate() {
            resource_spans.push(of_span(trace as u8 + 1, at as u8 + 1, span));
        }
    }
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn of_span(trace: u8, id: u8, span: &Plain) -> ResourceSpans {
    let service = span.service.map(|service| text("service.name", service));
    let attributes: Vec<KeyValue> = span.attributes.iter().map(|key| text(key, "x")).collect();
    ResourceSpans {
        resource: Some(Resource {
            attributes: service
                .into_iter()
                .chain(span.resource.iter().map(|key| text(key, "eu")))
                .collect(),
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans {
            scope: Some(InstrumentationScope {
                attributes: span.scope.iter().map(|key| text(key, "tracer")).collect(),
                ..InstrumentationScope::default()
            }),
            spans: vec![Span {
                trace_id: vec![trace; 16],
                span_id: vec![id; 8],
                parent_span_id: if id == 1 { Vec::new() } else { vec![1; 8] },
                name: span.name.to_owned(),
                kind: i32::from(id),
                start_time_unix_nano: 1_000 + u64::from(id),
                end_time_unix_nano: 2_000 + u64::from(id),
                events: vec![Event {
                    time_unix_nano: 1_500,
                    name: "retry".to_owned(),
                    attributes: attributes.clone(),
                    ..Event::default()
                }],
                links: vec![Link {
                    trace_id: vec![9; 16],
                    span_id: vec![9; 8],
                    ..Link::default()
                }],
                attributes,
                ..Span::default()
            }],
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.to_owned())),
        }),
        ..KeyValue::default()
    }
}
