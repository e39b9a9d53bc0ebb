//! Traces of ten spans in five services, as SDKs send them: each service's spans in requests of its own, 1,000 spans a
//! request, two a trace; about 350 bytes and ten attributes a span.
//!
//! Requests are encoded once; of a request that is sent, only trace ids are new, so that every trace is.

use betrace::otlp::scan::{Scan, scan};
use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

pub const SERVICES: u64 = 5;
pub const SPANS_A_TRACE: u64 = 10;
pub const SPANS_A_REQUEST: u64 = 1_000;
/// Traces of which a service's request has its spans: a group.
pub const TRACES_A_GROUP: u64 = SPANS_A_REQUEST * SERVICES / SPANS_A_TRACE;
/// Span names that there are.
pub const NAMES: u64 = 20;
/// Groups that differ in more than trace ids.
const VARIANTS: u64 = 4;

/// Encoded requests.
pub struct Traffic {
    /// By variant and service.
    templates: Vec<Template>,
}

struct Template {
    bytes: Vec<u8>,
    /// Where each span's trace id lies.
    ids: Vec<usize>,
}

impl Default for Traffic {
    fn default() -> Self {
        Traffic {
            templates: (0..VARIANTS * SERVICES)
                .map(|at| Template::new(at / SERVICES, at % SERVICES))
                .collect(),
        }
    }
}

impl Traffic {
    /// What a service sends of a group.
    pub fn request(&self, group: u64, service: u64) -> Bytes {
        let template = &self.templates[(group % VARIANTS * SERVICES + service) as usize];
        let mut bytes = template.bytes.clone();
        for (span, &at) in (0..).zip(&template.ids) {
            let trace = group * TRACES_A_GROUP + span / (SPANS_A_TRACE / SERVICES);
            bytes[at..at + 16].copy_from_slice(&trace_id(trace));
        }
        bytes.into()
    }

    /// The mean of a span's bytes on the wire, framing and resources included.
    pub fn span_bytes(&self) -> usize {
        let bytes: usize = self.templates.iter().map(|t| t.bytes.len()).sum();
        let spans: usize = self.templates.iter().map(|t| t.ids.len()).sum();
        bytes / spans
    }
}

/// A request of one trace with so many spans.
pub fn trace(number: u64, spans: u64) -> Bytes {
    let mut request = request(1, number % SERVICES);
    for scope in request
        .resource_spans
        .iter_mut()
        .flat_map(|r| &mut r.scope_spans)
    {
        scope.spans = (0..spans).map(|at| span(1, number, at)).collect();
    }
    request.encode_to_vec().into()
}

impl Template {
    fn new(variant: u64, service: u64) -> Template {
        let bytes = request(variant, service).encode_to_vec();
        let mut found = Scan::default();
        scan(&bytes, &mut found).expect("prost encodes what can be scanned");
        // Field 1 with a length of 16 comes first in a span.
        let ids = found
            .spans
            .iter()
            .map(|span| span.range.start as usize + 2)
            .collect();
        Template { bytes, ids }
    }
}

/// Looks random, as ids do.
fn trace_id(number: u64) -> [u8; 16] {
    let mixed = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    mixed.to_be_bytes()
}

fn request(variant: u64, service: u64) -> ExportTraceServiceRequest {
    let spans = (0..TRACES_A_GROUP)
        .flat_map(|trace| [service, service + SERVICES].map(|at| span(variant, trace, at)));
    let resource = vec![
        text("service.name", format!("service-{service}")),
        text("service.version", "1.4.2".into()),
        text("deployment.environment.name", "production".into()),
        text("k8s.pod.name", format!("service-{service}-7d9c5b6f4-x2x")),
        text("telemetry.sdk.language", "go".into()),
    ];
    let scope = InstrumentationScope {
        name: "shop.http".into(),
        version: "0.62.0".into(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: spans.collect(),
        ..ScopeSpans::default()
    };
    let resource_spans = ResourceSpans {
        resource: Some(Resource {
            attributes: resource,
            ..Resource::default()
        }),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    }
}

/// The span at position `at` of a trace; one trace of all variants breaks rules.
fn span(variant: u64, trace: u64, at: u64) -> Span {
    let broken = variant == 0 && trace == 250;
    let start = 1_700_000_000_000_000_000 + trace * 1_000_000 + at * 37_000;
    let attributes = vec![
        text(
            "http.request.method",
            ["GET", "POST"][at as usize % 2].into(),
        ),
        text("url.path", format!("/api/v1/orders/{}", trace % 50)),
        text("http.route", "/api/v1/orders/{order}".into()),
        int("http.response.status_code", if broken { 503 } else { 200 }),
        text("server.address", "orders.shop.internal".into()),
        int("server.port", 8_443),
        text("network.protocol.version", "1.1".into()),
        text("user_agent.original", "shop-client/3.1".into()),
        text("user.id", format!("user-{}", trace % 300)),
        int("amount", if broken { 5_000 } else { trace as i64 % 1_200 }),
    ];
    Span {
        trace_id: vec![7; 16],
        span_id: id(at).to_be_bytes().into(),
        parent_span_id: match at {
            0 => vec![],
            _ => id((at - 1) / 3).to_be_bytes().into(),
        },
        name: format!("shop.step_{}", (at + SPANS_A_TRACE * (trace % 2)) % NAMES),
        kind: 2 + (at % 2) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        attributes,
        flags: 0x101,
        ..Span::default()
    }
}

fn id(at: u64) -> u64 {
    (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn text(key: &str, value: String) -> KeyValue {
    attribute(key, Value::StringValue(value))
}

fn int(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
