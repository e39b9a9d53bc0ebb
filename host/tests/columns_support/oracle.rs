//! What columns should hold, computed from prost's structs with no thought of speed.

use std::collections::HashMap;

use betrace::columns::batch::{Column, Columns, NONE, tag};
use betrace::columns::projection::{ColumnKey, Intrinsic, Place, Source, Table};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};

/// A mark that stands for bytes that are not UTF-8: prost refuses those, so tests break it after encoding.
pub(crate) const BROKEN: char = '\u{fffff}';

/// One cell, with text instead of symbols.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shown {
    Missing,
    Number(i64),
    Bool(bool),
    Int(i64),
    /// Bits, so that NaN equals itself.
    Float(u64),
    Text(String),
    Array,
    Map,
    Bytes,
}

/// A span with what it takes from its section.
struct Item<'a> {
    span: &'a Span,
    resource: &'a [KeyValue],
    scope: Option<&'a InstrumentationScope>,
}

/// A span in its place.
struct Row<'a> {
    item: Item<'a>,
    parent: Option<usize>,
    depth: i64,
    subtree_end: usize,
    children: Vec<usize>,
}

/// Every column of the batch that `requests` are.
pub(crate) fn columns(
    requests: &[ExportTraceServiceRequest],
    keys: &[ColumnKey],
) -> Vec<Vec<Shown>> {
    let mut out = vec![Vec::new(); keys.len()];
    let mut base = 0;
    let (mut events, mut links) = (0, 0);
    for trace in traces(requests) {
        let start = trace
            .iter()
            .map(|item| item.span.start_time_unix_nano)
            .min()
            .unwrap_or_default();
        let rows = ordered(trace);
        for (column, key) in out.iter_mut().zip(keys) {
            append(column, key, &rows, start, base, (events, links));
        }
        events += rows
            .iter()
            .map(|row| row.item.span.events.len())
            .sum::<usize>();
        links += rows
            .iter()
            .map(|row| row.item.span.links.len())
            .sum::<usize>();
        base += rows.len();
    }
    for (column, key) in out.iter_mut().zip(keys) {
        match key.source {
            Source::Intrinsic(Intrinsic::Events) if key.table == Table::Spans => {
                column.push(number(events))
            }
            Source::Intrinsic(Intrinsic::Links) if key.table == Table::Spans => {
                column.push(number(links))
            }
            _ => {}
        }
    }
    out
}

/// What was projected, in the same form.
pub(crate) fn shown(columns: &Columns, keys: &[ColumnKey]) -> Vec<Vec<Shown>> {
    columns
        .columns
        .iter()
        .zip(keys)
        .map(|(column, key)| show(column, key, columns))
        .collect()
}

fn show(column: &Column, key: &ColumnKey, columns: &Columns) -> Vec<Shown> {
    use Intrinsic::*;
    let text = |symbol: u32| {
        assert!((symbol as usize) < columns.symbols.len());
        Shown::Text(columns.symbols.text(symbol).into())
    };
    let is_text = matches!(
        key.source,
        Source::Intrinsic(Name | Service | StatusMessage | TraceId | SpanId | ParentId)
    );
    let word = |&row: &u32| match row {
        NONE => Shown::Missing,
        symbol if is_text => text(symbol),
        row => number(row as usize),
    };
    match column {
        Column::W32(rows) => rows.iter().map(word).collect(),
        Column::W64(rows) => rows
            .iter()
            .map(|&row| {
                if row == -1 {
                    Shown::Missing
                } else {
                    Shown::Number(row)
                }
            })
            .collect(),
        Column::W8(rows) => rows.iter().map(|&row| Shown::Number(row.into())).collect(),
        Column::Attribute { tags, values } => {
            assert_eq!(tags.len(), values.len());
            let cell = |(&tag, &value): (&u8, &u64)| match tag {
                tag::BOOL => Shown::Bool(value == 1),
                tag::INT => Shown::Int(value as i64),
                tag::FLOAT => Shown::Float(value),
                tag::TEXT => text(value as u32),
                other => {
                    assert_eq!(value, 0);
                    [Shown::Missing, Shown::Array, Shown::Map, Shown::Bytes]
                        [usize::from(other).saturating_sub(4)]
                    .clone()
                }
            };
            tags.iter().zip(values).map(cell).collect()
        }
    }
}

fn traces(requests: &[ExportTraceServiceRequest]) -> Vec<Vec<Item<'_>>> {
    let mut traces: Vec<Vec<Item<'_>>> = Vec::new();
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    for resource_spans in requests.iter().flat_map(|request| &request.resource_spans) {
        for scope_spans in &resource_spans.scope_spans {
            for span in &scope_spans.spans {
                let index = *known.entry(&span.trace_id).or_insert(traces.len());
                if index == traces.len() {
                    traces.push(Vec::new());
                }
                let resource = resource_spans
                    .resource
                    .as_ref()
                    .map_or(&[][..], |resource| &resource.attributes);
                traces[index].push(Item {
                    span,
                    resource,
                    scope: scope_spans.scope.as_ref(),
                });
            }
        }
    }
    traces
}

/// Preorder, by asking every span for its parent and every parent for its children.
fn ordered(items: Vec<Item<'_>>) -> Vec<Row<'_>> {
    let mut parents: Vec<Option<usize>> = (0..items.len()).map(|i| parent(&items, i)).collect();
    for i in 0..items.len() {
        let mut path = vec![i];
        while let Some(next) = parents[path[path.len() - 1]] {
            if next == i {
                let smallest = path
                    .iter()
                    .copied()
                    .min_by_key(|&i| (&items[i].span.span_id, items[i].span.kind, i));
                parents[smallest.unwrap()] = None;
                break;
            }
            if path.contains(&next) {
                break;
            }
            path.push(next);
        }
    }
    let mut order = Vec::new();
    visit(None, 0, &parents, &items, &mut order);
    assert_eq!(order.len(), items.len());
    let row_of = |i: usize| order.iter().position(|&(other, ..)| other == i).unwrap();
    let mut items: Vec<Option<Item<'_>>> = items.into_iter().map(Some).collect();
    order
        .iter()
        .map(|&(i, depth, subtree_end)| Row {
            item: items[i].take().unwrap(),
            parent: parents[i].map(row_of),
            depth,
            subtree_end,
            children: (0..parents.len())
                .filter(|&child| parents[child] == Some(i))
                .map(row_of)
                .collect(),
        })
        .collect()
}

/// Appends the subtrees of `of`'s children: position, depth, subtree end.
fn visit(
    of: Option<usize>,
    depth: i64,
    parents: &[Option<usize>],
    items: &[Item<'_>],
    order: &mut Vec<(usize, i64, usize)>,
) {
    let mut children: Vec<usize> = (0..parents.len()).filter(|&i| parents[i] == of).collect();
    children.sort_by_key(|&i| {
        let span = items[i].span;
        (span.start_time_unix_nano, &span.span_id, span.kind, i)
    });
    for child in children {
        let row = order.len();
        order.push((child, depth, 0));
        visit(Some(child), depth + 1, parents, items, order);
        order[row].2 = order.len();
    }
}

fn parent(items: &[Item<'_>], i: usize) -> Option<usize> {
    let span = items[i].span;
    // Of two with the same id and kind the first stands for it.
    let twin = |kind: i32| {
        items
            .iter()
            .position(|item| item.span.span_id == span.span_id && item.span.kind == kind)
    };
    for (callee, caller) in [(2, 3), (5, 4)] {
        if let (Some(callee), Some(caller)) = (twin(callee), twin(caller))
            && callee == i
            && id_of(&span.parent_span_id) == id_of(&items[caller].span.parent_span_id)
        {
            return Some(caller);
        }
    }
    if id_of(&span.parent_span_id) == 0 {
        return None;
    }
    let hosts = (0..items.len()).filter(|&j| items[j].span.span_id == span.parent_span_id);
    hosts.min_by_key(|&j| {
        let kind = items[j].span.kind;
        (
            [2, 5].iter().position(|&best| best == kind).unwrap_or(2),
            kind,
            j,
        )
    })
}

/// 0 where it is none that a span can have.
fn id_of(id: &[u8]) -> u64 {
    id.try_into().map_or(0, u64::from_be_bytes)
}

fn append(
    out: &mut Vec<Shown>,
    key: &ColumnKey,
    rows: &[Row<'_>],
    start: u64,
    base: usize,
    (mut events, mut links): (usize, usize),
) {
    for (index, row) in rows.iter().enumerate() {
        let span = row.item.span;
        match (key.table, &key.source) {
            (Table::Spans, Source::Intrinsic(Intrinsic::Events)) => {
                out.push(number(events));
                events += span.events.len();
            }
            (Table::Spans, Source::Intrinsic(Intrinsic::Links)) => {
                out.push(number(links));
                links += span.links.len();
            }
            (Table::Spans, Source::Intrinsic(fact)) => {
                out.push(span_fact(*fact, rows, index, start, base))
            }
            (Table::Spans, Source::Attribute { place, key }) => {
                out.push(span_attribute(*place, key, &row.item))
            }
            (Table::Events, source) => out.extend(
                span.events
                    .iter()
                    .map(|event| event_fact(source, event, start)),
            ),
            (Table::Links, source) => {
                out.extend(span.links.iter().map(|link| link_fact(source, link)))
            }
        }
    }
}

fn span_fact(fact: Intrinsic, rows: &[Row<'_>], index: usize, start: u64, base: usize) -> Shown {
    let Row {
        item,
        parent,
        depth,
        subtree_end,
        children,
    } = &rows[index];
    let span = item.span;
    let is_root = span.parent_span_id.iter().all(|&byte| byte == 0);
    match fact {
        Intrinsic::Name => text(&span.name),
        Intrinsic::Service => match find(item.resource, "service.name") {
            service @ Shown::Text(_) => service,
            _ => Shown::Missing,
        },
        Intrinsic::StatusMessage => match span.status.as_ref().map_or("", |status| &status.message)
        {
            "" => Shown::Missing,
            message => text(message),
        },
        Intrinsic::TraceId => hex(&span.trace_id),
        Intrinsic::SpanId => hex(&span.span_id),
        Intrinsic::ParentId if is_root => Shown::Missing,
        Intrinsic::ParentId => hex(&span.parent_span_id),
        Intrinsic::Parent => parent.map_or(Shown::Missing, |parent| number(base + parent)),
        Intrinsic::SubtreeEnd => number(base + subtree_end),
        Intrinsic::Depth => Shown::Number(*depth),
        Intrinsic::ChildCount => number(children.len()),
        Intrinsic::Start => offset(span.start_time_unix_nano, start),
        Intrinsic::End => time(span.end_time_unix_nano, start),
        Intrinsic::Duration => {
            interval(span).map_or(Shown::Missing, |(start, end)| offset(end, start))
        }
        Intrinsic::SelfTime => self_time(rows, index),
        Intrinsic::Kind => byte(span.kind),
        Intrinsic::Status => byte(span.status.as_ref().map_or(0, |status| status.code)),
        Intrinsic::Flags => Shown::Number(i64::from(is_root) + 2 * i64::from(children.is_empty())),
        Intrinsic::Time | Intrinsic::Events | Intrinsic::Links => Shown::Missing,
    }
}

/// The time within a span when no child is open, piece by piece between all instants at which something changes.
fn self_time(rows: &[Row<'_>], index: usize) -> Shown {
    let Some((start, end)) = interval(rows[index].item.span) else {
        return Shown::Missing;
    };
    let children: Vec<(u64, u64)> = rows[index]
        .children
        .iter()
        .filter_map(|&child| interval(rows[child].item.span))
        .collect();
    let mut instants: Vec<u64> = children
        .iter()
        .flat_map(|&(start, end)| [start, end])
        .chain([start, end])
        .collect();
    instants.retain(|&instant| (start..=end).contains(&instant));
    instants.sort_unstable();
    let free = |from: u64| {
        !children
            .iter()
            .any(|&(start, end)| (start..end).contains(&from))
    };
    let sum: u64 = instants
        .windows(2)
        .filter(|pair| free(pair[0]))
        .map(|pair| pair[1] - pair[0])
        .sum();
    Shown::Number(sum.min(i64::MAX as u64) as i64)
}

fn interval(span: &Span) -> Option<(u64, u64)> {
    let (start, end) = (span.start_time_unix_nano, span.end_time_unix_nano);
    (end != 0 && end >= start).then_some((start, end))
}

fn span_attribute(place: Place, key: &str, item: &Item<'_>) -> Shown {
    let span = || find(&item.span.attributes, key);
    let resource = || find(item.resource, key);
    let scope = || find(item.scope.map_or(&[], |scope| &scope.attributes), key);
    let own = |text: Option<&String>| {
        text.filter(|text| !text.is_empty())
            .map_or(Shown::Missing, |own| self::text(own))
    };
    match (place, key) {
        (Place::Any, _) => [span(), resource(), scope()]
            .into_iter()
            .find(|value| *value != Shown::Missing)
            .unwrap_or(Shown::Missing),
        (Place::Span, _) => span(),
        (Place::Resource, _) => resource(),
        (Place::Scope, "name") => own(item.scope.map(|scope| &scope.name)),
        (Place::Scope, "version") => own(item.scope.map(|scope| &scope.version)),
        (Place::Scope, _) => scope(),
    }
}

fn event_fact(source: &Source, event: &Event, start: u64) -> Shown {
    match source {
        Source::Intrinsic(Intrinsic::Name) => text(&event.name),
        Source::Intrinsic(Intrinsic::Time) => time(event.time_unix_nano, start),
        Source::Attribute { key, .. } => find(&event.attributes, key),
        Source::Intrinsic(_) => Shown::Missing,
    }
}

fn link_fact(source: &Source, link: &Link) -> Shown {
    match source {
        Source::Intrinsic(Intrinsic::TraceId) => hex(&link.trace_id),
        Source::Intrinsic(Intrinsic::SpanId) => hex(&link.span_id),
        Source::Attribute { key, .. } => find(&link.attributes, key),
        Source::Intrinsic(_) => Shown::Missing,
    }
}

fn find(attributes: &[KeyValue], key: &str) -> Shown {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    found.map_or(Shown::Missing, |attribute| value(attribute.value.as_ref()))
}

fn value(value: Option<&AnyValue>) -> Shown {
    use any_value::Value::*;
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(StringValueStrindex(_)) => Shown::Missing,
        Some(StringValue(v)) => text(v),
        Some(BoolValue(v)) => Shown::Bool(*v),
        Some(IntValue(v)) => Shown::Int(*v),
        Some(DoubleValue(v)) => Shown::Float(v.to_bits()),
        Some(ArrayValue(_)) => Shown::Array,
        Some(KvlistValue(_)) => Shown::Map,
        Some(BytesValue(_)) => Shown::Bytes,
    }
}

fn text(text: &str) -> Shown {
    if text.contains(BROKEN) {
        Shown::Missing
    } else {
        Shown::Text(text.into())
    }
}

fn hex(id: &[u8]) -> Shown {
    match id {
        [] => Shown::Missing,
        id => Shown::Text(id.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

fn time(time: u64, start: u64) -> Shown {
    if time == 0 {
        Shown::Missing
    } else {
        offset(time, start)
    }
}

fn offset(time: u64, start: u64) -> Shown {
    Shown::Number((i128::from(time) - i128::from(start)).clamp(0, i64::MAX.into()) as i64)
}

fn byte(number: i32) -> Shown {
    Shown::Number(if (0..=255).contains(&number) {
        number.into()
    } else {
        255
    })
}

fn number(number: usize) -> Shown {
    Shown::Number(number as i64)
}
