//! A set of objects with 64 bits for each: small, and bounded by the number of objects.

use specs::Digest;

/// A power of two, large enough that growing one shard costs little compared with the rest.
const SHARDS: usize = 256;
const FIRST_SLOTS: usize = 8;

/// A set of objects by 64-bit number. A collision only keeps some garbage.
///
/// Memory: 10 to 15 bytes per object.
#[derive(Debug)]
pub(super) struct DigestSet {
    shards: Vec<Shard>,
}

/// Open addressing; 0 is an empty slot.
#[derive(Debug, Clone, Default)]
struct Shard {
    slots: Vec<u64>,
    used: usize,
}

/// The number of an object; `sort` separates different uses of one digest.
pub(super) fn number(sort: u8, digest: &Digest) -> u64 {
    let first = digest.as_bytes().first_chunk::<8>().expect("a digest has 32 bytes");
    (u64::from_be_bytes(*first) ^ u64::from(sort).wrapping_mul(0x9e37_79b9_7f4a_7c15)).max(1)
}

impl Default for DigestSet {
    fn default() -> Self {
        Self { shards: vec![Shard::default(); SHARDS] }
    }
}

impl DigestSet {
    /// Adds a number; true if it is new.
    pub(super) fn insert(&mut self, number: u64) -> bool {
        self.shards[number as usize % SHARDS].insert(number)
    }

    /// Whether the set contains a number.
    pub(super) fn contains(&self, number: u64) -> bool {
        let shard = &self.shards[number as usize % SHARDS];
        !shard.slots.is_empty() && shard.slots[shard.find(number)] == number
    }
}

impl Shard {
    fn insert(&mut self, number: u64) -> bool {
        if self.used * 5 >= self.slots.len() * 4 {
            self.grow();
        }
        let at = self.find(number);
        let is_new = self.slots[at] != number;
        if is_new {
            self.slots[at] = number;
            self.used += 1;
        }
        is_new
    }

    /// The slot of a number, or the empty slot where it belongs.
    fn find(&self, number: u64) -> usize {
        let slots = self.slots.len();
        let mut at = ((u128::from(number) * slots as u128) >> 64) as usize;
        while self.slots[at] != 0 && self.slots[at] != number {
            at = (at + 1) % slots;
        }
        at
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 3 / 2).max(FIRST_SLOTS);
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        for number in old.into_iter().filter(|number| *number != 0) {
            let at = self.find(number);
            self.slots[at] = number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::hash::digest_of;

    #[test]
    fn it_holds_what_was_added_in_at_most_sixteen_bytes_each() {
        let mut set = DigestSet::default();
        let count = 200_000_u64;
        for at in 0..count {
            assert!(set.insert(number(1, &digest_of(&at.to_be_bytes()))));
        }
        for at in 0..count {
            let digest = digest_of(&at.to_be_bytes());
            assert!(set.contains(number(1, &digest)) && !set.insert(number(1, &digest)));
            assert!(!set.contains(number(2, &digest)));
        }
        let bytes: usize = set.shards.iter().map(|shard| shard.slots.capacity() * 8).sum();
        assert!(bytes as u64 <= count * 16, "{bytes}");
    }
}
