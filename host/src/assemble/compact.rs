//! Copies live spans out of requests of which little is needed, so that a few slow traces don't hold whole requests.
//!
//! One pass over all open spans, when dead bytes outgrow what is tolerated: every open span of the deadest requests is
//! copied, with its resource and scope, into a new request, and its reference rewritten. Spans are copied trace by trace,
//! so what is read together later lies together. References of traces that were given out are not touched: they hold
//! the old request until they are released.
//!
//! A pass costs a few nanoseconds an open span. It takes the deadest requests first, as those give back the most for each byte
//! that is copied, and frees half of what is tolerated, so that the next pass is not soon. At worst it copies nine bytes for
//! each that it frees.

use super::copy::Copier;
use super::held::HeldRequests;
use super::open::{MARKS, OpenTraces};
use super::trace::SpanRef;

/// How large a new request grows: large enough that its own tables don't matter, small enough that it dies soon.
const CHUNK_BYTES: usize = 256 << 10;

/// Copies what is open out of the deadest requests, until `enough` dead bytes are freed. Returns how many spans it copied.
pub(super) fn compact(traces: &mut OpenTraces, requests: &mut HeldRequests, enough: u64) -> u64 {
    let deadest = requests.deadest(enough);
    let mut hidden = requests.hide_free();
    let mut chunk: Option<Chunk> = None;
    let mut copied = 0;
    for open in traces.iter_mut() {
        for span in &mut open.spans {
            if !deadest.get(span.request as usize).is_some_and(|&is| is) {
                continue;
            }
            let into = match &mut chunk {
                Some(into) if into.has_room(*span) => into,
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

/// What a span's resource and scope are taken to be where they are not in the request yet.
const SURROUNDINGS: usize = 1 << 10;

/// A request being written.
struct Chunk {
    index: u32,
    copier: Copier,
    spans: u32,
    span_bytes: u64,
}

impl Chunk {
    fn new(index: u32) -> Chunk {
        Chunk {
            index,
            copier: Copier::with_capacity(CHUNK_BYTES),
            spans: 0,
            span_bytes: 0,
        }
    }

    /// Whether it need not grow for a span. To grow is to copy it, and leaves a hole in memory that is hardly filled again.
    fn has_room(&self, span: SpanRef) -> bool {
        self.copier.len() + span.range.len as usize + SURROUNDINGS <= CHUNK_BYTES
    }

    fn copy(&mut self, requests: &HeldRequests, span: SpanRef) -> SpanRef {
        self.spans += 1;
        self.span_bytes += u64::from(span.range.len);
        let plain = SpanRef {
            section: span.section & !MARKS,
            ..span
        };
        let copy = self.copier.copy(requests, plain);
        SpanRef {
            request: self.index,
            section: copy.section | span.section & MARKS,
            ..copy
        }
    }

    fn put(self, requests: &mut HeldRequests) {
        requests.put(
            self.index,
            self.copier.finish(),
            self.spans,
            self.span_bytes,
        );
    }
}
