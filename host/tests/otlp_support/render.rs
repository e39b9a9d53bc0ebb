//! A request as OTLP JSON, in all the ways in which senders may write it: keys in two cases, integers as numbers or
//! strings, enums as numbers or names, defaults left out, null or written, unknown keys, space, escapes, any order.

use std::fmt::Write;

use super::mirror::{self, Member};
use super::soup::Choices;

/// Makes all text of a request UTF-8, as JSON's is, and all NaNs the one that JSON has.
pub fn limit_to_json(request: &mut mirror::Request) {
    let fix =
        |bytes: &mut Vec<u8>| *bytes = String::from_utf8_lossy(bytes).into_owned().into_bytes();
    for resource_spans in &mut request.resource_spans {
        fix(&mut resource_spans.schema_url);
        if let Some(resource) = &mut resource_spans.resource {
            fix_attributes(&mut resource.attributes);
            for entity in &mut resource.entity_refs {
                fix(&mut entity.schema_url);
                fix(&mut entity.kind);
                entity.id_keys.iter_mut().for_each(fix);
                entity.description_keys.iter_mut().for_each(fix);
            }
        }
        for scope_spans in &mut resource_spans.scope_spans {
            fix(&mut scope_spans.schema_url);
            if let Some(scope) = &mut scope_spans.scope {
                fix(&mut scope.name);
                fix(&mut scope.version);
                fix_attributes(&mut scope.attributes);
            }
            for span in &mut scope_spans.spans {
                fix(&mut span.name);
                fix(&mut span.trace_state);
                fix_attributes(&mut span.attributes);
                for event in &mut span.events {
                    fix(&mut event.name);
                    fix_attributes(&mut event.attributes);
                }
                for link in &mut span.links {
                    fix(&mut link.trace_state);
                    fix_attributes(&mut link.attributes);
                }
                if let Some(status) = &mut span.status {
                    fix(&mut status.message);
                }
            }
        }
    }
}

fn fix_attributes(attributes: &mut [mirror::KeyValue]) {
    for attribute in attributes {
        attribute.key = String::from_utf8_lossy(&attribute.key)
            .into_owned()
            .into_bytes();
        if let Some(value) = &mut attribute.value {
            fix_value(value);
        }
    }
}

fn fix_value(value: &mut mirror::AnyValue) {
    match &mut value.value {
        Some(Member::Text(text)) => *text = String::from_utf8_lossy(text).into_owned().into_bytes(),
        Some(Member::Double(value)) if value.is_nan() => *value = f64::NAN,
        Some(Member::Array(array)) => array.values.iter_mut().for_each(fix_value),
        Some(Member::Map(map)) => fix_attributes(&mut map.values),
        _ => {}
    }
}

pub fn request(choices: &mut Choices<'_>, request: &mirror::Request) -> String {
    let lists = request
        .resource_spans
        .iter()
        .map(|r| resource_spans(choices, r));
    let fields = vec![("resourceSpans", array(lists.collect()))];
    let bom = if choices.rarely(4) { "\u{feff}" } else { "" };
    format!("{bom}{}", object(choices, fields))
}

type Fields = Vec<(&'static str, String)>;

fn resource_spans(choices: &mut Choices<'_>, value: &mirror::ResourceSpans) -> String {
    let mut fields = Fields::new();
    if let Some(r) = &value.resource {
        let entities: Vec<String> = r.entity_refs.iter().map(|e| entity(choices, e)).collect();
        let resource = vec![
            ("attributes", attributes(choices, &r.attributes)),
            (
                "droppedAttributesCount",
                integer(choices, r.dropped_attributes_count),
            ),
            ("entityRefs", array(entities)),
        ];
        fields.push(("resource", object(choices, resource)));
    }
    let scopes: Vec<String> = value
        .scope_spans
        .iter()
        .map(|s| scope_spans(choices, s))
        .collect();
    fields.push(("scopeSpans", array(scopes)));
    fields.push(("schemaUrl", text(choices, &value.schema_url)));
    object(choices, fields)
}

fn entity(choices: &mut Choices<'_>, value: &mirror::EntityRef) -> String {
    let mut texts = |list: &[Vec<u8>]| array(list.iter().map(|t| text(choices, t)).collect());
    let (ids, descriptions) = (texts(&value.id_keys), texts(&value.description_keys));
    let fields = vec![
        ("schemaUrl", text(choices, &value.schema_url)),
        ("type", text(choices, &value.kind)),
        ("idKeys", ids),
        ("descriptionKeys", descriptions),
    ];
    object(choices, fields)
}

fn scope_spans(choices: &mut Choices<'_>, value: &mirror::ScopeSpans) -> String {
    let mut fields = Fields::new();
    if let Some(s) = &value.scope {
        let scope = vec![
            ("name", text(choices, &s.name)),
            ("version", text(choices, &s.version)),
            ("attributes", attributes(choices, &s.attributes)),
            (
                "droppedAttributesCount",
                integer(choices, s.dropped_attributes_count),
            ),
        ];
        fields.push(("scope", object(choices, scope)));
    }
    let spans: Vec<String> = value.spans.iter().map(|s| span(choices, s)).collect();
    fields.push(("spans", array(spans)));
    fields.push(("schemaUrl", text(choices, &value.schema_url)));
    object(choices, fields)
}

fn span(choices: &mut Choices<'_>, value: &mirror::Span) -> String {
    let kinds = [
        "UNSPECIFIED",
        "INTERNAL",
        "SERVER",
        "CLIENT",
        "PRODUCER",
        "CONSUMER",
    ];
    let codes = ["UNSET", "OK", "ERROR"];
    let events: Vec<String> = value.events.iter().map(|e| event(choices, e)).collect();
    let links: Vec<String> = value.links.iter().map(|l| link(choices, l)).collect();
    let mut fields = vec![
        ("traceId", hex(choices, &value.trace_id)),
        ("spanId", hex(choices, &value.span_id)),
        ("traceState", text(choices, &value.trace_state)),
        ("parentSpanId", hex(choices, &value.parent_span_id)),
        ("flags", integer(choices, value.flags)),
        ("name", text(choices, &value.name)),
        ("kind", name(choices, "SPAN_KIND_", &kinds, value.kind)),
        (
            "startTimeUnixNano",
            integer(choices, value.start_time_unix_nano),
        ),
        (
            "endTimeUnixNano",
            integer(choices, value.end_time_unix_nano),
        ),
        ("attributes", attributes(choices, &value.attributes)),
        (
            "droppedAttributesCount",
            integer(choices, value.dropped_attributes_count),
        ),
        ("events", array(events)),
        (
            "droppedEventsCount",
            integer(choices, value.dropped_events_count),
        ),
        ("links", array(links)),
        (
            "droppedLinksCount",
            integer(choices, value.dropped_links_count),
        ),
    ];
    if let Some(s) = &value.status {
        let status = vec![
            ("message", text(choices, &s.message)),
            ("code", name(choices, "STATUS_CODE_", &codes, s.code)),
        ];
        fields.push(("status", object(choices, status)));
    }
    object(choices, fields)
}

fn event(choices: &mut Choices<'_>, value: &mirror::Event) -> String {
    let fields = vec![
        ("timeUnixNano", integer(choices, value.time_unix_nano)),
        ("name", text(choices, &value.name)),
        ("attributes", attributes(choices, &value.attributes)),
        (
            "droppedAttributesCount",
            integer(choices, value.dropped_attributes_count),
        ),
    ];
    object(choices, fields)
}

fn link(choices: &mut Choices<'_>, value: &mirror::Link) -> String {
    let fields = vec![
        ("traceId", hex(choices, &value.trace_id)),
        ("spanId", hex(choices, &value.span_id)),
        ("traceState", text(choices, &value.trace_state)),
        ("attributes", attributes(choices, &value.attributes)),
        (
            "droppedAttributesCount",
            integer(choices, value.dropped_attributes_count),
        ),
        ("flags", integer(choices, value.flags)),
    ];
    object(choices, fields)
}

fn attributes(choices: &mut Choices<'_>, list: &[mirror::KeyValue]) -> String {
    let mut items = Vec::new();
    for attribute in list {
        let mut fields = vec![
            ("key", text(choices, &attribute.key)),
            ("keyStrindex", integer(choices, attribute.key_strindex)),
        ];
        if let Some(value) = &attribute.value {
            fields.push(("value", any_value(choices, value)));
        }
        items.push(object(choices, fields));
    }
    array(items)
}

fn any_value(choices: &mut Choices<'_>, value: &mirror::AnyValue) -> String {
    let fields = match &value.value {
        None => vec![],
        Some(Member::Text(value)) => vec![("stringValue", text(choices, value))],
        Some(Member::Bool(value)) => vec![("boolValue", value.to_string())],
        Some(Member::Int(value)) => vec![("intValue", integer(choices, value))],
        Some(Member::Double(value)) => vec![("doubleValue", double(choices, *value))],
        Some(Member::Bytes(value)) => vec![("bytesValue", base64(choices, value))],
        Some(Member::TextIndex(value)) => vec![("stringValueStrindex", integer(choices, value))],
        Some(Member::Array(list)) => {
            let values: Vec<String> = list.values.iter().map(|v| any_value(choices, v)).collect();
            vec![(
                "arrayValue",
                object(choices, vec![("values", array(values))]),
            )]
        }
        Some(Member::Map(map)) => {
            let values = attributes(choices, &map.values);
            vec![("kvlistValue", object(choices, vec![("values", values)]))]
        }
    };
    object(choices, fields)
}

/// An object. What is a default may be left out or be null, but not where it is the type of a value.
fn object(choices: &mut Choices<'_>, mut fields: Fields) -> String {
    if choices.rarely(2) {
        fields.reverse();
    }
    let mut out = String::from("{");
    for (key, value) in fields {
        let is_typed = key.ends_with("Value") || key == "stringValueStrindex";
        let is_default = !is_typed && matches!(&*value, "0" | "\"\"" | "[]");
        let value = match choices.next() % 4 {
            0 if is_default => continue,
            1 if is_default => "null".to_owned(),
            _ => value,
        };
        space(choices, &mut out);
        let snake = choices.rarely(3);
        let _ = write!(
            out,
            "\"{}\"",
            if snake {
                snake_case(key)
            } else {
                key.to_owned()
            }
        );
        space(choices, &mut out);
        out.push(':');
        space(choices, &mut out);
        out.push_str(&value);
        space(choices, &mut out);
        out.push(',');
        if choices.rarely(16) {
            out.push_str(r#""unknown":[{"a":[1.5e3,"]}\"",true,null,{}]}],"#);
        }
    }
    if out.ends_with(',') {
        out.pop();
    }
    out.push('}');
    out
}

fn array(items: Vec<String>) -> String {
    format!("[{}]", items.join(","))
}

fn space(choices: &mut Choices<'_>, out: &mut String) {
    if choices.rarely(8) {
        out.push_str([" ", "\n", "\t", "\r\n  "][usize::from(choices.next() % 4)]);
    }
}

fn snake_case(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

fn text(choices: &mut Choices<'_>, bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for c in std::str::from_utf8(bytes).expect("text was fixed").chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' if choices.rarely(2) => out.push_str("\\n"),
            c if c < ' ' || choices.rarely(8) => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04X}");
                }
            }
            c => out.push(c),
        }
    }
    out + "\""
}

fn integer(choices: &mut Choices<'_>, value: impl std::fmt::Display) -> String {
    match choices.next() % 2 {
        0 => value.to_string(),
        _ => format!("\"{value}\""),
    }
}

fn name(choices: &mut Choices<'_>, prefix: &str, names: &[&str], value: i32) -> String {
    match usize::try_from(value).ok().and_then(|i| names.get(i)) {
        Some(name) if choices.rarely(2) => format!("\"{prefix}{name}\""),
        _ => value.to_string(),
    }
}

fn double(choices: &mut Choices<'_>, value: f64) -> String {
    if value.is_nan() {
        "\"NaN\"".to_owned()
    } else if value.is_infinite() {
        format!("\"{}Infinity\"", if value < 0.0 { "-" } else { "" })
    } else {
        match choices.next() % 3 {
            0 => format!("{value:e}"),
            1 => format!("\"{value:?}\""),
            _ => format!("{value:?}"),
        }
    }
}

fn hex(choices: &mut Choices<'_>, bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for byte in bytes {
        let _ = match choices.next() % 2 {
            0 => write!(out, "{byte:02x}"),
            _ => write!(out, "{byte:02X}"),
        };
    }
    out + "\""
}

fn base64(choices: &mut Choices<'_>, bytes: &[u8]) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let encoded = match choices.next() % 4 {
        0 => STANDARD.encode(bytes),
        1 => STANDARD_NO_PAD.encode(bytes),
        2 => URL_SAFE.encode(bytes),
        _ => URL_SAFE_NO_PAD.encode(bytes),
    };
    format!("\"{encoded}\"")
}
