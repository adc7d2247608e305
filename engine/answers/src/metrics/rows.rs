//! Which files a question covers, and in which versions.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use compare::{Figures, may_have_figures};
use repos::documents::{Commit, CommitKind};
use repos::files;
use repos::journal::CauseKind;
use repos::store::Resolved;
use repos::tree::{FileEntry, KeyRange, Map, PathKind, Tree, directory_range, path_of};
use repos::{RepoError, Store};
use serde_json::Value;
use specs::{CommitId, Digest, FilePath, RepoName};

use super::files::{figures_of, metric_of_word};
use super::{Question, Row, Scope};
use engine::{EngineError, Result};

/// Maximum number of rows read.
const MOST: usize = 1000;
/// Maximum number of files named in a note.
const NAMED: usize = 3;

/// Identifies a row: across runs and trials by the result that wrote the file, or by the content that a user committed.
type Version = (RepoName, FilePath, Option<Digest>, Digest);

/// The rows of a question, without parameters, and notes on files without figures.
pub(super) fn rows(store: &Store, question: &Question<'_>) -> Result<(Vec<Row>, Vec<String>)> {
    let mut reading = Reading { store, found: Vec::new(), seen: BTreeMap::new(), unfit: Vec::new(), more: false };
    for place in question.places {
        let kind = files::kind_at(store, place.tree(), &place.place(), &place.path)?;
        match question.scope {
            Scope::Named => reading.all_of(place, kind)?,
            Scope::AllRuns(since) => reading.history(place, since)?,
            Scope::Tries => {
                reading.all_of(place, kind)?;
                reading.tries(place)?;
            }
        }
    }
    if reading.found.is_empty() {
        return Err(none(question, &reading.unfit));
    }
    let notes = reading.notes();
    Ok((reading.found, notes))
}

fn none(question: &Question<'_>, unfit: &[(String, String)]) -> EngineError {
    let places: Vec<String> =
        question.places.iter().map(|place| format!("`{}:{}`", place.place(), place.path)).collect();
    let why = unfit.first().map_or_else(String::new, |(path, why)| format!(": {path}: {why}"));
    EngineError::NotFound {
        what: format!("no metrics in {}{why}", places.join(", ")),
        hint: Some(
            "metrics are named numbers in JSON or YAML, or a file that is one number; pv ls lists the files".to_owned(),
        ),
    }
}

struct Reading<'s> {
    store: &'s Store,
    found: Vec<Row>,
    /// Versions of files read so far, with their row, if they have one.
    seen: BTreeMap<Version, Option<usize>>,
    /// Files that could not be read, and why.
    unfit: Vec<(String, String)>,
    /// Whether there are more files than are read.
    more: bool,
}

impl Reading<'_> {
    fn notes(&self) -> Vec<String> {
        let named = self.unfit.iter().take(NAMED).map(|(path, why)| format!("not read: {path}: {why}"));
        let mut notes: Vec<String> = named.collect();
        if self.unfit.len() > NAMED {
            notes.push(format!("not read: {} more files", self.unfit.len() - NAMED));
        }
        if self.more {
            notes.push(format!("only the first {MOST} files were read"));
        }
        notes
    }

    /// Every file at and below a place.
    fn all_of(&mut self, place: &Resolved, kind: PathKind) -> Result<()> {
        if let PathKind::File(file) = kind {
            return self.read((place.id, &place.commit), &place.path, file);
        }
        for entry in place.tree().range(self.store, directory_range(&place.path))? {
            let (key, file) = entry?;
            self.read((place.id, &place.commit), &path_of(&key).map_err(RepoError::from)?, file)?;
            if self.more {
                break;
            }
        }
        Ok(())
    }

    /// What each commit from here backwards introduced, newest first.
    fn history(&mut self, place: &Resolved, since: Option<repos::Timestamp>) -> Result<()> {
        let whole = Resolved { path: FilePath::root(), ..place.clone() };
        for logged in files::log(self.store, &whole)? {
            let logged = logged?;
            if since.is_some_and(|since| logged.commit.created_at < since) || self.more {
                break;
            }
            let parent = logged.commit.parents.first().map(|parent| self.store.commit(parent)).transpose()?;
            for (path, file) in changed(self.store, parent.as_ref(), &logged.commit, &place.path)? {
                self.version((logged.id, &logged.commit), &path, file, false)?;
            }
        }
        Ok(())
    }

    /// What trials made in place of the files at a path.
    fn tries(&mut self, place: &Resolved) -> Result<()> {
        let mut orders = Vec::new();
        self.store.visit_runs(|run| {
            if run.cause.kind == CauseKind::Try {
                orders.push(run.order);
            }
            ControlFlow::Continue(())
        })?;
        for order in orders {
            for job in self.store.jobs_of_run(order)? {
                let Some(id) = job.commit.filter(|_| job.pipeline.output_repo() == place.commit.repo) else { continue };
                let commit = self.store.commit(&id)?;
                for (path, file) in changed(self.store, Some(&place.commit), &commit, &place.path)? {
                    self.version((id, &commit), &path, file, true)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a version of a file. A version seen before is attributed to the oldest commit that introduced it.
    fn version(&mut self, at: (CommitId, &Commit), path: &FilePath, file: FileEntry, is_try: bool) -> Result<()> {
        let version = self.version_of(at.1, path, file)?;
        match self.seen.get(&version) {
            Some(Some(row)) if !is_try => {
                let row = &mut self.found[*row];
                (row.commit, row.run, row.created_at) = (at.0, at.1.run, at.1.created_at);
            }
            Some(_) => {}
            None => {
                self.read(at, path, file)?;
                if let Some(Some(row)) = self.seen.get(&version) {
                    self.found[*row].is_try = is_try;
                }
            }
        }
        Ok(())
    }

    fn version_of(&self, commit: &Commit, path: &FilePath, file: FileEntry) -> Result<Version, RepoError> {
        let result = lineage(commit).get(self.store, path.as_str().as_bytes())?;
        Ok((commit.repo.clone(), path.clone(), result, file.digest))
    }

    fn read(&mut self, (id, commit): (CommitId, &Commit), path: &FilePath, file: FileEntry) -> Result<()> {
        if !may_have_figures(path.name(), file.size) {
            return Ok(());
        }
        if self.found.len() >= MOST {
            self.more = true;
            return Ok(());
        }
        let version = self.version_of(commit, path, file)?;
        self.seen.insert(version.clone(), None);
        let values = match figures_of(self.store, path, &file)? {
            Figures::Values(values) => values,
            Figures::Other => return Ok(()),
            Figures::Unfit(why) => {
                self.unfit.push((format!("{}:{path}", commit.repo), why));
                return Ok(());
            }
        };
        let named = |name: String| if name.is_empty() { metric_of_word(path) } else { name };
        let metrics: BTreeMap<String, Value> =
            values.leaves.into_iter().map(|(name, value)| (named(name), value)).collect();
        if !metrics.values().any(Value::is_number) {
            return Ok(());
        }
        self.seen.insert(version, Some(self.found.len()));
        self.found.push(Row {
            repo: commit.repo.clone(),
            commit: id,
            path: path.clone(),
            run: commit.run,
            created_at: commit.created_at,
            is_try: false,
            parameters: BTreeMap::new(),
            metrics,
            best: Vec::new(),
        });
        Ok(())
    }
}

fn lineage(commit: &Commit) -> Map<Digest> {
    commit.lineage.map_or(Map::empty(), Map::at)
}

/// Files at and below a path that differ from those of an older commit: in content, or in the result that wrote them.
fn changed(
    store: &Store,
    older: Option<&Commit>,
    newer: &Commit,
    path: &FilePath,
) -> Result<Vec<(FilePath, FileEntry)>, RepoError> {
    let mut paths = BTreeSet::new();
    for range in [exactly(path), directory_range(path)] {
        if newer.kind == CommitKind::Output {
            let before = older.map_or(Map::empty(), lineage);
            for change in before.diff_range(store, lineage(newer), range)? {
                let change = change?;
                if change.new.is_some() {
                    paths.insert(path_of(&change.key)?);
                }
            }
        } else {
            let before = older.map_or(Tree::empty(), |older| Tree::at(older.tree));
            for change in before.diff_range(store, Tree::at(newer.tree), range)? {
                let change = change?;
                if change.new.is_some() {
                    paths.insert(path_of(&change.key)?);
                }
            }
        }
    }
    let tree = Tree::at(newer.tree);
    let mut files = Vec::new();
    for path in paths {
        files.extend(tree.file(store, &path)?.map(|file| (path, file)));
    }
    Ok(files)
}

/// The range of one key.
fn exactly(path: &FilePath) -> KeyRange {
    let from = path.as_str().as_bytes().to_vec();
    let to = [from.as_slice(), &[0]].concat();
    KeyRange { from, to: Some(to) }
}
