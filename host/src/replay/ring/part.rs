//! What one shard has kept.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use super::bucket::Bucket;
use super::sample::Sample;
use super::shelf::Shelf;
use super::{Offer, RingCounters, RingLimits};
use crate::assemble::trace::Requests;
use crate::replay::kept::{Judgement, Kept, operation};
use crate::time::Time;

/// Traces that a reader copies while it holds the lock: some tens of microseconds.
const AT_ONCE: usize = 1_024;

/// The traces of one shard. Its worker offers; anyone may read.
#[derive(Debug)]
pub struct Part {
    store: Mutex<Store>,
}

#[derive(Debug)]
struct Store {
    newest: Shelf,
    newest_pace: Bucket,
    signalled: Shelf,
    signalled_pace: Bucket,
    sample: Sample,
    /// By trace id, with the number of places that the trace has.
    index: HashMap<[u8; 16], Entry, foldhash::fast::RandomState>,
    counters: RingCounters,
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    places: u8,
}

impl Part {
    pub(super) fn new(limits: RingLimits, seed: u64) -> Part {
        let half = limits.memory / 2;
        Part {
            store: Mutex::new(Store {
                newest: Shelf::new(half),
                newest_pace: Bucket::new(half as u64, limits.turnover),
                signalled: Shelf::new(limits.signalled),
                signalled_pace: Bucket::new(limits.signalled as u64, limits.turnover),
                sample: Sample::new(half, limits.operations, seed),
                index: HashMap::default(),
                counters: RingCounters::default(),
            }),
        }
    }

    /// Offers a trace that was just judged. It is copied only if it is kept.
    pub fn offer<R: Requests>(&self, offer: &Offer<'_, R>, now: Time) {
        let mut store = self.lock();
        store.counters.offered += 1;
        if store.index.contains_key(&offer.trace.id) {
            store.counters.repeated += 1;
            return;
        }
        let spans: u64 = offer
            .trace
            .spans
            .iter()
            .map(|s| u64::from(s.range.len))
            .sum();
        // What it will take is known when it is copied; this is close.
        let bytes = spans + 64 * offer.trace.spans.len() as u64;
        let judged = Judgement {
            at: offer.judged_at,
            generation: offer.generation,
            signalled: offer.signalled,
        };
        if !offer.signalled.is_empty() && store.signalled.most() > 0 {
            if bytes > store.signalled.most() as u64 {
                store.counters.too_large += 1;
            } else if store.signalled_pace.take(bytes, now) {
                let kept = Arc::new(Kept::copy(offer.trace, offer.requests, judged));
                store.put_signalled(kept);
            } else {
                store.counters.skipped += 1;
            }
            return;
        }
        if bytes > store.newest.most() as u64 {
            store.counters.too_large += 1;
            return;
        }
        let [service, name] = operation(offer.trace, offer.requests);
        let (service, name) = (service.unwrap_or_default(), name.unwrap_or_default());
        let bytes_now = usize::try_from(bytes).unwrap_or(usize::MAX);
        let choice = store.sample.see(service, name, bytes_now, now);
        store.counters.other_operations += u64::from(choice.other);
        let is_new = store.newest_pace.take(bytes, now);
        if !is_new && !choice.wanted {
            store.counters.skipped += 1;
            return;
        }
        let kept = Arc::new(Kept::copy(offer.trace, offer.requests, judged));
        let mut places = 0;
        let mut gone = Vec::new();
        if is_new && kept.bytes() <= store.newest.most() {
            places += 1;
            store.newest.push(kept.clone(), |old| gone.push(old));
        }
        if choice.wanted && kept.bytes() <= store.sample.most() {
            places += 1;
            store
                .sample
                .push(choice, kept.clone(), |old| gone.push(old));
        }
        store.enter(kept, places, gone);
    }

    /// Keeps a trace as one of the newest, whatever the pace.
    pub(super) fn keep(&self, kept: Kept) {
        let mut store = self.lock();
        store.counters.offered += 1;
        let kept = Arc::new(kept);
        if store.index.contains_key(&kept.id) {
            store.counters.repeated += 1;
            return;
        }
        if kept.bytes() > store.newest.most() {
            store.counters.too_large += 1;
            return;
        }
        let [service, name] = [&kept.root_service, &kept.root_name].map(|t| t.clone());
        let (service, name) = (service.as_deref(), name.as_deref());
        let at = Time::default();
        let (service, name) = (service.unwrap_or_default(), name.unwrap_or_default());
        let choice = store.sample.see(service, name, kept.bytes(), at);
        let mut gone = Vec::new();
        let mut places = 1;
        store.newest.push(kept.clone(), |old| gone.push(old));
        if choice.wanted {
            places += 1;
            store
                .sample
                .push(choice, kept.clone(), |old| gone.push(old));
        }
        store.enter(kept, places, gone);
    }

    pub(super) fn get(&self, id: &[u8; 16]) -> Option<Arc<Kept>> {
        self.lock().index.get(id).map(|entry| entry.kept.clone())
    }

    /// Adds what is kept, each trace once. What is offered meanwhile may be among it or not.
    pub(super) fn snapshot(&self, out: &mut Vec<Arc<Kept>>) {
        let mut all = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.lock().newest.copy(at, AT_ONCE, &mut all);
        }
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.lock().signalled.copy(at, AT_ONCE, &mut all);
        }
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.lock().sample.copy(at, AT_ONCE, &mut all);
        }
        let mut seen = HashSet::with_capacity(all.len());
        out.extend(all.into_iter().filter(|kept| seen.insert(kept.id)));
    }

    pub(super) fn operations(&self, out: &mut HashSet<(Box<str>, Box<str>)>) {
        self.lock().sample.operations(out);
    }

    pub(super) fn age(&self, now: Time) {
        self.lock().sample.renew(now);
    }

    pub(super) fn counters(&self) -> RingCounters {
        let store = self.lock();
        let bytes = store.newest.bytes() + store.signalled.bytes() + store.sample.bytes();
        RingCounters {
            traces: store.index.len() as u64,
            bytes: bytes as u64,
            ..store.counters
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    fn put_signalled(&mut self, kept: Arc<Kept>) {
        let mut gone = Vec::new();
        let mut places = 0;
        if kept.bytes() <= self.signalled.most() {
            places = 1;
            self.signalled.push(kept.clone(), |old| gone.push(old));
        }
        self.enter(kept, places, gone);
    }

    /// A trace has got its places, and others have lost theirs.
    fn enter(&mut self, kept: Arc<Kept>, places: u8, gone: Vec<Arc<Kept>>) {
        if places == 0 {
            self.counters.too_large += 1;
        } else {
            self.counters.kept += 1;
            self.index.insert(kept.id, Entry { kept, places });
        }
        for old in gone {
            self.leave(&old);
        }
    }

    fn leave(&mut self, old: &Arc<Kept>) {
        let Some(entry) = self.index.get_mut(&old.id) else {
            return;
        };
        entry.places -= 1;
        if entry.places == 0 {
            self.index.remove(&old.id);
            self.counters.evicted += 1;
        }
    }
}
