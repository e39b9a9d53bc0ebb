//! From where on the file of signals can hold one whose trace is not durably decided: only such a trace is judged again by the
//! next start, and only its signals can come again.
//!
//! ```text
//! file   | of decided traces ... | of a trace that waits | of decided traces | ...
//!                                ^ the place
//! ```
//! The signals of a trace are written before it is decided, and those of other traces in between; so the place is where the first
//! signal of the oldest trace that waits can be, and not where the file ended when something was decided.

use hashbrown::HashMap;

use crate::signal::Emission;
use crate::wal::{FileId, Place};

/// What of a file of signals the next start has to read back.
#[derive(Debug)]
pub(super) struct Reach {
    /// None where signals can't be read back.
    file: Option<FileId>,
    /// Where reading back began, as long as traces of before the start can be judged again.
    past: Option<u64>,
    /// Where the file ended before the group that is written.
    end: u64,
    /// Where the file ended before the first signal of a trace that was not decided since.
    waiting: HashMap<[u8; 16], u64, foldhash::fast::RandomState>,
    /// The least of those that are decided, and not durably so.
    unsynced: Option<u64>,
}

impl Reach {
    /// Of a file that was read back from `from` on.
    pub(super) fn new(file: Option<FileId>, from: u64) -> Reach {
        Reach {
            file,
            past: Some(from),
            end: from,
            waiting: HashMap::default(),
            unsynced: None,
        }
    }

    /// These signals are written to a file that ends here.
    pub(super) fn writes(&mut self, signals: &[Emission], end: u64) {
        self.end = end;
        for signal in signals {
            self.waiting.entry(signal.trace_id).or_insert(end);
        }
    }

    /// These traces are decided. None has signals that are still to be written.
    pub(super) fn decided(&mut self, ids: impl IntoIterator<Item = [u8; 16]>) {
        let places = ids.into_iter().filter_map(|id| self.waiting.remove(&id));
        self.unsynced = places.chain(self.unsynced).min();
    }

    /// All that is decided is durably so.
    pub(super) fn synced(&mut self) {
        self.unsynced = None;
    }

    /// No trace of before the start can be judged again. Returns whether that is new.
    pub(super) fn past_is_gone(&mut self) -> bool {
        self.past.take().is_some()
    }

    /// No signal before this is of a trace that can be judged again.
    pub(super) fn place(&self) -> Option<Place> {
        let waiting = self.waiting.values().copied();
        let all = waiting.chain(self.unsynced).chain(self.past);
        let offset = all.fold(self.end, u64::min);
        self.file.map(|file| Place { file, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::fixture::emission;

    fn of(trace: u8) -> Emission {
        Emission {
            trace_id: [trace; 16],
            ..emission()
        }
    }

    fn reach(from: u64) -> Reach {
        let file = std::fs::File::open("Cargo.toml").expect("the crate has one");
        Reach::new(FileId::of(&file).expect("it is read"), from)
    }

    fn offset(reach: &Reach) -> u64 {
        reach.place().expect("it is a file").offset
    }

    #[test]
    fn the_place_is_that_of_the_oldest_trace_that_waits() {
        let mut reach = reach(10);
        assert!(reach.past_is_gone());
        reach.writes(&[of(1), of(2)], 100);
        reach.writes(&[of(1), of(3)], 200);
        reach.decided([[2; 16]]);
        reach.synced();
        assert_eq!(offset(&reach), 100, "the first waits");
        reach.decided([[1; 16], [9; 16]]);
        assert_eq!(offset(&reach), 100, "it is not synced");
        reach.synced();
        assert_eq!(offset(&reach), 200);
        reach.decided([[3; 16]]);
        reach.synced();
        reach.writes(&[], 300);
        assert_eq!(offset(&reach), 300);
    }

    /// A shard that remembers nothing opens a trace again at once.
    #[test]
    fn a_trace_that_comes_again_before_it_is_synced_waits_again() {
        let mut reach = reach(0);
        reach.past_is_gone();
        reach.writes(&[of(1)], 100);
        reach.decided([[1; 16]]);
        reach.writes(&[of(1)], 200);
        reach.synced();
        reach.writes(&[], 300);
        assert_eq!(offset(&reach), 200);
    }

    #[test]
    fn while_traces_of_before_the_start_can_come_again_all_that_was_read_back_is_needed() {
        let mut reach = reach(10);
        reach.writes(&[of(1)], 100);
        reach.decided([[1; 16]]);
        reach.synced();
        assert_eq!(offset(&reach), 10);
        assert!(reach.past_is_gone());
        assert_eq!(offset(&reach), 100);
        assert!(!reach.past_is_gone());
    }
}
