//! The open traces: a slab of one cache line each, and the order in which they were opened.

use std::collections::VecDeque;

use super::deadlines::NOWHERE;
use super::trace::SpanRef;
use crate::otlp::scan::ScannedSpan;
use crate::time::Time;

/// An open trace. A span that arrives touches this line, the table's and the end of `spans`, and no other.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Open {
    pub(super) id: [u8; 16],
    /// As they came, duplicates too. The highest bit of a section says that the span dropped something.
    pub(super) spans: Vec<SpanRef>,
    pub(super) opened: Time,
    /// When its last span came.
    pub(super) last: Time,
    /// Of its spans' payloads; stops at the largest number.
    pub(super) bytes: u32,
    /// Where [`Deadlines`](super::deadlines::Deadlines) has it.
    pub(super) spoke: u16,
    pub(super) flags: u8,
    /// The low byte of the number of the oldest of the log's segments that a span of it is in.
    pub(super) segment: u8,
}

const _: () = assert!(size_of::<Open>() == 64);

/// A span without parent has come.
pub(super) const HAS_ROOT: u8 = 1;
/// Since the last span it was looked whether the span above all others has its parent in another process.
pub(super) const LOOKED: u8 = 2;
/// It has, and so it is a root.
pub(super) const REMOTE_ROOT: u8 = 4;
/// Duplicates are found on arrival: see [`Duplicates`](super::duplicates::Duplicates).
pub(super) const WATCHED: u8 = 8;

/// What the scan found of a span stands in the highest bits of its section while its trace is open. A section that holds a span
/// takes 30 bytes of a request, whose ranges have 32 bits: so there are less than 2^28 of them.
pub(super) const MARKS: u32 = DROPPED | IDS_LEAD | REMOTE;
/// It says that it dropped attributes, events or links.
pub(super) const DROPPED: u32 = 1 << 31;
/// Its ids and its kind come first, and once.
pub(super) const IDS_LEAD: u32 = 1 << 30;
/// Its parent is in another process.
pub(super) const REMOTE: u32 = 1 << 29;

/// What an open trace takes beside its spans: itself, its table entry at the usual load (16), its age (32, as stale ones
/// are kept up to the number of open ones), its deadlines (16) and the allocation of its spans (16).
pub(super) const OPEN_BYTES: u64 = size_of::<Open>() as u64 + 80;

#[derive(Debug, Default)]
pub(super) struct OpenTraces {
    slots: Vec<Open>,
    free: Vec<u32>,
    /// In the order of opening. Closed ones stay until they come to the front, or outnumber the open ones.
    ages: VecDeque<(Time, u32)>,
    /// Capacity of all `spans`.
    capacity: u64,
    /// Buffers of released traces, for the next ones: a new trace then seldom allocates, whatever its size turns out to be.
    spare: Vec<Vec<SpanRef>>,
}

/// How many buffers are kept: those of a batch or two.
const SPARES: usize = 4096;

/// The largest buffer kept, in spans: an open trace of one span must not take a kilobyte.
const SPARE_CAPACITY: usize = 16;

impl OpenTraces {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// What they take, the bytes of their spans apart.
    pub(super) fn bytes(&self) -> u64 {
        self.len() as u64 * OPEN_BYTES + self.capacity * size_of::<SpanRef>() as u64
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Open> {
        self.slots.get(index as usize)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Open> {
        self.slots.get_mut(index as usize)
    }

    #[inline]
    pub(super) fn is(&self, index: u32, id: &[u8; 16]) -> bool {
        self.get(index).is_some_and(|open| open.id == *id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Open> {
        self.slots.iter_mut()
    }

    /// The index that the next opened trace will have.
    pub(super) fn next(&self) -> u32 {
        self.free.last().copied().unwrap_or(self.slots.len() as u32)
    }

    pub(super) fn open(&mut self, id: [u8; 16], now: Time, segment: u8) -> u32 {
        let spans = self.spare.pop().unwrap_or_default();
        self.capacity += spans.capacity() as u64;
        let open = Open {
            id,
            spans,
            opened: now,
            last: now,
            bytes: 0,
            spoke: NOWHERE,
            flags: 0,
            segment,
        };
        let index = self.next();
        match self
            .free
            .pop()
            .and_then(|index| self.slots.get_mut(index as usize))
        {
            Some(slot) => *slot = open,
            None => self.slots.push(open),
        }
        if self.ages.len() > 2 * self.len() + AGES_SLACK {
            let slots = &self.slots;
            self.ages.retain(|&age| is_open(slots, age));
        }
        self.ages.push_back((now, index));
        index
    }

    /// Adds spans; their trace's flags and times are the caller's.
    #[inline]
    pub(super) fn extend(&mut self, index: u32, request: u32, spans: &[ScannedSpan]) {
        let Some(open) = self.slots.get_mut(index as usize) else {
            return;
        };
        let had = open.spans.capacity();
        if had - open.spans.len() < spans.len() {
            // Half as much again, since doubling wastes a quarter of the memory that a million traces take.
            open.spans
                .reserve_exact(spans.len().max(open.spans.len() / 2));
            self.capacity += (open.spans.capacity() - had) as u64;
        }
        for span in spans {
            open.spans.push(reference(request, span));
            open.bytes = open.bytes.saturating_add(span.range.len);
        }
    }

    /// Takes the buffer of a released trace. One that was mostly empty goes, so that capacities follow the traffic.
    pub(super) fn recycle(&mut self, mut spans: Vec<SpanRef>) {
        let fits = spans.capacity() <= SPARE_CAPACITY && spans.len() * 2 >= spans.capacity();
        if fits && self.spare.len() < SPARES {
            spans.clear();
            self.spare.push(spans);
        }
    }

    /// The spans of some trace were given more capacity by someone else.
    pub(super) fn has_grown(&mut self, by: usize) {
        self.capacity += by as u64;
    }

    /// Takes a trace out: its spans, and when it was opened.
    pub(super) fn close(&mut self, index: u32) -> Option<Open> {
        let slot = self.slots.get_mut(index as usize)?;
        let closed = Open {
            id: [0; 16],
            spans: Vec::new(),
            opened: Time(u64::MAX),
            last: Time(u64::MAX),
            bytes: 0,
            spoke: NOWHERE,
            flags: 0,
            segment: 0,
        };
        let open = std::mem::replace(slot, closed);
        self.capacity -= open.spans.capacity() as u64;
        self.free.push(index);
        Some(open)
    }

    /// The trace that was opened first. It stays where it is.
    pub(super) fn oldest(&mut self) -> Option<u32> {
        while let Some(&age) = self.ages.front() {
            if is_open(&self.slots, age) {
                return Some(age.1);
            }
            self.ages.pop_front();
        }
        None
    }
}

/// Ages this few are not worth tidying.
const AGES_SLACK: usize = 1024;

/// A slot's next trace that was opened in the same instant is taken for the first one: they are equally old.
fn is_open(slots: &[Open], (opened, index): (Time, u32)) -> bool {
    slots
        .get(index as usize)
        .is_some_and(|open| open.opened == opened && open.is_open())
}

impl Open {
    /// Closed ones stay in their slots.
    pub(super) fn is_open(&self) -> bool {
        self.last != Time(u64::MAX)
    }
}

/// A span as an open trace keeps it.
#[inline]
pub(super) fn reference(request: u32, span: &ScannedSpan) -> SpanRef {
    let mark = |is, mark| if is { mark } else { 0 };
    let marks =
        mark(span.dropped, DROPPED) | mark(span.ids_lead, IDS_LEAD) | mark(span.remote, REMOTE);
    SpanRef {
        request,
        section: span.section & !MARKS | marks,
        range: span.range,
    }
}
