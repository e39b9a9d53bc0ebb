//! Traces to a batch, as `wit/rule.wit` lays it out.

use std::collections::HashMap;

use betrace_dsl::reference::{Item, Span, Trace, Value};
use betrace_dsl::types::tree::Place;

use super::types::{self, Batch, Column, Intrinsic, Manifest, Source, Table};

const NONE: u32 = u32::MAX;

#[derive(Default)]
struct Builder {
    symbols: HashMap<String, u32>,
    texts: Vec<String>,
    w32: Vec<u32>,
    w64: Vec<u64>,
    w8: Vec<u8>,
}

/// The batch of these traces that a rule with this manifest asks for.
pub fn of(manifest: &Manifest, traces: &[Trace]) -> Batch {
    let spans: Vec<&Span> = traces.iter().flat_map(|trace| &trace.spans).collect();
    let events: Vec<&Item> = spans.iter().flat_map(|span| &span.events).collect();
    let links: Vec<&Item> = spans.iter().flat_map(|span| &span.links).collect();
    let mut columns = Builder::default();
    for column in &manifest.columns {
        match column.table {
            Table::Spans => columns.spans(column, &spans),
            Table::Events => columns.items(column, &events),
            Table::Links => columns.items(column, &links),
        }
    }
    let mut w32 = vec![0];
    for trace in traces {
        w32.push(w32.last().unwrap() + trace.spans.len() as u32);
    }
    for constant in &manifest.constants {
        w32.push(columns.symbols.get(constant).copied().unwrap_or(NONE));
    }
    w32.extend(&columns.w32);
    let mut w8 = columns.w8;
    if manifest.columns.iter().any(|column| column.text) {
        let mut offset = 0;
        w32.push(0);
        for text in &columns.texts {
            offset += text.len() as u32;
            w32.push(offset);
            w8.extend(text.as_bytes());
        }
    }
    Batch {
        traces: traces.len() as u32,
        spans: spans.len() as u32,
        events: events.len() as u32,
        links: links.len() as u32,
        symbols: columns.texts.len() as u32,
        w32,
        w64: columns.w64,
        w8,
    }
}

impl Builder {
    fn spans(&mut self, column: &Column, spans: &[&Span]) {
        match &column.source {
            Source::Attribute(attribute) => {
                for span in spans {
                    self.attribute(span_attribute(span, attribute));
                }
            }
            Source::Intrinsic(Intrinsic::Events) => {
                self.offsets(spans.iter().map(|span| span.events.len()));
            }
            Source::Intrinsic(Intrinsic::Links) => {
                self.offsets(spans.iter().map(|span| span.links.len()));
            }
            Source::Intrinsic(intrinsic) => {
                for span in spans {
                    self.span_fact(span, *intrinsic);
                }
            }
        }
    }

    fn span_fact(&mut self, span: &Span, intrinsic: Intrinsic) {
        match intrinsic {
            Intrinsic::Name => self.symbol(&span.name),
            Intrinsic::Service => self.symbol(&span.service),
            Intrinsic::StatusMessage => self.symbol(&span.status_message),
            Intrinsic::TraceId => self.symbol(&span.trace_id),
            Intrinsic::SpanId => self.symbol(&span.span_id),
            Intrinsic::ParentId => self.symbol(&span.parent_id),
            Intrinsic::Depth => self.w32.push(span.depth),
            Intrinsic::ChildCount => self.w32.push(span.child_count),
            Intrinsic::Start => self.time(span.start),
            Intrinsic::End => self.time(span.end),
            Intrinsic::Duration => self.time(span.duration),
            Intrinsic::SelfTime => self.time(span.self_time),
            Intrinsic::Kind => self.w8.push(span.kind),
            Intrinsic::Status => self.w8.push(span.status),
            Intrinsic::Flags => {
                self.w8
                    .push(u8::from(span.is_root) | u8::from(span.is_leaf) << 1);
            }
            other => panic!("spans have no {other:?}"),
        }
    }

    fn items(&mut self, column: &Column, items: &[&Item]) {
        for item in items {
            match &column.source {
                Source::Attribute(attribute) => {
                    assert_eq!(attribute.place, types::Place::Span);
                    let mut attributes = item.attributes.iter();
                    let found = attributes.find(|(key, _)| *key == attribute.key);
                    self.attribute(found.map(|(_, value)| value));
                }
                Source::Intrinsic(Intrinsic::Name) => self.symbol(&item.name),
                Source::Intrinsic(Intrinsic::TraceId) => self.symbol(&item.trace_id),
                Source::Intrinsic(Intrinsic::SpanId) => self.symbol(&item.span_id),
                Source::Intrinsic(Intrinsic::Time) => self.time(item.time),
                other => panic!("items have no {other:?}"),
            }
        }
    }

    fn offsets(&mut self, lengths: impl Iterator<Item = usize>) {
        let mut offset = 0;
        self.w32.push(0);
        for length in lengths {
            offset += length as u32;
            self.w32.push(offset);
        }
    }

    fn attribute(&mut self, value: Option<&Value>) {
        let (tag, bits) = match value {
            None => (0, 0),
            Some(Value::Bool(bool)) => (1, u64::from(*bool)),
            Some(Value::Int(int)) => (2, int.cast_unsigned()),
            Some(Value::Float(float)) => (3, float.to_bits()),
            Some(Value::Text(text)) => (4, u64::from(self.intern(text))),
            Some(Value::Array) => (5, 0),
            Some(Value::Map) => (6, 0),
            Some(Value::Bytes) => (7, 0),
        };
        self.w8.push(tag);
        self.w64.push(bits);
    }

    fn time(&mut self, of: Option<i64>) {
        self.w64.push(of.unwrap_or(-1).cast_unsigned());
    }

    fn symbol(&mut self, text: &Option<String>) {
        let symbol = text.as_ref().map_or(NONE, |text| self.intern(text));
        self.w32.push(symbol);
    }

    fn intern(&mut self, text: &str) -> u32 {
        if let Some(&symbol) = self.symbols.get(text) {
            return symbol;
        }
        let symbol = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.symbols.insert(text.to_owned(), symbol);
        symbol
    }
}

fn span_attribute<'t>(span: &'t Span, attribute: &types::Attribute) -> Option<&'t Value> {
    let places: &[Place] = match attribute.place {
        types::Place::Any => &[Place::Span, Place::Resource, Place::Scope],
        types::Place::Span => &[Place::Span],
        types::Place::OfResource => &[Place::Resource],
        types::Place::Scope => &[Place::Scope],
    };
    places.iter().find_map(|place| {
        let mut attributes = span.attributes.iter();
        let found = attributes.find(|(at, key, _)| at == place && *key == attribute.key);
        found.map(|(_, _, value)| value)
    })
}
