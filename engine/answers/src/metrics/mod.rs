//! Metrics: the figures in files, with the parameters that led to them.
//!
//! - `files`: the figures of one file of the store
//! - `rows`: which files a question covers: of commits, of all runs of a branch, of trials
//! - `upstream`: the parameters of a file: the figures of the small files that its datums read, and theirs; environments, versions
//! - `columns`: the names of parameters, which of them differ, whether high or low figures are good; the order of rows
//! - `sides`: the figures of two commits side by side
//!
//! A figure is a number, a text, `true` or `false` with a name, outside of lists: in JSON, in YAML, in the last record of JSON lines, or as
//! the only word of a short text. Not here: printing (`cli`), reading a file (`compare`).

mod columns;
mod files;
mod rows;
mod sides;
mod upstream;

use std::collections::BTreeMap;

use repos::store::Resolved;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::{CommitId, FilePath, RepoName, RunId};

pub use columns::Goal;
pub use sides::{SideBySide, Sides};
pub(crate) use sides::{sides, sides_of_datums, sides_of_files};

use engine::Result;

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The commits, each with the requested file or directory.
    pub places: &'a [Resolved],
    /// Which versions of these files to include.
    pub scope: Scope,
    /// Parameters or metrics to sort rows by; parameters among them become columns even if all rows have the same value.
    pub by: &'a [String],
    /// The metrics to use as columns; empty for all.
    pub only: &'a [String],
    /// Metrics where higher is better, whatever their names imply.
    pub highest: &'a [String],
    /// Metrics where lower is better.
    pub lowest: &'a [String],
}

/// Which versions of the requested files to include.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Those in the commits.
    Named,
    /// Each version introduced by a commit or its ancestors, not older than this.
    AllRuns(Option<Timestamp>),
    /// Those in the commits, and what trials made in their place.
    Tries,
}

/// Rows of files with parameters and metrics.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Table {
    /// The parameters that become columns: the requested ones, then those that differ between rows.
    pub parameters: Vec<String>,
    /// The metrics that become columns, with their goals.
    pub metrics: Vec<Metric>,
    /// Parameters with the same value in every row.
    pub same: BTreeMap<String, Value>,
    /// The rows, sorted by the requested columns or by the best metric.
    pub rows: Vec<Row>,
    /// What was not read or is not shown, and why.
    pub notes: Vec<String>,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Which values are good; `None` if the name does not imply it.
    pub goal: Option<Goal>,
}

/// A version of a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Its repository.
    pub repo: RepoName,
    /// The commit that has it; of several, the one that introduced it.
    pub commit: CommitId,
    /// Its path.
    pub path: FilePath,
    /// The run that made the commit.
    pub run: RunId,
    /// When the commit was made.
    pub created_at: Timestamp,
    /// Whether a trial made it, so that no branch has it.
    #[serde(rename = "try")]
    pub is_try: bool,
    /// All parameters, by their names in the table.
    pub parameters: BTreeMap<String, Value>,
    /// All figures of the file.
    pub metrics: BTreeMap<String, Value>,
    /// The metrics for which no row is better than this one, and some row is worse.
    pub best: Vec<String>,
}

/// A row for programs, with its full address, so that each line is self-contained.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct RowView<'a> {
    /// The row.
    #[serde(flatten)]
    pub row: &'a Row,
    /// Parameters that are columns, in order.
    pub by: &'a [String],
}

impl Table {
    /// The rows as programs read them.
    pub fn lines(&self) -> impl Iterator<Item = RowView<'_>> {
        self.rows.iter().map(|row| RowView { row, by: &self.parameters })
    }
}

/// Answers a question. `Usage` for a parameter or metric that no row has, `NotFound` if no file has figures.
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
