//! What differs between two files, as blocks of a page and in one line.
//!
//! - `values` JSON and YAML; `rows` tables; `arrays` images and tensors; here text and bytes

mod arrays;
mod rows;
mod values;

use answers::diff::words;
use compare::{BytesDiff, Detail, TextDiff};

use super::page::Block;
use crate::output::{count, size};

/// Lines of a text and rows of a table that are shown without `--all`.
const LINES: usize = 60;
const ROWS: usize = 20;
/// Characters of a value in a table.
const CHARACTERS: usize = 60;

/// How much is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Extent {
    rows: usize,
    lines: usize,
    all: bool,
}

impl Extent {
    pub(super) fn of(all: bool) -> Self {
        if all { Self { rows: usize::MAX, lines: usize::MAX, all } } else { Self { rows: ROWS, lines: LINES, all } }
    }

    /// Says how much is left out, and how to see it.
    fn more(self, left: u64, what: &str) -> Option<Block> {
        let hint = if self.all { "not shown; `pv get` downloads both files" } else { "--all shows more" };
        (left > 0).then(|| Block::Line(format!("… {} more {what}: {hint}", count(left))))
    }
}

/// The whole description of a difference.
pub(super) fn blocks(detail: &Detail, extent: Extent) -> Vec<Block> {
    match detail {
        Detail::Text(found) => text(found, extent),
        Detail::Metrics(found) => values::blocks(found, extent),
        Detail::Table(found) => rows::blocks(found, extent),
        Detail::Image(found) => arrays::image(found, extent),
        Detail::Tensors(found) => arrays::tensors(found, extent),
        Detail::Bytes(found) => vec![Block::Line(bytes(found))],
    }
}

/// A difference in a few words, with at most this many values.
pub(super) fn summary(detail: &Detail, most: usize) -> String {
    match detail {
        Detail::Text(found) => text_summary(found),
        Detail::Metrics(found) => values::summary(found, most),
        Detail::Table(found) => rows::summary(found),
        Detail::Image(found) => arrays::image_words(found),
        Detail::Tensors(found) => arrays::tensors_summary(found),
        Detail::Bytes(found) => format!("{} → {}", size(found.old_bytes), size(found.new_bytes)),
    }
}

fn text(found: &TextDiff, extent: Extent) -> Vec<Block> {
    let mut blocks = Vec::new();
    if !found.why.is_empty() {
        blocks.push(Block::Line(format!("compared as text: {}", found.why)));
    }
    blocks.extend(found.notes.iter().cloned().map(Block::Line));
    let mut lines = Vec::new();
    for hunk in &found.hunks {
        let (old, new) = ((hunk.old_start, hunk.old_lines), (hunk.new_start, hunk.new_lines));
        lines.push(format!("@@ -{},{} +{},{} @@", old.0, old.1, new.0, new.1));
        lines.extend(hunk.lines.iter().cloned());
    }
    let left = lines.len().saturating_sub(extent.lines) as u64 + found.lines_left_out;
    lines.truncate(extent.lines);
    blocks.push(Block::Patch(lines));
    blocks.extend(extent.more(left, "lines"));
    blocks
}

/// The old and new text of a changed line, if it is the only one.
fn text_summary(found: &TextDiff) -> String {
    let words = format!("+{} -{} lines", count(found.lines_added), count(found.lines_removed));
    if (found.lines_added, found.lines_removed) != (1, 1) {
        return words;
    }
    let lines = || found.hunks.iter().flat_map(|hunk| &hunk.lines);
    let line = |sign: char| lines().find_map(|line| line.strip_prefix(sign)).map(|line| short(line.trim()));
    match (line('-'), line('+')) {
        (Some(old), Some(new)) if old != new => format!("{old} → {new}"),
        _ => words,
    }
}

fn bytes(found: &BytesDiff) -> String {
    let first =
        found.first_difference.map_or_else(String::new, |at| format!(", first difference at byte {}", count(at)));
    let why = if found.why.is_empty() { String::new() } else { format!("   compared as bytes: {}", found.why) };
    let (old, new, shared) = (size(found.old_bytes), size(found.new_bytes), size(found.shared_bytes));
    format!("{old} → {new}, {shared} shared{first}{why}")
}

fn short(text: &str) -> String {
    words::cut(text, CHARACTERS)
}

fn short_pair(old: &str, new: &str) -> (String, String) {
    words::cut_pair(old, new, CHARACTERS)
}
