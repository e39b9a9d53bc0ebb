//! Projection: complete traces to columns, and the tree order alone. Figures are per span.
//!
//! The traffic is a web shop's as SDKs send it: each service's spans in a request of its own, about 450 bytes and ten
//! attributes a span, 32 spans a trace over five services.

#[path = "../../host/tests/columns_support/mod.rs"]
mod columns_support;

use betrace::columns::batch::Columns;
use betrace::columns::projection::{
    ColumnKey, Intrinsic, Place, Projection, ProjectionBuilder, Table,
};
use betrace::columns::symbols::Symbols;
use betrace::columns::tree::{Node, Tree};
use columns_support::Batch;
use divan::Bencher;
use divan::counter::ItemsCount;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

const TRACES: u64 = 512;
const SPANS: u64 = 32;
const SERVICES: u64 = 5;
/// Traces whose spans one service exports together.
const TRACES_A_REQUEST: u64 = 16;

fn main() {
    divan::main();
}

/// What the architecture's figure speaks of: name, ids, times and three attributes.
#[divan::bench]
fn name_ids_times_and_three_fields(bencher: Bencher<'_, '_>) {
    use Intrinsic::*;
    let mut keys: Vec<ColumnKey> = [Name, SpanId, ParentId, Start, End, Duration]
        .map(|fact| ColumnKey::intrinsic(Table::Spans, fact))
        .into();
    keys.extend(
        ["user.id", "http.route", "amount"]
            .map(|key| ColumnKey::attribute(Table::Spans, Place::Any, key)),
    );
    project(bencher, &keys);
}

/// The same without ids as text, which few rules read.
#[divan::bench]
fn name_times_and_three_fields(bencher: Bencher<'_, '_>) {
    use Intrinsic::*;
    let mut keys: Vec<ColumnKey> = [Name, Parent, SubtreeEnd, Start, End, Duration]
        .map(|fact| ColumnKey::intrinsic(Table::Spans, fact))
        .into();
    keys.extend(
        ["user.id", "http.route", "amount"]
            .map(|key| ColumnKey::attribute(Table::Spans, Place::Any, key)),
    );
    project(bencher, &keys);
}

/// The least there is: name and service.
#[divan::bench]
fn nothing_declared(bencher: Bencher<'_, '_>) {
    project(bencher, &[]);
}

/// A large rule set: a thousand keys, of which the spans have three.
#[divan::bench]
fn a_thousand_fields(bencher: Bencher<'_, '_>) {
    let absent = (0..997).map(|i| format!("app.tenant.feature_{i}"));
    let keys = absent.chain(["user.id", "http.route", "amount"].map(String::from));
    let keys: Vec<ColumnKey> = keys
        .map(|key| ColumnKey::attribute(Table::Spans, Place::Any, &key))
        .collect();
    project(bencher, &keys);
}

#[divan::bench]
fn tree_order(bencher: Bencher<'_, '_>) {
    let mut nodes: Vec<Node> = (0..SPANS)
        .map(|i| Node {
            id: id(7, i),
            parent: parent(7, i),
            start: 1_000 + i,
            kind: 2,
        })
        .collect();
    nodes.sort_by_key(|node| node.id);
    let mut tree = Tree::default();
    bencher
        .counter(ItemsCount::new(SPANS))
        .bench_local(|| tree.build(&nodes));
}

#[divan::bench]
fn intern_known_text(bencher: Bencher<'_, '_>) {
    let texts: Vec<String> = (0..256).map(|i| format!("/api/v1/orders/{i}")).collect();
    let mut symbols = Symbols::default();
    bencher
        .counter(ItemsCount::new(texts.len()))
        .bench_local(|| {
            texts
                .iter()
                .filter_map(|text| symbols.intern(text.as_bytes()))
                .fold(0, |sum, symbol| sum ^ symbol)
        });
}

fn project(bencher: Bencher<'_, '_>, keys: &[ColumnKey]) {
    let batch = traffic();
    let projection = projection(keys);
    let mut columns = Columns::default();
    bencher
        .counter(ItemsCount::new(TRACES * SPANS))
        .bench_local(|| columns.project(&projection, &batch.store, &batch.traces));
}

fn projection(keys: &[ColumnKey]) -> Projection {
    let mut builder = ProjectionBuilder::new();
    builder.add(keys, &["payment.charge_card", "GET", "USD"]);
    builder.build()
}

fn traffic() -> Batch {
    let requests = (0..TRACES / TRACES_A_REQUEST)
        .flat_map(|group| (0..SERVICES).map(move |service| (group, service)));
    let mut batch =
        columns_support::batch(requests.map(|(group, service)| request(group, service)));
    for (number, trace) in (0..).zip(&mut batch.traces) {
        // Assembly's order depends on ids alone.
        trace.spans.sort_by_key(|span| {
            (u64::from(span.range.start) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15)
        });
    }
    batch
}

fn request(group: u64, service: u64) -> Vec<u8> {
    let traces = group * TRACES_A_REQUEST..(group + 1) * TRACES_A_REQUEST;
    let spans = traces.flat_map(|trace| {
        (0..SPANS)
            .filter(|i| i % SERVICES == service)
            .map(move |i| span(trace, i))
    });
    let resource = [
        text("service.name", format!("service-{service}")),
        text("service.version", "1.4.2".into()),
        text("deployment.environment.name", "production".into()),
        text(
            "k8s.pod.name",
            format!("service-{service}-7d9c5b6f4-x{group}"),
        ),
        text("telemetry.sdk.language", "go".into()),
    ];
    let scope = InstrumentationScope {
        name: "io.opentelemetry.contrib.http".into(),
        version: "0.62.0".into(),
        ..InstrumentationScope::default()
    };
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: spans.collect(),
        ..ScopeSpans::default()
    };
    let resource = Some(Resource {
        attributes: resource.into(),
        ..Resource::default()
    });
    let resource_spans = ResourceSpans {
        resource,
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![resource_spans],
    }
    .encode_to_vec()
}

fn span(trace: u64, i: u64) -> Span {
    let start = 1_700_000_000_000_000_000 + trace * 1_000 + i * 37;
    let parent = parent(trace, i);
    let attributes = vec![
        text(
            "http.request.method",
            ["GET", "POST"][(i % 2) as usize].into(),
        ),
        text("url.path", format!("/api/v1/orders/{}", i % 10)),
        text("http.route", "/api/v1/orders/{order}".into()),
        int("http.response.status_code", 200),
        text("server.address", "orders.shop.internal".into()),
        int("server.port", 8443),
        text("network.protocol.version", "1.1".into()),
        text(
            "user_agent.original",
            "Mozilla/5.0 (X11; Linux x86_64) shop-client/3.1".into(),
        ),
        text("user.id", format!("user-{}", trace % 300)),
        int("amount", trace as i64 * 7),
    ];
    Span {
        trace_id: (trace + 1).to_be_bytes().repeat(2),
        span_id: id(trace, i).to_be_bytes().into(),
        parent_span_id: if parent == 0 {
            vec![]
        } else {
            parent.to_be_bytes().into()
        },
        name: format!("operation.step_{}", i % 20),
        kind: 2 + (i % 2) as i32,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 5_000_000,
        attributes,
        flags: 0x101,
        ..Span::default()
    }
}

fn id(trace: u64, i: u64) -> u64 {
    (trace * SPANS + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn parent(trace: u64, i: u64) -> u64 {
    if i == 0 { 0 } else { id(trace, (i - 1) / 3) }
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
