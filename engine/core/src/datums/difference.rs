//! The datums that differ between two moments, computed without visiting the others.
//!
//! The difference of its trees shows what changed in a leaf. The touched datums of a union are those of its inputs; of a cross, every
//! combination with a touched one. A join or group takes the keys of its inputs' touched datums, old and new, builds the datums of these
//! keys on both sides, and drops what is the same on both.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use repos::tree::Tree;
use repos::{RepoError, Store};

use super::list::{DatumList, SortedList};
use super::matches::{VisitChange, visit_changes};
use super::members::{Changes, MemberRows, Members};
use super::shape::{KeyedNode, Node, Shape};
use super::view::{DatumSource, View, Visit};
use super::{Datum, DatumKey, DatumMap};

/// The inputs of a pipeline at two moments.
pub(crate) struct Difference<'a> {
    old: View<'a>,
    new: View<'a>,
    changes: &'a [Changes],
}

/// The changes in the leaves of joins and groups, by leaf; changes in other leaves are not held.
#[derive(Debug)]
pub(crate) struct KeyedChanges(Vec<Changes>);

impl KeyedChanges {
    /// The changes between the trees of the leaves; `None` if there are more than `most`.
    pub(crate) fn new(
        store: &Store,
        shape: &Shape,
        (old, new): (&[Tree], &[Tree]),
        most: usize,
    ) -> Result<Option<Self>, RepoError> {
        let mut all = Vec::with_capacity(shape.leaves.len());
        let mut count = 0;
        for (number, leaf) in shape.leaves.iter().enumerate() {
            let mut changes = Changes::default();
            if leaf.member_by.is_some() {
                visit_leaf(store, shape, number, (old[number], new[number]), &mut |change| {
                    count += 1;
                    if count <= most {
                        changes.add(leaf, change);
                    }
                    Ok(())
                })?;
            }
            all.push(changes);
        }
        Ok((count <= most).then_some(Self(all)))
    }

    /// How the member rows change.
    pub(crate) fn rows(&self) -> MemberRows {
        MemberRows::of_changes(&self.0)
    }
}

/// The changed matches of a leaf. A match outside the recipe counts as unchanged as long as it exists.
fn visit_leaf(
    store: &Store,
    shape: &Shape,
    leaf: usize,
    trees: (Tree, Tree),
    visit: &mut VisitChange<'_>,
) -> Result<(), RepoError> {
    let input = &shape.leaves[leaf].input;
    visit_changes(store, trees, &input.glob, &mut |change| {
        let stays = change.old.is_some() && change.new.is_some();
        if input.reference && stays { Ok(()) } else { visit(change) }
    })
}

impl<'a> Difference<'a> {
    /// From the old trees of the leaves, with `base` as their datums map, to the new ones.
    pub(crate) fn new(
        store: &'a Store,
        shape: &'a Shape,
        (old, new): (Vec<Tree>, Vec<Tree>),
        base: DatumMap,
        changes: &'a KeyedChanges,
    ) -> Self {
        let changes = changes.0.as_slice();
        let old = View { store, shape, trees: old, members: Members { base, changes: None } };
        let new = View { store, shape, trees: new, members: Members { base, changes: Some(changes) } };
        Self { old, new, changes }
    }

    /// Visits the touched datums: those that exist now (new or changed), and those that existed before (removed or changed).
    pub(crate) fn touched(&self, now: &mut Visit<'_>, before: &mut Visit<'_>) -> Result<(), RepoError> {
        self.touched_of(&self.new.shape.root, now, before)
    }

    /// The current datum of a key.
    pub(crate) fn datum(&self, key: &DatumKey) -> Result<Option<Datum>, RepoError> {
        let parts = key.parts().unwrap_or_default();
        self.new.by_key(&self.new.shape.root, &mut parts.as_slice())
    }

    fn touched_of(&self, node: &Node, now: &mut Visit<'_>, before: &mut Visit<'_>) -> Result<(), RepoError> {
        match node {
            Node::Leaf(leaf) => {
                let trees = (self.old.trees[*leaf], self.new.trees[*leaf]);
                visit_leaf(self.new.store, self.new.shape, *leaf, trees, &mut |change| {
                    if let Some(matched) = change.new {
                        now(Datum::of_match(*leaf, change.path.clone(), matched))?;
                    }
                    change.old.map_or(Ok(()), |matched| before(Datum::of_match(*leaf, change.path, matched)))
                })
            }
            Node::Union(inputs) => inputs.iter().try_for_each(|input| self.touched_of(input, now, before)),
            Node::Cross(inputs) => {
                let (mut new, mut old) = (Vec::new(), Vec::new());
                for input in inputs {
                    let (mut new_list, mut old_list) = (DatumList::default(), DatumList::default());
                    self.touched_of(input, &mut into(&mut new_list), &mut into(&mut old_list))?;
                    new.push(new_list);
                    old.push(old_list);
                }
                combinations(&self.new, inputs, &new, now)?;
                combinations(&self.old, inputs, &old, before)
            }
            Node::Keyed(keyed) => self.touched_of_keyed(keyed, now, before),
        }
    }

    fn touched_of_keyed(
        &self,
        keyed: &KeyedNode,
        now: &mut Visit<'_>,
        before: &mut Visit<'_>,
    ) -> Result<(), RepoError> {
        let (mut new_keys, mut old_keys) = (BTreeSet::new(), BTreeSet::new());
        for input in &keyed.inputs {
            self.touched_of(
                input,
                &mut self.keys_into(keyed, &mut new_keys),
                &mut self.keys_into(keyed, &mut old_keys),
            )?;
        }
        new_keys.append(&mut old_keys);
        let keys = new_keys;
        if keys.is_empty() {
            return Ok(());
        }
        let (mut new, mut old) = (restricted(&self.new, keyed, &keys)?, restricted(&self.old, keyed, &keys)?);
        for key in &keys {
            let mut was: BTreeMap<DatumKey, Datum> = BTreeMap::new();
            let of_key = old.iter_mut().map(|list| list.take(key)).collect();
            self.old.combine(keyed, key, of_key, &mut |datum| {
                was.insert(datum.key.clone(), datum);
                Ok(())
            })?;
            let of_key = new.iter_mut().map(|list| list.take(key)).collect();
            self.new.combine(keyed, key, of_key, &mut |datum| {
                if was.get(&datum.key).is_some_and(|was| self.is_same(keyed, was, &datum)) {
                    was.remove(&datum.key);
                    return Ok(());
                }
                now(datum)
            })?;
            was.into_values().try_for_each(&mut *before)?;
        }
        Ok(())
    }

    fn keys_into<'s>(
        &'s self,
        keyed: &'s KeyedNode,
        keys: &'s mut BTreeSet<String>,
    ) -> impl FnMut(Datum) -> Result<(), RepoError> + 's {
        move |datum| {
            keys.insert(self.new.shape.key_of(keyed.by, &datum));
            Ok(())
        }
    }

    /// Whether two datums with the same key would be executed alike. Inputs outside the recipe may appear and disappear, unless they
    /// contribute to a key further up.
    fn is_same(&self, keyed: &KeyedNode, was: &Datum, is: &Datum) -> bool {
        let leaves = &self.new.shape.leaves;
        let counts = |datum: &'_ Datum| {
            let inputs =
                datum.inputs.iter().filter(|input| !(keyed.is_outermost && leaves[input.leaf].input.reference));
            inputs.map(|input| (input.leaf, input.path.clone(), input.key.clone())).collect::<Vec<_>>()
        };
        let inputs = counts(is);
        counts(was) == inputs && !inputs.iter().any(|(leaf, path, _)| self.changes[*leaf].contains(path))
    }
}

fn into(list: &mut DatumList) -> impl FnMut(Datum) -> Result<(), RepoError> + '_ {
    |datum| {
        list.push(&datum);
        Ok(())
    }
}

/// Every combination of a cross that contains a touched datum.
pub(super) fn combinations(
    view: &View<'_>,
    inputs: &[Node],
    touched: &[DatumList],
    visit: &mut Visit<'_>,
) -> Result<(), RepoError> {
    let Some(last) = touched.iter().rposition(|list| !list.is_empty()) else { return Ok(()) };
    let made: Vec<HashSet<DatumKey>> =
        touched[..last].iter().map(|list| list.iter().map(|(key, _)| key).collect()).collect();
    for at in (0..=last).filter(|at| !touched[*at].is_empty()) {
        let source = |(number, input)| {
            if number == at {
                return DatumSource::These(&touched[at]);
            }
            // Combinations with a touched datum of an earlier input were already visited for that input.
            DatumSource::All(input, made.get(number).filter(|_| number < at))
        };
        let sources: Vec<DatumSource<'_>> = inputs.iter().enumerate().map(source).collect();
        view.cross(&sources, visit)?;
    }
    Ok(())
}

/// The datums of each input that have one of the keys, sorted by key.
pub(super) fn restricted(
    view: &View<'_>,
    keyed: &KeyedNode,
    keys: &BTreeSet<String>,
) -> Result<Vec<SortedList>, RepoError> {
    let input = |input| {
        let mut list = DatumList::default();
        view.with_keys(keyed.by, input, keys, &mut |key, datum| {
            list.push_under(key, &datum);
            Ok(())
        })?;
        Ok(list.sorted())
    };
    keyed.inputs.iter().map(input).collect()
}
