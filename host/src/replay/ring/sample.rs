//! A sample of each root operation's traces, so that rare traffic is there too when a fast service has long filled the ring.
//!
//! While there is room everything is taken. Then an operation that has few traces takes the room of the one with the most
//! bytes; one that has enough replaces a trace of its own, each that comes with the same chance to be in the sample
//! (reservoir sampling). Counts halve every [`RENEW`], so that a sample follows the traffic. Room is taken from others at a
//! pace only: where there are more operations than there is room for, each trace would push out another.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hashbrown::{Equivalent, HashMap};

use super::bucket::Bucket;
use crate::replay::kept::Kept;
use crate::time::Time;

/// How often the counts of what was seen halve.
pub(super) const RENEW: Duration = Duration::from_secs(600);

/// An operation with fewer traces takes from others: enough to see how its traces differ.
const FEW: usize = 16;

/// Bytes of a service and of a name that tell operations apart: more than people write, and with as many operations as
/// there may be, a few megabytes.
const NAME_BYTES: usize = 256;

/// Root service and root name.
pub(super) type Key = (Box<str>, Box<str>);

#[derive(Debug)]
pub(super) struct Sample {
    operations: Vec<Operation>,
    /// Numbers of operations that were forgotten.
    free: Vec<u32>,
    index: HashMap<Arc<Key>, u32, foldhash::fast::RandomState>,
    /// Bytes and number of each operation that has traces.
    by_bytes: BTreeSet<(usize, u32)>,
    bytes: usize,
    most: usize,
    /// Something had to go for want of room.
    full: bool,
    /// Operations apart from the first, which is for all that are beyond this.
    operations_most: usize,
    /// How fast operations may take from others.
    pace: Bucket,
    renewed: Time,
    random: u64,
}

#[derive(Debug, Default)]
struct Operation {
    /// None of the first, and of those that were forgotten.
    key: Option<Arc<Key>>,
    kept: Vec<Arc<Kept>>,
    bytes: usize,
    /// Of late.
    seen: u64,
}

/// A pair of texts that finds a pair of boxed ones.
#[derive(Hash)]
struct Pair<'a>(&'a str, &'a str);

impl Equivalent<Arc<Key>> for Pair<'_> {
    fn equivalent(&self, key: &Arc<Key>) -> bool {
        (self.0, self.1) == (&*key.0, &*key.1)
    }
}

/// An operation, and whether its next trace is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    operation: u32,
    pub(super) wanted: bool,
    /// Others make room for it, else its own operation does.
    takes: bool,
    /// It is beyond the operations that are sampled apart.
    pub(super) other: bool,
}

/// Where a copy of the sample goes on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    operation: usize,
    /// Traces of it that are still to come; none: all.
    left: Option<usize>,
}

impl Sample {
    pub(super) fn new(most: usize, turnover: Duration, operations: usize, seed: u64) -> Sample {
        Sample {
            operations: vec![Operation::default()],
            free: Vec::new(),
            index: HashMap::default(),
            by_bytes: BTreeSet::new(),
            bytes: 0,
            most,
            full: false,
            operations_most: operations,
            pace: Bucket::new(most as u64, turnover),
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
        let number = self.number(service, name);
        let draw = self.draw();
        let room = self.has_room(bytes);
        let most = self.by_bytes.last().map_or(0, |&(bytes, _)| bytes);
        let Some(operation) = self.operations.get_mut(number as usize) else {
            return Choice {
                operation: number,
                wanted: false,
                takes: false,
                other: true,
            };
        };
        operation.seen += 1;
        let kept = operation.kept.len();
        // The chance of kept in seen.
        let lucky = (u128::from(draw) * u128::from(operation.seen)) >> 64 < kept as u128;
        // Not if the other would have less after it: the two would take from each other for ever.
        let less = operation.bytes.saturating_add(bytes.saturating_mul(2)) <= most;
        let few = kept == 0 || kept < FEW && less;
        let takes = !room && few && self.pace.take(bytes as u64, now);
        Choice {
            operation: number,
            wanted: room || takes || lucky,
            takes,
            other: number == 0,
        }
    }

    /// Notes that an operation was seen, of which no trace is to be sampled.
    pub(super) fn note(&mut self, service: &str, name: &str) {
        let number = self.number(service, name);
        if let Some(operation) = self.operations.get_mut(number as usize) {
            operation.seen = operation.seen.max(1);
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
        if self.bytes + bytes > self.most && !choice.takes {
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

    /// Copies up to `most` traces from a place on; says where to go on, none at the end.
    ///
    /// Each operation's last comes first: what takes the place of a trace that goes is the last of its operation, so no
    /// trace that stays is missed however much changes between two calls.
    pub(super) fn copy(
        &self,
        from: Place,
        mut most: usize,
        out: &mut Vec<Arc<Kept>>,
    ) -> Option<Place> {
        let Place {
            mut operation,
            mut left,
        } = from;
        while most > 0 {
            let kept = &self.operations.get(operation)?.kept;
            let end = left.map_or(kept.len(), |left| left.min(kept.len()));
            let start = end.saturating_sub(most);
            out.extend(kept.iter().take(end).skip(start).cloned());
            most -= end - start;
            (operation, left) = match start {
                0 => (operation + 1, None),
                _ => (operation, Some(start)),
            };
        }
        Some(Place { operation, left })
    }

    /// Adds those of `most` operations from a number on that were seen of late; says where to go on, none at the end.
    pub(super) fn operations(
        &self,
        from: usize,
        most: usize,
        out: &mut HashSet<Arc<Key>>,
    ) -> Option<usize> {
        let operations = self.operations.iter().skip(from).take(most);
        let lively = operations.filter(|operation| operation.is_lively());
        out.extend(lively.filter_map(|operation| operation.key.clone()));
        let next = from.saturating_add(most);
        (next < self.operations.len()).then_some(next)
    }

    /// Lets counts fade. Operations that were not seen for long are forgotten, but for those of which traces are kept while
    /// there is room for others.
    pub(super) fn renew(&mut self, now: Time, mut gone: impl FnMut(Arc<Kept>)) {
        if now.since(self.renewed) < RENEW {
            return;
        }
        let periods = now.since(self.renewed).as_nanos() / RENEW.as_nanos();
        self.renewed = now;
        let shift = u32::try_from(periods).unwrap_or(u32::MAX);
        let is_crowded = self.index.len() >= self.operations_most;
        for number in 0..self.operations.len() as u32 {
            let Some(operation) = self.operations.get_mut(number as usize) else {
                return;
            };
            operation.seen = operation.seen.checked_shr(shift).unwrap_or(0);
            if is_crowded && operation.seen == 0 && number != 0 {
                while self.drop_one(number, &mut gone) {}
            }
            self.forget(number);
        }
    }

    /// Forgets an operation of which nothing is kept and nothing was seen of late.
    fn forget(&mut self, number: u32) {
        let Some(operation) = self.operations.get_mut(number as usize) else {
            return;
        };
        if !operation.is_lively()
            && let Some(key) = operation.key.take()
        {
            self.index.remove(&Pair(&key.0, &key.1));
            self.free.push(number);
        }
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
        let [service, name] = [service, name].map(short);
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
        let key = Arc::new((Box::from(service), Box::from(name)));
        if let Some(operation) = self.operations.get_mut(number as usize) {
            operation.key = Some(Arc::clone(&key));
        }
        self.index.insert(key, number);
        number
    }

    /// Drops a trace of an operation by lot; returns whether it had one.
    fn drop_one(&mut self, number: u32, gone: &mut impl FnMut(Arc<Kept>)) -> bool {
        let draw = self.draw();
        let mut dropped = None;
        self.change(number, |operation| {
            let count = operation.kept.len() as u128;
            if count > 0 {
                let at = ((u128::from(draw) * count) >> 64) as usize;
                let kept = operation.kept.swap_remove(at);
                operation.bytes -= kept.bytes();
                dropped = Some(kept);
            }
        });
        let Some(kept) = dropped else {
            return false;
        };
        self.full = true;
        self.bytes -= kept.bytes();
        gone(kept);
        true
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

impl Operation {
    fn is_lively(&self) -> bool {
        self.seen > 0 || !self.kept.is_empty()
    }
}

fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(NAME_BYTES))
        .unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::assemble::trace::Completion;
    use crate::otlp::request::Request;

    fn kept(id: u32, bytes: usize) -> Arc<Kept> {
        let mut trace_id = [0; 16];
        trace_id[..4].copy_from_slice(&id.to_le_bytes());
        Arc::new(Kept {
            id: trace_id,
            request: Request {
                bytes: Bytes::from(vec![0; bytes]),
                sections: Box::default(),
                parts: Box::default(),
            },
            spans: Vec::new(),
            completion: Completion::Root,
            missing_parents: 0,
            dropped: false,
            root: 0,
            root_service: None,
            root_name: None,
            judged_at: 0,
            generation: 0,
            signalled: Box::default(),
        })
    }

    fn number(kept: &Kept) -> u32 {
        let [a, b, c, d, ..] = kept.id;
        u32::from_le_bytes([a, b, c, d])
    }

    fn offer(sample: &mut Sample, name: &str, id: u32, bytes: usize, now: Time) {
        let kept = kept(id, bytes);
        let choice = sample.see("shop", name, kept.bytes(), now);
        if choice.wanted {
            sample.push(choice, kept, |_| {});
        }
    }

    fn all(sample: &Sample) -> Vec<Arc<Kept>> {
        let mut out = Vec::new();
        assert!(
            sample
                .copy(Place::default(), usize::MAX, &mut out)
                .is_none()
        );
        out
    }

    /// Of many samples together, each quarter of what came has a quarter of the places.
    #[test]
    fn it_is_even_over_what_was_seen() {
        const SAMPLES: u64 = 40;
        const SEEN: u32 = 2_000;
        let mut quarters = [0_u32; 4];
        for seed in 0..SAMPLES {
            let most = 64 * kept(0, 100).bytes();
            let mut sample = Sample::new(most, Duration::from_secs(8), 10, seed);
            for id in 0..SEEN {
                offer(&mut sample, "fast", id, 100, Time(0));
            }
            for kept in all(&sample) {
                quarters[(number(&kept) * 4 / SEEN) as usize] += 1;
            }
        }
        assert_eq!(quarters.iter().sum::<u32>(), 40 * 64);
        // 640 each, give or take 22; six times that is not chance.
        for quarter in quarters {
            assert!((508..=772).contains(&quarter), "{quarters:?}");
        }
    }

    /// What was offered long ago makes room faster when counts halve.
    #[test]
    fn it_follows_the_traffic() {
        let most = 64 * kept(0, 100).bytes();
        let mut sample = Sample::new(most, Duration::from_secs(8), 10, 1);
        for id in 0..100_000 {
            offer(&mut sample, "fast", id, 100, Time(0));
        }
        let hour = Time(3_600_000_000_000);
        sample.renew(hour, |_| {});
        for id in 100_000..105_000 {
            offer(&mut sample, "fast", id, 100, hour);
        }
        let new = all(&sample)
            .iter()
            .filter(|kept| number(kept) >= 100_000)
            .count();
        assert!(
            new > 32,
            "{new} of 64, where a twentieth would be even over all"
        );
    }

    #[test]
    fn names_are_told_apart_by_their_first_bytes() {
        let mut sample = Sample::new(10_000, Duration::from_secs(8), 10, 1);
        let long = "é".repeat(500);
        for (id, end) in ["a", "b"].into_iter().enumerate() {
            offer(&mut sample, &format!("{long}{end}"), id as u32, 1, Time(0));
        }
        let mut seen = HashSet::new();
        sample.operations(0, 10, &mut seen);
        assert_eq!(seen.len(), 1);
        assert!(seen.iter().all(|key| key.1.len() <= NAME_BYTES));
    }

    proptest! {
        /// A copy in steps, with changes between them, has all that was there all the time.
        #[test]
        fn a_copy_misses_nothing_that_stays(
            before in proptest::collection::vec((0..4_u8, 0..500_usize), 0..100),
            between in proptest::collection::vec((0..4_u8, 0..500_usize), 0..100),
            step in 1..10_usize,
        ) {
            let mut sample = Sample::new(20_000, Duration::ZERO, 10, 7);
            let mut ids = 0_u32..;
            let mut add = |sample: &mut Sample, (operation, bytes): (u8, usize)| {
                let id = ids.next().unwrap_or_default();
                offer(sample, &operation.to_string(), id, bytes, Time(0));
            };
            for one in before {
                add(&mut sample, one);
            }
            let first: HashSet<u32> = all(&sample).iter().map(|kept| number(kept)).collect();
            let mut changes = between.into_iter();
            let mut copied = Vec::new();
            let mut from = Some(Place::default());
            while let Some(at) = from {
                from = sample.copy(at, step, &mut copied);
                for one in changes.by_ref().take(step) {
                    add(&mut sample, one);
                }
            }
            let copied: HashSet<u32> = copied.iter().map(|kept| number(kept)).collect();
            for stays in all(&sample).iter().map(|kept| number(kept)).filter(|id| first.contains(id)) {
                prop_assert!(copied.contains(&stays));
            }
        }
    }
}
