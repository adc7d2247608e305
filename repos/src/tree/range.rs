//! Ranges of keys, their totals, and iteration over their entries.

use std::ops::AddAssign;

use super::cursor::{Cursor, Step};
use super::store::NodeStore;
use super::value::MapValue;

/// Keys from `from` (inclusive) to `to` (exclusive), in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key that can be in the range.
    pub from: Vec<u8>,
    /// The first key after the range; `None` for no end.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// The keys that begin with `prefix`.
    pub fn prefix(prefix: impl Into<Vec<u8>>) -> Self {
        let from = prefix.into();
        let raised = from.iter().rposition(|byte| *byte < u8::MAX).map(|last| {
            let mut to = from[..=last].to_vec();
            to[last] += 1;
            to
        });
        Self { from, to: raised }
    }

    /// Whether `key` is in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        !self.starts_after(key) && !self.ends_before(key)
    }

    pub(super) fn starts_after(&self, key: &[u8]) -> bool {
        key < self.from.as_slice()
    }

    pub(super) fn ends_before(&self, key: &[u8]) -> bool {
        self.to.as_deref().is_some_and(|to| to <= key)
    }
}

/// The totals of a map or a part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Number of entries; in a file tree, number of files.
    pub entries: u64,
    /// Sum of the values' weights; in a file tree, bytes.
    pub weight: u64,
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.entries = self.entries.saturating_add(other.entries);
        self.weight = self.weight.saturating_add(other.weight);
    }
}

/// The entries of a range in key order, read lazily. Ends after the first error.
#[derive(Debug)]
pub struct Range<'s, V, S: ?Sized> {
    cursor: Option<Cursor<'s, V, S>>,
    range: KeyRange,
}

impl<'s, V: MapValue, S: NodeStore + ?Sized> Range<'s, V, S> {
    pub(super) fn new(mut cursor: Cursor<'s, V, S>, range: KeyRange) -> Result<Self, S::Error> {
        cursor.seek(&range.from)?;
        Ok(Self { cursor: Some(cursor), range })
    }

    fn advance(&mut self) -> Result<Option<(Vec<u8>, V)>, S::Error> {
        let Some(cursor) = &mut self.cursor else { return Ok(None) };
        loop {
            let found = match cursor.peek() {
                Some(Step::Subtree { .. }) => None,
                Some(Step::Entry { key, value }) if !self.range.ends_before(key) => Some((key.to_vec(), value.clone())),
                _ => return Ok(None),
            };
            if found.is_some() {
                cursor.skip();
                return Ok(found);
            }
            cursor.enter()?;
        }
    }
}

impl<V: MapValue, S: NodeStore + ?Sized> Iterator for Range<'_, V, S> {
    type Item = Result<(Vec<u8>, V), S::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.cursor = None;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_key_without_it() {
        assert_eq!(KeyRange::prefix("/a/").to.as_deref(), Some(&b"/a0"[..]));
        assert_eq!(KeyRange::prefix(b"a\xff\xff".to_vec()).to.as_deref(), Some(&b"b"[..]));
        assert_eq!(KeyRange::prefix(b"\xff".to_vec()).to, None);
        assert_eq!(KeyRange::prefix(""), KeyRange::all());
        let range = KeyRange::prefix("/a/");
        assert!(range.contains(b"/a/") && range.contains(b"/a/\xff"));
        assert!(!range.contains(b"/a-b") && !range.contains(b"/a0"));
    }
}
