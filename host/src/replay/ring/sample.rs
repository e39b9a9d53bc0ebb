//! A sample of each root operation's traces, so that rare traffic is there too when a fast service has long filled the ring.
//!
//! While there is room everything is taken. Then an operation that has few traces takes the room of the one with the most
//! bytes; one that has enough replaces a trace of its own, each that comes with the same chance to be in the sample
//! (reservoir sampling). Counts halve every [`RENEW`], so that a sample follows the traffic.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{Equivalent, HashMap};

use crate::replay::kept::Kept;
use crate::time::Time;

/// How often the counts of what was seen halve.
pub(super) const RENEW: Duration = Duration::from_secs(600);

/// An operation with fewer traces takes from others: enough to see how its traces differ.
const FEW: usize = 16;

#[derive(Debug)]
pub(super) struct Sample {
    operations: Vec<Operation>,
    /// Numbers of operations that were forgotten.
    free: Vec<u32>,
    index: HashMap<(Box<str>, Box<str>), u32, foldhash::fast::RandomState>,
    /// Bytes and number of each operation that has traces.
    by_bytes: BTreeSet<(usize, u32)>,
    bytes: usize,
    most: usize,
    /// Something had to go for want of room.
    full: bool,
    /// Operations apart from the first, which is for all that are beyond this.
    operations_most: usize,
    renewed: Time,
    random: u64,
}

#[derive(Debug, Default)]
struct Operation {
    kept: Vec<Arc<Kept>>,
    bytes: usize,
    /// Of late.
    seen: u64,
}

/// A pair of texts that finds a pair of boxed ones.
#[derive(Hash)]
struct Pair<'a>(&'a str, &'a str);

impl Equivalent<(Box<str>, Box<str>)> for Pair<'_> {
    fn equivalent(&self, key: &(Box<str>, Box<str>)) -> bool {
        (self.0, self.1) == (&*key.0, &*key.1)
    }
}

/// An operation, and whether its next trace is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    operation: u32,
    pub(super) wanted: bool,
    /// It is beyond the operations that are sampled apart.
    pub(super) other: bool,
}

impl Sample {
    pub(super) fn new(most: usize, operations: usize, seed: u64) -> Sample {
        Sample {
            operations: vec![Operation::default()],
            free: Vec::new(),
            index: HashMap::default(),
            by_bytes: BTreeSet::new(),
            bytes: 0,
            most,
            full: false,
            operations_most: operations,
            renewed: Time::default(),
            random: seed ^ 0x9e37_79b9_7f4a_7c15,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Sees a trace of about so many bytes, and says whether to keep it.
    pub(super) fn see(&mut self, service: &str, name: &str, bytes: usize, now: Time) -> Choice {
        self.renew(now);
        let number = self.number(service, name);
        let draw = self.draw();
        let Some(operation) = self.operations.get_mut(number as usize) else {
            return Choice {
                operation: number,
                wanted: false,
                other: true,
            };
        };
        operation.seen += 1;
        let kept = operation.kept.len();
        // The chance of kept in seen.
        let lucky = u128::from(draw) * u128::from(operation.seen) >> 64 < kept as u128;
        Choice {
            operation: number,
            wanted: self.has_room(bytes) || kept < FEW || lucky,
            other: number == 0,
        }
    }

    /// Takes a trace that was wanted; what has to go for it is handed to `gone`.
    pub(super) fn push(
        &mut self,
        choice: Choice,
        kept: Arc<Kept>,
        mut gone: impl FnMut(Arc<Kept>),
    ) {
        let bytes = kept.bytes();
        let is_few = self
            .operations
            .get(choice.operation as usize)
            .is_none_or(|operation| operation.kept.len() < FEW);
        if self.bytes + bytes > self.most && !is_few {
            self.drop_one(choice.operation, &mut gone);
        }
        self.change(choice.operation, |operation| {
            operation.bytes += bytes;
            operation.kept.push(kept);
        });
        self.bytes += bytes;
        while self.bytes > self.most
            && let Some(&(_, largest)) = self.by_bytes.last()
        {
            self.drop_one(largest, &mut gone);
        }
    }

    /// Copies the traces of up to `most` operations from number `from` on; says where to go on, none at the end.
    pub(super) fn copy(&self, from: usize, most: usize, out: &mut Vec<Arc<Kept>>) -> Option<usize> {
        let before = out.len();
        for (number, operation) in self.operations.iter().enumerate().skip(from) {
            out.extend(operation.kept.iter().cloned());
            if out.len() - before >= most {
                return Some(number + 1);
            }
        }
        None
    }

    /// Adds the operations that were seen of late.
    pub(super) fn operations(&self, out: &mut HashSet<(Box<str>, Box<str>)>) {
        for (key, &number) in &self.index {
            let operation = self.operations.get(number as usize);
            if operation.is_some_and(|operation| operation.seen > 0 || !operation.kept.is_empty()) {
                out.insert(key.clone());
            }
        }
    }

    pub(super) fn renew(&mut self, now: Time) {
        if now.since(self.renewed) < RENEW {
            return;
        }
        let periods = now.since(self.renewed).as_nanos() / RENEW.as_nanos();
        self.renewed = now;
        let shift = u32::try_from(periods).unwrap_or(u32::MAX);
        for operation in &mut self.operations {
            operation.seen = operation.seen.checked_shr(shift).unwrap_or(0);
        }
        // Room for operations to come: those of which nothing is kept and nothing was seen of late.
        let (operations, free) = (&self.operations, &mut self.free);
        self.index.retain(|_, number| {
            let operation = operations.get(*number as usize);
            let stays = operation.is_some_and(|o| o.seen > 0 || !o.kept.is_empty());
            if !stays {
                free.push(*number);
            }
            stays
        });
    }

    /// While nothing had to go there is room; then there is again once an eighth is free: what just went must not let in all
    /// that comes.
    fn has_room(&self, bytes: usize) -> bool {
        let most = if self.full {
            self.most / 8 * 7
        } else {
            self.most
        };
        self.bytes + bytes <= most
    }

    fn number(&mut self, service: &str, name: &str) -> u32 {
        if let Some(&number) = self.index.get(&Pair(service, name)) {
            return number;
        }
        let number = match self.free.pop() {
            Some(number) => number,
            None if self.index.len() >= self.operations_most => return 0,
            None => {
                self.operations.push(Operation::default());
                self.operations.len() as u32 - 1
            }
        };
        self.index.insert((service.into(), name.into()), number);
        number
    }

    fn drop_one(&mut self, number: u32, gone: &mut impl FnMut(Arc<Kept>)) {
        let draw = self.draw();
        let mut dropped = None;
        self.change(number, |operation| {
            let count = operation.kept.len() as u128;
            if count > 0 {
                let at = (u128::from(draw) * count >> 64) as usize;
                let kept = operation.kept.swap_remove(at);
                operation.bytes -= kept.bytes();
                dropped = Some(kept);
            }
        });
        if let Some(kept) = dropped {
            self.full = true;
            self.bytes -= kept.bytes();
            gone(kept);
        }
    }

    fn change(&mut self, number: u32, change: impl FnOnce(&mut Operation)) {
        let Some(operation) = self.operations.get_mut(number as usize) else {
            return;
        };
        self.by_bytes.remove(&(operation.bytes, number));
        change(operation);
        if !operation.kept.is_empty() {
            self.by_bytes.insert((operation.bytes, number));
        }
    }

    /// The next number of a splitmix64 sequence.
    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
