//! What one shard has kept.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::HashSetExt;
use hashbrown::HashMap;

use super::bucket::Bucket;
use super::sample::{Choice, Key, Place, Sample};
use super::shelf::Shelf;
use super::{Offer, RingCounters, RingLimits};
use crate::assemble::trace::{Keeping, Requests};
use crate::replay::kept::{Judgement, Kept, operation};
use crate::time::Time;

/// Traces or operations that a reader copies while it holds the lock: some tens of microseconds.
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

/// Where a trace is to be kept.
#[derive(Clone, Copy, Debug, Default)]
struct Wanted {
    signalled: bool,
    newest: bool,
    sample: Option<Choice>,
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
                sample: Sample::new(half, limits.turnover, limits.operations, seed),
                index: HashMap::default(),
                counters: RingCounters::default(),
            }),
        }
    }

    /// Offers a trace that was just judged, and says what became of it. It is copied only if it is kept.
    pub fn offer<R: Requests>(&self, offer: &Offer<'_, R>, now: Time) -> Keeping {
        let mut store = self.lock();
        let keeping = store.offer(offer, now);
        store.counters.count(keeping);
        keeping
    }

    /// Keeps a trace as one of the newest, whatever the pace.
    pub(super) fn keep(&self, kept: Kept) {
        let mut store = self.lock();
        let keeping = store.keep(kept);
        store.counters.count(keeping);
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
        let mut from = Some(Place::default());
        while let Some(at) = from {
            from = self.lock().sample.copy(at, AT_ONCE, &mut all);
        }
        let mut seen = foldhash::HashSet::with_capacity(all.len());
        out.extend(all.into_iter().filter(|kept| seen.insert(kept.id)));
    }

    /// Adds the operations that were seen of late.
    pub(super) fn operations(&self, out: &mut HashSet<Arc<Key>>) {
        let mut from = Some(0);
        while let Some(at) = from {
            from = self.lock().sample.operations(at, AT_ONCE, out);
        }
    }

    pub(super) fn age(&self, now: Time) {
        self.lock().renew(now);
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

impl RingCounters {
    fn count(&mut self, keeping: Keeping) {
        let count = match keeping {
            // A ring that keeps none of a kind is not offered any.
            Keeping::Off => return,
            Keeping::Kept => &mut self.kept,
            Keeping::Skipped => &mut self.skipped,
            Keeping::TooLarge => &mut self.too_large,
            Keeping::Repeated => &mut self.repeated,
        };
        *count += 1;
        self.offered += 1;
    }
}

impl Store {
    fn offer<R: Requests>(&mut self, offer: &Offer<'_, R>, now: Time) -> Keeping {
        let apart = !offer.signalled.is_empty() && self.signalled.most() > 0;
        let most = match apart {
            true => self.signalled.most(),
            false => self.newest.most(),
        };
        if most == 0 && self.signalled.most() == 0 {
            return Keeping::Off;
        }
        self.renew(now);
        if self.index.contains_key(&offer.trace.id) {
            return Keeping::Repeated;
        }
        let bytes = Kept::expected_bytes(offer.trace);
        let operation = operation(offer.trace, offer.requests);
        let [service, name] = operation.map(Option::unwrap_or_default);
        if apart || bytes > most {
            self.sample.note(service, name);
        }
        if most == 0 {
            return Keeping::Off;
        }
        if bytes > most {
            return Keeping::TooLarge;
        }
        let wanted = match apart {
            true => self.want_apart(bytes, now),
            false => self.want(service, name, bytes, now),
        };
        let Some(wanted) = wanted else {
            return Keeping::Skipped;
        };
        let judged = Judgement {
            at: offer.judged_at,
            generation: offer.generation,
            signalled: offer.signalled,
        };
        match Kept::copy_within(offer.trace, offer.requests, judged, most) {
            Some(kept) => self.put(kept, wanted),
            None => Keeping::TooLarge,
        }
    }

    fn keep(&mut self, kept: Kept) -> Keeping {
        if self.newest.most() == 0 {
            return Keeping::Off;
        }
        if self.index.contains_key(&kept.id) {
            return Keeping::Repeated;
        }
        let texts = [&kept.root_service, &kept.root_name];
        let [service, name] = texts.map(|text| text.as_deref().unwrap_or_default());
        let sample = self.sample(service, name, kept.bytes(), Time::default());
        let wanted = Wanted {
            newest: true,
            sample,
            ..Wanted::default()
        };
        self.put(kept, wanted)
    }

    /// Whether and where to keep a trace that broke no rule.
    fn want(&mut self, service: &str, name: &str, bytes: usize, now: Time) -> Option<Wanted> {
        let sample = self.sample(service, name, bytes, now);
        let newest = self.newest_pace.take(bytes as u64, now);
        (newest || sample.is_some()).then_some(Wanted {
            newest,
            sample,
            ..Wanted::default()
        })
    }

    /// Whether to keep a trace that did.
    fn want_apart(&mut self, bytes: usize, now: Time) -> Option<Wanted> {
        let signalled = self.signalled_pace.take(bytes as u64, now);
        signalled.then_some(Wanted {
            signalled,
            ..Wanted::default()
        })
    }

    fn sample(&mut self, service: &str, name: &str, bytes: usize, now: Time) -> Option<Choice> {
        let choice = self.sample.see(service, name, bytes, now);
        self.counters.other_operations += u64::from(choice.other);
        choice.wanted.then_some(choice)
    }

    fn put(&mut self, kept: Kept, wanted: Wanted) -> Keeping {
        let kept = Arc::new(kept);
        let bytes = kept.bytes();
        let mut places = 0;
        let mut gone = Vec::new();
        if wanted.signalled && bytes <= self.signalled.most() {
            places += 1;
            self.signalled.push(kept.clone(), |old| gone.push(old));
        }
        if wanted.newest && bytes <= self.newest.most() {
            places += 1;
            self.newest.push(kept.clone(), |old| gone.push(old));
        }
        if let Some(choice) = wanted.sample
            && bytes <= self.sample.most()
        {
            places += 1;
            self.sample.push(choice, kept.clone(), |old| gone.push(old));
        }
        self.enter(kept, places, gone)
    }

    fn renew(&mut self, now: Time) {
        let mut gone = Vec::new();
        self.sample.renew(now, |old| gone.push(old));
        for old in gone {
            self.leave(&old);
        }
    }

    /// A trace has got its places, and others have lost theirs.
    fn enter(&mut self, kept: Arc<Kept>, places: u8, gone: Vec<Arc<Kept>>) -> Keeping {
        if places > 0 {
            self.index.insert(kept.id, Entry { kept, places });
        }
        for old in gone {
            self.leave(&old);
        }
        match places {
            0 => Keeping::TooLarge,
            _ => Keeping::Kept,
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
