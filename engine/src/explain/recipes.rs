//! Two recipes, field by field.

use std::collections::BTreeMap;

use repos::documents::{Recipe, RecipeInput, Transform};
use repos::files::{self, FileChange};
use repos::tree::Tree;
use repos::{RepoError, Store};
use serde::Serialize;
use serde_json::Value;
use specs::Digest;

use crate::apply::fields_that_differ;

/// Two recipes side by side.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RecipeSides {
    /// What differs: the fields of the transform, then the inputs.
    pub changes: Vec<FieldChange>,
    /// Fields and inputs that both have and that are equal.
    pub same: Vec<String>,
}

/// A field that differs. Values are as the documents have them; absent where there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldChange {
    /// The field: `transform.cmd`, a variable as `transform.env.LEVEL`, a file of the code as `transform.code/main.py`, or the name of an
    /// input.
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

/// Two recipes side by side.
pub(crate) fn sides_of(store: &Store, old: &Recipe, new: &Recipe) -> Result<RecipeSides, RepoError> {
    let changes = changes_of_recipe(store, old, new)?;
    let (before, after) = (transform_value(store, &old.transform)?, transform_value(store, &new.transform)?);
    let mut same = Vec::new();
    if let Some(fields) = after.as_object() {
        same.extend(fields.keys().filter(|field| before.get(field) == after.get(field)).cloned());
    }
    let (before, after) = (by_name(old), by_name(new));
    same.extend(
        after.iter().filter(|(name, inputs)| before.get(*name) == Some(*inputs)).map(|(name, _)| (*name).to_owned()),
    );
    Ok(RecipeSides { changes, same })
}

/// What differs between two recipes: the fields of the transform, then the inputs.
pub(crate) fn changes_of_recipe(store: &Store, old: &Recipe, new: &Recipe) -> Result<Vec<FieldChange>, RepoError> {
    let mut changes = changes_of_transform(store, &old.transform, &new.transform)?;
    changes.extend(changes_of_inputs(old, new));
    Ok(changes)
}

fn transform_value(store: &Store, digest: &Digest) -> Result<Value, RepoError> {
    let transform: Transform = store.document(digest)?;
    Ok(serde_json::to_value(transform).expect("documents have a JSON form"))
}

/// The fields of two transforms that differ; of the environment the variables, of the code the files.
pub(crate) fn changes_of_transform(store: &Store, old: &Digest, new: &Digest) -> Result<Vec<FieldChange>, RepoError> {
    if old == new {
        return Ok(Vec::new());
    }
    let (old, new) = (transform_value(store, old)?, transform_value(store, new)?);
    let mut changes = Vec::new();
    for field in fields_that_differ(&old, &new) {
        let (old, new) = (old.get(&field), new.get(&field));
        match field.as_str() {
            "code" => changes.extend(changes_of_code(store, old, new)?),
            "env" | "host_files" => changes.extend(changes_of_entries(&field, old, new)),
            _ => changes.push(FieldChange {
                old: text_of(old),
                new: text_of(new),
                field: format!("transform.{field}"),
                word: field,
            }),
        }
    }
    Ok(changes)
}

/// The entries of an object that differ.
fn changes_of_entries(field: &str, old: Option<&Value>, new: Option<&Value>) -> Vec<FieldChange> {
    let none = Value::Null;
    let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
    let change = |key: String| FieldChange {
        field: format!("transform.{field}.{key}"),
        word: field.to_owned(),
        old: text_of(old.get(&key)),
        new: text_of(new.get(&key)),
    };
    fields_that_differ(old, new).into_iter().map(change).collect()
}

/// The files of the code that differ, with their digests.
fn changes_of_code(store: &Store, old: Option<&Value>, new: Option<&Value>) -> Result<Vec<FieldChange>, RepoError> {
    let tree = |root: Option<&Value>| {
        let root = root.and_then(Value::as_str).and_then(|digest| digest.parse().ok());
        root.map_or_else(Tree::empty, Tree::at)
    };
    let change = |change: FileChange| FieldChange {
        field: format!("transform.code{}", change.path),
        word: "code".to_owned(),
        old: change.old.map(|file| file.digest.to_string()),
        new: change.new.map(|file| file.digest.to_string()),
    };
    files::diff(store, tree(old), tree(new), None)?.map(|found| found.map(change)).collect()
}

/// What differs, in words, each once.
pub(crate) fn words_of(changes: &[FieldChange]) -> String {
    let mut words: Vec<&str> = changes.iter().map(|change| change.word.as_str()).collect();
    words.dedup();
    words.join(", ")
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
