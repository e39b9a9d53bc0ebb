//! Ids of signals that are in the file already, so that none is written a second time. So many at most: the oldest go first, which
//! is counted, as the signals that can come again are those that were written last.

use std::collections::{HashSet, VecDeque};

/// Ids at most, where nobody says otherwise: some ten minutes of a thousand signals a second, in 40 bytes each.
pub const DEFAULT_IDS: usize = 800_000;

/// Ids, as they stand in the file.
#[derive(Debug)]
pub(super) struct Known {
    most: usize,
    order: VecDeque<u128>,
    ids: HashSet<u128>,
    forgotten: u64,
}

impl Known {
    pub(super) fn new(most: usize) -> Known {
        Known {
            most,
            order: VecDeque::new(),
            ids: HashSet::new(),
            forgotten: 0,
        }
    }

    /// Adds one that stands behind all others.
    pub(super) fn add(&mut self, id: u128) {
        if !self.ids.insert(id) {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
            self.forgotten += 1;
        }
    }

    /// Whether it is known. It is not any more: a trace of before the start is judged once more at most, and whatever bears its id
    /// after that is another.
    pub(super) fn take(&mut self, id: u128) -> bool {
        self.ids.remove(&id)
    }

    /// How many went, as there were more than may be known.
    pub(super) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// No signal can come again: gives its memory back.
    pub(super) fn clear(&mut self) {
        *self = Known {
            forgotten: self.forgotten,
            ..Known::new(self.most)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_the_bound_the_oldest_are_forgotten_and_counted() {
        let mut known = Known::new(3);
        for id in [1, 2, 2, 3, 4, 5] {
            known.add(id);
        }
        let has: Vec<u128> = (1..=5).filter(|&id| known.take(id)).collect();
        assert_eq!((has, known.forgotten()), (vec![3, 4, 5], 2));
        known.add(6);
        known.clear();
        assert!(!known.take(6));
        let mut none = Known::new(0);
        none.add(1);
        assert_eq!((none.take(1), none.forgotten()), (false, 1));
    }

    #[test]
    fn an_id_stands_for_one_signal() {
        let mut known = Known::new(3);
        known.add(1);
        assert_eq!([known.take(1), known.take(1)], [true, false]);
    }
}
