//! A span that decided, with the values that its rule read of it: from the wire, so that what columns leave out (arrays,
//! maps, bytes) is there whole.
//!
//! A field bears the name that a rule uses: `amount`, `attr.amount`, `resource.cloud.region`, `scope.name`, `kind`; of
//! events and links, `events.name` is a list with an element for each. A missing field is left out.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value as Json, json};

use super::stamp::hex;
use super::{Evidence, Fields};
use crate::assemble::trace::SpanRef;
use crate::columns::batch::{Column, Columns};
use crate::columns::projection::{ColumnKey, Intrinsic, Place, Projection, Source, Table};
use crate::otlp::request::Request;
use crate::otlp::span::SpanView;
use crate::otlp::text;
use crate::otlp::value::Value;

/// Bytes of one text or blob that a signal holds: enough to see what it is. Values come from strangers and may have
/// megabytes.
pub const MAX_TEXT: usize = 4_096;

/// Elements of an array, entries of a map, and events or links of a span, that a signal holds.
pub const MAX_ITEMS: usize = 64;

/// One span of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Spot<'a> {
    pub request: &'a Request,
    pub section: u32,
    pub span: SpanView<'a>,
    /// Row of `columns`.
    pub row: usize,
    /// The trace's first start, in Unix nanoseconds.
    pub trace_start: u64,
}

impl<'a> Spot<'a> {
    pub fn new(request: &'a Request, at: SpanRef, row: usize, trace_start: u64) -> Spot<'a> {
        Spot {
            request,
            section: at.section,
            span: request.span(at.range),
            row,
            trace_start,
        }
    }

    pub fn name(&self) -> Option<String> {
        text::text(self.span.name()).map(|name| shortened(name).into_owned())
    }

    pub fn service(&self) -> Option<String> {
        self.request
            .resource(self.section)
            .service()
            .map(|name| shortened(name).into_owned())
    }

    pub fn offset_ns(&self) -> Option<u64> {
        Some(self.span.start().saturating_sub(self.trace_start))
    }

    /// None where rules find `duration` missing: the span has no end, or ends before it starts.
    pub fn duration_ns(&self) -> Option<u64> {
        let (start, end) = (self.span.start(), self.span.end());
        if end == 0 {
            None
        } else {
            end.checked_sub(start)
        }
    }

    pub fn is_error(&self) -> bool {
        self.span.status() == 2
    }
}

/// The evidence of one span, with the fields of `reads` that it has.
pub fn evidence(
    spot: &Spot<'_>,
    reads: &[ColumnKey],
    projection: &Projection,
    columns: &Columns,
) -> Evidence {
    let mut fields = Fields::default();
    for key in reads {
        if key.source == Source::Intrinsic(Intrinsic::Flags) {
            // One column of bits, of which a rule may read either.
            let is_leaf = is_leaf(spot, key, projection, columns);
            fields
                .0
                .push(("is_root".to_owned(), json!(spot.span.parent_id().is_none())));
            fields
                .0
                .extend(is_leaf.map(|is_leaf| ("is_leaf".to_owned(), json!(is_leaf))));
            continue;
        }
        let Some(name) = field_name(key) else {
            continue;
        };
        if let Some(value) = read(spot, key, projection, columns)
            && !fields.0.iter().any(|(known, _)| *known == name)
        {
            fields.0.push((name, value));
        }
    }
    Evidence {
        span_id: hex(&spot.span.span_id()),
        name: spot.name(),
        service: spot.service(),
        offset_ns: spot.offset_ns(),
        duration_ns: spot.duration_ns(),
        fields,
    }
}

/// What a rule calls a column; none for those that say where a span is, or that evidence shows anyway.
pub fn field_name(key: &ColumnKey) -> Option<String> {
    let name = match &key.source {
        Source::Attribute {
            place,
            key: attribute,
        } => match (key.table, place) {
            (Table::Spans, Place::Span) => format!("attr.{attribute}"),
            (Table::Spans, Place::Resource) => format!("resource.{attribute}"),
            (Table::Spans, Place::Scope) => format!("scope.{attribute}"),
            _ => attribute.to_string(),
        },
        Source::Intrinsic(intrinsic) => intrinsic_name(key.table, *intrinsic)?.to_owned(),
    };
    Some(match key.table {
        Table::Spans => name,
        Table::Events => format!("events.{name}"),
        Table::Links => format!("links.{name}"),
    })
}

fn intrinsic_name(table: Table, intrinsic: Intrinsic) -> Option<&'static str> {
    use Intrinsic as I;
    match (table, intrinsic) {
        (Table::Events, I::Name) => Some("name"),
        (Table::Events, I::Time) => Some("time"),
        (Table::Links, I::TraceId) => Some("trace_id"),
        (Table::Links, I::SpanId) => Some("span_id"),
        (Table::Spans, I::Kind) => Some("kind"),
        (Table::Spans, I::Status) => Some("status"),
        (Table::Spans, I::StatusMessage) => Some("status_message"),
        (Table::Spans, I::ParentId) => Some("parent_id"),
        (Table::Spans, I::Depth) => Some("depth"),
        (Table::Spans, I::ChildCount) => Some("child_count"),
        (Table::Spans, I::SelfTime) => Some("self_time"),
        _ => None,
    }
}

fn read(
    spot: &Spot<'_>,
    key: &ColumnKey,
    projection: &Projection,
    columns: &Columns,
) -> Option<Json> {
    match (key.table, &key.source) {
        (Table::Spans, Source::Attribute { place, key }) => attribute(spot, *place, key),
        (Table::Spans, Source::Intrinsic(intrinsic)) => {
            fact(spot, *intrinsic, key, projection, columns)
        }
        (Table::Events, source) => {
            let value = |event: crate::otlp::span::EventView<'_>| match source {
                Source::Attribute { key, .. } => find(event.attributes(), key),
                Source::Intrinsic(Intrinsic::Name) => plain_text(event.name()),
                Source::Intrinsic(Intrinsic::Time) => {
                    Some(json!(event.time().checked_sub(spot.trace_start)?))
                }
                Source::Intrinsic(_) => None,
            };
            list(spot.span.events().map(value))
        }
        (Table::Links, source) => {
            let value = |link: crate::otlp::span::LinkView<'_>| match source {
                Source::Attribute { key, .. } => find(link.attributes(), key),
                Source::Intrinsic(Intrinsic::TraceId) => {
                    Some(json!(hex(link.trace_id().get(..16)?)))
                }
                Source::Intrinsic(Intrinsic::SpanId) => {
                    Some(json!(hex(link.span_id().get(..8)?)))
                }
                Source::Intrinsic(_) => None,
            };
            list(spot.span.links().map(value))
        }
    }
}

/// One element an item, null where it lacks the field; none where all do.
fn list(values: impl Iterator<Item = Option<Json>>) -> Option<Json> {
    let values: Vec<_> = values
        .take(MAX_ITEMS)
        .map(Option::unwrap_or_default)
        .collect();
    (!values.iter().all(Json::is_null)).then_some(Json::Array(values))
}

/// An attribute, found as columns find it.
fn attribute(spot: &Spot<'_>, place: Place, key: &str) -> Option<Json> {
    let resource = || find(spot.request.resource(spot.section).attributes(), key);
    let scope = || {
        let scope = spot.request.scope(spot.section);
        match (place, key) {
            (Place::Scope, "name") => plain_text(scope.name()).filter(|_| !scope.name().is_empty()),
            (Place::Scope, "version") => {
                plain_text(scope.version()).filter(|_| !scope.version().is_empty())
            }
            _ => find(scope.attributes(), key),
        }
    };
    let own = || find(spot.span.attributes(), key);
    match place {
        Place::Any => own().or_else(resource).or_else(scope),
        Place::Span => own(),
        Place::Resource => resource(),
        Place::Scope => scope(),
    }
}

/// The first attribute of this key, if it has a value.
fn find<'a>(
    mut attributes: impl Iterator<Item = (&'a [u8], Value<'a>)>,
    key: &str,
) -> Option<Json> {
    attributes
        .find(|(known, _)| *known == key.as_bytes())
        .and_then(|(_, value)| plain(value))
}

/// A fact of the span: from the wire in words, or, where it depends on other spans, from its column.
fn fact(
    spot: &Spot<'_>,
    intrinsic: Intrinsic,
    key: &ColumnKey,
    projection: &Projection,
    columns: &Columns,
) -> Option<Json> {
    match intrinsic {
        Intrinsic::Kind => Some(word(spot.span.kind(), &KINDS)),
        Intrinsic::Status => Some(word(spot.span.status(), &STATUSES)),
        Intrinsic::StatusMessage => plain_text(spot.span.status_message())
            .filter(|_| !spot.span.status_message().is_empty()),
        Intrinsic::ParentId => spot.span.parent_id().map(|id| json!(hex(&id))),
        _ => {
            let index = projection.columns.iter().position(|column| column == key)?;
            match columns.columns.get(index)? {
                Column::W32(rows) => rows.get(spot.row).map(|value| json!(value)),
                Column::W64(rows) => rows
                    .get(spot.row)
                    .filter(|value| **value >= 0)
                    .map(|value| json!(value)),
                Column::W8(rows) => rows.get(spot.row).map(|value| json!(value)),
                Column::Attribute { .. } => None,
            }
        }
    }
}

/// Bit 1 of the flags.
fn is_leaf(
    spot: &Spot<'_>,
    key: &ColumnKey,
    projection: &Projection,
    columns: &Columns,
) -> Option<bool> {
    let index = projection.columns.iter().position(|column| column == key)?;
    match columns.columns.get(index)? {
        Column::W8(rows) => rows.get(spot.row).map(|flags| flags & 2 != 0),
        _ => None,
    }
}

pub(crate) const KINDS: [&str; 6] = [
    "unspecified",
    "internal",
    "server",
    "client",
    "producer",
    "consumer",
];
pub(crate) const STATUSES: [&str; 3] = ["unset", "ok", "error"];

/// The word of an enum's member; the number of an unknown one.
fn word(member: i32, words: &[&str]) -> Json {
    let known = usize::try_from(member)
        .ok()
        .and_then(|index| words.get(index));
    known.map_or_else(|| json!(member), |word| json!(word))
}

/// A value as plain JSON: bytes in Base64, floats that JSON has no number for as text; nothing for an empty value and for
/// text that is not UTF-8, since rules see neither.
fn plain(value: Value<'_>) -> Option<Json> {
    Some(match value {
        Value::Missing => return None,
        Value::Bool(v) => json!(v),
        Value::Int(v) => json!(v),
        Value::Float(v) if v.is_finite() => json!(v),
        Value::Float(v) if v.is_nan() => json!("NaN"),
        Value::Float(v) => json!(if v > 0.0 { "Infinity" } else { "-Infinity" }),
        Value::Text(bytes) => return plain_text(bytes),
        Value::Bytes(bytes) => json!(BASE64.encode(bytes.get(..MAX_TEXT).unwrap_or(bytes))),
        Value::Array(array) => array
            .values()
            .take(MAX_ITEMS)
            .map(|v| plain(v).unwrap_or_default())
            .collect(),
        Value::Map(map) => {
            let mut entries = serde_json::Map::new();
            for (key, value) in map.entries().take(MAX_ITEMS) {
                let key = shortened(&text::lossy(key)).into_owned();
                entries
                    .entry(key)
                    .or_insert_with(|| plain(value).unwrap_or_default());
            }
            Json::Object(entries)
        }
    })
}

fn plain_text(bytes: &[u8]) -> Option<Json> {
    text::text(bytes).map(|text| json!(shortened(text)))
}

/// At most [`MAX_TEXT`] bytes of `text`, the cut shown by `…`.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT {
        return text.into();
    }
    let mut end = MAX_TEXT;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}
