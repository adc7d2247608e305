//! Two recipes, field by field.

use std::collections::BTreeMap;

use repos::documents::{Recipe, RecipeInput, Transform};
use repos::{RepoError, Store};
use serde::Serialize;
use serde_json::Value;
use specs::Digest;

use crate::apply::fields_that_differ;

/// A field that differs. Values are as the documents have them; absent where there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// The field: `transform.cmd`, or the name of an input.
    pub field: String,
    /// What differs of it, in a word: `cmd`, `images`, `images path`.
    #[serde(skip)]
    pub word: String,
    /// What it was.
    pub old: Option<String>,
    /// What it is.
    pub new: Option<String>,
}

/// Characters of a value that are told.
const SHOWN: usize = 200;

fn text_of(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    Some(if text.chars().count() > SHOWN { text.chars().take(SHOWN).chain(['…']).collect() } else { text })
}

/// What differs between two recipes: the fields of the transform, then the inputs.
pub(crate) fn changes_of_recipe(store: &Store, old: &Recipe, new: &Recipe) -> Result<Vec<FieldChange>, RepoError> {
    let mut changes = changes_of_transform(store, &old.transform, &new.transform)?;
    changes.extend(changes_of_inputs(old, new));
    Ok(changes)
}

/// The fields of two transforms that differ.
pub(crate) fn changes_of_transform(store: &Store, old: &Digest, new: &Digest) -> Result<Vec<FieldChange>, RepoError> {
    if old == new {
        return Ok(Vec::new());
    }
    let value = |digest| -> Result<Value, RepoError> {
        let transform: Transform = store.document(digest)?;
        Ok(serde_json::to_value(transform).expect("documents have a JSON form"))
    };
    let (old, new) = (value(old)?, value(new)?);
    let change = |field: String| FieldChange {
        old: text_of(old.get(&field)),
        new: text_of(new.get(&field)),
        word: field.clone(),
        field: format!("transform.{field}"),
    };
    Ok(fields_that_differ(&old, &new).into_iter().map(change).collect())
}

fn changes_of_inputs(old: &Recipe, new: &Recipe) -> Vec<FieldChange> {
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
            changes.push(FieldChange {
                field: name.to_owned(),
                word,
                old: old.map(input_text),
                new: new.map(input_text),
            });
        }
    }
    changes
}

fn by_name(recipe: &Recipe) -> BTreeMap<&str, Vec<&RecipeInput>> {
    let mut named: BTreeMap<&str, Vec<&RecipeInput>> = BTreeMap::new();
    for input in &recipe.inputs {
        named.entry(&input.name).or_default().push(input);
    }
    named
}

/// `/cam7.jpg e07c11d9…`
fn input_text(input: &RecipeInput) -> String {
    let digest = input.digest.or(input.tree).map_or_else(String::new, |digest| digest.to_string());
    let executable = if input.executable { " executable" } else { "" };
    let empty = if input.empty_files { " empty_files" } else { "" };
    let key = input.key.as_deref().map_or_else(String::new, |key| format!(" key {key}"));
    format!("{} {digest}{executable}{empty}{key}", input.path)
}
