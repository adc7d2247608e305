//! Two datums or two jobs side by side: every field of what was executed, every file that was read, and who committed it.

use std::collections::BTreeMap;

use repos::documents::{CodeStamp, Commit, Recipe, RecipeInput, Transform, VersionDocument};
use repos::tree::{FileEntry, PathKind, Tree, directory_range, path_of};
use repos::{JobRow, RepoError, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{Digest, FilePath};

use super::recipes::by_name;
use crate::sight::is_none;
use crate::trace::formats::command;
use crate::trace::{Brought, CommitPath, brought, matched, origins_of};
use engine::Result;
use engine::graph::Pipeline;

/// Maximum number of files listed for one directory.
const FILES: usize = 20;

/// A field that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The field: `transform.cmd`, `transform.env.LEVEL`, `transform.code/detect.py`; the name of an input; for jobs also `version` and
    /// `images@main`.
    pub field: String,
    /// The old value; absent if there was none.
    pub old: Option<String>,
    /// The new value; absent if there is none.
    pub new: Option<String>,
    /// Who committed the old file, or the old commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_by: Option<Brought>,
    /// Who committed the new one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_by: Option<Brought>,
}

/// The differences between two sides, and what is the same.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Differences {
    /// Fields that differ: those of the transform, then the inputs.
    pub changes: Vec<FieldChange>,
    /// Fields with equal values on both sides.
    pub same: Vec<String>,
    /// How many inputs were not compared because they are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub not_visible: u64,
}

impl Differences {
    /// Adds a field with its values on both sides; left out if neither side has one.
    pub(super) fn compare(&mut self, field: &str, old: Option<String>, new: Option<String>) {
        if old != new {
            self.changes.push(FieldChange { field: field.to_owned(), old, new, old_by: None, new_by: None });
        } else if old.is_some() {
            self.same.push(field.to_owned());
        }
    }
}

/// One side of a comparison: what it executes, and where its inputs come from.
#[derive(Debug)]
pub(super) struct Side {
    transform: Transform,
    version: VersionDocument,
    pipeline: Pipeline,
    /// The output commit, which knows the input commits; absent if there is none yet.
    pub(super) commit: Option<Commit>,
}

impl Side {
    /// The side of a job, with the version it ran.
    pub(super) fn of_job(store: &Store, job: &JobRow) -> Result<Self> {
        let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
        let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
        Self::of(store, pipeline, commit)
    }

    /// The side of the job that made an output commit; `None` for other commits.
    pub(super) fn of_commit(store: &Store, commit: &Commit) -> Result<Option<Self>> {
        let Some(stamp) = &commit.pipeline else { return Ok(None) };
        let pipeline = Pipeline::load_version(store, &stamp.name, stamp.version)?;
        Self::of(store, pipeline, Some(commit.clone())).map(Some)
    }

    fn of(store: &Store, pipeline: Pipeline, commit: Option<Commit>) -> Result<Self> {
        let version = pipeline.version.clone();
        Ok(Self { transform: store.document(&version.transform)?, version, pipeline, commit })
    }

    fn image(&self) -> Option<String> {
        let digest = self.transform.image?;
        let stamp = self.version.image.as_ref().filter(|stamp| stamp.digest == digest);
        Some(stamp.map_or_else(|| digest.to_string(), |stamp| format!("{} {digest}", stamp.reference)))
    }

    /// The file or directory that an input matched, and where it is; `None` if the commit's content differs from the recipe's.
    fn place_of(&self, store: &Store, input: &RecipeInput) -> Result<Option<(CommitPath, Tree, PathKind)>> {
        let Some(commit) = &self.commit else { return Ok(None) };
        for origin in origins_of(commit, &self.pipeline, &input.name) {
            let tree = Tree::at(store.commit(&origin.commit)?.tree);
            if let Some(kind) = matched(store, tree, input)? {
                return Ok(Some((
                    CommitPath { repo: origin.repo, commit: origin.commit, path: input.path.clone() },
                    tree,
                    kind,
                )));
            }
        }
        Ok(None)
    }
}

/// How the transforms of two output commits differ; empty unless both were made by pipelines.
pub(crate) fn transform_changes(store: &Store, old: &Commit, new: &Commit) -> Result<Vec<FieldChange>> {
    let mut found = Differences::default();
    if let (Some(old), Some(new)) = (Side::of_commit(store, old)?, Side::of_commit(store, new)?) {
        compare_transforms(store, &old, &new, &mut found)?;
    }
    Ok(found.changes)
}

/// Compares what two sides execute.
pub(super) fn compare_transforms(store: &Store, old: &Side, new: &Side, found: &mut Differences) -> Result<()> {
    let (was, is) = (&old.transform, &new.transform);
    found.compare("transform.image", old.image(), new.image());
    let host = |side: &Transform| side.host.as_ref().map(|host| format!("{} {}", host.os, host.architecture));
    found.compare("transform.host", host(was), host(is));
    let words = |words: &[String]| (!words.is_empty()).then(|| command(words));
    found.compare("transform.cmd", words(&was.cmd), words(&is.cmd));
    found.compare("transform.stdin", words(&was.stdin), words(&is.stdin));
    compare_maps("transform.env.", &was.env, &is.env, found);
    found.compare("transform.user", was.user.clone(), is.user.clone());
    found.compare("transform.working_dir", was.working_dir.clone(), is.working_dir.clone());
    compare_code(store, old, new, found)?;
    found.compare("transform.code_path", was.code_path.clone(), is.code_path.clone());
    found.compare("transform.network", Some(was.network.to_string()), Some(is.network.to_string()));
    let secrets = |side: &Transform| side.secrets.iter().map(secret_words).collect::<Vec<_>>().join(", ");
    let secrets = |side| Some(secrets(side)).filter(|text| !text.is_empty());
    found.compare("transform.secrets", secrets(was), secrets(is));
    found.compare("transform.salt", was.salt.clone(), is.salt.clone());
    compare_maps("transform.host_files", &was.host_files, &is.host_files, found);
    Ok(())
}

/// A secret by its names; values are in no document.
fn secret_words(secret: &specs::spec::SecretUse) -> String {
    let mut text = secret.name.clone();
    text += &secret.key.as_ref().map_or_else(String::new, |key| format!(".{key}"));
    text += &secret.env_var.as_ref().map_or_else(String::new, |name| format!(" as ${name}"));
    text + &secret.mount_path.as_ref().map_or_else(String::new, |path| format!(" at {path}"))
}

fn compare_maps<V: ToString>(
    prefix: &str,
    old: &BTreeMap<String, V>,
    new: &BTreeMap<String, V>,
    found: &mut Differences,
) {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let value = |side: &BTreeMap<String, V>| side.get(name).map(ToString::to_string);
        found.compare(&format!("{prefix}{name}"), value(old), value(new));
    }
}

/// Which files of the code differ, and the git commits.
fn compare_code(store: &Store, old: &Side, new: &Side, found: &mut Differences) -> Result<()> {
    let (was, is) = (old.transform.code, new.transform.code);
    let text = |digest: Option<Digest>| digest.map(|digest| digest.to_string());
    if was == is {
        found.compare("transform.code", text(was), text(is));
        return Ok(());
    }
    let stamp = |side: &Side| side.version.code.as_ref().and_then(git_words);
    let (git_old, git_new) = (stamp(old), stamp(new));
    if git_old.is_some() || git_new.is_some() {
        found.compare("transform.code git commit", git_old, git_new);
    }
    let tree = |digest: Option<Digest>| digest.map_or(Tree::empty(), Tree::at);
    let changes = tree(was).diff(store, tree(is))?.take(FILES + 1);
    let changes: Vec<_> = changes.collect::<Result<_, RepoError>>()?;
    if changes.len() > FILES {
        found.compare("transform.code", text(was), text(is));
    }
    for change in changes.iter().take(FILES) {
        let path = path_of(&change.key).map_err(RepoError::from)?;
        found.compare(&format!("transform.code{path}"), change.old.map(entry_words), change.new.map(entry_words));
    }
    Ok(())
}

fn git_words(stamp: &CodeStamp) -> Option<String> {
    let check = stamp.checked().git_code.filter(|check| check.commit.is_some())?;
    Some(check.in_words("code", 64, 3))
}

fn entry_words(entry: FileEntry) -> String {
    format!("{}{}", entry.digest, if entry.executable { " executable" } else { "" })
}

/// Compares what two datums read.
pub(super) fn compare_inputs(
    store: &Store,
    (old, was): (&Side, &Recipe),
    (new, is): (&Side, &Recipe),
    found: &mut Differences,
) -> Result<()> {
    let (was, is) = (by_name(was), by_name(is));
    let mut names: Vec<&str> = was.keys().chain(is.keys()).copied().collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (was, is) = (was.get(name).map_or(&[][..], Vec::as_slice), is.get(name).map_or(&[][..], Vec::as_slice));
        let differ = (0..was.len().max(is.len())).map(|at| (was.get(at).copied(), is.get(at).copied()));
        let differ: Vec<_> = differ.filter(|(was, is)| was != is).collect();
        if differ.is_empty() {
            found.same.push(name.to_owned());
        }
        for (was, is) in differ {
            compare_input(store, (old, was), (new, is), found)?;
        }
    }
    Ok(())
}

fn compare_input(
    store: &Store,
    (old, was): (&Side, Option<&RecipeInput>),
    (new, is): (&Side, Option<&RecipeInput>),
    found: &mut Differences,
) -> Result<()> {
    let place = |side: &Side, input: Option<&RecipeInput>| input.map(|input| side.place_of(store, input)).transpose();
    let (old, new) = (place(old, was)?.flatten(), place(new, is)?.flatten());
    if let (Some((from, tree, PathKind::Directory { .. })), Some((to, newer, PathKind::Directory { .. }))) =
        (&old, &new)
        && from.path == to.path
        && let Some(input) = is
        && compare_directories(store, &input.name, (from, *tree), (to, *newer), found)?
    {
        return Ok(());
    }
    let by = |side: &Option<(CommitPath, Tree, PathKind)>| match side {
        Some((place, _, PathKind::File(_))) => brought(store, place),
        _ => Ok(None),
    };
    found.changes.push(FieldChange {
        field: was.or(is).map(|input| input.name.clone()).unwrap_or_default(),
        old: was.map(input_words),
        new: is.map(input_words),
        old_by: by(&old)?,
        new_by: by(&new)?,
    });
    Ok(())
}

/// Adds the differing files below a directory, unless there are too many, or none.
fn compare_directories(
    store: &Store,
    input: &str,
    (from, old): (&CommitPath, Tree),
    (to, new): (&CommitPath, Tree),
    found: &mut Differences,
) -> Result<bool> {
    let changes = old.diff_range(store, new, directory_range(&from.path))?.take(FILES + 1);
    let changes: Vec<_> = changes.collect::<Result<_, RepoError>>()?;
    if changes.is_empty() || changes.len() > FILES {
        return Ok(false);
    }
    for change in changes {
        let path = path_of(&change.key).map_err(RepoError::from)?;
        let side = |place: &CommitPath, entry: Option<FileEntry>| -> Result<(Option<String>, Option<Brought>)> {
            let Some(entry) = entry else { return Ok((None, None)) };
            let by = brought(store, &CommitPath { path: path.clone(), ..place.clone() })?;
            Ok((Some(file_words(&path, entry)), by))
        };
        let ((old, old_by), (new, new_by)) = (side(from, change.old)?, side(to, change.new)?);
        found.changes.push(FieldChange { field: input.to_owned(), old, new, old_by, new_by });
    }
    Ok(true)
}

fn file_words(path: &FilePath, entry: FileEntry) -> String {
    format!("{path} {}", entry_words(entry))
}

/// `/cam7.jpg e07c11d9…`
fn input_words(input: &RecipeInput) -> String {
    let digest = input.digest.or(input.tree).map_or_else(String::new, |digest| digest.to_string());
    let executable = if input.executable { " executable" } else { "" };
    let empty = if input.empty_files { " names only" } else { "" };
    let key = input.key.as_deref().map_or_else(String::new, |key| format!(" key {key}"));
    format!("{} {digest}{executable}{empty}{key}", input.path)
}
