//! Metrics: what files say in figures, beside the parameters that they came from.
//!
//! - `files`     the figures of one file of the store
//! - `rows`      which files are asked for: of commits, of all runs of a branch, of tries
//! - `upstream`  the parameters of a file: the figures of the small files that its datums read, and of theirs; environments, versions
//! - `columns`   what parameters are called, which differ, which figures are good high and which low; the order of rows
//! - `sides`     the figures of two commits side by side
//!
//! A figure is a number, a text, `true` or `false` that stands under a name outside of lists: in JSON, in YAML, in the last record of JSON
//! lines, or as the only word of a short text. Not here: printing (`cli`), reading a file (`compare`).

mod columns;
mod files;
mod rows;
mod sides;
mod upstream;

use std::collections::BTreeMap;

use repos::store::Resolved;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use specs::{CommitId, FilePath, RepoName, RunId};

pub use columns::Goal;
pub use sides::{SideBySide, Sides};
pub(crate) use sides::{sides, sides_of_datums, sides_of_files};

use engine::Result;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The commits, each with the file or directory that is meant.
    pub places: &'a [Resolved],
    /// Which versions of these files.
    pub scope: Scope,
    /// Parameters or metrics by which rows are sorted; parameters among them are columns even if all rows have the same.
    pub by: &'a [String],
    /// The metrics that are columns; empty for all.
    pub only: &'a [String],
    /// Metrics of which more is better, whatever their names say.
    pub highest: &'a [String],
    /// Metrics of which less is better.
    pub lowest: &'a [String],
}

/// Which versions of the files that are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those of the commits.
    Named,
    /// Each that a commit or one before it brought, not older than this.
    AllRuns(Option<Timestamp>),
    /// Those of the commits, and what tries made in their place.
    Tries,
}

/// Rows of files with parameters and metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
pub struct Table {
    /// Names of the parameters that are columns: those asked for, then those that differ between rows.
    pub parameters: Vec<String>,
    /// The metrics that are columns, with what is good.
    pub metrics: Vec<Metric>,
    /// Parameters that every row has, with one value.
    pub same: BTreeMap<String, Value>,
    /// The rows, the best or the one that was asked for first.
    pub rows: Vec<Row>,
    /// What was not read or is not shown, and why.
    pub notes: Vec<String>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What is good; `None` when the name does not say it.
    pub goal: Option<Goal>,
}

/// A version of a file.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Row {
    /// Its repository.
    pub repo: RepoName,
    /// The commit that has it; of several the one that brought it.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// The run that made the commit.
    pub run: RunId,
    /// When the commit was made.
    pub created_at: Timestamp,
    /// Whether a try made it: no branch has it.
    #[serde(rename = "try")]
    pub is_try: bool,
    /// All parameters, by the names that they have in the table.
    pub parameters: BTreeMap<String, Value>,
    /// All figures of the file.
    pub metrics: BTreeMap<String, Value>,
    /// The metrics of which no row has a better value, and some row a worse one.
    pub best: Vec<String>,
}

/// Answers a question. `Usage` for a parameter or metric that no row has, `NotFound` when no file has figures.
pub fn metrics(store: &Store, question: &Question<'_>) -> Result<Table> {
    let (files, mut notes) = rows::rows(store, question)?;
    let mut upstream = upstream::Upstream::new(store);
    let mut found = Vec::new();
    for row in files {
        let parameters = upstream.of_file(row.commit, &row.path)?;
        found.push((row, parameters));
    }
    notes.extend(upstream.notes());
    columns::table(found, question, notes)
}
