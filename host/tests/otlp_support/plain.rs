//! What a request says, as one plain value that both prost's structs and our views turn into.

use betrace::otlp::request::Request;
use betrace::otlp::scan::{Reasons, Scan, ScannedSpan};
use betrace::otlp::span::{Ids, SpanView};
use betrace::otlp::value::Value;

use super::mirror;

#[derive(Clone, Debug, PartialEq)]
pub enum Plain {
    Missing,
    Bool(bool),
    Int(i64),
    /// Bits, so that NaN equals itself.
    Float(u64),
    Text(Vec<u8>),
    Bytes(Vec<u8>),
    Array(Vec<Plain>),
    Map(Attributes),
}

/// Trace id, span id, trace state, attributes, dropped, flags.
pub type Link = (Vec<u8>, Vec<u8>, Vec<u8>, Attributes, u32, u32);

pub type Attributes = Vec<(Vec<u8>, Plain)>;

#[derive(Debug, Default, PartialEq)]
pub struct Found {
    pub spans: Vec<Span>,
    pub reasons: Reasons,
}

#[derive(Debug, PartialEq, Clone)]
pub struct Span {
    pub trace_id: Vec<u8>,
    pub span_id: Vec<u8>,
    pub parent_id: Option<Vec<u8>>,
    pub trace_state: Vec<u8>,
    pub name: Vec<u8>,
    pub kind: i32,
    pub start: u64,
    pub end: u64,
    pub status: (i32, Vec<u8>),
    pub flags: u32,
    /// Attributes, events, links.
    pub dropped: [u32; 3],
    pub attributes: Attributes,
    /// Time, name, attributes, dropped.
    pub events: Vec<(u64, Vec<u8>, Attributes, u32)>,
    pub links: Vec<Link>,
    /// Attributes, dropped.
    pub resource: (Attributes, u32),
    /// Name, version, attributes, dropped.
    pub scope: (Vec<u8>, Vec<u8>, Attributes, u32),
    /// The schema URLs of the resource and of the scope.
    pub schemas: [Vec<u8>; 2],
    pub is_root: bool,
    pub says_dropped: bool,
    pub remote_parent: bool,
}

/// What prost's structs say.
pub fn of_mirror(request: &mirror::Request) -> Found {
    let mut found = Found::default();
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.clone().unwrap_or_default();
        for scope_spans in &resource_spans.scope_spans {
            let scope = scope_spans.scope.clone().unwrap_or_default();
            for span in &scope_spans.spans {
                if !is_id(&span.trace_id, 16) {
                    found.reasons.trace_id += 1;
                } else if !is_id(&span.span_id, 8) {
                    found.reasons.span_id += 1;
                } else if !is_zeros(&span.parent_span_id) && span.parent_span_id.len() != 8 {
                    found.reasons.parent_id += 1;
                } else {
                    let schemas = [&resource_spans.schema_url, &scope_spans.schema_url];
                    found.spans.push(Span {
                        schemas: schemas.map(Clone::clone),
                        ..mirror_span(span, &resource, &scope)
                    });
                }
            }
        }
    }
    found
}

fn mirror_span(span: &mirror::Span, resource: &mirror::Resource, scope: &mirror::Scope) -> Span {
    let status = span.status.clone().unwrap_or_default();
    let dropped = [
        span.dropped_attributes_count,
        span.dropped_events_count,
        span.dropped_links_count,
    ];
    let is_root = is_zeros(&span.parent_span_id);
    Span {
        trace_id: span.trace_id.clone(),
        span_id: span.span_id.clone(),
        parent_id: (!is_root).then(|| span.parent_span_id.clone()),
        trace_state: span.trace_state.clone(),
        name: span.name.clone(),
        kind: span.kind,
        start: span.start_time_unix_nano,
        end: span.end_time_unix_nano,
        status: (status.code, status.message),
        flags: span.flags,
        dropped,
        attributes: mirror_attributes(&span.attributes),
        events: span
            .events
            .iter()
            .map(|e| {
                let attributes = mirror_attributes(&e.attributes);
                let dropped = e.dropped_attributes_count;
                (e.time_unix_nano, e.name.clone(), attributes, dropped)
            })
            .collect(),
        links: span
            .links
            .iter()
            .map(|l| {
                (
                    l.trace_id.clone(),
                    l.span_id.clone(),
                    l.trace_state.clone(),
                    mirror_attributes(&l.attributes),
                    l.dropped_attributes_count,
                    l.flags,
                )
            })
            .collect(),
        resource: (
            mirror_attributes(&resource.attributes),
            resource.dropped_attributes_count,
        ),
        scope: (
            scope.name.clone(),
            scope.version.clone(),
            mirror_attributes(&scope.attributes),
            scope.dropped_attributes_count,
        ),
        schemas: [Vec::new(), Vec::new()],
        is_root,
        says_dropped: dropped != [0; 3],
        remote_parent: span.flags & 0x300 == 0x300,
    }
}

fn mirror_attributes(attributes: &[mirror::KeyValue]) -> Attributes {
    attributes
        .iter()
        .map(|a| {
            let value = a.value.as_ref().map_or(Plain::Missing, of_any);
            (a.key.clone(), value)
        })
        .collect()
}

fn of_any(value: &mirror::AnyValue) -> Plain {
    use mirror::Member;
    match &value.value {
        None | Some(Member::TextIndex(_)) => Plain::Missing,
        Some(Member::Text(text)) => Plain::Text(text.clone()),
        Some(Member::Bool(value)) => Plain::Bool(*value),
        Some(Member::Int(value)) => Plain::Int(*value),
        Some(Member::Double(value)) => Plain::Float(value.to_bits()),
        Some(Member::Array(array)) => Plain::Array(array.values.iter().map(of_any).collect()),
        Some(Member::Map(map)) => Plain::Map(mirror_attributes(&map.values)),
        Some(Member::Bytes(bytes)) => Plain::Bytes(bytes.clone()),
    }
}

/// What our views say.
pub fn of_scan(request: &Request, scan: &Scan) -> Found {
    let spans = scan.spans.iter().map(|s| view_span(request, s)).collect();
    let reasons = scan.reasons;
    let sum = reasons.trace_id + reasons.span_id + reasons.parent_id;
    assert_eq!(scan.rejected, sum);
    let mut used: Vec<u32> = scan.spans.iter().map(|span| span.section).collect();
    used.dedup();
    assert_eq!(used, (0..scan.sections.len() as u32).collect::<Vec<_>>());
    Found { spans, reasons }
}

fn view_span(request: &Request, scanned: &ScannedSpan) -> Span {
    let span = SpanView::new(request.slice(scanned.range));
    let resource = request.resource(scanned.section);
    let scope = request.scope(scanned.section);
    let ids = Ids::read(span.bytes());
    assert_eq!(scanned.trace_id, span.trace_id());
    assert_eq!(
        (ids.span_id, ids.parent_id, ids.kind),
        (span.span_id(), span.parent_id(), span.kind())
    );
    Span {
        trace_id: span.trace_id().to_vec(),
        span_id: span.span_id().to_vec(),
        parent_id: span.parent_id().map(|id| id.to_vec()),
        trace_state: span.trace_state().to_vec(),
        name: span.name().to_vec(),
        kind: span.kind(),
        start: span.start(),
        end: span.end(),
        status: (span.status(), span.status_message().to_vec()),
        flags: span.flags(),
        dropped: [
            span.dropped_attributes(),
            span.dropped_events(),
            span.dropped_links(),
        ],
        attributes: view_attributes(span.attributes()),
        events: span
            .events()
            .map(|e| {
                let attributes = view_attributes(e.attributes());
                (
                    e.time(),
                    e.name().to_vec(),
                    attributes,
                    e.dropped_attributes(),
                )
            })
            .collect(),
        links: span
            .links()
            .map(|l| {
                (
                    l.trace_id().to_vec(),
                    l.span_id().to_vec(),
                    l.trace_state().to_vec(),
                    view_attributes(l.attributes()),
                    l.dropped_attributes(),
                    l.flags(),
                )
            })
            .collect(),
        resource: (
            view_attributes(resource.attributes()),
            resource.dropped_attributes(),
        ),
        scope: (
            scope.name().to_vec(),
            scope.version().to_vec(),
            view_attributes(scope.attributes()),
            scope.dropped_attributes(),
        ),
        schemas: [resource.schema_url(), scope.schema_url()].map(<[u8]>::to_vec),
        is_root: scanned.is_root,
        says_dropped: scanned.dropped,
        remote_parent: ids.remote_parent,
    }
}

fn view_attributes<'a>(attributes: impl Iterator<Item = (&'a [u8], Value<'a>)>) -> Attributes {
    attributes
        .map(|(key, value)| (key.to_vec(), of_value(value)))
        .collect()
}

fn of_value(value: Value<'_>) -> Plain {
    match value {
        Value::Missing => Plain::Missing,
        Value::Bool(value) => Plain::Bool(value),
        Value::Int(value) => Plain::Int(value),
        Value::Float(value) => Plain::Float(value.to_bits()),
        Value::Text(text) => Plain::Text(text.to_vec()),
        Value::Bytes(bytes) => Plain::Bytes(bytes.to_vec()),
        Value::Array(array) => Plain::Array(array.values().map(of_value).collect()),
        Value::Map(map) => Plain::Map(view_attributes(map.entries())),
    }
}

fn is_id(bytes: &[u8], len: usize) -> bool {
    bytes.len() == len && !is_zeros(bytes)
}

fn is_zeros(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
