//! The datums that read a file, found from its path without visiting the others.
//!
//! A leaf's glob determines the path under which the file is matched: its own, or that of a directory above it. From there it works as for
//! a change to that match: a union passes its datums on, a cross combines them with all others, a join or group takes the key and builds
//! the datums of that key.

use std::collections::BTreeSet;

use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::FilePath;

use super::difference::{combinations, restricted};
use super::list::DatumList;
use super::matches::Finder;
use super::members::Members;
use super::shape::{KeyedNode, Node, Shape};
use super::view::{View, Visit};
use super::{Datum, DatumKey, DatumMap};

/// A datum that read a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadBy {
    /// Its key in the datums map.
    pub key: DatumKey,
    /// Whether it read the file only through inputs outside its recipe: then its result may come from other content.
    pub by_reference: bool,
}

impl Shape {
    /// Visits the datums that read the file at `path` through one of the leaves `holders`. `trees` are those of all leaves, and `datums` is
    /// the datums map of the output commit made from them.
    pub fn readers(
        &self,
        store: &Store,
        (trees, datums): (Vec<Tree>, DatumMap),
        path: &FilePath,
        holders: &BTreeSet<usize>,
        visit: &mut dyn FnMut(ReadBy) -> Result<(), RepoError>,
    ) -> Result<(), RepoError> {
        let mut matches = BTreeSet::new();
        for leaf in holders {
            let glob = &self.leaves[*leaf].input.glob;
            let above = std::iter::successors(Some(path.clone()), FilePath::parent);
            let fits = |path: &FilePath| if path.is_root() { glob.is_root() } else { glob.matches(path.as_str()) };
            matches.extend(above.filter(fits).map(|path| (*leaf, path)));
        }
        let members = Members { base: datums, changes: None };
        let search = Search { view: View { store, shape: self, trees, members }, matches };
        search.of(&self.root, &mut |datum| {
            let mut through = datum.inputs.iter().filter(|input| search.is_match(input.leaf, &input.path));
            let by_reference = through.all(|input| self.leaves[input.leaf].input.reference);
            visit(ReadBy { key: datum.key, by_reference })
        })
    }
}

struct Search<'a> {
    view: View<'a>,
    /// Leaf and matched path of all matches that contain the file.
    matches: BTreeSet<(usize, FilePath)>,
}

impl Search<'_> {
    fn is_match(&self, leaf: usize, path: &FilePath) -> bool {
        self.matches.contains(&(leaf, path.clone()))
    }

    fn of(&self, node: &Node, visit: &mut Visit<'_>) -> Result<(), RepoError> {
        match node {
            Node::Leaf(leaf) => {
                let mut finder = Finder::new(self.view.store, self.view.trees[*leaf])?;
                for (_, path) in self.matches.iter().filter(|(own, _)| own == leaf) {
                    if let Some(matched) = finder.at(path)? {
                        visit(Datum::of_match(*leaf, path.clone(), matched))?;
                    }
                }
                Ok(())
            }
            Node::Union(inputs) => inputs.iter().try_for_each(|input| self.of(input, visit)),
            Node::Cross(inputs) => {
                let lists = inputs.iter().map(|input| self.list(input)).collect::<Result<Vec<_>, _>>()?;
                combinations(&self.view, inputs, &lists, visit)
            }
            Node::Keyed(keyed) => self.of_keyed(keyed, visit),
        }
    }

    fn list(&self, node: &Node) -> Result<DatumList, RepoError> {
        let mut list = DatumList::default();
        self.of(node, &mut |datum| {
            list.push(&datum);
            Ok(())
        })?;
        Ok(list)
    }

    fn of_keyed(&self, keyed: &KeyedNode, visit: &mut Visit<'_>) -> Result<(), RepoError> {
        let mut keys = BTreeSet::new();
        for input in &keyed.inputs {
            self.of(input, &mut |datum| {
                keys.insert(self.view.shape.key_of(keyed.by, &datum));
                Ok(())
            })?;
        }
        if keys.is_empty() {
            return Ok(());
        }
        let mut lists = restricted(&self.view, keyed, &keys)?;
        for key in &keys {
            let of_key = lists.iter_mut().map(|list| list.take(key)).collect();
            self.view.combine(keyed, key, of_key, &mut |datum| {
                let reads = datum.inputs.iter().any(|input| self.is_match(input.leaf, &input.path));
                if reads { visit(datum) } else { Ok(()) }
            })?;
        }
        Ok(())
    }
}
