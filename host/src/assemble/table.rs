//! Trace id to where the trace is: open, or decided and remembered. One table for both, so that a span costs one look-up.
//!
//! An entry is 8 bytes: half a hash and a number. The hash's seed is random, since ids come from strangers. It is kept so
//! that growing the table reads nothing else, and so that a look-up seldom touches a trace that is not its own.

use std::hash::{BuildHasher, Hasher};

use foldhash::quality::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry as TableEntry;

/// Where a known trace is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Index of the open trace.
    Open(u32),
    /// Number of the remembered one.
    Decided(u32),
}

/// Numbers of a [`Place`] have 31 bits.
pub(super) const NUMBERS: u32 = 1 << 31;

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashTable<Entry>,
    seed: RandomState,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    place: u32,
}

impl Table {
    #[inline]
    pub(super) fn hash(&self, id: &[u8; 16]) -> u32 {
        let mut hasher = self.seed.build_hasher();
        hasher.write_u128(u128::from_le_bytes(*id));
        let hash = hasher.finish();
        (hash >> 32) as u32
    }

    /// An open trace with this hash, by the table alone: whether it is the one that is meant has to be checked.
    #[inline]
    pub(super) fn likely_open(&self, hash: u32) -> Option<u32> {
        let entry = self.entries.find(widen(hash), |entry| entry.hash == hash)?;
        match unpack(entry.place) {
            Place::Open(index) => Some(index),
            Place::Decided(_) => None,
        }
    }

    /// The place of the trace for which `same` holds; where there is none, `new` is entered and nothing returned.
    #[inline]
    pub(super) fn find_or_enter(
        &mut self,
        hash: u32,
        same: impl Fn(Place) -> bool,
        new: impl FnOnce() -> Place,
    ) -> Option<Place> {
        let found = self.entries.entry(
            widen(hash),
            |entry| entry.hash == hash && same(unpack(entry.place)),
            |entry| widen(entry.hash),
        );
        match found {
            TableEntry::Occupied(entry) => Some(unpack(entry.get().place)),
            TableEntry::Vacant(entry) => {
                entry.insert(Entry {
                    hash,
                    place: pack(new()),
                });
                None
            }
        }
    }

    /// The place of the trace for which `same` holds.
    pub(super) fn find(&self, hash: u32, same: impl Fn(Place) -> bool) -> Option<Place> {
        let found = self.entries.find(widen(hash), |entry| {
            entry.hash == hash && same(unpack(entry.place))
        });
        found.map(|entry| unpack(entry.place))
    }

    /// Moves a trace to another place.
    pub(super) fn replace(&mut self, hash: u32, from: Place, to: Place) {
        let from = pack(from);
        if let Some(entry) = self
            .entries
            .find_mut(widen(hash), |entry| entry.place == from)
        {
            entry.place = pack(to);
        }
    }

    /// Removes a trace, if it is still in this place.
    pub(super) fn remove(&mut self, hash: u32, place: Place) {
        let place = pack(place);
        if let Ok(entry) = self
            .entries
            .find_entry(widen(hash), |entry| entry.place == place)
        {
            entry.remove();
        }
    }
}

/// The table takes buckets from the low bits and a tag from the highest seven.
#[inline]
fn widen(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[inline]
fn pack(place: Place) -> u32 {
    match place {
        Place::Open(number) => number & !NUMBERS,
        Place::Decided(number) => number | NUMBERS,
    }
}

#[inline]
fn unpack(place: u32) -> Place {
    if place & NUMBERS == 0 {
        Place::Open(place)
    } else {
        Place::Decided(place & !NUMBERS)
    }
}
