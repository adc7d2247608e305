//! Lines that differ: one below the other, or side by side.

use answers::diff::words;
use compare::{Hunk, TextDiff};
use maud::{Markup, html};
use specs::words::{count, plural};

use super::content::state;
use super::pair::Pair;
use super::{Asked, given};
use crate::look::Look;

/// Characters of a value in a table.
const CHARACTERS: usize = 200;

/// A line: its number on a side, and its text.
type Line<'t> = (u64, &'t str);

pub(super) fn shown(look: &Look<'_>, asked: &Asked, pair: &Pair, found: &TextDiff, more: &Markup) -> Markup {
    let is_split = given(&asked.text) == Some("split");
    let here = |split: Option<&str>| {
        let asked = Asked { text: split.map(ToOwned::to_owned), ..asked.clone() };
        look.link(&state(pair, &asked).with_some("most", given(&asked.most)))
    };
    html! {
        @if !found.why.is_empty() { p .dim { "Compared as text: " (found.why) "." } }
        p {
            (plural(found.lines_added, "line", "lines")) " added, " (count(found.lines_removed)) " removed."
            @for note in &found.notes { " " (note) "." }
        }
        nav .tabs aria-label="Layout" {
            a href=(here(None)) aria-current=[(!is_split).then_some("true")] { "One below the other" }
            a href=(here(Some("split"))) aria-current=[is_split.then_some("true")] { "Side by side" }
        }
        div .wide tabindex="0" {
            @if is_split { (split(&found.hunks)) } @else { (unified(&found.hunks)) }
        }
        @if found.lines_left_out > 0 {
            p .dim { (plural(found.lines_left_out, "more line", "more lines")) ": " (more) }
        }
    }
}

/// The lines of a hunk with their numbers: (sign, old number, new number, text).
fn numbered(hunk: &Hunk) -> impl Iterator<Item = (char, u64, u64, &str)> {
    let (mut old, mut new) = (hunk.old_start, hunk.new_start);
    hunk.lines.iter().map(move |line| {
        let sign = line.chars().next().unwrap_or(' ');
        let numbered = (sign, old, new, line.get(sign.len_utf8()..).unwrap_or_default());
        old += u64::from(sign != '+');
        new += u64::from(sign != '-');
        numbered
    })
}

fn place(hunk: &Hunk) -> String {
    format!(
        "Lines {} to {} → {} to {}",
        hunk.old_start,
        end(hunk.old_start, hunk.old_lines),
        hunk.new_start,
        end(hunk.new_start, hunk.new_lines)
    )
}

fn end(start: u64, lines: u64) -> u64 {
    (start + lines).saturating_sub(1).max(start)
}

fn unified(hunks: &[Hunk]) -> Markup {
    html! {
        table .lines {
            thead { tr { th .number scope="col" { "Old" } th .number scope="col" { "New" } th scope="col" { "Text" } } }
            @for hunk in hunks {
                tbody {
                    tr .place { th scope="rowgroup" colspan="3" { (place(hunk)) } }
                    @for (sign, old, new, text) in numbered(hunk) {
                        tr {
                            td .number { @if sign != '+' { (old) } }
                            td .number { @if sign != '-' { (new) } }
                            (cell(sign, text))
                        }
                    }
                }
            }
        }
    }
}

fn cell(sign: char, text: &str) -> Markup {
    html! {
        @match sign {
            '-' => td .text.removed { del { (text) } },
            '+' => td .text.added { ins { (text) } },
            '\\' => td .text.dim { (text.trim()) },
            _ => td .text { (text) },
        }
    }
}

fn split(hunks: &[Hunk]) -> Markup {
    html! {
        table .lines.split {
            thead {
                tr {
                    th .number scope="col" { "Old" } th scope="col" { "Text" } th .number scope="col" { "New" }
                    th scope="col" { "Text" }
                }
            }
            @for hunk in hunks {
                tbody {
                    tr .place { th scope="rowgroup" colspan="4" { (place(hunk)) } }
                    @for (old, new, is_same) in beside(hunk) {
                        tr {
                            (half(old, if is_same { ' ' } else { '-' }))
                            (half(new, if is_same { ' ' } else { '+' }))
                        }
                    }
                }
            }
        }
    }
}

fn half(line: Option<Line<'_>>, sign: char) -> Markup {
    html! {
        @match line {
            Some((number, text)) => { td .number { (number) } (cell(sign, text)) }
            None => { td .number {} td .text.none {} }
        }
    }
}

/// A line of both sides, or one of either side; and whether both are the same.
type Row<'t> = (Option<Line<'t>>, Option<Line<'t>>, bool);

/// The lines of a hunk in pairs: removed ones beside the added ones that follow.
fn beside(hunk: &Hunk) -> Vec<Row<'_>> {
    let (mut rows, mut removed, mut added) = (Vec::new(), Vec::new(), Vec::new());
    for (sign, old, new, text) in numbered(hunk) {
        match sign {
            '-' => removed.push((old, text)),
            '+' => added.push((new, text)),
            _ => {
                pair_up(&mut rows, &mut removed, &mut added);
                rows.push((Some((old, text)), Some((new, text)), true));
            }
        }
    }
    pair_up(&mut rows, &mut removed, &mut added);
    rows
}

fn pair_up<'t>(rows: &mut Vec<Row<'t>>, removed: &mut Vec<Line<'t>>, added: &mut Vec<Line<'t>>) {
    for at in 0..removed.len().max(added.len()) {
        rows.push((removed.get(at).copied(), added.get(at).copied(), false));
    }
    removed.clear();
    added.clear();
}

/// A text, cut to what a table shows.
pub(super) fn short(text: &str) -> String {
    words::cut(text, CHARACTERS)
}

/// Two texts, cut so that their first difference is visible.
pub(super) fn short_pair(old: &str, new: &str) -> (String, String) {
    words::cut_pair(old, new, CHARACTERS)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn removed_lines_are_beside_the_added_ones() {
        let lines = [" a", "-b", "-c", "+B", " d"].map(str::to_owned).to_vec();
        let hunk = Hunk { old_start: 1, old_lines: 4, new_start: 1, new_lines: 3, lines };
        let rows = beside(&hunk);
        let expected = [
            (Some((1, "a")), Some((1, "a")), true),
            (Some((2, "b")), Some((2, "B")), false),
            (Some((3, "c")), None, false),
            (Some((4, "d")), Some((3, "d")), true),
        ];
        assert_eq!(rows, expected);
    }
}
