//! Which datums read a file.

use std::collections::BTreeSet;

use repos::documents::{Recipe, ResultDocument};
use repos::{RepoError, Store};
use specs::{Digest, FilePath};

use super::DatumKey;
use super::shape::{By, KeyedNode, Node, Shape};

impl Shape {
    /// Whether a datum with this key and result read a file, directly or in a directory, through one of the leaves that contain it.
    pub fn reads(
        &self,
        store: &Store,
        (key, result): (&DatumKey, &Digest),
        path: &FilePath,
        holders: &BTreeSet<usize>,
    ) -> Result<bool, RepoError> {
        let is_it = |matched: &FilePath| matched == path || matched.contains(path);
        for (leaf, text) in key.parts().unwrap_or_default() {
            match group_of(&self.root, leaf) {
                Some(group) => {
                    // The key does not tell what is in a group, but its recipe does.
                    let names: BTreeSet<&str> = holders
                        .iter()
                        .filter(|holder| group.inputs.iter().any(|input| input.has_leaf(**holder)))
                        .map(|holder| self.leaves[*holder].input.name.as_str())
                        .collect();
                    if !names.is_empty()
                        && inputs_of(store, result)?
                            .iter()
                            .any(|(name, matched)| names.contains(name.as_str()) && is_it(matched))
                    {
                        return Ok(true);
                    }
                }
                None if holders.contains(&leaf) && text.parse().is_ok_and(|matched| is_it(&matched)) => {
                    return Ok(true);
                }
                None => {}
            }
        }
        Ok(false)
    }
}

/// The outermost group that begins with the leaf: then the part's text is the group's key.
fn group_of(node: &Node, leaf: usize) -> Option<&KeyedNode> {
    match node {
        Node::Leaf(_) => None,
        Node::Keyed(keyed) if keyed.by == By::Group => Some(keyed).filter(|keyed| keyed.first_leaf == leaf),
        Node::Cross(inputs) | Node::Union(inputs) | Node::Keyed(KeyedNode { inputs, .. }) => {
            inputs.iter().find_map(|input| group_of(input, leaf))
        }
    }
}

/// Name and matched path of everything that a result's datum read.
fn inputs_of(store: &Store, result: &Digest) -> Result<Vec<(String, FilePath)>, RepoError> {
    let result: ResultDocument = store.document(result)?;
    let recipe: Recipe = store.document(&result.recipe.digest())?;
    let within = recipe.inputs.into_iter().map(|input| (input.name, input.path));
    Ok(within.chain(result.references.into_iter().map(|one| (one.input, one.path))).collect())
}
