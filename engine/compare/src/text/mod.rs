//! Two texts, line by line, however long they are.
//!
//! What both share at start and end is passed over. Of the lines between, 8 bytes each are held, a million a side at a time; a second
//! reading fetches those that are told.
//! - `lines` a file as lines; `hunks` which lines differ; `shown` lines as they are told

mod hunks;
mod lines;
mod shown;

use serde::Serialize;

use crate::content::Watched;
use crate::error::Fit;
use crate::limits::Limits;

pub(crate) use shown::{lossless, shortened, shortened_pair};

/// How two texts differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TextDiff {
    /// Why they are not compared by what they say; empty when there is nothing better for them.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// Lines that only the new side has.
    pub lines_added: u64,
    /// Lines that only the old side has.
    pub lines_removed: u64,
    /// The changes, in order, with a few lines around each.
    pub hunks: Vec<Hunk>,
    /// Lines of hunks that are not told.
    pub lines_left_out: u64,
    /// What else is to be known: that line ends differ, that long texts were compared in parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Neighbouring changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hunk {
    /// First line in the old file, from 1.
    pub old_start: u64,
    /// Lines of the old file.
    pub old_lines: u64,
    /// First line in the new file, from 1.
    pub new_start: u64,
    /// Lines of the new file.
    pub new_lines: u64,
    /// The lines, each behind ` `, `-` or `+`.
    pub lines: Vec<String>,
}

pub(crate) fn compare<'c>(old: &mut Watched<'c>, new: &mut Watched<'c>, limits: &Limits) -> Fit<TextDiff> {
    let found = hunks::find(old, new, limits)?;
    let mut told =
        TextDiff { lines_added: found.added, lines_removed: found.removed, notes: found.notes, ..TextDiff::default() };
    shown::fill(&mut told, &found.start, &found.changes, found.more_lines, (old, new), limits)?;
    Ok(told)
}
