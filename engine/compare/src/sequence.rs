//! The common items of two sequences, in order.

use std::hash::Hash;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, InternedInput, TokenSource};

/// Total number of items up to which the minimal difference is computed; for longer sequences an approximate one.
const FEWEST: usize = 4000;

struct Items<'i, T>(&'i [T]);

impl<'i, T: Copy + Eq + Hash> TokenSource for Items<'i, T> {
    type Token = T;
    type Tokenizer = std::iter::Copied<std::slice::Iter<'i, T>>;

    fn tokenize(&self) -> Self::Tokenizer {
        self.0.iter().copied()
    }

    fn estimate_tokens(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// The differing ranges, in order: items of the old sequence that were replaced by items of the new one. Items in between are equal, one by
/// one. Swapping the sequences only swaps the sides of the result, because the shorter one is always passed first.
pub(crate) fn differences<T: Copy + Eq + Hash>(old: &[T], new: &[T]) -> Vec<(Range<usize>, Range<usize>)> {
    if old.len() > new.len() {
        return differences(new, old).into_iter().map(|(new, old)| (old, new)).collect();
    }
    let input = InternedInput::new(Items(old), Items(new));
    let algorithm = if old.len() + new.len() <= FEWEST { Algorithm::MyersMinimal } else { Algorithm::Myers };
    let mut diff = Diff::compute(algorithm, &input);
    diff.postprocess_no_heuristic(&input);
    let range = |range: &Range<u32>| range.start as usize..range.end as usize;
    diff.hunks().map(|hunk| (range(&hunk.before), range(&hunk.after))).collect()
}

/// Whether the common items, of which there are `shared`, are in a different order. Always false for long sequences with repeated items if
/// each side also has items of its own.
pub(crate) fn is_reordered<T: Copy + Eq + Hash>(old: &[T], new: &[T], shared: usize) -> bool {
    if shared == old.len() || shared == new.len() {
        let (part, whole) = if shared == old.len() { (old, new) } else { (new, old) };
        let mut left = whole.iter();
        return !part.iter().all(|item| left.any(|other| other == item));
    }
    if old.len() + new.len() > FEWEST {
        return false;
    }
    let alone: usize = differences(old, new).into_iter().map(|(old, _)| old.len()).sum();
    old.len() - alone < shared
}

/// Whether the pairs are in the same order on both sides.
pub(crate) fn is_in_order<T: Copy + Ord>(pairs: impl Iterator<Item = (T, T)>) -> bool {
    let mut pairs: Vec<(T, T)> = pairs.collect();
    pairs.sort_unstable();
    pairs.windows(2).all(|pair| pair[0].1 <= pair[1].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_between_differences_is_equal() {
        assert_eq!(differences(&[1, 2, 3], &[0, 1, 2, 3, 4]), [(0..0, 0..1), (3..3, 4..5)]);
        assert_eq!(differences(&[0, 1, 2, 3, 4], &[1, 2, 3]), [(0..1, 0..0), (4..5, 3..3)]);
        assert_eq!(differences(&[1, 2, 3], &[1, 9, 3]), [(1..2, 1..2)]);
        assert_eq!(differences::<u8>(&[], &[]), []);
    }

    #[test]
    fn one_more_of_what_is_there_already_changes_no_order() {
        assert!(!is_reordered(&[1, 2, 1], &[1, 1, 2, 1], 3));
        assert!(is_reordered(&[1, 2, 3], &[1, 3, 2], 3));
        assert!(!is_reordered(&[1, 2, 1, 9], &[8, 1, 1, 2, 1], 3));
        assert!(is_reordered(&[1, 2, 9], &[2, 1, 8], 2));
    }
}
