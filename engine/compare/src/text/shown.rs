//! Lines and values as displayed.

use std::borrow::Cow;

use super::hunks::{CONTEXT, Change, LineStart};
use super::lines::{Lines, Seen};
use super::{Hunk, TextDiff};
use crate::content::Watched;
use crate::error::Fit;
use crate::limits::Limits;

/// Number of bytes searched for the difference between two long lines, in small and in large changes.
const LOOKED_AT: usize = 1 << 16;
const FEW: u64 = 16;

/// Reads the differing lines again, as far as they are shown.
pub(super) fn fill<'c>(
    told: &mut TextDiff,
    start: &LineStart,
    changes: &[Change],
    more_lines: u64,
    (old, new): (&mut Watched<'c>, &mut Watched<'c>),
    limits: &Limits,
) -> Fit<()> {
    told.lines_left_out = more_lines;
    if changes.is_empty() {
        return Ok(());
    }
    let mut teller = Teller {
        old: Lines::from(old, start.byte)?,
        new: Lines::from(new, start.byte)?,
        old_line: start.line,
        new_line: start.line,
        left: limits.text_lines,
        limits,
        told,
    };
    changes.chunk_by(|one, next| next.old.start - one.old.end <= 2 * CONTEXT).try_for_each(|group| teller.hunk(group))
}

struct Teller<'t, 'a, 'c> {
    old: Lines<'a, 'c>,
    new: Lines<'a, 'c>,
    old_line: u64,
    new_line: u64,
    /// Number of lines that may still be shown.
    left: usize,
    limits: &'t Limits,
    told: &'t mut TextDiff,
}

/// A line of a hunk: its sign, its bytes as far as they are read, and what is known of it.
type Line = (char, Vec<u8>, Seen);

impl Teller<'_, '_, '_> {
    fn hunk(&mut self, group: &[Change]) -> Fit<()> {
        let [first, ..] = group else { return Ok(()) };
        let before = (first.old.start - self.old_line).min(CONTEXT);
        self.pass(first.old.start - self.old_line - before)?;
        let (old_start, new_start) = (self.old_line, self.new_line);
        let mut lines = Vec::new();
        for change in group {
            self.context(change.old.start - self.old_line, &mut lines)?;
            self.change(change, &mut lines)?;
        }
        self.context(CONTEXT, &mut lines)?;
        let (old_lines, new_lines) = (self.old_line - old_start, self.new_line - new_start);
        let shown = lines.len().min(self.left);
        self.left -= shown;
        self.told.lines_left_out += (lines.len() - shown) as u64;
        if shown > 0 {
            lines.truncate(shown);
            // An empty range names the line before it.
            let first = |start: u64, lines: u64| start + u64::from(lines > 0);
            let (old_start, new_start) = (first(old_start, old_lines), first(new_start, new_lines));
            self.told.hunks.push(Hunk { old_start, old_lines, new_start, new_lines, lines });
        }
        Ok(())
    }

    /// Skips common lines.
    fn pass(&mut self, lines: u64) -> Fit<()> {
        self.old.skip(lines)?;
        self.new.skip(lines)?;
        self.old_line += lines;
        self.new_line += lines;
        Ok(())
    }

    /// Common lines, as many as there are.
    fn context(&mut self, count: u64, lines: &mut Vec<String>) -> Fit<()> {
        for _ in 0..count {
            let Some((line, seen)) = self.old.take(self.limits.shown_characters * 4)? else { return Ok(()) };
            self.new.skip(1)?;
            self.old_line += 1;
            self.new_line += 1;
            self.push((' ', line, seen), None, lines);
        }
        Ok(())
    }

    fn change(&mut self, change: &Change, lines: &mut Vec<String>) -> Fit<()> {
        let (removed, added) = (change.old.end - change.old.start, change.new.end - change.new.start);
        let most = if removed.max(added) <= FEW { LOOKED_AT } else { self.limits.shown_characters * 4 };
        let (mut one, mut other): (Vec<Line>, Vec<Line>) = (Vec::new(), Vec::new());
        for (count, side, into, sign) in
            [(removed, &mut self.old, &mut one, '-'), (added, &mut self.new, &mut other, '+')]
        {
            for number in 0..count {
                if number as usize > self.limits.text_lines {
                    side.skip(1)?;
                    self.told.lines_left_out += 1;
                } else if let Some((line, seen)) = side.take(most)? {
                    into.push((sign, line, seen));
                }
            }
        }
        self.old_line += removed;
        self.new_line += added;
        let are_pairs = one.len() == other.len();
        let partner = |lines: &[Line], at: usize| lines.get(at).filter(|_| are_pairs).map(|(_, line, _)| line.clone());
        let partners: Vec<_> = (0..one.len()).map(|at| partner(&other, at)).collect();
        let back: Vec<_> = (0..other.len()).map(|at| partner(&one, at)).collect();
        for (line, partner) in one.into_iter().zip(partners).chain(other.into_iter().zip(back)) {
            self.push(line, partner, lines);
        }
        Ok(())
    }

    /// Adds a line with its sign; a missing line ending gets a remark.
    fn push(&self, (sign, line, seen): Line, partner: Option<Vec<u8>>, lines: &mut Vec<String>) {
        let most = self.limits.shown_characters;
        let text = lossless(&line);
        let shown = match partner {
            Some(partner) => shortened_pair(&text, &lossless(&partner), most).0,
            None => shortened(&text, most),
        };
        let held = line.len() as u64 + u64::from(seen.has_end);
        let rest = seen.bytes.saturating_sub(held);
        let rest = if rest > 0 { format!(" ({rest} more bytes)") } else { String::new() };
        lines.push(format!("{sign}{shown}{rest}"));
        if !seen.has_end {
            lines.push("\\ no line end at the end of the file".to_owned());
        }
    }
}

/// Bytes as text; bytes that are not UTF-8 become `\xe9`, so that different bytes look different.
pub(crate) fn lossless(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    Cow::Owned(text)
}

/// The text, cut to this many characters.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Two different texts, cut to this many characters each so that the difference stays visible.
pub(crate) fn shortened_pair(old: &str, new: &str, most: usize) -> (String, String) {
    let is_long = |text: &str| text.char_indices().nth(most).is_some();
    let equal = old.chars().zip(new.chars()).take_while(|(old, new)| old == new).count();
    if !is_long(old) && !is_long(new) || equal < most {
        return (shortened(old, most), shortened(new, most));
    }
    let left_out = equal.saturating_sub(most / 4);
    let part = |text: &str| {
        let rest: String = text.chars().skip(left_out).collect();
        format!("…{}", shortened(&rest, most))
    };
    (part(old), part(new))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_in_what_is_shown() {
        assert_eq!(shortened("abcdef", 3), "abc…");
        assert_eq!(shortened_pair("abc", "abd", 3), ("abc".to_owned(), "abd".to_owned()));
        let (old, new) = (format!("{}1{}", "x".repeat(100), "y".repeat(100)), format!("{}2", "x".repeat(100)));
        assert_eq!(shortened_pair(&old, &new, 8), ("…xx1yyyyy…".to_owned(), "…xx2".to_owned()));
        assert_eq!(lossless(b"caf\xe9 \xc3\xa9"), "caf\\xe9 é");
    }
}
