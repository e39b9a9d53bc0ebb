//! The attribute keys that some column reads, found by a key's bytes.
//!
//! Most attributes of a span are read by no rule, so what counts is how fast a key is turned away: a fingerprint of its
//! length, its first and its last eight bytes picks a slot, which is mostly empty; only then bytes are compared.

/// No key.
const EMPTY: u32 = u32::MAX;

/// Slots a key, at least: with so much air, three of four strange keys meet an empty slot.
const SLOTS_PER_KEY: usize = 4;

/// Keys, each with its index.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: Vec<Box<str>>,
    /// Open addressing; a power of two, or nothing where there are no keys.
    slots: Vec<u32>,
}

impl Keys {
    /// The index of `key`, which is added where it is new.
    pub(super) fn add(&mut self, key: &str) -> u32 {
        if let Some(index) = self.find(key.as_bytes()) {
            return index;
        }
        let index = self.keys.len() as u32;
        self.keys.push(key.into());
        self.rebuild();
        index
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    #[inline]
    pub(super) fn find(&self, key: &[u8]) -> Option<u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = fingerprint(key) as usize & mask;
        loop {
            let &index = self.slots.get(at)?;
            let candidate = self.keys.get(index as usize)?;
            if candidate.as_bytes() == key {
                return Some(index);
            }
            at = (at + 1) & mask;
        }
    }

    /// Grows the table where it is too full, and enters the last key, or all.
    fn rebuild(&mut self) {
        let wanted = (self.keys.len() * SLOTS_PER_KEY).next_power_of_two();
        let mut first = self.keys.len() - 1;
        if self.slots.len() < wanted {
            self.slots = vec![EMPTY; wanted * 2];
            first = 0;
        }
        let mask = self.slots.len() - 1;
        for (index, key) in self.keys.iter().enumerate().skip(first) {
            let mut at = fingerprint(key.as_bytes()) as usize & mask;
            while self.slots[at] != EMPTY {
                at = (at + 1) & mask;
            }
            self.slots[at] = index as u32;
        }
    }
}

#[inline]
fn fingerprint(key: &[u8]) -> u64 {
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
    let mixed = (head ^ 0x9e37_79b9_7f4a_7c15) as u128
        * (tail ^ 0xd6e8_feb8_6659_fd93 ^ ((key.len() as u64) << 56)) as u128;
    (mixed >> 64) as u64 ^ mixed as u64
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
        assert_eq!(keys.find(b"http.requesx.method"), None);
        assert_eq!(keys.find(b""), None);
        assert_eq!(keys.len(), 2);
    }

    proptest! {
        #[test]
        fn equals_a_list(
            keys in prop::collection::btree_set("[ab]{0,10}", 0..200),
            asked in prop::collection::vec("[ab]{0,10}", 0..200),
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
