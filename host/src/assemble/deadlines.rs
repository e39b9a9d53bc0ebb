//! Which open traces are due, without looking at the others.
//!
//! A wheel of 1,024 spokes, 128 to a `settle`, holds every open trace once, at the earliest time that it could be
//! complete. A span that arrives moves that time away and leaves the wheel alone; when the wheel comes to a trace, the
//! owner looks when it is due by now, and the trace goes to that spoke. So a span costs nothing here, and a trace one
//! visit for each `settle` in which spans came: two or three for an ordinary one, and a pass through the heap.
//! Traces due within the current tick wait in a small heap, so that deadlines are exact and not rounded to ticks.
//!
//! A binary heap over all open traces would cost a dozen cache misses at each of those visits, and a plain queue would
//! do only if all deadlines had one length.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::time::Time;

const SPOKES: u64 = 1024;

/// The wheel reaches eight settles ahead; what is due later is looked at once a turn.
const TICKS_IN_SETTLE: u32 = 128;

/// In the heap, not on the wheel.
pub(super) const NEAR: u16 = u16::MAX - 1;

/// Not waiting for anything.
pub(super) const NOWHERE: u16 = u16::MAX;

#[derive(Debug)]
pub(super) struct Deadlines {
    tick: u64,
    /// The tick whose spoke was emptied last.
    cursor: u64,
    spokes: Vec<Vec<u32>>,
    /// A bit for each spoke that is not empty.
    busy: [u64; SPOKES as usize / 64],
    /// Traces of the spoke at the cursor, yet to be asked.
    turned: Vec<u32>,
    near: BinaryHeap<Reverse<(Time, u32)>>,
}

/// A trace whose time may have come: the owner asks [`Deadlines`] no more about it until it is put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Visit {
    pub(super) index: u32,
    /// Where the trace has to be for the visit to be meant for it: an entry of a trace that is gone, or that was moved to
    /// an earlier spoke, stays on the wheel until it is met.
    pub(super) spoke: u16,
}

impl Deadlines {
    pub(super) fn new(settle: Duration) -> Deadlines {
        let tick = (settle / TICKS_IN_SETTLE).as_nanos();
        Deadlines {
            tick: u64::try_from(tick).unwrap_or(u64::MAX).max(1),
            cursor: 0,
            spokes: vec![Vec::new(); SPOKES as usize],
            busy: [0; SPOKES as usize / 64],
            turned: Vec::new(),
            near: BinaryHeap::new(),
        }
    }

    /// With nothing on the wheel the time may pass without it turning.
    pub(super) fn skip_to(&mut self, now: Time) {
        if self.turned.is_empty() && self.busy.iter().all(|&bits| bits == 0) {
            self.cursor = self.cursor.max(now.0 / self.tick);
        }
    }

    /// Puts a trace where it is met at `at`, or earlier. Returns where that is.
    pub(super) fn put(&mut self, index: u32, at: Time) -> u16 {
        let tick = at.0 / self.tick;
        if tick <= self.cursor {
            self.near.push(Reverse((at, index)));
            return NEAR;
        }
        let spoke = tick.min(self.cursor + SPOKES - 1) % SPOKES;
        if let Some(entries) = self.spokes.get_mut(spoke as usize) {
            entries.push(index);
            self.busy[spoke as usize / 64] |= 1 << (spoke % 64);
        }
        spoke as u16
    }

    /// A trace on `spoke` would be met after `at`.
    #[inline]
    pub(super) fn is_after(&self, spoke: u16, at: Time) -> bool {
        if spoke == NEAR {
            return false;
        }
        if spoke == NOWHERE {
            return true;
        }
        let ahead = (u64::from(spoke) + SPOKES - self.cursor % SPOKES) % SPOKES;
        self.cursor + ahead > at.0 / self.tick
    }

    /// The next trace whose time may have come by `now`.
    pub(super) fn next(&mut self, now: Time) -> Option<Visit> {
        loop {
            if let Some(index) = self.turned.pop() {
                let spoke = (self.cursor % SPOKES) as u16;
                return Some(Visit { index, spoke });
            }
            if let Some(&Reverse((at, index))) = self.near.peek()
                && at <= now
            {
                self.near.pop();
                return Some(Visit { index, spoke: NEAR });
            }
            let last = now.0 / self.tick;
            if self.cursor >= last {
                return None;
            }
            match self.next_busy() {
                Some(tick) if tick <= last => {
                    self.cursor = tick;
                    let spoke = (tick % SPOKES) as usize;
                    self.busy[spoke / 64] &= !(1 << (spoke % 64));
                    // `turned` is empty, and its buffer goes to the spoke.
                    std::mem::swap(&mut self.spokes[spoke], &mut self.turned);
                }
                _ => self.cursor = last,
            }
        }
    }

    /// No trace is due before this.
    pub(super) fn earliest(&self) -> Option<Time> {
        if !self.turned.is_empty() {
            return Some(Time(self.cursor * self.tick));
        }
        if let Some(&Reverse((at, _))) = self.near.peek() {
            return Some(at);
        }
        let tick = self.next_busy()?;
        Some(Time(tick.saturating_mul(self.tick)))
    }

    /// The first tick after the cursor whose spoke holds something.
    fn next_busy(&self) -> Option<u64> {
        let first = (self.cursor + 1) % SPOKES;
        let words = self.busy.len() as u64;
        for step in 0..=words {
            let word = (first / 64 + step) % words;
            let mut bits = self.busy[word as usize];
            if step == 0 {
                bits &= u64::MAX << (first % 64);
            }
            if bits != 0 {
                let spoke = word * 64 + u64::from(bits.trailing_zeros());
                return Some(self.cursor + 1 + (spoke + SPOKES - first) % SPOKES);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Traces are met in the order of their deadlines, none before its time and none after it.
        #[test]
        fn each_is_met_when_due(
            settle in 0_u64..100_000,
            deadlines in proptest::collection::vec(0_u64..1_000_000, 1..50),
            steps in proptest::collection::vec(1_u64..300_000, 1..40),
        ) {
            let mut wheel = Deadlines::new(Duration::from_nanos(settle));
            let mut at: Vec<u16> = Vec::new();
            for (index, &deadline) in deadlines.iter().enumerate() {
                at.push(wheel.put(index as u32, Time(deadline)));
            }
            let mut met = Vec::new();
            let mut now = 0;
            for step in steps.into_iter().chain([2_000_000]) {
                let before = now;
                now += step;
                if let Some(&next) = deadlines.iter().filter(|&&d| d > before).min() {
                    prop_assert!(wheel.earliest().is_some_and(|time| time.0 <= next));
                }
                while let Some(visit) = wheel.next(Time(now)) {
                    let index = visit.index as usize;
                    prop_assert_eq!(at[index], visit.spoke);
                    let deadline = deadlines[index];
                    if visit.spoke == NEAR && deadline <= now {
                        prop_assert!(deadline > before || before == 0);
                        met.push(deadline);
                        at[index] = NOWHERE;
                    } else {
                        at[index] = wheel.put(visit.index, Time(deadline));
                    }
                }
            }
            let mut sorted = deadlines.clone();
            sorted.sort_unstable();
            prop_assert_eq!(met, sorted);
            prop_assert_eq!(wheel.earliest(), None);
        }
    }

    #[test]
    fn an_earlier_deadline_is_seen_as_such() {
        let mut wheel = Deadlines::new(Duration::from_nanos(128));
        let spoke = wheel.put(0, Time(500));
        assert!(wheel.is_after(spoke, Time(499)) && !wheel.is_after(spoke, Time(500)));
        assert_eq!(wheel.next(Time(480)), None);
        assert!(wheel.is_after(spoke, Time(499)) && !wheel.is_after(spoke, Time(500)));
        let spoke = wheel.put(1, Time(1_000_000));
        assert!(
            !wheel.is_after(spoke, Time(480 + 1023)) && wheel.is_after(spoke, Time(480 + 1022))
        );
    }
}
