//! The differences between two maps. Shared subtrees are skipped unread.

use std::cmp::Ordering;

use super::cursor::{Cursor, Step};
use super::range::KeyRange;
use super::store::NodeStore;
use super::value::MapValue;

/// One key whose entry differs. At least one of `old` and `new` is present, and they are not equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<V> {
    /// The key.
    pub key: Vec<u8>,
    /// The value before; `None` for an added entry.
    pub old: Option<V>,
    /// The value after; `None` for a removed entry.
    pub new: Option<V>,
}

/// The differences in key order, read lazily: O(changes · log n) reads. Ends after the first error.
#[derive(Debug)]
pub struct Diff<'s, V, S: ?Sized> {
    /// The old and the new map; `None` if nothing (more) needs comparing.
    sides: Option<(Cursor<'s, V, S>, Cursor<'s, V, S>)>,
    range: KeyRange,
}

/// What to do next, and on which sides.
#[derive(Clone, Copy)]
enum Move {
    Enter(Sides),
    Skip(Sides),
    Take(Sides),
    End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sides {
    Old,
    New,
    Both,
}

impl<'s, V: MapValue, S: NodeStore + ?Sized> Diff<'s, V, S> {
    pub(super) fn new(sides: Option<(Cursor<'s, V, S>, Cursor<'s, V, S>)>, range: KeyRange) -> Self {
        Self { sides, range }
    }

    fn advance(&mut self) -> Result<Option<Change<V>>, S::Error> {
        let Some((old, new)) = &mut self.sides else { return Ok(None) };
        loop {
            match next_move(old.peek(), new.peek(), &self.range) {
                Move::End => return Ok(None),
                Move::Enter(sides) => {
                    if sides != Sides::New {
                        old.enter()?;
                    }
                    if sides != Sides::Old {
                        new.enter()?;
                    }
                }
                Move::Skip(sides) => {
                    if sides != Sides::New {
                        old.skip();
                    }
                    if sides != Sides::Old {
                        new.skip();
                    }
                }
                Move::Take(sides) => {
                    let removed = if sides == Sides::New { None } else { take(old) };
                    let added = if sides == Sides::Old { None } else { take(new) };
                    if let Some(change) = change(removed, added) {
                        return Ok(Some(change));
                    }
                }
            }
        }
    }
}

fn take<V: MapValue, S: NodeStore + ?Sized>(cursor: &mut Cursor<'_, V, S>) -> Option<(Vec<u8>, V)> {
    let Some(Step::Entry { key, value }) = cursor.peek() else { return None };
    let taken = (key.to_vec(), value.clone());
    cursor.skip();
    Some(taken)
}

fn change<V: PartialEq>(old: Option<(Vec<u8>, V)>, new: Option<(Vec<u8>, V)>) -> Option<Change<V>> {
    match (old, new) {
        (Some((_, old)), Some((_, new))) if old == new => None,
        (Some((key, old)), Some((_, new))) => Some(Change { key, old: Some(old), new: Some(new) }),
        (Some((key, old)), None) => Some(Change { key, old: Some(old), new: None }),
        (None, Some((key, new))) => Some(Change { key, old: None, new: Some(new) }),
        (None, None) => None,
    }
}

/// Both sides are at the same key: everything before it was compared. If one side has an entry and the other a subtree, or a higher
/// subtree, the higher one is entered, so that equal subtrees meet.
fn next_move<V>(old: Option<Step<'_, V>>, new: Option<Step<'_, V>>, range: &KeyRange) -> Move {
    if old.as_ref().is_some_and(|step| range.starts_after(step.last_key())) {
        return Move::Skip(Sides::Old);
    }
    if new.as_ref().is_some_and(|step| range.starts_after(step.last_key())) {
        return Move::Skip(Sides::New);
    }
    let inside = |step: &Step<'_, V>| !matches!(step, Step::Entry { key, .. } if range.ends_before(key));
    match (old.filter(inside), new.filter(inside)) {
        (None, None) => Move::End,
        (Some(Step::Subtree { level: old_level, child: old, .. }), Some(Step::Subtree { level, child: new, .. })) => {
            match old_level.cmp(&level) {
                _ if old.digest == new.digest => Move::Skip(Sides::Both),
                Ordering::Less => Move::Enter(Sides::New),
                Ordering::Equal => Move::Enter(Sides::Both),
                Ordering::Greater => Move::Enter(Sides::Old),
            }
        }
        (Some(Step::Subtree { .. }), _) => Move::Enter(Sides::Old),
        (_, Some(Step::Subtree { .. })) => Move::Enter(Sides::New),
        (Some(Step::Entry { .. }), None) => Move::Take(Sides::Old),
        (None, Some(Step::Entry { .. })) => Move::Take(Sides::New),
        (Some(Step::Entry { key: old, .. }), Some(Step::Entry { key: new, .. })) => match old.cmp(new) {
            Ordering::Less => Move::Take(Sides::Old),
            Ordering::Equal => Move::Take(Sides::Both),
            Ordering::Greater => Move::Take(Sides::New),
        },
    }
}

impl<V: MapValue, S: NodeStore + ?Sized> Iterator for Diff<'_, V, S> {
    type Item = Result<Change<V>, S::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.sides = None;
        }
        next
    }
}
