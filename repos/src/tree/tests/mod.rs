//! Tests of the tree as a whole; tests of its parts are beside them.

mod cost;
mod file_trees;
mod format;
mod model;

use std::collections::BTreeMap;

use specs::Digest;

use super::*;

/// The expected content of a map.
type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn build<V: MapValue>(nodes: &MemoryNodes, model: &BTreeMap<Vec<u8>, V>) -> Map<V> {
    Map::build(model.iter().map(|(key, value)| (key, value.clone())), &mut &*nodes).unwrap()
}

fn contents<V: MapValue>(nodes: &MemoryNodes, map: Map<V>, range: KeyRange) -> Vec<(Vec<u8>, V)> {
    map.range(nodes, range).unwrap().map(Result::unwrap).collect()
}

/// A file whose digest and size are derived from `number`.
fn file(number: u64) -> FileEntry {
    let digest = node::digest_of(&number.to_be_bytes());
    FileEntry { digest, size: number % 5_000_000, executable: number.is_multiple_of(7) }
}

/// Camera images as in the main use case: `/cam<0..50>/<unix time>.jpg`.
fn camera_images(count: u64) -> BTreeMap<Vec<u8>, FileEntry> {
    (0..count).map(|n| (format!("/cam{}/{}.jpg", n % 50, 1_511_891_098 + n * 7).into_bytes(), file(n))).collect()
}

/// Pseudorandom numbers, the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}
