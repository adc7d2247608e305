//! A datum's place in the map of datums.

use specs::FilePath;

/// Which path of which input: (leaf number in the spec, matched path) for each arm, in spec order.
///
/// Shape, in maps: for each arm the leaf number (u16), the path's length in bytes (u16), big-endian both, and the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatumKey(Vec<u8>);

/// First bytes of the keys of the datums map.
pub(crate) mod prefix {
    /// `d` + datum key → digest of the result.
    pub(crate) const DATUM: u8 = b'd';
    /// `r` + datum key → why the datum is recovered.
    pub(crate) const RECOVERED: u8 = b'r';
}

impl DatumKey {
    /// The key of these arms, which come in spec order.
    pub fn new<'a>(arms: impl IntoIterator<Item = (usize, &'a FilePath)>) -> Self {
        let mut bytes = Vec::new();
        for (leaf, path) in arms {
            let leaf = u16::try_from(leaf).expect("a spec of so many inputs is refused by its size");
            let length = u16::try_from(path.as_str().len()).expect("a path has at most 4,096 bytes");
            bytes.extend_from_slice(&leaf.to_be_bytes());
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(path.as_str().as_bytes());
        }
        Self(bytes)
    }

    /// The arms; `None` when the bytes are no key.
    pub fn arms(&self) -> Option<Vec<(usize, FilePath)>> {
        let mut rest = self.0.as_slice();
        let mut arms = Vec::new();
        while let Some((leaf, after)) = rest.split_first_chunk::<2>() {
            let (length, after) = after.split_first_chunk::<2>()?;
            let (path, after) = after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            arms.push((usize::from(u16::from_be_bytes(*leaf)), FilePath::from_bytes(path).ok()?));
            rest = after;
        }
        rest.is_empty().then_some(arms)
    }

    /// Its key in the map of datums, below one of the prefixes.
    pub(crate) fn below(&self, prefix: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() + 1);
        bytes.push(prefix);
        bytes.extend_from_slice(&self.0);
        bytes
    }

    /// From a key of the map of datums, without its prefix.
    pub fn from_map(key: &[u8]) -> Self {
        Self(key.get(1..).unwrap_or_default().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn keys_round_trip(arms in proptest::collection::vec((0_usize..100, "(/[a-z]{1,5}){1,4}"), 0..4)) {
            let arms: Vec<(usize, FilePath)> = arms.into_iter().map(|(leaf, path)| (leaf, path.parse().unwrap())).collect();
            let key = DatumKey::new(arms.iter().map(|(leaf, path)| (*leaf, path)));
            prop_assert_eq!(key.arms(), Some(arms));
        }
    }
}
