//! Recent complete traces, so that a rule can be tried the moment it is written.
//!
//! ```text
//! judged trace -> Part::offer -> signalled | newest half, sampled half -> snapshot -> trial, explain, API
//! ```
//! One part a shard, each with its share of the bounds and a lock of its own, which readers hold for moments only. What is
//! kept is a copy, so that a trace holds no request of others in memory; whether it is kept is decided before it is copied.

mod bucket;
mod judged;
mod part;
mod sample;
mod shelf;

#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::coverage::Coverage;
use super::kept::Kept;
use crate::assemble::trace::Trace;
use crate::time::Time;

pub use judged::JudgedBatch;
pub use part::Part;

/// The bounds of a ring. `Default` has the settings' defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RingLimits {
    /// Bytes of traces that broke no rule: half the newest, half a sample of each operation.
    pub memory: usize,
    /// Bytes of traces that did; 0 keeps them with the others.
    pub signalled: usize,
    /// The newest are not all kept when they would be replaced within this time.
    pub turnover: Duration,
    /// Operations that are sampled apart; others share one sample.
    pub operations: usize,
}

impl Default for RingLimits {
    fn default() -> RingLimits {
        RingLimits {
            memory: 256 << 20,
            signalled: 256 << 20,
            turnover: Duration::from_secs(8),
            operations: 10_000,
        }
    }
}

/// What a ring did with the traces that it was offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RingCounters {
    pub offered: u64,
    /// Kept for a while at least.
    pub kept: u64,
    /// Not kept, since so many came that the ring would turn over too fast, and the sample did not take them.
    pub skipped: u64,
    /// Of an id that is kept already: its trace was forgotten meanwhile, and came a second time.
    pub repeated: u64,
    /// Larger than all that a half may hold.
    pub too_large: u64,
    /// Gone from the last place that they had, for want of room.
    pub evicted: u64,
    /// Traces that are kept now, and the bytes that count against the bounds; a trace that is new and sampled counts twice.
    pub traces: u64,
    pub bytes: u64,
    /// Offers of operations beyond those that are sampled apart.
    pub other_operations: u64,
}

/// A trace that was judged.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a, R> {
    pub trace: &'a Trace,
    pub requests: &'a R,
    /// The rules that it broke.
    pub signalled: &'a [Arc<str>],
    pub generation: u64,
    /// In Unix nanoseconds.
    pub judged_at: u64,
}

/// All parts of the ring.
#[derive(Debug)]
pub struct Ring {
    parts: Vec<Arc<Part>>,
}

impl Ring {
    /// A ring of a part for each shard.
    pub fn new(limits: &RingLimits, shards: usize) -> Ring {
        let shards = shards.max(1);
        let share = RingLimits {
            memory: limits.memory / shards,
            signalled: limits.signalled / shards,
            ..limits.clone()
        };
        let part = |number| Arc::new(Part::new(share.clone(), number as u64));
        Ring {
            parts: (0..shards).map(part).collect(),
        }
    }

    /// The part of a shard.
    pub fn part(&self, shard: usize) -> Arc<Part> {
        let index = shard % self.parts.len();
        self.parts[index].clone()
    }

    /// Keeps a trace from elsewhere, such as a file, as one of the newest.
    pub fn keep(&self, kept: Kept) {
        let id = u128::from_le_bytes(kept.id);
        let index = (id % self.parts.len() as u128) as usize;
        if let Some(part) = self.parts.get(index) {
            part.keep(kept);
        }
    }

    /// The traces that are kept, newest first.
    pub fn snapshot(&self) -> Vec<Arc<Kept>> {
        let mut all = Vec::new();
        for part in &self.parts {
            part.snapshot(&mut all);
        }
        all.sort_by(|a, b| (b.judged_at, a.id).cmp(&(a.judged_at, b.id)));
        all
    }

    pub fn get(&self, id: &[u8; 16]) -> Option<Arc<Kept>> {
        self.parts.iter().find_map(|part| part.get(id))
    }

    /// What a snapshot stands for.
    pub fn coverage(&self, kept: &[Arc<Kept>]) -> Coverage {
        let mut seen = HashSet::new();
        for part in &self.parts {
            part.operations(&mut seen);
        }
        Coverage::of(kept, seen.len() as u64)
    }

    pub fn counters(&self) -> RingCounters {
        let mut sum = RingCounters::default();
        for part in &self.parts {
            let of_part = part.counters();
            sum.offered += of_part.offered;
            sum.kept += of_part.kept;
            sum.skipped += of_part.skipped;
            sum.repeated += of_part.repeated;
            sum.too_large += of_part.too_large;
            sum.evicted += of_part.evicted;
            sum.traces += of_part.traces;
            sum.bytes += of_part.bytes;
            sum.other_operations += of_part.other_operations;
        }
        sum
    }

    /// Lets time pass for what is kept: operations that were not seen for long count as unseen.
    pub fn age(&self, now: Time) {
        for part in &self.parts {
            part.age(now);
        }
    }
}
