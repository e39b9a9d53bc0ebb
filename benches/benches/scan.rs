//! Finding the spans of a request: the lazy scan beside prost, on the same 1,000 spans, in one run.

use betrace::otlp::request::Request;
use betrace::otlp::scan::{Scan, scan};
use betrace::otlp::value::{Value as Read, key_value};
use betrace::otlp::wire::{Wire, fields};
use betrace_benches::figures;
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, black_box};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

const SPANS: usize = 1_000;

/// Runs of each, of which the fastest counts in the table of goals.
const RUNS: usize = 200;

fn main() {
    divan::main();
    if !figures::are_wanted() {
        return;
    }
    let bytes = request().encode_to_vec();
    let bytes = bytes::Bytes::from(bytes);
    let mut found = Scan::default();
    let lazy = figures::fastest(RUNS, || read_all(&bytes, &mut found));
    let prost = figures::fastest(RUNS, || {
        drop(black_box(ExportTraceServiceRequest::decode(black_box(
            &bytes[..],
        ))));
    });
    figures::report("scan-by-prost", prost.as_secs_f64() / lazy.as_secs_f64());
}

/// Structure checked down to attribute values, spans and trace ids found, nothing copied.
#[divan::bench]
fn lazy(bencher: Bencher<'_, '_>) {
    let bytes = request().encode_to_vec();
    let mut found = Scan::default();
    bencher
        .counter(ItemsCount::new(SPANS))
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| {
            scan(black_box(&bytes), &mut found).expect("a valid request");
            assert_eq!(found.spans.len(), SPANS);
        });
}

/// The same, and of each span what rules read: ids, times, name, service and two attributes.
#[divan::bench]
fn lazy_and_read(bencher: Bencher<'_, '_>) {
    let bytes = bytes::Bytes::from(request().encode_to_vec());
    let mut found = Scan::default();
    bencher
        .counter(ItemsCount::new(SPANS))
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| read_all(&bytes, &mut found));
}

fn read_all(bytes: &bytes::Bytes, found: &mut Scan) {
    let request = Request::scan(black_box(bytes).clone(), found).expect("a valid request");
    let mut service = None;
    for span in &found.spans {
        // Once for the spans of a resource, as columns do.
        let service = *service.get_or_insert_with(|| request.resource(span.section).service());
        black_box((span.trace_id, service, read(request.slice(span.range))));
    }
}

/// What is read of a span.
#[derive(Default)]
struct Fields<'a> {
    ids: [&'a [u8]; 2],
    name: &'a [u8],
    times: [u64; 2],
    attributes: [Option<Read<'a>>; 2],
}

fn read(span: &[u8]) -> Fields<'_> {
    let mut read = Fields::default();
    for (number, wire) in fields(span) {
        match (number, wire) {
            (2, Wire::Bytes(id)) => read.ids[0] = id,
            (4, Wire::Bytes(id)) => read.ids[1] = id,
            (5, Wire::Bytes(name)) => read.name = name,
            (7, Wire::Fixed64(start)) => read.times[0] = start,
            (8, Wire::Fixed64(end)) => read.times[1] = end,
            // A value is read where its key is one of those that are asked for; a key stands first, as all SDKs write it.
            (9, Wire::Bytes(attribute)) => {
                let wanted = match fields(attribute).next() {
                    Some((1, Wire::Bytes(b"http.response.status_code"))) => 0,
                    Some((1, Wire::Bytes(b"cart.total"))) => 1,
                    _ => continue,
                };
                read.attributes[wanted] = Some(key_value(attribute).1);
            }
            _ => {}
        }
    }
    black_box(&read);
    read
}

/// Decoded whole.
#[divan::bench]
fn prost(bencher: Bencher<'_, '_>) {
    let bytes = request().encode_to_vec();
    bencher
        .counter(ItemsCount::new(SPANS))
        .counter(BytesCount::new(bytes.len()))
        .bench_local(|| ExportTraceServiceRequest::decode(black_box(bytes.as_slice())));
}

/// Spans of 370 bytes with 10 attributes, as an instrumented HTTP server sends them.
fn request() -> ExportTraceServiceRequest {
    let spans = (0..SPANS as u64).map(span).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![
                    text("service.name", "checkout"),
                    text("service.version", "1.4.2"),
                    text("telemetry.sdk.language", "python"),
                ],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "http".to_owned(),
                    ..InstrumentationScope::default()
                }),
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

fn span(i: u64) -> Span {
    let start = 1_750_000_000_000_000_000 + i * 1_000;
    Span {
        trace_id: (u128::from(i / 8 + 1) << 64 | 0x5bd1_e995)
            .to_be_bytes()
            .to_vec(),
        span_id: (i + 1).to_be_bytes().to_vec(),
        parent_span_id: (i + 2).to_be_bytes().to_vec(),
        flags: 0x101,
        name: "POST /api/checkout".to_owned(),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 2_500_000,
        attributes: vec![
            text("http.request.method", "POST"),
            text("url.scheme", "https"),
            text("url.path", "/api/checkout"),
            text("http.route", "/api/checkout"),
            number("http.response.status_code", 200),
            text("server.address", "shop.example.com"),
            number("server.port", 8_443),
            text("user.id", "user-48213"),
            attribute("cart.total", Value::DoubleValue(149.95)),
            attribute("feature.express", Value::BoolValue(i.is_multiple_of(2))),
        ],
        status: Some(Status {
            code: 1,
            ..Status::default()
        }),
        ..Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}
