//! Which segments of the write-ahead log a shard's open traces need.
//!
//! A trace needs the oldest segment that a span of it came with, and the log keeps all behind one that is needed: so a count of
//! traces for each segment is enough, and a trace knows its segment by the low byte of its number. There are fewer than 256 at a
//! time. Mostly the oldest is that of its first span; but two requests that were logged at a rotation can arrive the other way round.
//!
//! ```text
//! number   first                          first + n
//!          | 3, hold | 0 | 12, hold | ... | 7, hold |      traces that were opened with it; one hold for all of them
//! ```

use std::collections::VecDeque;

use crate::wal::{Decided, Decision, Hold};

/// Traces by segment. Empty where there is no log.
#[derive(Debug, Default)]
pub(super) struct LoggedTraces {
    slots: VecDeque<Slot>,
    /// The segment of the first slot.
    first: u64,
    /// The segment of the parcel that is being inserted.
    arriving: Option<u64>,
    /// Of segments that no open trace needs, but traces that were completed last do.
    outgoing: Vec<Hold>,
    /// The time of the newest request that came; 0 where there is no log.
    newest: u64,
    /// Traces that were forgotten for want of room, for the log to know.
    forgotten: Vec<Decision>,
}

#[derive(Debug, Default)]
struct Slot {
    traces: u32,
    hold: Option<Hold>,
}

impl LoggedTraces {
    /// A parcel of this segment is inserted from now on.
    pub(super) fn arrive(&mut self, hold: Hold) {
        let number = hold.segment();
        self.newest = self.newest.max(hold.time());
        self.arriving = Some(number);
        if self.slots.is_empty() {
            self.first = number;
        }
        while self.first > number {
            self.slots.push_front(Slot::default());
            self.first -= 1;
        }
        while self.first + (self.slots.len() as u64) <= number {
            self.slots.push_back(Slot::default());
        }
        if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
            match slot.hold {
                None => slot.hold = Some(hold),
                Some(_) => hold.release(),
            }
        }
    }

    /// The parcel is inserted.
    pub(super) fn arrived(&mut self) {
        if let Some(number) = self.arriving.take() {
            self.let_go(number);
        }
    }

    /// A trace was opened: what it has to remember.
    pub(super) fn opened(&mut self) -> u8 {
        let Some(number) = self.arriving else {
            return 0;
        };
        if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
            slot.traces += 1;
        }
        number as u8
    }

    /// A span of the parcel joins an open trace that holds this segment: what it has to remember now.
    pub(super) fn joined(&mut self, segment: u8) -> u8 {
        let Some(arriving) = self.arriving else {
            return segment;
        };
        let number = self.first + u64::from(segment.wrapping_sub(self.first as u8));
        if arriving >= number {
            return segment;
        }
        for (number, by) in [(number, -1), (arriving, 1)] {
            if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
                slot.traces = slot.traces.saturating_add_signed(by);
            }
        }
        self.let_go(number);
        arriving as u8
    }

    /// A trace was completed.
    pub(super) fn closed(&mut self, segment: u8) {
        if self.slots.is_empty() {
            return;
        }
        let number = self.first + u64::from(segment.wrapping_sub(self.first as u8));
        if let Some(slot) = self.slots.get_mut((number - self.first) as usize) {
            slot.traces = slot.traces.saturating_sub(1);
        }
        if self.arriving != Some(number) {
            self.let_go(number);
        }
    }

    /// The oldest segment that an open trace needs.
    pub(super) fn oldest(&self) -> Option<u64> {
        let needed = self.slots.iter().position(|slot| slot.traces > 0)?;
        Some(self.first + needed as u64)
    }

    /// The time of the newest request that came; 0 where there is no log.
    pub(super) fn newest(&self) -> u64 {
        self.newest
    }

    /// A decided trace is not remembered any more: what comes from now on is of another.
    pub(super) fn forgot(&mut self, id: [u8; 16]) {
        if self.newest > 0 {
            self.forgot_at(id, self.newest);
        }
    }

    /// As [`forgot`](Self::forgot), of what is logged after this time.
    pub(super) fn forgot_at(&mut self, id: [u8; 16], through: u64) {
        self.forgotten.push(Decision {
            id,
            what: Decided::Forgotten,
            through,
        });
    }

    /// Traces that were forgotten. They have to be decided before.
    pub(super) fn take_forgotten(&mut self) -> Vec<Decision> {
        std::mem::take(&mut self.forgotten)
    }

    /// What is not needed any more once all completed traces are decided.
    pub(super) fn take_outgoing(&mut self) -> Vec<Hold> {
        std::mem::take(&mut self.outgoing)
    }

    fn let_go(&mut self, number: u64) {
        let slot = self.slots.get_mut((number - self.first) as usize);
        if let Some(slot) = slot.filter(|slot| slot.traces == 0) {
            self.outgoing.extend(slot.hold.take());
        }
        while self.slots.front().is_some_and(Slot::is_empty) {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

impl Slot {
    fn is_empty(&self) -> bool {
        self.traces == 0 && self.hold.is_none()
    }
}
