//! Two texts, line by line.

use git2::{DiffOptions, Patch};
use serde::Serialize;

use crate::content::Watched;
use crate::error::{Fit, Unfit};
use crate::limits::Limits;

/// Lines shown around a change.
const CONTEXT: u32 = 3;

/// How two texts differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TextDiff {
    /// Lines that only the new side has.
    pub lines_added: usize,
    /// Lines that only the old side has.
    pub lines_removed: usize,
    /// The changes, in order, with a few lines around each.
    pub hunks: Vec<Hunk>,
    /// Lines of hunks that are not told.
    pub lines_left_out: usize,
}

/// Neighbouring changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Hunk {
    /// First line in the old file, from 1.
    pub old_start: u32,
    /// Lines of the old file.
    pub old_lines: u32,
    /// First line in the new file, from 1.
    pub new_start: u32,
    /// Lines of the new file.
    pub new_lines: u32,
    /// The lines, each behind ` `, `-` or `+`.
    pub lines: Vec<String>,
}

pub(crate) fn compare(old: &mut Watched<'_>, new: &mut Watched<'_>, limits: &Limits) -> Fit<TextDiff> {
    let (old, new) = (old.whole(limits.text_bytes, "text")?, new.whole(limits.text_bytes, "text")?);
    let mut options = DiffOptions::new();
    options.context_lines(CONTEXT).force_text(true);
    let unfit = |error: git2::Error| Unfit::malformed("text", error.message());
    let patch = Patch::from_buffers(&old, None, &new, None, Some(&mut options)).map_err(unfit)?;
    let (_, lines_added, lines_removed) = patch.line_stats().map_err(unfit)?;
    let mut told = TextDiff { lines_added, lines_removed, hunks: Vec::new(), lines_left_out: 0 };
    let mut left = limits.text_lines;
    for number in 0..patch.num_hunks() {
        let (head, count) = patch.hunk(number).map_err(unfit)?;
        let shown = count.min(left);
        told.lines_left_out += count - shown;
        left -= shown;
        if shown == 0 {
            continue;
        }
        let mut hunk = Hunk {
            old_start: head.old_start(),
            old_lines: head.old_lines(),
            new_start: head.new_start(),
            new_lines: head.new_lines(),
            lines: Vec::with_capacity(shown),
        };
        for line in 0..shown {
            let line = patch.line_in_hunk(number, line).map_err(unfit)?;
            hunk.lines.extend(shown_line(line.origin(), line.content(), limits.shown_characters));
        }
        told.hunks.push(hunk);
    }
    Ok(told)
}

/// A line behind its sign; git's remarks on a missing line end are lines of their own.
fn shown_line(origin: char, content: &[u8], most: usize) -> Option<String> {
    let text = String::from_utf8_lossy(content);
    let text = text.strip_suffix('\n').unwrap_or(&text);
    match origin {
        ' ' | '+' | '-' => Some(format!("{origin}{}", shortened(text, most))),
        '=' | '>' | '<' => Some("\\ no line end at the end of the file".to_owned()),
        _ => None,
    }
}

/// Text of at most so many characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
