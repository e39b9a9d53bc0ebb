//! Spans that arrive: each goes to its open trace, opens one, or is late. A trace that comes to a cap is complete.

use super::Shard;
use crate::assemble::duplicates::{Duplicates, Fate};
use crate::assemble::open::{HAS_ROOT, LOOKED, REMOTE_ROOT, WATCHED, reference};
use crate::assemble::table::Place;
use crate::assemble::trace::{Completion, span_bytes};
use crate::otlp::scan::ScannedSpan;

/// How many traces are looked up together. With a million of them open each look-up misses the cache three times, one after
/// the other; those of different traces can wait at the same time.
const LOOK_AHEAD: usize = 32;

/// A run of spans of one trace, and what was found of the trace.
#[derive(Clone, Copy, Debug, Default)]
struct Ahead<'a> {
    run: &'a [ScannedSpan],
    hash: u32,
    open: Option<u32>,
}

impl Shard {
    /// Spans of one request, which counts them as open.
    pub(super) fn insert_spans(&mut self, request: u32, spans: &[ScannedSpan]) {
        let mut runs = spans.chunk_by(|a, b| a.trace_id == b.trace_id);
        loop {
            let mut ahead = [Ahead::default(); LOOK_AHEAD];
            let mut count = 0;
            for (ahead, run) in ahead.iter_mut().zip(runs.by_ref()) {
                ahead.run = run;
                count += 1;
            }
            let Some(ahead) = ahead.get_mut(..count).filter(|ahead| !ahead.is_empty()) else {
                return;
            };
            self.look_ahead(ahead);
            for ahead in ahead {
                self.insert_run(request, ahead);
            }
        }
    }

    /// Finds the open traces of some runs, step by step for all of them together.
    fn look_ahead(&self, ahead: &mut [Ahead<'_>]) {
        for ahead in ahead.iter_mut() {
            if let Some(first) = ahead.run.first() {
                ahead.hash = self.table.hash(&first.trace_id);
                ahead.open = self.table.likely_open(ahead.hash);
            }
        }
        for ahead in ahead {
            ahead.open = ahead.open.filter(|&index| self.is_of(index, ahead.run));
        }
    }

    fn is_of(&self, index: u32, run: &[ScannedSpan]) -> bool {
        run.first()
            .is_some_and(|first| self.traces.is(index, &first.trace_id))
    }

    /// Spans of one trace.
    fn insert_run(&mut self, request: u32, ahead: &Ahead<'_>) {
        let run = ahead.run;
        let Some(first) = run.first() else {
            return;
        };
        // An earlier run of this parcel may have completed it.
        let open = ahead.open.filter(|&index| self.is_of(index, run));
        let Some(index) =
            open.or_else(|| self.find_or_open(ahead.hash, &first.trace_id, run.len()))
        else {
            self.drop_late(request, run);
            return;
        };
        if let Some(open) = self.traces.get_mut(index) {
            open.last = self.now;
            open.segment = self.logged.joined(open.segment);
            open.flags &= !(LOOKED | REMOTE_ROOT);
            if run.iter().any(|span| span.is_root) {
                open.flags |= HAS_ROOT;
            }
            let settled = self.now.after(self.limits.settle);
            if self.deadlines.is_after(open.spoke, settled) {
                open.spoke = self.deadlines.put(index, settled);
            }
            let spans = open.spans.len() + run.len();
            let bytes = u64::from(open.bytes) + span_bytes(run);
            let capped =
                spans >= self.limits.trace_spans as usize || bytes >= self.limits.trace_bytes;
            if capped || open.flags & WATCHED != 0 {
                self.insert_slowly(index, request, run);
                return;
            }
        }
        self.traces.extend(index, request, run);
    }

    /// The open trace with this id, opened if need be; none if it was decided already, so that its spans are late.
    fn find_or_open(&mut self, hash: u32, id: &[u8; 16], spans: usize) -> Option<u32> {
        let next = self.traces.next();
        let same = |place| match place {
            Place::Open(index) => self.traces.is(index, id),
            Place::Decided(number) => self.decided.is(number, id),
        };
        match self.table.find_or_enter(hash, same, || Place::Open(next)) {
            Some(Place::Open(index)) => return Some(index),
            Some(Place::Decided(number)) => {
                if !self.decided.is_over(number, self.now) {
                    self.decided.came_late(number, spans);
                    return None;
                }
                let new = Place::Open(next);
                self.table.replace(hash, Place::Decided(number), new);
            }
            None => {}
        }
        if self.traces.len() == 0 {
            self.deadlines.skip_to(self.now);
        }
        self.counters.opened += 1;
        let segment = self.logged.opened();
        Some(self.traces.open(*id, self.now, segment))
    }

    fn drop_late(&mut self, request: u32, spans: &[ScannedSpan]) {
        self.counters.late += spans.len() as u64;
        for span in spans {
            self.requests.drop_open(reference(request, span));
        }
    }

    /// Span by span, for a trace at a cap: the one that reaches it completes the trace, and those behind it are late.
    fn insert_slowly(&mut self, index: u32, request: u32, run: &[ScannedSpan]) {
        for (at, span) in run.iter().enumerate() {
            self.add_watched(index, request, span);
            if let Some(completion) = self.cap_reached(index) {
                let trace = self.complete(index, completion);
                self.waiting.extend(trace);
                let late = run.get(at + 1..).unwrap_or_default();
                self.decided.newest_came_late(late.len());
                self.drop_late(request, late);
                return;
            }
        }
    }

    fn add_watched(&mut self, index: u32, request: u32, span: &ScannedSpan) {
        let Some(watched) = self.watched.get_mut(&index) else {
            self.traces
                .extend(index, request, std::slice::from_ref(span));
            return;
        };
        let Some(open) = self.traces.get_mut(index) else {
            return;
        };
        self.watched_bytes -= watched.bytes();
        let new = reference(request, span);
        let had = open.spans.capacity();
        let fate = watched.add(&self.requests, &mut open.spans, new);
        let grown = open.spans.capacity() - had;
        open.bytes = open.bytes.saturating_add(new.range.len);
        if let Fate::Duplicate(surplus) = fate {
            open.bytes = open.bytes.saturating_sub(surplus.range.len);
            self.counters.duplicates += 1;
            self.requests.drop_open(surplus);
        }
        self.watched_bytes += watched.bytes();
        self.traces.has_grown(grown);
    }

    /// Which cap the trace has reached. If only duplicates took it there, they go, and it is watched from now on.
    fn cap_reached(&mut self, index: u32) -> Option<Completion> {
        let reached = self.cap_of(index)?;
        let open = self.traces.get_mut(index)?;
        if open.flags & WATCHED != 0 {
            return Some(reached);
        }
        self.completer.deduplicate(&self.requests, &mut open.spans);
        open.flags |= WATCHED;
        let bytes: u64 = open
            .spans
            .iter()
            .map(|span| u64::from(span.range.len))
            .sum();
        open.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let duplicates = Duplicates::new(self.completer.identities());
        self.drop_duplicates();
        self.watched_bytes += duplicates.bytes();
        self.watched.insert(index, duplicates);
        self.cap_of(index)
    }

    fn cap_of(&self, index: u32) -> Option<Completion> {
        let open = self.traces.get(index)?;
        if open.spans.len() >= self.limits.trace_spans as usize {
            return Some(Completion::SpanCap);
        }
        (u64::from(open.bytes) >= self.limits.trace_bytes).then_some(Completion::ByteCap)
    }
}
