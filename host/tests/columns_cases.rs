//! What a reader of a rule relies on, a case each.

mod columns_support;

use betrace::columns::batch::{Column, Columns, NONE, tag};
use betrace::columns::projection::{ColumnKey, Intrinsic, Place, ProjectionBuilder, Table};
use columns_support::batch;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue {
        value: Some(any_value::Value::StringValue(value.into())),
    });
    KeyValue {
        key: key.into(),
        value,
        ..KeyValue::default()
    }
}

fn empty(key: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: None }),
        ..KeyValue::default()
    }
}

fn span(id: u64, parent: u64, times: (u64, u64), attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: id.to_be_bytes().into(),
        parent_span_id: if parent == 0 {
            vec![]
        } else {
            parent.to_be_bytes().into()
        },
        start_time_unix_nano: times.0,
        end_time_unix_nano: times.1,
        attributes,
        ..Span::default()
    }
}

fn encode(resource: Vec<KeyValue>, scope: Vec<KeyValue>, spans: Vec<Span>) -> Vec<u8> {
    let resource = Some(Resource {
        attributes: resource,
        ..Resource::default()
    });
    let scope = Some(InstrumentationScope {
        name: "tracer".into(),
        attributes: scope,
        ..InstrumentationScope::default()
    });
    let scope_spans = vec![ScopeSpans {
        scope,
        spans,
        ..ScopeSpans::default()
    }];
    let resource_spans = vec![ResourceSpans {
        resource,
        scope_spans,
        ..ResourceSpans::default()
    }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

fn project(bytes: Vec<u8>, keys: &[ColumnKey]) -> (Columns, Vec<u32>) {
    let batch = batch([bytes]);
    let mut builder = ProjectionBuilder::new();
    let (indices, _) = builder.add(keys, &[""; 0]);
    let mut columns = Columns::default();
    columns.project(&builder.build(), &batch.store, &batch.traces);
    (columns, indices)
}

/// The rows of one attribute column, which holds text or nothing.
fn texts(columns: &Columns, index: u32) -> Vec<Option<&str>> {
    let Column::Attribute { tags, values } = &columns.columns[index as usize] else {
        panic!("no attribute")
    };
    let text = |(&tag, &value): (&u8, &u64)| {
        (tag == tag::TEXT).then(|| columns.symbols.text(value as u32))
    };
    tags.iter().zip(values).map(text).collect()
}

fn numbers(columns: &Columns, index: u32) -> &[i64] {
    match &columns.columns[index as usize] {
        Column::W64(rows) => rows,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_field_is_looked_for_in_the_span_then_its_resource_then_its_scope() {
    let spans = vec![
        span(1, 0, (1, 9), vec![text("team", "span")]),
        span(2, 1, (2, 9), vec![]),
        span(3, 1, (3, 9), vec![empty("team"), text("team", "second")]),
        span(4, 1, (4, 9), vec![text("team", "")]),
    ];
    let places = [Place::Any, Place::Span, Place::Resource, Place::Scope];
    let keys = places.map(|place| ColumnKey::attribute(Table::Spans, place, "team"));
    let (columns, indices) = project(
        encode(
            vec![text("team", "resource")],
            vec![text("team", "scope")],
            spans,
        ),
        &keys,
    );
    let rows = |i: usize| texts(&columns, indices[i]);
    assert_eq!(
        rows(0),
        [Some("span"), Some("resource"), Some("resource"), Some("")]
    );
    assert_eq!(rows(1), [Some("span"), None, None, Some("")]);
    assert_eq!(rows(2), [Some("resource"); 4]);
    assert_eq!(rows(3), [Some("scope"); 4]);
}

#[test]
fn a_scopes_own_name_and_version_are_fields_of_the_scope_alone() {
    let keys = [
        ColumnKey::attribute(Table::Spans, Place::Scope, "name"),
        ColumnKey::attribute(Table::Spans, Place::Scope, "version"),
        ColumnKey::attribute(Table::Spans, Place::Any, "name"),
    ];
    let (columns, indices) = project(
        encode(vec![], vec![], vec![span(1, 0, (1, 2), vec![])]),
        &keys,
    );
    let rows: Vec<_> = indices
        .iter()
        .map(|&index| texts(&columns, index)[0])
        .collect();
    assert_eq!(rows, [Some("tracer"), None, None]);
}

#[test]
fn text_that_is_not_utf8_is_counted_where_it_is_read_and_missing() {
    let spans = vec![
        span(
            1,
            0,
            (1, 9),
            vec![text("team", "????"), text("unread", "????")],
        ),
        span(2, 1, (2, 9), vec![text("team", "????")]),
    ];
    let mut bytes = encode(vec![], vec![], spans);
    bytes
        .iter_mut()
        .filter(|byte| **byte == b'?')
        .for_each(|byte| *byte = 0xff);
    let (columns, indices) = project(
        bytes,
        &[ColumnKey::attribute(Table::Spans, Place::Any, "team")],
    );
    assert_eq!(texts(&columns, indices[0]), [None, None]);
    assert_eq!(columns.invalid_utf8, 2);
}

#[test]
fn times_are_offsets_and_what_cannot_be_told_is_missing() {
    use Intrinsic::*;
    let keys =
        [Start, End, Duration, SelfTime].map(|fact| ColumnKey::intrinsic(Table::Spans, fact));
    let spans = vec![
        span(1, 0, (100, 200), vec![]),
        span(2, 1, (110, 150), vec![]),
        span(3, 1, (140, 900), vec![]),
        span(4, 1, (160, 0), vec![]),
        span(5, 1, (170, 160), vec![]),
        span(6, 1, (180, u64::MAX), vec![]),
    ];
    let (columns, indices) = project(encode(vec![], vec![], spans), &keys);
    assert_eq!(columns.starts, [100]);
    assert_eq!(numbers(&columns, indices[0]), [0, 10, 40, 60, 70, 80]);
    assert_eq!(
        numbers(&columns, indices[1]),
        [100, 50, 800, -1, 60, i64::MAX]
    );
    assert_eq!(
        numbers(&columns, indices[2]),
        [100, 40, 760, -1, -1, i64::MAX]
    );
    assert_eq!(
        numbers(&columns, indices[3]),
        [10, 40, 760, -1, -1, i64::MAX]
    );
}

#[test]
fn a_span_without_a_name_has_an_empty_one_and_a_resource_without_a_service_has_none() {
    let (columns, _) = project(
        encode(vec![], vec![], vec![span(1, 0, (1, 2), vec![])]),
        &[],
    );
    let [Column::W32(name), Column::W32(service)] = &columns.columns[..] else {
        panic!("{columns:?}")
    };
    assert_eq!(columns.symbols.text(name[0]), "");
    assert_ne!(name[0], NONE);
    assert_eq!(service[..], [NONE]);
}

#[test]
fn a_chain_as_long_as_a_trace_may_be() {
    let spans = (1..=50_000)
        .rev()
        .map(|id| span(id, id - 1, (id, id + 1), vec![]))
        .collect();
    let keys = [Intrinsic::Depth, Intrinsic::SubtreeEnd]
        .map(|fact| ColumnKey::intrinsic(Table::Spans, fact));
    let (columns, indices) = project(encode(vec![], vec![], spans), &keys);
    let (Column::W32(depth), Column::W32(end)) = (
        &columns.columns[indices[0] as usize],
        &columns.columns[indices[1] as usize],
    ) else {
        panic!("no numbers")
    };
    assert!(depth.iter().copied().eq(0..50_000));
    assert!(end.iter().all(|&end| end == 50_000));
}
