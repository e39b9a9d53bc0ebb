//! Decided traces, remembered for a while so that late spans don't make a second trace.
//!
//! A ring in the order of decision, 40 bytes a trace. Traces are numbered as they are decided; the number is what
//! the table holds. The oldest is forgotten first: by time, or because too many are remembered.

use std::collections::VecDeque;
use std::time::Duration;

use super::table::NUMBERS;
use super::trace::{Completion, Keeping};
use crate::time::Time;

#[derive(Debug)]
pub(super) struct Decided {
    remembered: VecDeque<Remembered>,
    /// Number of the first in the ring. Numbers wrap; there are never so many at once.
    first: u32,
    remember: Duration,
    most: usize,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Remembered {
    id: [u8; 16],
    pub(super) at: Time,
    /// The rule set of the moment.
    pub(super) generation: u64,
    /// Spans that came too late.
    pub(super) late: u32,
    pub(super) completion: Completion,
    pub(super) keeping: Keeping,
}

impl Decided {
    pub(super) fn new(remember: Duration, most: u32) -> Decided {
        Decided {
            remembered: VecDeque::new(),
            first: 0,
            remember,
            most: most.min(super::limits::MOST_REMEMBERED) as usize,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.remembered.len()
    }

    /// Nothing is remembered at all.
    pub(super) fn is_off(&self) -> bool {
        self.most == 0
    }

    /// Remembers a trace and returns its number.
    pub(super) fn add(
        &mut self,
        id: [u8; 16],
        at: Time,
        completion: Completion,
        generation: u64,
    ) -> u32 {
        let number = self.first.wrapping_add(self.remembered.len() as u32) % NUMBERS;
        self.remembered.push_back(Remembered {
            id,
            at,
            generation,
            late: 0,
            completion,
            keeping: Keeping::default(),
        });
        number
    }

    /// What became of a remembered trace once it was judged.
    pub(super) fn was_kept(&mut self, number: u32, keeping: Keeping) {
        if let Some(trace) = self.get_mut(number) {
            trace.keeping = keeping;
        }
    }

    /// Spans of a remembered trace came too late.
    pub(super) fn came_late(&mut self, number: u32, spans: usize) {
        if let Some(trace) = self.get_mut(number) {
            let spans = u32::try_from(spans).unwrap_or(u32::MAX);
            trace.late = trace.late.saturating_add(spans);
        }
    }

    /// Spans of the trace that was decided last came too late.
    pub(super) fn newest_came_late(&mut self, spans: usize) {
        if let Some(trace) = self.remembered.back_mut() {
            let spans = u32::try_from(spans).unwrap_or(u32::MAX);
            trace.late = trace.late.saturating_add(spans);
        }
    }

    #[inline]
    pub(super) fn is(&self, number: u32, id: &[u8; 16]) -> bool {
        self.get(number).is_some_and(|trace| trace.id == *id)
    }

    /// It is in the ring but its time is over.
    pub(super) fn is_over(&self, number: u32, now: Time) -> bool {
        self.get(number).is_none_or(|trace| self.ended(trace, now))
    }

    /// Takes the oldest out of the ring if there are too many.
    pub(super) fn forget_surplus(&mut self) -> Option<([u8; 16], u32)> {
        (self.remembered.len() > self.most).then(|| self.forget())?
    }

    /// Takes the oldest out of the ring if its time is over.
    pub(super) fn forget_ended(&mut self, now: Time) -> Option<([u8; 16], u32)> {
        let oldest = self.remembered.front()?;
        self.ended(oldest, now).then(|| self.forget())?
    }

    fn forget(&mut self) -> Option<([u8; 16], u32)> {
        let oldest = self.remembered.pop_front()?;
        let number = self.first;
        self.first = (self.first + 1) % NUMBERS;
        Some((oldest.id, number))
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> Option<&Remembered> {
        let at = number.wrapping_sub(self.first) % NUMBERS;
        self.remembered.get(at as usize)
    }

    fn get_mut(&mut self, number: u32) -> Option<&mut Remembered> {
        let at = number.wrapping_sub(self.first) % NUMBERS;
        self.remembered.get_mut(at as usize)
    }

    fn ended(&self, trace: &Remembered, now: Time) -> bool {
        trace.at.after(self.remember) <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There are a million of them a shard.
    #[test]
    fn a_remembered_trace_takes_40_bytes() {
        assert_eq!(size_of::<Remembered>(), 40);
    }

    #[test]
    fn numbers_wrap() {
        let mut decided = Decided::new(Duration::from_secs(1), 2);
        decided.first = NUMBERS - 2;
        let numbers: Vec<u32> = (0..4_u8)
            .map(|i| {
                let number = decided.add([i; 16], Time(0), Completion::Root, 1);
                assert!(decided.is(number, &[i; 16]));
                number
            })
            .collect();
        assert_eq!(numbers, [NUMBERS - 2, NUMBERS - 1, 0, 1]);
        assert_eq!(decided.forget_surplus(), Some(([0; 16], NUMBERS - 2)));
        assert_eq!(decided.forget_surplus(), Some(([1; 16], NUMBERS - 1)));
        assert_eq!(decided.forget_surplus(), None);
        assert!(decided.is(0, &[2; 16]) && decided.is(1, &[3; 16]));
        assert!(!decided.is(NUMBERS - 1, &[1; 16]));
    }
}
