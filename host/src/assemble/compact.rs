//! Copies live spans out of requests of which little is needed, so that a few slow traces don't hold whole requests.
//!
//! One pass over all open spans, when dead bytes outgrow what is tolerated: every open span of a half-dead request is
//! copied, with its resource and scope, into a new request, and its reference rewritten. Spans are copied trace by trace,
//! so what is read together later lies together. References of traces that were given out are not touched: they hold
//! the old request until they are released.
//!
//! A pass costs a few nanoseconds an open span, and as it frees at least a fifth of each request that it touches, it
//! copies at most four bytes for each that it frees. With ordinary traffic requests die within seconds of each other
//! and it never runs.

use hashbrown::HashMap;

use super::held::{HeldRequests, parts, slice};
use super::open::{DROPPED, OpenTraces};
use super::trace::SpanRef;
use crate::otlp::request::Request;
use crate::otlp::scan::{Range, Run, Section};

/// How large a new request grows: large enough that its own tables don't matter, small enough that it dies soon.
const CHUNK_BYTES: usize = 256 << 10;

/// Copies what is open out of half-dead requests. Returns how many spans it copied.
pub(super) fn compact(traces: &mut OpenTraces, requests: &mut HeldRequests) -> u64 {
    let half_dead = requests.half_dead();
    let mut hidden = requests.hide_free();
    let mut chunk: Option<Chunk> = None;
    let mut copied = 0;
    for open in traces.iter_mut() {
        for span in &mut open.spans {
            if !half_dead.get(span.request as usize).is_some_and(|&is| is) {
                continue;
            }
            let into = match &mut chunk {
                Some(into) if into.bytes.len() < CHUNK_BYTES => into,
                full => {
                    if let Some(full) = full.take() {
                        full.put(requests);
                    }
                    full.insert(Chunk::new(requests.reserve(&mut hidden)))
                }
            };
            let old = *span;
            *span = into.copy(requests, old);
            requests.drop_open(old);
            copied += 1;
        }
    }
    if let Some(last) = chunk {
        last.put(requests);
    }
    requests.show_free(hidden);
    copied
}

/// A request being written.
struct Chunk {
    index: u32,
    bytes: Vec<u8>,
    sections: Vec<Section>,
    parts: Vec<Range>,
    spans: u32,
    span_bytes: u64,
    /// Old request and section to new section; old request and run to new run.
    copied_sections: HashMap<(u32, u32), u32, foldhash::fast::RandomState>,
    copied_runs: HashMap<(u32, Run), Run, foldhash::fast::RandomState>,
}

impl Chunk {
    fn new(index: u32) -> Chunk {
        Chunk {
            index,
            bytes: Vec::with_capacity(CHUNK_BYTES),
            sections: Vec::new(),
            parts: Vec::new(),
            spans: 0,
            span_bytes: 0,
            copied_sections: HashMap::default(),
            copied_runs: HashMap::default(),
        }
    }

    fn copy(&mut self, requests: &HeldRequests, span: SpanRef) -> SpanRef {
        let request = requests.request(span.request);
        let section = self.copy_section(request, span);
        let range = self.copy_range(request, span.range);
        self.spans += 1;
        self.span_bytes += u64::from(range.len);
        SpanRef {
            request: self.index,
            section: section | span.section & DROPPED,
            range,
        }
    }

    fn copy_section(&mut self, request: &Request, span: SpanRef) -> u32 {
        let number = span.section & !DROPPED;
        if let Some(&section) = self.copied_sections.get(&(span.request, number)) {
            return section;
        }
        let (resource, scope) = request
            .sections
            .get(number as usize)
            .map_or_else(Default::default, |section| {
                (section.resource, section.scope)
            });
        let section = Section {
            resource: self.copy_run(request, span.request, resource),
            scope: self.copy_run(request, span.request, scope),
        };
        self.sections.push(section);
        let section = self.sections.len() as u32 - 1;
        self.copied_sections.insert((span.request, number), section);
        section
    }

    fn copy_run(&mut self, request: &Request, index: u32, run: Run) -> Run {
        if let Some(&run) = self.copied_runs.get(&(index, run)) {
            return run;
        }
        let first = self.parts.len() as u32;
        for &part in parts(request, run) {
            let range = self.copy_range(request, part);
            self.parts.push(range);
        }
        let copied = Run {
            first,
            count: self.parts.len() as u32 - first,
        };
        self.copied_runs.insert((index, run), copied);
        copied
    }

    fn copy_range(&mut self, request: &Request, range: Range) -> Range {
        let start = self.bytes.len() as u32;
        let bytes = slice(request, range);
        self.bytes.extend_from_slice(bytes);
        Range {
            start,
            len: bytes.len() as u32,
        }
    }

    fn put(self, requests: &mut HeldRequests) {
        let mut bytes = self.bytes;
        bytes.shrink_to_fit();
        let request = Request {
            bytes: bytes.into(),
            sections: self.sections.into(),
            parts: self.parts.into(),
        };
        requests.put(self.index, request, self.spans, self.span_bytes);
    }
}
