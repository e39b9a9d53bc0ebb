//! Traces as a rule author would sketch them, to OTLP.
//!
//! ```text
//! trace charge without a check                      # a name, up to the end of the line or a `#`
//! web "POST /checkout" 0ms..120ms kind=server       # service, name, start..end, then facts and attributes
//!   payment payment.charge_card 10ms..80ms amount=1500 currency=USD
//!     ! exception 12ms exception.type=Timeout       # an event of the span above it: name, time, attributes
//!     > 0123456789abcdef0123456789abcdef 0123456789abcdef why=retry      # a link: trace id, span id, attributes
//! - background 5ms..6ms                             # no service.name
//! ```
//! Indentation is by two spaces and says whose child a span is. Facts: `kind= status= message= dropped= parent=`
//! (`missing`: an id that no span has; `remote`: the same, and the flags say that it is another process's) and
//! `id= repeat=` (the span is sent so many times). `resource.K=V`, `scope.K=V` set attributes there; `scope.name=`,
//! `scope.version=` the scope's own. A value is text, in quotes or not, unless it reads as an int, a float, `true`,
//! `false`, `[…]` (array of texts), `{}` (map), `bytes`, `empty` (no value) or `invalid` (text that is not UTF-8).

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// When every sketched trace starts, in Unix nanoseconds.
pub const EPOCH: u64 = 1_700_000_000_000_000_000;

/// Text that stands for bytes which are not UTF-8; [`encode`] puts them in.
const INVALID: &str = "\u{1}invalid\u{1}";

/// A sketched trace.
pub struct Sketch {
    pub name: String,
    pub request: ExportTraceServiceRequest,
}

impl Sketch {
    /// The trace id is its place in the file, counted from one.
    pub fn id(place: usize) -> [u8; 16] {
        (place as u128 + 1).to_be_bytes()
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = prost::Message::encode_to_vec(&self.request);
        while let Some(at) = bytes
            .windows(INVALID.len())
            .position(|window| window == INVALID.as_bytes())
        {
            bytes[at] = 0xff;
        }
        bytes
    }
}

/// Reads a file of traces; an error names the line.
pub fn read(text: &str) -> Result<Vec<Sketch>, String> {
    let mut sketches: Vec<Sketch> = Vec::new();
    let mut open: Vec<Vec<u8>> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: &str| format!("line {}: {what}: {line}", number + 1);
        let words = words(line).map_err(|what| wrong(&what))?;
        let Some(first) = words.first() else { continue };
        if first == "trace" {
            let name = line
                .trim_start_matches("trace")
                .split('#')
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned();
            sketches.push(Sketch {
                name,
                request: ExportTraceServiceRequest::default(),
            });
            open.clear();
            continue;
        }
        let trace = Sketch::id(sketches.len().wrapping_sub(1));
        let sketch = sketches
            .last_mut()
            .ok_or_else(|| wrong("a span before the first `trace`"))?;
        let spans = &mut sketch.request.resource_spans;
        match first.as_str() {
            "!" => {
                let span =
                    last_span(spans).ok_or_else(|| wrong("an event before the first span"))?;
                span.events
                    .push(event(&words).ok_or_else(|| wrong("an event is `! NAME TIME K=V…`"))?);
            }
            ">" => {
                let span = last_span(spans).ok_or_else(|| wrong("a link before the first span"))?;
                span.links
                    .push(link(&words).ok_or_else(|| wrong("a link is `> TRACE SPAN K=V…`"))?);
            }
            _ => {
                let depth = (line.len() - line.trim_start().len()) / 2;
                if depth > open.len() {
                    return Err(wrong("indented further than a child"));
                }
                open.truncate(depth);
                let place = spans.len() as u64 + 1;
                let (resource, copies) =
                    span(&words, trace, place, open.last()).map_err(|what| wrong(&what))?;
                spans.extend(std::iter::repeat_n(resource, copies));
                open.extend(last_span(spans).map(|span| span.span_id.clone()));
            }
        }
    }
    Ok(sketches)
}

fn last_span(spans: &mut [ResourceSpans]) -> Option<&mut Span> {
    spans.last_mut()?.scope_spans.last_mut()?.spans.last_mut()
}

/// A span with a resource and a scope of its own, and how often it is sent.
fn span(
    words: &[String],
    trace: [u8; 16],
    place: u64,
    parent: Option<&Vec<u8>>,
) -> Result<(ResourceSpans, usize), String> {
    let [service, name, times, facts @ ..] = words else {
        return Err("a span is `SERVICE NAME START..END …`".to_owned());
    };
    let (start, end) = times.split_once("..").ok_or("times are `START..END`")?;
    let mut span = Span {
        trace_id: trace.to_vec(),
        span_id: place.to_be_bytes().to_vec(),
        parent_span_id: parent.cloned().unwrap_or_default(),
        name: unquote(name),
        start_time_unix_nano: time(start).ok_or("a time is `5ms`, or `@0` for an absolute one")?,
        end_time_unix_nano: time(end).ok_or("a time is `5ms`, or `@0` for an absolute one")?,
        ..Span::default()
    };
    let mut resource = Resource::default();
    let mut scope = InstrumentationScope::default();
    let mut copies = 1;
    if service != "-" {
        resource.attributes.push(attribute("service.name", service));
    }
    for fact in facts {
        let (key, value) = split(fact).ok_or_else(|| format!("`{fact}` is not `K=V`"))?;
        match key.as_str() {
            "kind" => {
                span.kind = number(
                    &value,
                    &[
                        "unspecified",
                        "internal",
                        "server",
                        "client",
                        "producer",
                        "consumer",
                    ],
                )?
            }
            "status" => {
                span.status.get_or_insert_default().code =
                    number(&value, &["unset", "ok", "error"])?
            }
            "message" => span.status.get_or_insert_with(Status::default).message = unquote(&value),
            "dropped" => {
                span.dropped_attributes_count =
                    value.parse().map_err(|_| "`dropped=` takes a number")?
            }
            "id" => {
                span.span_id = value
                    .parse::<u64>()
                    .map_err(|_| "`id=` takes a number")?
                    .to_be_bytes()
                    .to_vec()
            }
            "repeat" => copies = value.parse().map_err(|_| "`repeat=` takes a number")?,
            "parent" => {
                span.parent_span_id = match value.as_str() {
                    "missing" | "remote" => vec![0xee; 8],
                    id => id
                        .parse::<u64>()
                        .map_err(|_| "`parent=` takes a number, `missing` or `remote`")?
                        .to_be_bytes()
                        .to_vec(),
                };
                if value == "remote" {
                    span.flags = 0x300;
                }
            }
            "scope.name" => scope.name = unquote(&value),
            "scope.version" => scope.version = unquote(&value),
            key => match (key.strip_prefix("resource."), key.strip_prefix("scope.")) {
                (Some(key), _) => resource.attributes.push(attribute(key, &value)),
                (_, Some(key)) => scope.attributes.push(attribute(key, &value)),
                _ => span.attributes.push(attribute(key, &value)),
            },
        }
    }
    let scope_spans = ScopeSpans {
        scope: Some(scope),
        spans: vec![span],
        ..ScopeSpans::default()
    };
    Ok((
        ResourceSpans {
            resource: Some(resource),
            scope_spans: vec![scope_spans],
            ..ResourceSpans::default()
        },
        copies,
    ))
}

fn event(words: &[String]) -> Option<Event> {
    let [_, name, at, facts @ ..] = words else {
        return None;
    };
    Some(Event {
        name: unquote(name),
        time_unix_nano: time(at)?,
        attributes: attributes(facts)?,
        ..Event::default()
    })
}

fn link(words: &[String]) -> Option<Link> {
    let [_, trace, span, facts @ ..] = words else {
        return None;
    };
    Some(Link {
        trace_id: hex(trace)?,
        span_id: hex(span)?,
        attributes: attributes(facts)?,
        ..Link::default()
    })
}

fn attributes(facts: &[String]) -> Option<Vec<KeyValue>> {
    facts
        .iter()
        .map(|fact| split(fact).map(|(key, value)| attribute(&key, &value)))
        .collect()
}

fn attribute(key: &str, value: &str) -> KeyValue {
    let value = match value {
        "empty" => None,
        "invalid" => Some(Value::StringValue(INVALID.to_owned())),
        "true" => Some(Value::BoolValue(true)),
        "false" => Some(Value::BoolValue(false)),
        "bytes" => Some(Value::BytesValue(vec![1, 2, 3])),
        "{}" => Some(Value::KvlistValue(KeyValueList::default())),
        _ if value.starts_with('[') => Some(Value::ArrayValue(ArrayValue {
            values: value
                .trim_matches(['[', ']'])
                .split(',')
                .map(|item| AnyValue {
                    value: Some(Value::StringValue(item.to_owned())),
                })
                .collect(),
        })),
        _ => Some(match (value.parse::<i64>(), value.parse::<f64>()) {
            (Ok(int), _) => Value::IntValue(int),
            (_, Ok(float)) if value.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
                Value::DoubleValue(float)
            }
            (_, Ok(float)) if matches!(value, "NaN" | "inf") => Value::DoubleValue(float),
            _ => Value::StringValue(unquote(value)),
        }),
    };
    KeyValue {
        key: unquote(key),
        value: value.map(|value| AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

/// `5ms`, `1.5s`, `250us`, `7ns` after the epoch, or `@N`: N nanoseconds of Unix time (`@max`: the largest).
fn time(text: &str) -> Option<u64> {
    if let Some(absolute) = text.strip_prefix('@') {
        return if absolute == "max" {
            Some(u64::MAX)
        } else {
            absolute.parse().ok()
        };
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "ns" => 1.0,
        "us" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return None,
    };
    Some(EPOCH + (digits.parse::<f64>().ok()? * unit).round() as u64)
}

fn number(word: &str, names: &[&str]) -> Result<i32, String> {
    let place = names
        .iter()
        .position(|name| *name == word)
        .map(|place| place as i32);
    place
        .or_else(|| word.parse().ok())
        .ok_or_else(|| format!("`{word}` is none of {}", names.join(" ")))
}

fn hex(text: &str) -> Option<Vec<u8>> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}

/// `key=value`; a key with odd characters stands in quotes.
fn split(fact: &str) -> Option<(String, String)> {
    if let Some(rest) = fact.strip_prefix('"') {
        let (key, value) = rest.split_once("\"=")?;
        return Some((key.to_owned(), value.to_owned()));
    }
    fact.split_once('=')
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
}

fn unquote(word: &str) -> String {
    let inner = word
        .strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'))
        .unwrap_or(word);
    inner.replace("\\n", "\n").replace("\\\"", "\"")
}

/// Words of a line; quotes keep spaces, and stay, so that `"12"` is text and `12` is not.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut escaped = false;
    for c in line.chars() {
        match c {
            '#' if !quoted && word.is_empty() => break,
            ' ' if !quoted => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()))
            }
            _ => {
                if c == '"' && !escaped {
                    quoted = !quoted;
                }
                word.push(c);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    if quoted {
        return Err("a quote is open".to_owned());
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    Ok(words)
}
