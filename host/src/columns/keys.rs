//! The attribute keys that some column reads, found by a key's bytes.
//!
//! Most attributes of a span are read by no rule, so what counts is how fast a key is turned away: its length and two of its
//! bytes pick one of 4,096 bits, which is 0 for most keys of no column. For the others a fingerprint of the length, the first
//! and the last eight bytes picks a slot; only longer keys are compared whole.

/// Slots a key, at least: with so much air, most strange keys meet an empty slot.
const SLOTS_PER_KEY: usize = 4;

/// Keys, each with its index.
#[derive(Debug)]
pub(super) struct Keys {
    /// By [`bit`]: whether there is such a key.
    bits: Box<[u64; BITS / 64]>,
    keys: Vec<Box<str>>,
    /// Open addressing; a power of two, or nothing where there are no keys.
    slots: Vec<Option<Slot>>,
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    print: Print,
    index: u32,
}

/// Length, first and last eight bytes: all there is of a key of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Print {
    head: u64,
    tail: u64,
    len: u32,
}

/// Keys no longer than this are told by their print.
const PRINTED: u32 = 16;

/// Of a thousand keys at most a quarter are taken.
const BITS: usize = 4_096;

impl Default for Keys {
    fn default() -> Self {
        Self {
            bits: Box::new([0; BITS / 64]),
            keys: Vec::new(),
            slots: Vec::new(),
        }
    }
}

impl Keys {
    /// The index of `key`, which is added where it is new.
    pub(super) fn add(&mut self, key: &str) -> u32 {
        if let Some(index) = self.find(key.as_bytes()) {
            return index;
        }
        let index = self.keys.len() as u32;
        let bit = bit(key.as_bytes());
        self.bits[bit / 64] |= 1 << (bit % 64);
        self.keys.push(key.into());
        self.enter_last();
        index
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        if self.may_have(key) {
            self.look_up(key)
        } else {
            None
        }
    }

    /// False for most keys that are not there.
    #[inline(always)]
    pub(super) fn may_have(&self, key: &[u8]) -> bool {
        let bit = bit(key);
        self.bits[bit / 64] >> (bit % 64) & 1 != 0
    }

    fn look_up(&self, key: &[u8]) -> Option<u32> {
        let print = Print::of(key);
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = print.hash() & mask;
        loop {
            let slot = (*self.slots.get(at)?)?;
            if slot.print == print && (print.len <= PRINTED || self.is(slot.index, key)) {
                return Some(slot.index);
            }
            at = (at + 1) & mask;
        }
    }

    fn is(&self, index: u32, key: &[u8]) -> bool {
        self.keys
            .get(index as usize)
            .is_some_and(|other| other.as_bytes() == key)
    }

    /// Enters the last key, or, where the table is too full, all into a larger one.
    fn enter_last(&mut self) {
        let wanted = (self.keys.len() * SLOTS_PER_KEY).next_power_of_two();
        let mut first = self.keys.len() - 1;
        if self.slots.len() < wanted {
            self.slots = vec![None; wanted * 2];
            first = 0;
        }
        let mask = self.slots.len() - 1;
        for (index, key) in self.keys.iter().enumerate().skip(first) {
            let print = Print::of(key.as_bytes());
            let mut at = print.hash() & mask;
            while self.slots[at].is_some() {
                at = (at + 1) & mask;
            }
            self.slots[at] = Some(Slot {
                print,
                index: index as u32,
            });
        }
    }
}

/// Below [`BITS`]. Keys share prefixes and endings (`http.`, `.id`), so a byte of the middle tells more than another end.
#[inline(always)]
fn bit(key: &[u8]) -> usize {
    let byte = |at: usize| key.get(at).map_or(0, |&byte| u32::from(byte));
    let (last, middle) = (byte(key.len().wrapping_sub(1)), byte(key.len() / 2));
    let mixed = last | middle << 8 | (key.len() as u32) << 16;
    (mixed.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS.trailing_zeros())) as usize
}

impl Print {
    #[inline(always)]
    fn of(key: &[u8]) -> Print {
        let (head, tail) = if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
            (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
        } else if let (Some(head), Some(tail)) = (key.first_chunk(), key.last_chunk()) {
            (
                u64::from(u32::from_le_bytes(*head)),
                u64::from(u32::from_le_bytes(*tail)),
            )
        } else {
            let byte = |at: usize| u64::from(key.get(at).copied().unwrap_or_default());
            (byte(0) | byte(1) << 8, byte(2))
        };
        // A key of 4 GiB does not fit into a request; were it cut, it would still be compared whole.
        Print {
            head,
            tail,
            len: key.len() as u32,
        }
    }

    #[inline(always)]
    fn hash(self) -> usize {
        let left = self.head ^ 0x9e37_79b9_7f4a_7c15;
        let right = self.tail ^ 0xd6e8_feb8_6659_fd93 ^ u64::from(self.len) << 56;
        let mixed = u128::from(left) * u128::from(right);
        ((mixed >> 64) as u64 ^ mixed as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_what_was_added_and_nothing_else() {
        let mut keys = Keys::default();
        assert_eq!(keys.find(b"a"), None);
        assert_eq!(keys.add("http.request.method"), 0);
        assert_eq!(keys.add("http.response.method"), 1);
        assert_eq!(keys.add("http.request.method"), 0);
        assert_eq!(keys.find(b"http.request.method"), Some(0));
        assert_eq!(keys.find(b"http.reqxest.method"), None);
        assert_eq!(keys.find(b""), None);
        assert_eq!(keys.len(), 2);
    }

    proptest! {
        #[test]
        fn equals_a_list(
            keys in prop::collection::btree_set("[ab]{0,10}|a{8}[ab]{0,9}b{8}", 0..200),
            asked in prop::collection::vec("[ab]{0,10}|a{8}[ab]{0,9}b{8}", 0..200),
        ) {
            let mut table = Keys::default();
            for key in &keys {
                table.add(key);
            }
            for key in asked.iter().chain(&keys) {
                let expected = keys.iter().position(|other| other == key).map(|index| index as u32);
                prop_assert_eq!(table.find(key.as_bytes()), expected);
            }
        }
    }
}
