//! A shard whose requests are in a write-ahead log: what it needs of the log, and how it goes on after a restart.

use super::Shard;
use crate::assemble::table::Place;
use crate::assemble::trace::{Completion, Parcel};
use crate::time::Time;
use crate::wal::{Decision, Hold};

impl Shard {
    /// As [`insert`](Shard::insert), of a request in the segment that `hold` is of.
    pub fn insert_logged(&mut self, parcel: Parcel, now: Time, hold: Hold) {
        self.logged.arrive(hold);
        self.insert(parcel, now);
        self.logged.arrived();
    }

    /// Completes the oldest traces until none holds a segment below this one; the next poll gives them out.
    pub fn evict_below(&mut self, segment: u64) {
        while self.logged.oldest().is_some_and(|oldest| oldest < segment) {
            let Some(oldest) = self.traces.oldest() else {
                return;
            };
            let trace = self.complete(oldest, Completion::Evicted);
            self.counters.evicted_by_log += u64::from(trace.is_some());
            self.waiting.extend(trace);
        }
    }

    /// What the log may let go once all traces that were given out until now are decided.
    pub fn take_outgoing(&mut self) -> Vec<Hold> {
        // Those that wait were completed, but not given out.
        if self.waiting.is_empty() {
            self.logged.take_outgoing()
        } else {
            Vec::new()
        }
    }

    /// Remembers a trace that was decided before the host started. Those that were decided first come first.
    pub fn remember_decided(&mut self, decision: Decision, at: Time) {
        if self.decided.is_off() {
            return;
        }
        let completion = Completion::ALL
            .get(usize::from(decision.completion))
            .copied()
            .unwrap_or(Completion::Drained);
        let hash = self.table.hash(&decision.id);
        let number = self.decided.add(decision.id, at, completion, 0);
        let same = |place| match place {
            Place::Open(index) => self.traces.is(index, &decision.id),
            Place::Decided(other) => other != number && self.decided.is(other, &decision.id),
        };
        self.table
            .find_or_enter(hash, same, || Place::Decided(number));
        if let Some((id, number)) = self.decided.forget_surplus() {
            self.counters.forgotten += 1;
            self.forget(&id, number);
        }
    }

    /// All open traces are as if their last span had come now: it is not they who were silent while the host was away.
    pub fn resume(&mut self, now: Time) {
        self.set_clock(now);
        let now = self.now;
        for open in self.traces.iter_mut().filter(|open| open.is_open()) {
            open.last = now;
        }
    }
}
