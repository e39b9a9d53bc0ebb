//! One bound on the bytes in flight over all connections.
//!
//! A [`Permit`] stands for bytes that are allocated or about to be. It is never waited for: what doesn't fit is refused,
//! so no request holds a part of the budget while it waits for another part.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be in flight, and those that are.
#[derive(Debug)]
pub struct Budget {
    limit: usize,
    used: AtomicUsize,
}

/// The budget has no room for the bytes asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    pub limit: usize,
    /// There would be none if nothing else was in flight, so that trying again is of no use.
    pub ever: bool,
}

/// Bytes of a [`Budget`], given back when this is dropped.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
        })
    }

    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes `bytes` of the budget.
    pub fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Permit, Full> {
        self.take(bytes, 0)?;
        Ok(Permit {
            budget: Arc::clone(self),
            bytes,
        })
    }

    /// Takes `bytes` for somebody who has `held` of them.
    fn take(&self, bytes: usize, held: usize) -> Result<(), Full> {
        let within = |used: usize| used.checked_add(bytes).filter(|&sum| sum <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .map(drop)
            .map_err(|_| Full {
                limit: self.limit,
                ever: held.saturating_add(bytes) > self.limit,
            })
    }

    fn give(&self, bytes: usize) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Permit {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Takes `bytes` more.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        self.budget.take(bytes, self.bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Gives `bytes` back, or all that there are.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        self.budget.give(bytes);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.give(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_can_be_taken_again() {
        let budget = Budget::new(100);
        let full = |ever| Full { limit: 100, ever };
        let mut first = budget.reserve(60).expect("60 of 100 are free");
        assert_eq!(budget.reserve(41).expect_err("40 are free"), full(false));
        first.grow(40).expect("40 are free");
        assert_eq!(first.grow(1), Err(full(true)), "it would be 101 of 100");
        first.shrink(50);
        assert_eq!((first.bytes(), budget.used()), (50, 50));
        drop(first);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn no_size_overflows() {
        let budget = Budget::new(usize::MAX);
        let _all = budget.reserve(usize::MAX).expect("all is free");
        assert!(budget.reserve(usize::MAX).is_err());
    }
}
