//! Projection equals a naive oracle on prost's structs, whatever the spans, and however their bytes are laid out.

mod columns_support;
#[path = "columns_support/mess.rs"]
mod mess;
#[path = "columns_support/oracle.rs"]
mod oracle;

use betrace::columns::batch::Columns;
use betrace::columns::projection::{ColumnKey, Intrinsic, Place, ProjectionBuilder, Table};
use columns_support::batch;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

const KEYS: [&str; 6] = [
    "amount",
    "service.name",
    "name",
    "version",
    "http.request.method",
    "http.response.method",
];

/// Every column there is, and some that only hold missing rows.
fn all_columns() -> Vec<ColumnKey> {
    use Intrinsic::*;
    let facts = [
        Name,
        Service,
        StatusMessage,
        TraceId,
        SpanId,
        ParentId,
        Parent,
        SubtreeEnd,
        Depth,
        ChildCount,
        Events,
        Links,
        Start,
        End,
        Duration,
        SelfTime,
        Time,
        Kind,
        Status,
        Flags,
    ];
    let mut keys: Vec<ColumnKey> = facts
        .map(|fact| ColumnKey::intrinsic(Table::Spans, fact))
        .into();
    for key in KEYS {
        for place in [Place::Any, Place::Span, Place::Resource, Place::Scope] {
            keys.push(ColumnKey::attribute(Table::Spans, place, key));
        }
        keys.push(ColumnKey::attribute(Table::Events, Place::Span, key));
        keys.push(ColumnKey::attribute(Table::Links, Place::Span, key));
    }
    keys.extend([Name, Time].map(|fact| ColumnKey::intrinsic(Table::Events, fact)));
    keys.extend([TraceId, SpanId].map(|fact| ColumnKey::intrinsic(Table::Links, fact)));
    keys
}

fn chosen_columns() -> impl Strategy<Value = Vec<ColumnKey>> {
    prop_oneof![Just(all_columns()), vec(select(all_columns()), 0..8)]
}

fn text() -> impl Strategy<Value = String> {
    select(vec![
        "",
        "a",
        "checkout",
        "zażółć gęślą",
        "GET",
        "\u{fffff}",
        "x\u{fffff}y",
    ])
    .prop_map(Into::into)
}

fn value() -> impl Strategy<Value = Option<AnyValue>> {
    use any_value::Value as V;
    let value = prop_oneof![
        3 => text().prop_map(V::StringValue),
        1 => any::<bool>().prop_map(V::BoolValue),
        2 => any::<i64>().prop_map(V::IntValue),
        1 => any::<f64>().prop_map(V::DoubleValue),
        1 => Just(V::ArrayValue(ArrayValue { values: vec![AnyValue { value: Some(V::IntValue(1)) }] })),
        1 => Just(V::KvlistValue(KeyValueList::default())),
        1 => Just(V::BytesValue(vec![0xff])),
    ];
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(AnyValue { value: None })),
        8 => value.prop_map(|value| Some(AnyValue { value: Some(value) })),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    let keys = KEYS
        .into_iter()
        .chain(["", "other", "amounts", "http.reqxest.method"])
        .collect::<Vec<_>>();
    let attribute = (select(keys), value());
    vec(
        attribute.prop_map(|(key, value)| KeyValue {
            key: key.into(),
            value,
            ..KeyValue::default()
        }),
        0..8,
    )
}

fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 1_000..1_040_u64, 1 => Just(0), 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn event() -> impl Strategy<Value = Event> {
    (time(), text(), attributes()).prop_map(|(time_unix_nano, name, attributes)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count: 0,
    })
}

fn link() -> impl Strategy<Value = Link> {
    (
        vec(any::<u8>(), 0..20),
        vec(any::<u8>(), 0..10),
        attributes(),
    )
        .prop_map(|(trace_id, span_id, attributes)| Link {
            trace_id,
            span_id,
            attributes,
            ..Link::default()
        })
}

fn parent() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => (1..9_u64).prop_map(|id| id.to_be_bytes().to_vec()),
        1 => Just(vec![]),
        1 => Just(vec![0; 8]),
        1 => Just(vec![1, 2, 3]),
        1 => Just(vec![7; 20]),
        1 => Just(77_u64.to_be_bytes().to_vec()),
    ]
}

fn code() -> impl Strategy<Value = i32> {
    prop_oneof![9 => 0..6_i32, 1 => any::<i32>(), 1 => 250..260_i32]
}

fn span() -> impl Strategy<Value = Span> {
    let status =
        prop::option::of((text(), code()).prop_map(|(message, code)| Status { message, code }));
    let ids = (1..4_u8, 1..9_u64, parent(), code());
    (
        ids,
        text(),
        time(),
        time(),
        attributes(),
        vec(event(), 0..3),
        vec(link(), 0..3),
        status,
    )
        .prop_map(
            |(
                (trace, id, parent_span_id, kind),
                name,
                start,
                end,
                attributes,
                events,
                links,
                status,
            )| Span {
                trace_id: vec![trace; 16],
                span_id: id.to_be_bytes().to_vec(),
                parent_span_id,
                kind,
                name,
                start_time_unix_nano: start,
                end_time_unix_nano: end,
                attributes,
                events,
                links,
                status,
                ..Span::default()
            },
        )
}

fn request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = (text(), text(), attributes()).prop_map(|(name, version, attributes)| {
        InstrumentationScope {
            name,
            version,
            attributes,
            dropped_attributes_count: 0,
        }
    });
    let scope_spans =
        (prop::option::of(scope), vec(span(), 0..5)).prop_map(|(scope, spans)| ScopeSpans {
            scope,
            spans,
            schema_url: String::new(),
        });
    let resource = attributes().prop_map(|attributes| Resource {
        attributes,
        ..Resource::default()
    });
    let resource_spans =
        (prop::option::of(resource), vec(scope_spans, 0..3)).prop_map(|(resource, scope_spans)| {
            ResourceSpans {
                resource,
                scope_spans,
                schema_url: String::new(),
            }
        });
    vec(resource_spans, 0..3)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// Replaces the mark for broken text by as many bytes that are no UTF-8.
fn broken(mut bytes: Vec<u8>) -> Vec<u8> {
    let mark = oracle::BROKEN.to_string();
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(mark.as_bytes()) {
            bytes[at..at + mark.len()].fill(0xff);
        }
    }
    bytes
}

fn check(columns: &mut Columns, encoded: &[Vec<u8>], keys: &[ColumnKey]) {
    let decoded: Vec<_> = encoded
        .iter()
        .map(|bytes| ExportTraceServiceRequest::decode(&bytes[..]).unwrap())
        .collect();
    let batch = batch(encoded.iter().cloned().map(broken));
    let mut builder = ProjectionBuilder::new();
    let (indices, symbols) = builder.add(keys, &["GET", "a"]);
    let projection = builder.build();
    columns.project(&projection, &batch.store, &batch.traces);

    let shown = oracle::shown(columns, &projection.columns);
    let expected = oracle::columns(&decoded, keys);
    for ((key, index), expected) in keys.iter().zip(indices).zip(expected) {
        assert_eq!(shown[index as usize], expected, "{key:?}");
    }
    assert_eq!(columns.symbols.text(symbols[0]), "GET");
    assert_eq!(
        columns.order.len(),
        *columns.offsets.last().unwrap() as usize
    );
    assert_eq!(columns.starts.len(), batch.traces.len());
}

proptest! {
    // A case is small and quick; what hides needs several things to meet.
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn equals_the_oracle(batches in vec((vec((request(), vec(any::<u8>(), 0..200)), 0..3), chosen_columns()), 1..4)) {
        // One after another into the same buffers, whatever the batch before read.
        let mut columns = Columns::default();
        for (batch, keys) in batches {
            let encoded: Vec<Vec<u8>> =
                batch.iter().map(|(request, choices)| mess::request(&request.encode_to_vec(), choices)).collect();
            check(&mut columns, &encoded, &keys);
        }
    }
}
