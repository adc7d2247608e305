//! A datum's key in the datums map, and the other keys of that map.

/// First bytes of the keys of the datums map.
pub use repos::documents::datums as prefix;
use specs::{FilePath, MAX_PATH_BYTES};

use super::InputMatch;

/// Which paths of which inputs: (leaf number in the spec, matched path) for each input, in spec order; for a group, (number of its first
/// leaf, key of the group) in place of all inputs below it.
///
/// Shape, in maps: for each part the leaf number (u16), the length of the text in bytes (u16), both big-endian, and the text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct DatumKey(Vec<u8>);

impl DatumKey {
    /// The key of a single match.
    pub(super) fn of_path(leaf: usize, path: &FilePath) -> Self {
        let mut key = Self::default();
        key.push(leaf, path.as_str());
        key
    }

    /// The key of a group's datum.
    pub(super) fn of_group(first_leaf: usize, group: &str) -> Self {
        let mut key = Self::default();
        key.push(first_leaf, group);
        key
    }

    fn push(&mut self, leaf: usize, text: &str) {
        push_part(&mut self.0, leaf, text);
    }

    /// Appends the parts of a datum whose inputs follow these.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// Leaf number and text of each part: a path, or the key of the group that begins with that leaf. `None` if the bytes are not a valid
    /// key.
    pub fn parts(&self) -> Option<Vec<(usize, &str)>> {
        let mut rest = self.0.as_slice();
        let mut parts = Vec::new();
        while let Some((leaf, after)) = rest.split_first_chunk::<2>() {
            let (length, after) = after.split_first_chunk::<2>()?;
            let (text, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            parts.push((usize::from(u16::from_be_bytes(*leaf)), std::str::from_utf8(text).ok()?));
            rest = after;
        }
        rest.is_empty().then_some(parts)
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// Its key in the datums map, with one of the prefixes.
    pub fn below(&self, prefix: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1);
        bytes.push(prefix);
        bytes.extend_from_slice(&self.0);
        bytes
    }

    /// From a key of the datums map, without its prefix.
    pub fn from_map(key: &[u8]) -> Self {
        Self::from_bytes(key.get(1..).unwrap_or_default())
    }
}

fn push_part(bytes: &mut Vec<u8>, leaf: usize, text: &str) {
    let leaf = u16::try_from(leaf).expect("no job has more inputs: `inputs` refuses it");
    let length = u16::try_from(text.len()).expect("a path has at most 4,096 bytes, and so has a key");
    bytes.extend_from_slice(&leaf.to_be_bytes());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

/// The key in the datums map for a path that a leaf of a join or group matches; without a path, the common prefix for its key.
pub(super) fn member_row(leaf: usize, key: &str, path: &str) -> Vec<u8> {
    let mut bytes = vec![prefix::MEMBER];
    push_part(&mut bytes, leaf, key);
    bytes.extend_from_slice(path.as_bytes());
    bytes
}

/// A join or group key of at most 4,096 bytes: a longer one is replaced by its SHA-256.
pub(super) fn bounded(key: String) -> String {
    if key.len() <= MAX_PATH_BYTES { key } else { format!("{LONG}{}", repos::hash::digest_of(key.as_bytes())) }
}

/// The prefix of a hashed long key.
pub(super) const LONG: &str = "sha256:";

/// Sets the key of a join or group on all inputs of its datums.
pub(super) fn stamp(inputs: &mut [InputMatch], key: &str) {
    for input in inputs {
        input.key = Some(key.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_round_trip(parts in proptest::collection::vec((0_usize..100, "(/[a-z]{1,5}){1,4}"), 0..4)) {
            let mut key = DatumKey::default();
            for (leaf, path) in &parts {
                key.extend(&DatumKey::of_path(*leaf, &path.parse().unwrap()));
            }
            let expected: Vec<(usize, &str)> = parts.iter().map(|(leaf, path)| (*leaf, path.as_str())).collect();
            prop_assert_eq!(key.parts(), Some(expected));
            let in_map = key.below(prefix::DATUM);
            prop_assert_eq!(DatumKey::from_map(&in_map), key);
        }
    }

    /// These bytes are stored and must never change.
    #[test]
    fn keys_are_what_they_always_were() {
        let mut key = DatumKey::of_path(1, &"/a/é".parse().unwrap());
        key.extend(&DatumKey::of_group(258, "7"));
        assert_eq!(key.below(prefix::DATUM), b"d\x00\x01\x00\x05/a/\xc3\xa9\x01\x02\x00\x017");
        assert_eq!(key.below(prefix::RECOVERED)[0], b'r');
        assert_eq!(member_row(258, "7", "/s7.txt"), b"k\x01\x02\x00\x017/s7.txt");
    }

    #[test]
    fn a_long_key_is_named_by_its_digest() {
        assert_eq!(bounded("7".to_owned()), "7");
        let long = bounded("7".repeat(5000));
        assert_eq!(long.len(), LONG.len() + 64);
        assert_ne!(long, bounded("7".repeat(5001)));
    }
}
