//! Requests that are still needed, and what they cost this shard.
//!
//! A span of a request is in one of three states here: *open* (an open trace refers to it), *out* (a trace that was given
//! out does) or *dead* (nobody does: duplicate, late, released, or copied elsewhere). A request is let go when all its
//! spans are dead. What counts against the memory bound are requests with open spans: the spans that are open, the dead
//! ones that only they keep in memory, and the `rest` (this shard's share of resources and framing).

use std::sync::Arc;

use bytes::Bytes;

use super::ids::Ids;
use super::open::{IDS_LEAD, MARKS, REMOTE};
use super::trace::{Parcel, Requests, SpanRef, span_bytes};
use crate::otlp::request::Request;
use crate::otlp::scan::{Range, Run};

#[derive(Debug)]
pub(super) struct HeldRequests {
    slots: Vec<Option<Held>>,
    free: Vec<u32>,
    totals: Totals,
    /// What an index that names no request is answered with.
    none: Request,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    /// Open spans and their bytes.
    pub(super) open_spans: u64,
    pub(super) open: u64,
    /// Bytes of spans that are out.
    pub(super) out: u64,
    /// Bytes of dead spans in requests with open ones.
    pub(super) dead: u64,
    /// What is not span in requests with open spans.
    pub(super) rest: u64,
    /// This shard's share of all requests it holds.
    pub(super) share: u64,
}

#[derive(Debug)]
struct Held {
    request: Arc<Request>,
    open_spans: u32,
    out_spans: u32,
    /// Bytes of all its spans, whatever their state.
    spans: u64,
    dead: u64,
    rest: u64,
}

impl Requests for HeldRequests {
    fn request(&self, index: u32) -> &Request {
        HeldRequests::request(self, index)
    }
}

impl HeldRequests {
    pub(super) fn new() -> HeldRequests {
        HeldRequests {
            slots: Vec::new(),
            free: Vec::new(),
            totals: Totals::default(),
            none: Request {
                bytes: Bytes::new(),
                sections: Box::default(),
                parts: Box::default(),
            },
        }
    }

    pub(super) fn totals(&self) -> Totals {
        self.totals
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn request(&self, index: u32) -> &Request {
        match self.slots.get(index as usize) {
            Some(Some(held)) => &held.request,
            _ => &self.none,
        }
    }

    /// A span's payload.
    #[inline]
    pub(super) fn span(&self, span: SpanRef) -> &[u8] {
        slice(self.request(span.request), span.range)
    }

    /// The ids of a span of an open trace.
    #[inline]
    pub(super) fn ids(&self, span: SpanRef) -> Ids {
        let bytes = self.span(span);
        if span.section & IDS_LEAD != 0 {
            Ids::leading(bytes, span.section & REMOTE != 0)
        } else {
            Ids::read(bytes)
        }
    }

    /// The payloads and schema URL of a span's resource, then of its scope.
    pub(super) fn surroundings(&self, span: SpanRef) -> impl Iterator<Item = &[u8]> {
        let request = self.request(span.request);
        let section = request.sections.get((span.section & !MARKS) as usize);
        let runs = section.map_or([Run::default(); 2], |section| {
            [section.resource, section.scope]
        });
        runs.into_iter().flat_map(move |run| {
            let parts = parts(request, run).iter().copied();
            parts
                .chain([run.schema])
                .map(move |part| slice(request, part))
        })
    }

    /// Takes a parcel's request; all its spans are open.
    pub(super) fn add(&mut self, parcel: &Parcel) -> u32 {
        let spans = span_bytes(&parcel.spans);
        let held = Held {
            request: Arc::clone(&parcel.request),
            open_spans: u32::try_from(parcel.spans.len()).unwrap_or(u32::MAX),
            out_spans: 0,
            spans,
            dead: 0,
            rest: parcel.share.saturating_sub(spans),
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        });
        self.fill(index, held);
        index
    }

    /// An open span goes out with its trace.
    #[inline]
    pub(super) fn give(&mut self, span: SpanRef) {
        let Some(Some(held)) = self.slots.get_mut(span.request as usize) else {
            return;
        };
        held.open_spans -= 1;
        held.out_spans += 1;
        self.totals.out += u64::from(span.range.len);
        self.closed(span);
    }

    /// An open span is not needed after all.
    #[inline]
    pub(super) fn drop_open(&mut self, span: SpanRef) {
        let Some(Some(held)) = self.slots.get_mut(span.request as usize) else {
            return;
        };
        held.open_spans -= 1;
        held.dead += u64::from(span.range.len);
        self.totals.dead += u64::from(span.range.len);
        self.closed(span);
    }

    /// A span that was out is not needed any more.
    #[inline]
    pub(super) fn take_back(&mut self, span: SpanRef) {
        let Some(Some(held)) = self.slots.get_mut(span.request as usize) else {
            return;
        };
        // A trace that was cloned and released twice must not take others' spans with it.
        let Some(out_spans) = held.out_spans.checked_sub(1) else {
            return;
        };
        held.out_spans = out_spans;
        held.dead += u64::from(span.range.len);
        self.totals.out = self.totals.out.saturating_sub(span.range.len.into());
        if held.open_spans > 0 {
            self.totals.dead += u64::from(span.range.len);
        } else if held.out_spans == 0 {
            self.free(span.request);
        }
    }

    /// The requests with open spans of which most is dead, by index: as many as it takes to free `enough` bytes, and none of which
    /// less than a tenth is dead. While dead bytes are more than a ninth of the others there is one.
    pub(super) fn deadest(&self, enough: u64) -> Vec<bool> {
        // By tenths that are dead.
        let mut dead = [0; 11];
        for held in self.slots.iter().flatten() {
            if let Some(dead) = dead.get_mut(held.tenths_dead()) {
                *dead += held.dead;
            }
        }
        let mut freed = 0;
        let least = (1..dead.len()).rev().find(|&tenths| {
            freed += dead.get(tenths).copied().unwrap_or_default();
            freed >= enough
        });
        let least = least.unwrap_or(1);
        let is = |held: &Held| held.tenths_dead() >= least;
        self.slots
            .iter()
            .map(|slot| slot.as_ref().is_some_and(is))
            .collect()
    }

    /// Hides the free places, so that what is added meanwhile takes none that becomes free meanwhile.
    pub(super) fn hide_free(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.free)
    }

    pub(super) fn show_free(&mut self, hidden: Vec<u32>) {
        self.free.extend(hidden);
    }

    /// The place of a request that is being written, from `hidden` or behind all others.
    pub(super) fn reserve(&mut self, hidden: &mut Vec<u32>) -> u32 {
        hidden.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as u32 - 1
        })
    }

    /// Puts a request that was written into its place. All its spans are open.
    pub(super) fn put(&mut self, index: u32, request: Request, spans: u32, bytes: u64) {
        let share = super::trace::footprint(&request);
        self.fill(
            index,
            Held {
                request: Arc::new(request),
                open_spans: spans,
                out_spans: 0,
                spans: bytes,
                dead: 0,
                rest: share.saturating_sub(bytes),
            },
        );
    }

    fn fill(&mut self, index: u32, held: Held) {
        self.totals.open_spans += u64::from(held.open_spans);
        self.totals.open += held.spans;
        self.totals.rest += held.rest;
        self.totals.share += held.spans + held.rest;
        if let Some(slot) = self.slots.get_mut(index as usize) {
            *slot = Some(held);
        }
    }

    /// A span ceased to be open.
    #[inline]
    fn closed(&mut self, span: SpanRef) {
        self.totals.open_spans -= 1;
        self.totals.open -= u64::from(span.range.len);
        let Some(Some(held)) = self.slots.get(span.request as usize) else {
            return;
        };
        if held.open_spans == 0 {
            self.totals.dead -= held.dead;
            self.totals.rest -= held.rest;
            if held.out_spans == 0 {
                self.free(span.request);
            }
        }
    }

    fn free(&mut self, index: u32) {
        if let Some(slot) = self.slots.get_mut(index as usize)
            && let Some(held) = slot.take()
        {
            self.totals.share -= held.spans + held.rest;
            self.free.push(index);
        }
    }
}

impl Held {
    /// How many tenths of it are dead; none where that keeps nothing in memory.
    fn tenths_dead(&self) -> usize {
        if self.open_spans == 0 {
            return 0;
        }
        // Never more than its spans are.
        (self.dead * 10 / (self.spans + self.rest).max(1)) as usize
    }
}

/// The ranges of a run.
pub(super) fn parts(request: &Request, run: Run) -> &[Range] {
    let first = run.first as usize;
    request
        .parts
        .get(first..first + run.count as usize)
        .unwrap_or_default()
}

/// The bytes of a range; none where it names none.
#[inline]
pub(super) fn slice(request: &Request, range: Range) -> &[u8] {
    let start = range.start as usize;
    request
        .bytes
        .get(start..start + range.len as usize)
        .unwrap_or_default()
}
