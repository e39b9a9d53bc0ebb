//! Traces for tests of columns: encoded requests in, assembled traces out, by the plainest scan that works.

use betrace::assemble::trace::{Completion, Requests, SpanRef, Trace};
use betrace::otlp::request::Request;
use betrace::otlp::scan::{Range, Run, Section};
use betrace::otlp::wire::{Wire, fields};

/// Requests, and the traces whose spans lie in them.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) store: Store,
    pub(crate) traces: Vec<Trace>,
}

#[derive(Debug, Default)]
pub(crate) struct Store(Vec<Request>);

impl Requests for Store {
    fn request(&self, index: u32) -> &Request {
        &self.0[index as usize]
    }
}

/// Assembles what encoded `ExportTraceServiceRequest`s hold: traces in the order of their first spans, spans as they come.
pub(crate) fn batch(requests: impl IntoIterator<Item = Vec<u8>>) -> Batch {
    let mut batch = Batch::default();
    for bytes in requests {
        add(&mut batch, bytes);
    }
    batch
}

fn add(batch: &mut Batch, bytes: Vec<u8>) {
    let index = batch.store.0.len() as u32;
    let range = |part: &[u8]| Range {
        start: (part.as_ptr() as usize - bytes.as_ptr() as usize) as u32,
        len: part.len() as u32,
    };
    let (mut sections, mut parts) = (Vec::new(), Vec::new());
    for resource_spans in payloads(&bytes, 1) {
        let resource = run(&mut parts, payloads(resource_spans, 1).map(range));
        for scope_spans in payloads(resource_spans, 2) {
            let scope = run(&mut parts, payloads(scope_spans, 1).map(range));
            for span in payloads(scope_spans, 2) {
                let id = payloads(span, 1)
                    .last()
                    .and_then(|id| id.try_into().ok())
                    .expect("a trace id");
                let span = SpanRef {
                    request: index,
                    section: sections.len() as u32,
                    range: range(span),
                };
                trace(&mut batch.traces, id).spans.push(span);
            }
            sections.push(Section { resource, scope });
        }
    }
    batch.store.0.push(Request {
        bytes: bytes.into(),
        sections: sections.into(),
        parts: parts.into(),
    });
}

fn trace(traces: &mut Vec<Trace>, id: [u8; 16]) -> &mut Trace {
    let index = traces
        .iter()
        .position(|trace| trace.id == id)
        .unwrap_or_else(|| {
            let trace = Trace {
                id,
                spans: Vec::new(),
                completion: Completion::Root,
                missing_parents: 0,
                dropped: false,
                root: 0,
                through: 0,
            };
            traces.push(trace);
            traces.len() - 1
        });
    &mut traces[index]
}

fn run(parts: &mut Vec<Range>, more: impl Iterator<Item = Range>) -> Run {
    let first = parts.len() as u32;
    parts.extend(more);
    Run {
        first,
        count: parts.len() as u32 - first,
        ..Run::default()
    }
}

fn payloads(message: &[u8], wanted: u32) -> impl Iterator<Item = &[u8]> {
    fields(message).filter_map(move |field| match field {
        (number, Wire::Bytes(bytes)) if number == wanted => Some(bytes),
        _ => None,
    })
}
