//! Merkle trees as in RFC 6962: hashes of leaves and nodes, roots, proofs of inclusion and of consistency.
//!
//! A tree of any size consists of *complete* subtrees (2^level leaves, the first at a multiple of 2^level), which never change. Everything
//! here is computed from their hashes: a root, or one hash of a proof, needs O(log n) of them.

use specs::Digest;

use crate::base::hash::{Hasher, digest_of};

/// The hash of a leaf.
pub fn leaf_hash(leaf: &[u8]) -> Digest {
    hash_of(0, &[leaf])
}

/// The hash of a node from those of its two children.
pub fn node_hash(left: &Digest, right: &Digest) -> Digest {
    hash_of(1, &[left.as_bytes(), right.as_bytes()])
}

/// The first byte distinguishes leaves from nodes.
fn hash_of(sort: u8, parts: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(&[sort]);
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// The root of a tree without leaves.
pub fn empty_root() -> Digest {
    digest_of(&[])
}

/// The source of the hashes of complete subtrees.
pub trait Subtrees {
    /// Why a hash is not available.
    type Error;

    /// The hash of the subtree with 2^`level` leaves that has `index` such subtrees to its left. It is complete in the tree in question.
    fn subtree(&self, level: u32, index: u64) -> Result<Digest, Self::Error>;
}

/// The root of the tree over the first `size` leaves.
pub fn root<S: Subtrees + ?Sized>(from: &S, size: u64) -> Result<Digest, S::Error> {
    range(from, 0, size)
}

/// The hash over `count` leaves from `start` on; `start` is a multiple of a power of two that is at least `count`.
fn range<S: Subtrees + ?Sized>(from: &S, start: u64, count: u64) -> Result<Digest, S::Error> {
    let mut parts = Vec::new();
    let (mut at, mut left) = (start, count);
    while left > 0 {
        let level = left.ilog2();
        parts.push(from.subtree(level, at >> level)?);
        at += 1 << level;
        left -= 1 << level;
    }
    Ok(joined(&parts))
}

/// The hash over adjacent complete subtrees, the largest first.
fn joined(parts: &[Digest]) -> Digest {
    let joined = parts.iter().rev().copied().reduce(|right, left| node_hash(&left, &right));
    joined.unwrap_or_else(empty_root)
}

/// How many of `count` leaves (at least 2) are on the left side of the root: the largest power of two below `count`.
fn split(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// Proves that leaf `index` (from 0) is in the tree over the first `size` leaves: starts with the leaf's sibling, ends with the one below
/// the root.
pub fn inclusion<S: Subtrees + ?Sized>(from: &S, index: u64, size: u64) -> Result<Vec<Digest>, S::Error> {
    let (mut start, mut count) = (0, size);
    let mut path = Vec::new();
    while count > 1 {
        let left = split(count);
        if index - start < left {
            path.push(range(from, start + left, count - left)?);
            count = left;
        } else {
            path.push(range(from, start, left)?);
            (start, count) = (start + left, count - left);
        }
    }
    path.reverse();
    Ok(path)
}

/// Proves that the tree over the first `old` leaves is a prefix of the one over the first `size`; empty if `old` is 0 or `size`.
pub fn consistency<S: Subtrees + ?Sized>(from: &S, old: u64, size: u64) -> Result<Vec<Digest>, S::Error> {
    let (mut start, mut count, mut old) = (0, size, old);
    let mut path = Vec::new();
    if old == 0 {
        return Ok(path);
    }
    while old != count {
        let left = split(count);
        if old <= left {
            path.push(range(from, start + left, count - left)?);
            count = left;
        } else {
            path.push(range(from, start, left)?);
            (start, count, old) = (start + left, count - left, old - left);
        }
    }
    // If the whole old tree is one subtree (`start` is 0), the reader already has its root.
    if start > 0 {
        path.push(range(from, start, count)?);
    }
    path.reverse();
    Ok(path)
}

/// Computes roots while leaves are appended.
#[derive(Debug, Default, Clone)]
pub struct Growing {
    size: u64,
    /// The complete subtrees, the largest first.
    parts: Vec<Digest>,
}

impl Growing {
    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Digest) {
        let full = self.size.trailing_ones() as usize;
        let left = self.parts.split_off(self.parts.len() - full);
        self.parts.push(left.iter().rev().fold(leaf, |right, left| node_hash(left, &right)));
        self.size += 1;
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The root over them.
    pub fn root(&self) -> Digest {
        joined(&self.parts)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<Digest> {
        (0..count).map(|number| leaf_hash(format!("leaf {number}").as_bytes())).collect()
    }

    /// The root exactly as RFC 6962, section 2.1, defines it.
    fn naive(leaves: &[Digest]) -> Digest {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            leaves => {
                let mut left = 1;
                while left * 2 < leaves.len() {
                    left *= 2;
                }
                node_hash(&naive(&leaves[..left]), &naive(&leaves[left..]))
            }
        }
    }

    /// Complete subtrees as the index stores them.
    #[derive(Default)]
    struct Kept(BTreeMap<(u32, u64), Digest>);

    impl Subtrees for Kept {
        type Error = Infallible;

        fn subtree(&self, level: u32, index: u64) -> Result<Digest, Infallible> {
            Ok(self.0[&(level, index)])
        }
    }

    impl Kept {
        fn of(leaves: &[Digest]) -> Self {
            let mut kept = Self::default();
            for level in 0..=leaves.len().max(1).ilog2() {
                for (index, part) in leaves.chunks_exact(1 << level).enumerate() {
                    kept.0.insert((level, index as u64), naive(part));
                }
            }
            kept
        }
    }

    /// Whether a path leads from a leaf to a root: RFC 9162, section 2.1.3.2.
    fn includes(leaf: Digest, index: u64, size: u64, path: &[Digest], root: Digest) -> bool {
        let (mut at, mut last, mut hash) = (index, size - 1, leaf);
        for beside in path {
            if last == 0 {
                return false;
            }
            if at & 1 == 1 || at == last {
                hash = node_hash(beside, &hash);
                while at & 1 == 0 && at != 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                hash = node_hash(&hash, beside);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        last == 0 && hash == root
    }

    /// Whether a path proves that one root grew into another: RFC 9162, section 2.1.4.2.
    fn grew(old: u64, size: u64, path: &[Digest], old_root: Digest, root: Digest) -> bool {
        let whole: Vec<Digest> =
            old.is_power_of_two().then_some(old_root).into_iter().chain(path.iter().copied()).collect();
        let Some((first, rest)) = whole.split_first() else { return false };
        let (mut at, mut last) = (old - 1, size - 1);
        while at & 1 == 1 {
            (at, last) = (at >> 1, last >> 1);
        }
        let (mut before, mut now) = (*first, *first);
        for hash in rest {
            if last == 0 {
                return false;
            }
            if at & 1 == 1 || at == last {
                (before, now) = (node_hash(hash, &before), node_hash(hash, &now));
                while at & 1 == 0 && at != 0 {
                    (at, last) = (at >> 1, last >> 1);
                }
            } else {
                now = node_hash(&now, hash);
            }
            (at, last) = (at >> 1, last >> 1);
        }
        last == 0 && before == old_root && now == root
    }

    /// Checks that all proofs between two sizes hold, and none holds for other leaves.
    fn check_pair(leaves: &[Digest], kept: &Kept, old: u64, size: u64) {
        let (old_root, new_root) = (naive(&leaves[..old as usize]), naive(&leaves[..size as usize]));
        assert_eq!(root(kept, size), Ok(new_root));
        let Ok(path) = consistency(kept, old, size);
        if old == size {
            assert!(path.is_empty());
        } else {
            assert!(grew(old, size, &path, old_root, new_root), "{old} to {size}");
            assert!(!grew(old, size, &path, new_root, new_root), "{old} to {size}");
        }
        let Ok(path) = inclusion(kept, old - 1, size);
        let leaf = leaves[old as usize - 1];
        assert!(includes(leaf, old - 1, size, &path, new_root), "{old} of {size}");
        assert!(!includes(empty_root(), old - 1, size, &path, new_root), "{old} of {size}");
        assert!(path.len() as u32 <= size.next_power_of_two().ilog2());
    }

    #[test]
    fn proofs_hold_between_all_small_trees() {
        let leaves = leaves(64);
        let kept = Kept::of(&leaves);
        for size in 1..=64 {
            (1..=size).for_each(|old| check_pair(&leaves, &kept, old, size));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn proofs_hold_between_large_trees(size in 65..3000_u64, part in 0..1000_u64) {
            let leaves = leaves(size);
            let kept = Kept::of(&leaves);
            check_pair(&leaves, &kept, 1 + (size - 1) * part / 1000, size);
        }
    }

    #[test]
    fn a_growing_tree_has_the_same_root_at_every_size() {
        let leaves = leaves(300);
        let mut growing = Growing::default();
        assert_eq!(growing.root(), naive(&[]));
        for (number, leaf) in leaves.iter().enumerate() {
            growing.push(*leaf);
            assert_eq!((growing.size(), growing.root()), (number as u64 + 1, naive(&leaves[..=number])));
        }
    }

    #[test]
    fn hashes_are_those_of_other_implementations() {
        // The leaves and roots from the tests of Certificate Transparency's own code.
        let leaves =
            ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"];
        let bytes = |hex: &str| -> Vec<u8> {
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
        };
        let roots = [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
            "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
            "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
            "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
            "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
            "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
        ];
        let mut growing = Growing::default();
        assert_eq!(growing.root().to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        for (leaf, root) in leaves.into_iter().zip(roots) {
            growing.push(leaf_hash(&bytes(leaf)));
            assert_eq!(growing.root().to_string(), root);
        }
    }
}
