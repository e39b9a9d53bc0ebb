//! Spans and values as JSON: a span in OTLP's own form, which [`to_protobuf`](super::to_protobuf) reads back, and a value
//! as a person would write it.
//!
//! Text that is not UTF-8 is shown with U+FFFD.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use crate::otlp::request::Request;
use crate::otlp::scan::Range;
use crate::otlp::span::{EventView, LinkView};
use crate::otlp::text::lossy;
use crate::otlp::value::Value;

/// A value as plain JSON: `1500`, `"x"`, `[1, 2]`, `{"a": 1}`. Bytes are base64; what JSON has no number for is `"NaN"`,
/// `"Infinity"` or `"-Infinity"`; missing is `null`. Of a repeated key of a map the first counts.
pub fn value_to_json(value: Value<'_>) -> Json {
    match value {
        Value::Missing => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Float(value) => float(value),
        Value::Text(text) => lossy(text).into(),
        Value::Bytes(bytes) => STANDARD.encode(bytes).into(),
        Value::Array(array) => array.values().map(value_to_json).collect(),
        Value::Map(map) => {
            let mut object = Map::new();
            for (key, value) in map.entries() {
                object
                    .entry(lossy(key))
                    .or_insert_with(|| value_to_json(value));
            }
            Json::Object(object)
        }
    }
}

/// A span with its resource and scope, as an OTLP JSON request of one span. Fields that are not set are left out.
pub fn span_to_json(request: &Request, section: u32, range: Range) -> Json {
    spans_to_json(request, [(section, range)])
}

/// Spans of a request, by section and range, as an OTLP JSON request. Neighbours of one resource and scope stand together.
pub fn spans_to_json(request: &Request, spans: impl IntoIterator<Item = (u32, Range)>) -> Json {
    let mut resources: Vec<Json> = Vec::new();
    let mut at: Option<u32> = None;
    let mut group: Vec<Json> = Vec::new();
    let mut close = |section: Option<u32>, spans: Vec<Json>| {
        resources.extend(section.map(|section| resource_spans(request, section, spans)));
    };
    for (section, range) in spans {
        if at != Some(section) {
            close(at, std::mem::take(&mut group));
            at = Some(section);
        }
        group.push(span_object(request, range));
    }
    close(at, group);
    json!({ "resourceSpans": resources })
}

fn resource_spans(request: &Request, section: u32, spans: Vec<Json>) -> Json {
    let (resource, scope) = (request.resource(section), request.scope(section));
    let mut resource_json = Object::default();
    resource_json.attributes(resource.attributes());
    resource_json.count("droppedAttributesCount", resource.dropped_attributes());
    let mut scope_json = Object::default();
    scope_json.text("name", scope.name());
    scope_json.text("version", scope.version());
    scope_json.attributes(scope.attributes());
    scope_json.count("droppedAttributesCount", scope.dropped_attributes());
    let mut scope_spans = Object::default();
    scope_spans.put("scope", scope_json.0);
    scope_spans.put("spans", spans);
    scope_spans.text("schemaUrl", scope.schema_url());
    let mut resource_spans = Object::default();
    resource_spans.put("resource", resource_json.0);
    resource_spans.list("scopeSpans", vec![scope_spans.0.into()]);
    resource_spans.text("schemaUrl", resource.schema_url());
    resource_spans.0.into()
}

fn span_object(request: &Request, range: Range) -> Json {
    let span = request.span(range);
    let mut object = Object::default();
    object.id("traceId", &span.trace_id());
    object.id("spanId", &span.span_id());
    if let Some(parent) = span.parent_id() {
        object.id("parentSpanId", &parent);
    }
    object.text("traceState", span.trace_state());
    object.text("name", span.name());
    object.number("kind", span.kind());
    object.nanos("startTimeUnixNano", span.start());
    object.nanos("endTimeUnixNano", span.end());
    object.attributes(span.attributes());
    object.count("droppedAttributesCount", span.dropped_attributes());
    object.list("events", span.events().map(event_object).collect());
    object.count("droppedEventsCount", span.dropped_events());
    object.list("links", span.links().map(link_object).collect());
    object.count("droppedLinksCount", span.dropped_links());
    let mut status = Object::default();
    status.text("message", span.status_message());
    status.number("code", span.status());
    if !status.0.is_empty() {
        object.put("status", status.0);
    }
    object.count("flags", span.flags());
    object.0.into()
}

fn event_object(event: EventView<'_>) -> Json {
    let mut object = Object::default();
    object.nanos("timeUnixNano", event.time());
    object.text("name", event.name());
    object.attributes(event.attributes());
    object.count("droppedAttributesCount", event.dropped_attributes());
    object.0.into()
}

fn link_object(link: LinkView<'_>) -> Json {
    let mut object = Object::default();
    object.id("traceId", link.trace_id());
    object.id("spanId", link.span_id());
    object.text("traceState", link.trace_state());
    object.attributes(link.attributes());
    object.count("droppedAttributesCount", link.dropped_attributes());
    object.count("flags", link.flags());
    object.0.into()
}

/// An `AnyValue` in OTLP JSON.
fn any_value(value: Value<'_>) -> Json {
    match value {
        Value::Missing => json!({}),
        Value::Bool(value) => json!({ "boolValue": value }),
        Value::Int(value) => json!({ "intValue": value.to_string() }),
        Value::Float(value) => json!({ "doubleValue": float(value) }),
        Value::Text(text) => json!({ "stringValue": lossy(text) }),
        Value::Bytes(bytes) => json!({ "bytesValue": STANDARD.encode(bytes) }),
        Value::Array(array) => {
            let values: Vec<Json> = array.values().map(any_value).collect();
            json!({ "arrayValue": { "values": values } })
        }
        Value::Map(map) => json!({ "kvlistValue": { "values": key_values(map.entries()) } }),
    }
}

fn key_values<'a>(attributes: impl Iterator<Item = (&'a [u8], Value<'a>)>) -> Vec<Json> {
    attributes
        .map(|(key, value)| json!({ "key": lossy(key), "value": any_value(value) }))
        .collect()
}

fn float(value: f64) -> Json {
    match value {
        _ if value.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => value.into(),
    }
}

/// An object that leaves out what is not set.
#[derive(Default)]
struct Object(Map<String, Json>);

impl Object {
    fn put(&mut self, key: &str, value: impl Into<Json>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn text(&mut self, key: &str, text: &[u8]) {
        if !text.is_empty() {
            self.put(key, lossy(text));
        }
    }

    fn id(&mut self, key: &str, id: &[u8]) {
        if !id.is_empty() {
            let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
            self.put(key, hex);
        }
    }

    fn number(&mut self, key: &str, number: i32) {
        if number != 0 {
            self.put(key, number);
        }
    }

    fn count(&mut self, key: &str, count: u32) {
        if count != 0 {
            self.put(key, count);
        }
    }

    /// 64-bit integers are strings in OTLP JSON, since JavaScript has no such numbers.
    fn nanos(&mut self, key: &str, nanos: u64) {
        if nanos != 0 {
            self.put(key, nanos.to_string());
        }
    }

    fn list(&mut self, key: &str, list: Vec<Json>) {
        if !list.is_empty() {
            self.put(key, list);
        }
    }

    fn attributes<'a>(&mut self, attributes: impl Iterator<Item = (&'a [u8], Value<'a>)>) {
        self.list("attributes", key_values(attributes));
    }
}
