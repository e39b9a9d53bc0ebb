//! Traces as SDKs send them: each service's spans in requests of its own. By default ten spans in five services, 1,000 spans
//! a request, two a trace; about 350 bytes and ten attributes a span.
//!
//! What rules find in them: names `shop.step_0` to `shop.step_19`, and one trace of every [`VARIANTS`] groups whose spans
//! answer 503 with an amount of 5,000, where those of all others answer 200 with less than 1,200.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use super::shape::Shape;
use super::template::{Template, mask};
use crate::demo::random::Random;

/// Of the default shape.
pub const SERVICES: u64 = 5;
pub const SPANS_A_TRACE: u64 = 10;
pub const SPANS_A_REQUEST: u64 = 1_000;
/// Traces of which a service's request has its spans: a group.
pub const TRACES_A_GROUP: u64 = SPANS_A_REQUEST * SERVICES / SPANS_A_TRACE;
/// Span names that there are.
pub const NAMES: u64 = 20;
/// Groups that differ in more than trace ids.
pub const VARIANTS: u64 = 4;

/// When traces start, in Unix nanoseconds, where the day does not matter.
const START: u64 = 1_700_000_000_000_000_000;

/// Attributes that spans have, the first that rules read first; more are called `detail.10` and so on.
const ATTRIBUTES: u64 = 10;

/// Makes requests of a shape.
#[derive(Clone, Debug)]
pub struct Maker {
    shape: Shape,
    /// In Unix nanoseconds.
    start: u64,
}

/// Requests of the default shape.
#[derive(Debug)]
pub struct Traffic {
    /// By variant and service.
    templates: Vec<Template>,
}

impl Default for Traffic {
    fn default() -> Self {
        let maker = Maker::new(Shape::default(), START);
        let templates = (0..VARIANTS).flat_map(|variant| {
            (0..SERVICES)
                .flat_map(|service| maker.requests(variant, service, TRACES_A_GROUP))
                .collect::<Vec<_>>()
        });
        Traffic {
            templates: templates
                .filter_map(|bytes| Template::new(&bytes).ok())
                .collect(),
        }
    }
}

impl Traffic {
    /// What a service sends of a group.
    pub fn request(&self, group: u64, service: u64) -> Bytes {
        let at = (group % VARIANTS * SERVICES + service) as usize;
        let template = self.templates.get(at);
        template.map_or_else(Bytes::new, |template| template.message(mask(0, group)))
    }

    /// The mean of a span's bytes on the wire, framing and resources included.
    pub fn span_bytes(&self) -> usize {
        let bytes: usize = self.templates.iter().map(Template::len).sum();
        let spans: u64 = self.templates.iter().map(Template::spans).sum();
        bytes / spans.max(1) as usize
    }
}

/// A request of one trace with so many spans.
pub fn trace(number: u64, spans: u64) -> Bytes {
    let shape = Shape {
        spans,
        ..Shape::default()
    };
    let maker = Maker::new(shape, START);
    let all = (0..spans).map(|at| maker.span(1, number, at)).collect();
    request(number % SERVICES, all).encode_to_vec().into()
}

impl Maker {
    /// `start` is when the first trace starts, in Unix nanoseconds.
    pub fn new(shape: Shape, start: u64) -> Maker {
        Maker { shape, start }
    }

    /// What a service sends of a group's first `traces`, as encoded requests: more than one where they don't fit into one.
    pub fn requests(&self, variant: u64, service: u64, traces: u64) -> Vec<Vec<u8>> {
        let shape = &self.shape;
        let spans: Vec<Span> = (0..traces)
            .flat_map(|trace| {
                let positions = (0..shape.spans_of(service)).map(|n| service + n * shape.services);
                positions.map(move |at| self.span(variant, trace, at))
            })
            .collect();
        let size = usize::try_from(shape.request).unwrap_or(usize::MAX).max(1);
        let requests = spans.chunks(size);
        requests
            .map(|spans| request(service, spans.to_vec()).encode_to_vec())
            .collect()
    }

    /// The bytes of one span and its share of a request's resource, about.
    pub fn span_bytes(&self) -> u64 {
        self.span(1, 0, self.shape.spans - 1).encoded_len() as u64 + 4
    }

    /// The span at position `at` of a trace; one trace of all variants breaks rules.
    fn span(&self, variant: u64, trace: u64, at: u64) -> Span {
        let broken = variant == 0 && trace == self.shape.traces_a_group() / 2;
        let start = self.start + trace * 1_000_000 + at * 37_000;
        let mut span = Span {
            trace_id: trace_id(trace).into(),
            span_id: id(at).to_be_bytes().into(),
            parent_span_id: match at {
                0 => vec![],
                _ => id((at - 1) / 3).to_be_bytes().into(),
            },
            name: format!("shop.step_{}", (at + SPANS_A_TRACE * (trace % 2)) % NAMES),
            kind: 2 + (at % 2) as i32,
            start_time_unix_nano: start,
            end_time_unix_nano: start + 5_000_000,
            attributes: attributes(self.shape.attributes, broken, trace, at),
            flags: 0x101,
            ..Span::default()
        };
        pad(&mut span, self.shape.bytes);
        span
    }
}

/// So many attributes, in the order that an SDK would have them.
fn attributes(count: u64, broken: bool, trace: u64, at: u64) -> Vec<KeyValue> {
    let method = ["GET", "POST"][at as usize % 2];
    // Each with its rank: with fewer attributes those of the first ranks are there.
    let mut all = vec![
        (2, text("http.request.method", method.into())),
        (
            3,
            text("url.path", format!("/api/v1/orders/{}", trace % 50)),
        ),
        (4, text("http.route", "/api/v1/orders/{order}".into())),
        (
            0,
            int("http.response.status_code", if broken { 503 } else { 200 }),
        ),
        (5, text("server.address", "orders.shop.internal".into())),
        (6, int("server.port", 8_443)),
        (7, text("network.protocol.version", "1.1".into())),
        (8, text("user_agent.original", "shop-client/3.1".into())),
        (9, text("user.id", format!("user-{}", trace % 300))),
        (
            1,
            int("amount", if broken { 5_000 } else { trace as i64 % 1_200 }),
        ),
    ];
    all.retain(|(rank, _)| *rank < count);
    let more = (ATTRIBUTES..count).map(|n| text(&format!("detail.{n}"), format!("value {at}")));
    let all = all.into_iter().map(|(_, attribute)| attribute);
    all.chain(more).collect()
}

/// Makes a span's last attribute a text as long as it takes to have so many bytes, and up to seven more.
fn pad(span: &mut Span, bytes: u64) {
    let missing = bytes.saturating_sub(span.encoded_len() as u64);
    if missing == 0 {
        return;
    }
    span.attributes.pop();
    let spent = span.encoded_len() as u64 + text("padding", String::new()).encoded_len() as u64;
    let missing = bytes.saturating_sub(spent);
    let padding = "x".repeat(usize::try_from(missing).unwrap_or_default());
    span.attributes.push(text("padding", padding));
}

fn request(service: u64, spans: Vec<Span>) -> ExportTraceServiceRequest {
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
        spans,
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

/// Of a trace of a group, before the group's mask.
fn trace_id(trace: u64) -> [u8; 16] {
    Random::new(trace.wrapping_mul(0x2545_f491_4f6c_dd1d)).bytes()
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

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn spans(requests: &[Vec<u8>]) -> Vec<Span> {
        let decoded = requests.iter().map(|bytes| {
            ExportTraceServiceRequest::decode(&bytes[..]).expect("it was encoded by prost")
        });
        decoded
            .flat_map(|r| r.resource_spans)
            .flat_map(|r| r.scope_spans)
            .flat_map(|s| s.spans)
            .collect()
    }

    #[test]
    fn a_groups_traces_are_whole_whatever_the_shape() {
        for text in [
            "",
            "spans=7,services=3,request=10",
            "spans=100,request=8",
            "spans=1",
        ] {
            let shape: Shape = text.parse().unwrap();
            let traces = shape.traces_a_group();
            let maker = Maker::new(shape.clone(), START);
            let mut by_trace: HashMap<Vec<u8>, Vec<u64>> = HashMap::new();
            for service in 0..shape.services {
                let requests = maker.requests(1, service, traces);
                for request in &requests {
                    assert!(spans(std::slice::from_ref(request)).len() as u64 <= shape.request);
                }
                for span in spans(&requests) {
                    let id = u64::from_be_bytes(span.span_id[..].try_into().unwrap());
                    by_trace.entry(span.trace_id).or_default().push(id);
                }
            }
            assert_eq!(by_trace.len() as u64, traces, "{text}");
            let mut whole: Vec<u64> = (0..shape.spans).map(id).collect();
            whole.sort_unstable();
            for spans in by_trace.values_mut() {
                spans.sort_unstable();
                assert_eq!(*spans, whole, "{text}");
            }
        }
    }

    #[test]
    fn spans_are_as_large_as_they_should_be() {
        for (text, bytes, attributes) in [
            ("attributes=10,bytes=700", 700, 10),
            ("attributes=1,bytes=300", 300, 1),
            ("attributes=30,bytes=20", 0, 30),
            ("attributes=0", 0, 0),
        ] {
            let maker = Maker::new(text.parse().unwrap(), START);
            let span = maker.span(1, 3, 4);
            assert_eq!(span.attributes.len(), attributes, "{text}");
            let len = span.encoded_len();
            assert!(
                bytes == 0 || (bytes..bytes + 8).contains(&len),
                "{text}: {len}"
            );
        }
        let names = |count| attributes(count, false, 0, 0).into_iter().map(|a| a.key);
        let read_by_rules = ["http.response.status_code", "amount"];
        assert!(names(2).eq(read_by_rules.map(str::to_owned)));
    }

    #[test]
    fn requests_of_the_benches_are_of_1000_spans_and_every_trace_is_new() {
        let traffic = Traffic::default();
        assert!((350..420).contains(&traffic.span_bytes()));
        let mut seen: HashMap<Vec<u8>, usize> = HashMap::new();
        for group in 0..8 {
            for service in 0..SERVICES {
                let spans = spans(&[traffic.request(group, service).to_vec()]);
                assert_eq!(spans.len() as u64, SPANS_A_REQUEST);
                for span in spans {
                    *seen.entry(span.trace_id).or_default() += 1;
                }
            }
        }
        assert_eq!(seen.len() as u64, 8 * TRACES_A_GROUP);
        assert!(seen.values().all(|count| *count as u64 == SPANS_A_TRACE));
    }
}
