//! The text of a batch, interned: equal text has equal symbols.
//!
//! ```text
//! 0 .. constants            the rule set's constants, the same in every batch, shared by all workers
//! constants .. len()        other text of the batch, in the order it was met
//! ```
//! A lookup touches only the batch's own table. The constants' table is asked once a distinct string and batch, when the
//! string is met first, and that is also when it is checked to be UTF-8.

use std::hash::{BuildHasher, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Slots of a fresh table: enough for the distinct strings of a small batch.
const FIRST_SLOTS: usize = 1 << 10;

/// A table or a text buffer that one batch made larger than this is given back at the next reset: it would be cold
/// memory for the batches that follow. A full batch (16,384 spans, a few new strings each) stays below.
const KEEP_SLOTS: usize = 1 << 17;
const KEEP_BYTES: usize = 8 << 20;

/// Text of a batch, in bytes: offsets are 32 bits wide.
const MAX_BYTES: usize = u32::MAX as usize;

/// The text constants of a rule set; constant `i` has the symbol `i` in every batch.
#[derive(Debug, Default)]
pub struct Constants {
    texts: Box<[Box<str>]>,
    table: HashTable<u32>,
    state: RandomState,
}

impl Constants {
    /// `texts` without repetitions.
    pub fn new(texts: Vec<Box<str>>) -> Constants {
        let state = RandomState::default();
        let mut table = HashTable::with_capacity(texts.len());
        for (symbol, text) in (0..).zip(&texts) {
            let hash_of = |&symbol: &u32| {
                texts
                    .get(symbol as usize)
                    .map_or(0, |text| hash(&state, text.as_bytes()))
            };
            table.insert_unique(hash(&state, text.as_bytes()), symbol, hash_of);
        }
        Constants {
            texts: texts.into(),
            table,
            state,
        }
    }

    /// The symbol of `text`.
    pub fn symbol(&self, text: &[u8]) -> Option<u32> {
        let equal = |&symbol: &u32| {
            self.texts
                .get(symbol as usize)
                .is_some_and(|other| other.as_bytes() == text)
        };
        self.table.find(hash(&self.state, text), equal).copied()
    }
}

impl Deref for Constants {
    type Target = [Box<str>];

    fn deref(&self) -> &[Box<str>] {
        &self.texts
    }
}

/// Symbols of one batch.
#[derive(Debug)]
pub struct Symbols {
    constants: Arc<Constants>,
    /// Open addressing, at most half full, a power of two; a slot of an earlier batch is empty.
    slots: Vec<Slot>,
    /// Slots of this batch.
    used: usize,
    stamp: u32,
    state: RandomState,
    /// The text of all slots.
    text: String,
    /// Where the text of symbol `constants + i` lies.
    places: Vec<Place>,
    invalid: u64,
    refused: u64,
}

/// A string of the batch. Its text stands here too, so that a hit is decided without asking [`Symbols::places`].
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// The batch that wrote it; 0 is no batch.
    stamp: u32,
    hash: u32,
    symbol: u32,
    place: Place,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    start: u32,
    len: u32,
}

impl Default for Symbols {
    fn default() -> Symbols {
        Symbols {
            constants: Arc::default(),
            slots: vec![Slot::default(); FIRST_SLOTS],
            used: 0,
            stamp: 1,
            state: RandomState::default(),
            text: String::new(),
            places: Vec::new(),
            invalid: 0,
            refused: 0,
        }
    }
}

impl Symbols {
    /// How many symbols there are, the constants included.
    pub fn len(&self) -> usize {
        self.constants.len() + self.places.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text of a symbol; empty where there is no such symbol.
    pub fn text(&self, symbol: u32) -> &str {
        let symbol = symbol as usize;
        if let Some(text) = self.constants.get(symbol) {
            return text;
        }
        let place = self.places.get(symbol - self.constants.len());
        place
            .and_then(|place| self.text.get(place.range()))
            .unwrap_or_default()
    }

    /// Forgets the batch. Constants keep their symbols; this costs the same however much text the batch had.
    pub fn reset(&mut self, constants: &Arc<Constants>) {
        self.constants.clone_from(constants);
        self.places.clear();
        self.text.clear();
        self.used = 0;
        self.invalid = 0;
        self.refused = 0;
        self.stamp = self.stamp.wrapping_add(1);
        if self.stamp == 0 || self.slots.len() > KEEP_SLOTS {
            self.stamp = 1;
            self.slots = vec![Slot::default(); FIRST_SLOTS];
        }
        if self.text.capacity() > KEEP_BYTES {
            self.text.shrink_to(KEEP_BYTES);
        }
    }

    /// The symbol of `text`; none where it is not UTF-8 (see [`invalid_utf8`](Symbols::invalid_utf8)) or the batch
    /// holds too much text already (see [`refused`](Symbols::refused)).
    #[inline]
    pub fn intern(&mut self, text: &[u8]) -> Option<u32> {
        let hash = hash(&self.state, text) as u32;
        let mut at = hash as usize & (self.slots.len() - 1);
        while let Some(slot) = self.slots.get(at) {
            if slot.stamp != self.stamp {
                break;
            }
            if slot.hash == hash && self.text.as_bytes().get(slot.place.range()) == Some(text) {
                return Some(slot.symbol);
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.insert(text, hash, at)
    }

    /// Strings of the batch that were read and are not UTF-8, each time they were read.
    pub fn invalid_utf8(&self) -> u64 {
        self.invalid
    }

    /// Strings of the batch that were left out since it held 4 GiB of text.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Adds text that the table does not hold; `at` is the free slot where the search for it ended.
    #[cold]
    fn insert(&mut self, bytes: &[u8], hash: u32, at: usize) -> Option<u32> {
        let Ok(text) = std::str::from_utf8(bytes) else {
            self.invalid += 1;
            return None;
        };
        if self.text.len() + text.len() > MAX_BYTES {
            self.refused += 1;
            return None;
        }
        let place = Place {
            start: self.text.len() as u32,
            len: text.len() as u32,
        };
        self.text.push_str(text);
        let symbol = self.constants.symbol(bytes).unwrap_or_else(|| {
            let symbol = self.len() as u32;
            self.places.push(place);
            symbol
        });
        self.slots[at] = Slot {
            stamp: self.stamp,
            hash,
            symbol,
            place,
        };
        self.used += 1;
        if self.used * 2 > self.slots.len() {
            self.grow();
        }
        Some(symbol)
    }

    fn grow(&mut self) {
        let mask = self.slots.len() * 2 - 1;
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); mask + 1]);
        for slot in old.into_iter().filter(|slot| slot.stamp == self.stamp) {
            let mut at = slot.hash as usize & mask;
            while self.slots[at].stamp == self.stamp {
                at = (at + 1) & mask;
            }
            self.slots[at] = slot;
        }
    }
}

impl Place {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// Text comes from strangers: the state is random, so that they can't choose texts that collide.
#[inline]
fn hash(state: &RandomState, text: &[u8]) -> u64 {
    let mut hasher = state.build_hasher();
    hasher.write(text);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn constants(texts: &[&str]) -> Arc<Constants> {
        Arc::new(Constants::new(
            texts.iter().map(|&text| text.into()).collect(),
        ))
    }

    #[test]
    fn constants_keep_their_symbols_and_other_text_follows() {
        let constants = constants(&["GET", "", "zażółć"]);
        let mut symbols = Symbols::default();
        for _ in 0..3 {
            symbols.reset(&constants);
            assert_eq!((symbols.len(), symbols.text.len()), (3, 0));
            assert_eq!(symbols.intern("zażółć".as_bytes()), Some(2));
            assert_eq!(symbols.intern(b"POST"), Some(3));
            assert_eq!(symbols.intern(b""), Some(1));
            assert_eq!(symbols.intern(b"POST"), Some(3));
            assert_eq!(symbols.intern(b"PUT"), Some(4));
            assert_eq!(symbols.len(), 5);
            let texts: Vec<&str> = (0..6).map(|symbol| symbols.text(symbol)).collect();
            assert_eq!(texts, ["GET", "", "zażółć", "POST", "PUT", ""]);
        }
    }

    #[test]
    fn invalid_text_is_counted_each_time_and_has_no_symbol() {
        let mut symbols = Symbols::default();
        assert_eq!(symbols.intern(b"a\xff"), None);
        assert_eq!(symbols.intern(b"a\xff"), None);
        assert_eq!((symbols.len(), symbols.invalid_utf8()), (0, 2));
        symbols.reset(&Arc::default());
        assert_eq!(symbols.invalid_utf8(), 0);
    }

    #[test]
    fn what_no_symbol_stands_for_has_no_text() {
        assert_eq!(Symbols::default().text(u32::MAX), "");
    }

    #[test]
    fn the_stamp_may_wrap() {
        let mut symbols = Symbols {
            stamp: u32::MAX,
            ..Symbols::default()
        };
        assert_eq!(symbols.intern(b"old"), Some(0));
        symbols.reset(&Arc::default());
        assert_eq!(symbols.intern(b"new"), Some(0));
        assert_eq!(symbols.intern(b"old"), Some(1));
    }

    proptest! {
        #[test]
        fn equals_a_map(batches in prop::collection::vec(prop::collection::vec("[a-c]{0,6}", 0..3000), 1..4)) {
            let constants = constants(&["a", "bb", "abc"]);
            let mut symbols = Symbols::default();
            for batch in &batches {
                symbols.reset(&constants);
                let mut map: HashMap<&str, u32> = [("a", 0), ("bb", 1), ("abc", 2)].into();
                for text in batch {
                    let next = map.len() as u32;
                    let expected = *map.entry(text).or_insert(next);
                    prop_assert_eq!(symbols.intern(text.as_bytes()), Some(expected));
                    prop_assert_eq!(symbols.text(expected), text.as_str());
                }
                prop_assert_eq!(symbols.len(), map.len());
            }
        }
    }
}
