//! Compares two texts, line by line, however long they are.
//!
//! The common start and end are skipped. For the lines between, 8 bytes each are held, a million a side at a time; a second pass reads the
//! lines that are shown. In longer differences, a line that moved further than that counts as removed and added, and the finding says so.
//! - `lines`: a file as lines; `hunks`: which lines differ; `shown`: lines as displayed

mod hunks;
mod lines;
mod shown;

use schemars::JsonSchema;
use serde::Serialize;

use crate::content::Watched;
use crate::error::Fit;
use crate::limits::Limits;

pub(crate) use shown::{lossless, shortened, shortened_pair};

/// How two texts differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TextDiff {
    /// Why they are not compared by their content; empty if they have no better kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Number of lines only on the new side.
    pub lines_added: u64,
    /// Number of lines only on the old side.
    pub lines_removed: u64,
    /// The changes, in order, with a few lines around each.
    pub hunks: Vec<Hunk>,
    /// Number of lines in hunks that are left out.
    pub lines_left_out: u64,
    /// Further remarks: line endings differ, long texts were compared in parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Neighbouring changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Hunk {
    /// First line in the old file, from 1.
    pub old_start: u64,
    /// Number of lines of the old file.
    pub old_lines: u64,
    /// First line in the new file, from 1.
    pub new_start: u64,
    /// Number of lines of the new file.
    pub new_lines: u64,
    /// The lines, each prefixed with ` `, `-` or `+`.
    pub lines: Vec<String>,
}

pub(crate) fn compare<'c>(old: &mut Watched<'c>, new: &mut Watched<'c>, limits: &Limits) -> Fit<TextDiff> {
    let found = hunks::find(old, new, limits)?;
    let mut told =
        TextDiff { lines_added: found.added, lines_removed: found.removed, notes: found.notes, ..TextDiff::default() };
    shown::fill(&mut told, &found.start, &found.changes, found.more_lines, (old, new), limits)?;
    Ok(told)
}
