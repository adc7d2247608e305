//! Which fields of two recipes differ, as text: cheap, since previews use it for every datum.

use std::collections::BTreeMap;

use repos::documents::{Recipe, RecipeInput, Transform};
use repos::{RepoError, Store};
use serde_json::Value;
use specs::Digest;

use engine::apply::fields_that_differ;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Differing {
    /// The field: `transform.cmd`, or the name of an input.
    pub(crate) field: String,
    /// The difference in a word: `cmd`, `images`, `images path`.
    pub(crate) word: String,
}

impl Differing {
    /// A difference that is not visible to the one who asks.
    pub(crate) fn hidden() -> Self {
        let word = "an input that is not visible to you".to_owned();
        Self { field: word.clone(), word }
    }
}

/// The differences between two recipes: the fields of the transform, then the inputs.
pub(crate) fn changes_of_recipe(store: &Store, old: &Recipe, new: &Recipe) -> Result<Vec<Differing>, RepoError> {
    let mut changes = changes_of_transform(store, &old.transform, &new.transform)?;
    changes.extend(changes_of_inputs(old, new));
    Ok(changes)
}

/// The fields of two transforms that differ.
fn changes_of_transform(store: &Store, old: &Digest, new: &Digest) -> Result<Vec<Differing>, RepoError> {
    if old == new {
        return Ok(Vec::new());
    }
    let value = |digest| -> Result<Value, RepoError> {
        let transform: Transform = store.document(digest)?;
        Ok(serde_json::to_value(transform).expect("documents have a JSON form"))
    };
    let (old, new) = (value(old)?, value(new)?);
    let change = |field: String| Differing { word: field.clone(), field: format!("transform.{field}") };
    Ok(fields_that_differ(&old, &new).into_iter().map(change).collect())
}

fn changes_of_inputs(old: &Recipe, new: &Recipe) -> Vec<Differing> {
    let (old, new) = (by_name(old), by_name(new));
    let mut names: Vec<&str> = old.keys().chain(new.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    let mut changes = Vec::new();
    for name in names {
        let (old, new) = (old.get(name).map_or(&[][..], Vec::as_slice), new.get(name).map_or(&[][..], Vec::as_slice));
        for number in 0..old.len().max(new.len()) {
            let (old, new) = (old.get(number).copied(), new.get(number).copied());
            if old == new {
                continue;
            }
            let is_moved = matches!((old, new), (Some(old), Some(new)) if old.path != new.path);
            let word = if is_moved { format!("{name} path") } else { name.to_owned() };
            changes.push(Differing { field: name.to_owned(), word });
        }
    }
    changes
}

/// The inputs of a recipe by name; a group has several with one name.
pub(super) fn by_name(recipe: &Recipe) -> BTreeMap<&str, Vec<&RecipeInput>> {
    let mut named: BTreeMap<&str, Vec<&RecipeInput>> = BTreeMap::new();
    for input in &recipe.inputs {
        named.entry(&input.name).or_default().push(input);
    }
    named
}
