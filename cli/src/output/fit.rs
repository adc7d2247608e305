//! Text on a terminal of a given width: measuring, cutting, wrapping.
//!
//! Widths are those of the printed text: control characters count as escaped, pv's own colours have no width, and wide characters (East
//! Asian scripts, emoji) take two columns.

use unicode_width::UnicodeWidthChar;

use super::escape::{Piece, color_end, ends_color, escaped, pieces};

/// Marks where text was cut off.
const CUT: char = '…';
/// Separates the parts of a line.
const BETWEEN: &str = "   ";
/// No line is wrapped to fewer columns, however deep it is nested.
const NARROWEST: usize = 16;
/// Columns between two tab stops; a tab counts as this many.
const TAB: usize = 8;

fn width_of(piece: Piece<'_>) -> usize {
    match piece {
        Piece::Color(_) => 0,
        Piece::Char('\t') => TAB,
        Piece::Char(c) => c.width().unwrap_or(0),
    }
}

/// The width of a text in columns.
pub(crate) fn columns(text: &str) -> usize {
    pieces(&escaped(text, true)).map(width_of).sum()
}

/// Cuts a text to at most `width` columns, and marks the cut.
pub(crate) fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let (mut head, _) = split(&escaped(text, true), width.saturating_sub(1));
    if width > 0 {
        head.push(CUT);
    }
    closed(head).0
}

/// The longest prefix of a text with at most `width` columns, and the rest.
fn split(text: &str, width: usize) -> (String, String) {
    let (mut head, mut used) = (String::new(), 0);
    let mut rest = pieces(text);
    for piece in rest.by_ref() {
        used += width_of(piece);
        if used > width {
            return (head, text_of(piece) + &rest.map(text_of).collect::<String>());
        }
        head += &text_of(piece);
    }
    (head, String::new())
}

fn text_of(piece: Piece<'_>) -> String {
    match piece {
        Piece::Color(color) => color.to_owned(),
        Piece::Char(c) => c.to_string(),
    }
}

/// A text with its colour closed at the end, and the colour that was open.
fn closed(text: String) -> (String, Option<String>) {
    let colors = pieces(&text).filter_map(|piece| if let Piece::Color(color) = piece { Some(color) } else { None });
    match colors.last().filter(|color| !ends_color(color)).map(str::to_owned) {
        Some(open) => (text + &color_end(), Some(open)),
        None => (text, None),
    }
}

/// Lines of limited width that are filled one after another.
struct Lines {
    width: usize,
    done: Vec<String>,
    line: String,
    used: usize,
}

impl Lines {
    fn push(&mut self, between: &str, text: &str) -> bool {
        let between = if self.used == 0 { "" } else { between };
        let fits = self.used + between.len() + columns(text) <= self.width;
        if fits {
            self.line = std::mem::take(&mut self.line) + between + text;
            self.used += between.len() + columns(text);
        }
        fits
    }

    fn end_line(&mut self) {
        if self.used > 0 {
            self.done.push(std::mem::take(&mut self.line));
            self.used = 0;
        }
    }

    /// Adds a word; if it is longer than a line, it starts in the remaining space and continues on the next lines.
    fn push_word(&mut self, between: &str, word: &str) {
        if self.push(between, word) {
            return;
        }
        let room = self.width.saturating_sub(self.used + between.len());
        let mut rest = word.to_owned();
        if columns(word) > self.width && self.used > 0 && room >= NARROWEST {
            let (head, tail) = split(word, room);
            self.push(between, &head);
            rest = tail;
        }
        self.end_line();
        while columns(&rest) > self.width {
            let (head, tail) = split(&rest, self.width);
            self.done.push(head);
            rest = tail;
        }
        self.push("", &rest);
    }
}

/// Wraps a text to lines of at most `width` columns: between its parts if these fit on a line, else between words, else anywhere.
///
/// Nothing is lost except the spaces at the breaks. Returns at least one line.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(NARROWEST);
    let text = escaped(text, true);
    if columns(&text) <= width {
        return vec![text.into_owned()];
    }
    let mut lines = Lines { width, done: Vec::new(), line: String::new(), used: 0 };
    for part in text.split(BETWEEN) {
        if lines.push(BETWEEN, part) {
            continue;
        }
        if columns(part) <= width {
            lines.end_line();
            lines.push("", part);
            continue;
        }
        for (number, word) in part.split(' ').enumerate() {
            lines.push_word(if number == 0 { BETWEEN } else { " " }, word);
        }
    }
    lines.end_line();
    if lines.done.is_empty() {
        lines.done.push(String::new()); // nothing but spaces
    }
    colored_each(lines.done)
}

/// Makes the colours of each line complete, so that a prefix of the next line is not coloured.
fn colored_each(lines: Vec<String>) -> Vec<String> {
    let mut open: Option<String> = None;
    let color = |line: String| {
        let (line, now_open) = closed(open.take().unwrap_or_default() + &line);
        open = now_open;
        line
    };
    lines.into_iter().map(color).collect()
}

/// `text` after `first`, wrapped to `width` columns; `rest` precedes all lines but the first.
///
/// A prefix that leaves no space for the text is cut from the left, so the nearest part of a deep branch stays visible.
pub(crate) fn behind(first: &str, rest: &str, text: &str, width: usize) -> Vec<String> {
    if columns(first) + columns(text) <= width {
        return vec![format!("{first}{}", escaped(text, true))];
    }
    let most = width.saturating_sub(NARROWEST);
    let (first, rest) = (nearest(first, most), nearest(rest, most));
    let room = width.saturating_sub(columns(&first).max(columns(&rest)));
    let lines = wrap(text, room).into_iter().enumerate();
    lines.map(|(number, line)| format!("{}{line}", if number == 0 { &first } else { &rest })).collect()
}

/// The last `most` columns of a prefix.
fn nearest(front: &str, most: usize) -> String {
    let too_many = columns(front).saturating_sub(most);
    if too_many == 0 {
        return front.to_owned();
    }
    format!("{CUT}{}", split(front, too_many + 1).1)
}

/// A part of a line that can be dropped.
pub(crate) struct Part {
    /// Parts with the highest rank are dropped first; those of rank 0 always stay.
    pub(crate) rank: u8,
    pub(crate) text: String,
}

/// A line of the parts that fit into `width` columns, separated by two spaces. Empty parts are skipped.
pub(crate) fn of_parts(parts: Vec<Part>, width: usize) -> String {
    let mut parts: Vec<Part> = parts.into_iter().filter(|part| !part.text.is_empty()).collect();
    let line = |parts: &[Part]| parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join("  ");
    while columns(&line(&parts)) > width {
        let Some(rank) = parts.iter().map(|part| part.rank).max().filter(|rank| *rank > 0) else { break };
        parts.retain(|part| part.rank != rank);
    }
    cut(&line(&parts), width)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::output::escape::{paint, shown};

    fn plain(text: &str) -> String {
        text.chars().filter(|c| !c.is_whitespace()).collect()
    }

    proptest! {
        #[test]
        fn a_broken_text_fits_and_loses_nothing(text in "([a-z]{0,30}|[ ]{1,4}|世|\u{1b}|\u{202e}){0,40}", width in 0_usize..120) {
            let lines = wrap(&text, width);
            prop_assert!(!lines.is_empty());
            for line in &lines {
                prop_assert!(columns(line) <= width.max(NARROWEST), "{line:?}");
                prop_assert_eq!(shown(line, true).chars().filter_map(UnicodeWidthChar::width).sum::<usize>(), columns(line));
            }
            prop_assert_eq!(plain(&lines.concat()), plain(&escaped(&text, true)));
        }

        #[test]
        fn a_cut_text_fits(text in any::<String>(), width in 0_usize..50) {
            prop_assert!(columns(&cut(&text, width)) <= width);
        }

        #[test]
        fn what_stands_in_front_leaves_room(depth in 0_usize..80, text in "[a-z ]{0,200}", width in 20_usize..120) {
            let front = "│ ".repeat(depth);
            for line in behind(&front, &front, &text, width) {
                prop_assert!(columns(&line) <= width, "{line:?}");
            }
        }
    }

    /// A part of a trace, with the prefixes of its lines and of continued lines.
    fn tree(width: usize) -> String {
        let lines = [
            ("● ", "│   ", "threat v3   datum 0b77c1aa   exit 0   0.02 s   network none"),
            (
                "│   ",
                "│     ",
                "job threat@90c4d5e1   2026-07-01 11:02:31 +02:00 (09:02:31Z)   docker 28.2 on edge-2   caused by rules, dora",
            ),
            (
                "│   ",
                "│     ",
                "image threat (1c9e7701)   cmd python3 /threat.py --zones /pfs/rules/zones.json --hours 22-05   applied 2026-06-02 by carl",
            ),
            ("└─● ", "  │   ", "detect v4   datum c2f0a4d7   exit 0   0.31 s   network default: not hermetic"),
            (
                "  └─ ",
                "       ",
                "images@77ab01c2:/cam7/a-file-with-a-name-that-is-longer-than-sixty-columns-1782820929.jpg   187 kB   sha256 e07c11d9",
            ),
        ];
        lines.iter().flat_map(|(first, rest, text)| behind(first, rest, text, width)).map(|line| line + "\n").collect()
    }

    #[test]
    fn a_tree_breaks_its_lines_inside_their_branch() {
        insta::assert_snapshot!(tree(60), @r"
        ● threat v3   datum 0b77c1aa   exit 0   0.02 s
        │   network none
        │   job threat@90c4d5e1
        │     2026-07-01 11:02:31 +02:00 (09:02:31Z)
        │     docker 28.2 on edge-2   caused by rules, dora
        │   image threat (1c9e7701)   cmd python3 /threat.py
        │     --zones /pfs/rules/zones.json --hours 22-05
        │     applied 2026-06-02 by carl
        └─● detect v4   datum c2f0a4d7   exit 0   0.31 s
          │   network default: not hermetic
          └─ images@77ab01c2:/cam7/a-file-with-a-name-that-is-long
               er-than-sixty-columns-1782820929.jpg   187 kB
               sha256 e07c11d9
        ");
        insta::assert_snapshot!(tree(80), @r"
        ● threat v3   datum 0b77c1aa   exit 0   0.02 s   network none
        │   job threat@90c4d5e1   2026-07-01 11:02:31 +02:00 (09:02:31Z)
        │     docker 28.2 on edge-2   caused by rules, dora
        │   image threat (1c9e7701)
        │     cmd python3 /threat.py --zones /pfs/rules/zones.json --hours 22-05
        │     applied 2026-06-02 by carl
        └─● detect v4   datum c2f0a4d7   exit 0   0.31 s   network default: not hermetic
          └─ images@77ab01c2:/cam7/a-file-with-a-name-that-is-longer-than-sixty-column
               s-1782820929.jpg   187 kB   sha256 e07c11d9
        ");
        insta::assert_snapshot!(tree(100), @r"
        ● threat v3   datum 0b77c1aa   exit 0   0.02 s   network none
        │   job threat@90c4d5e1   2026-07-01 11:02:31 +02:00 (09:02:31Z)   docker 28.2 on edge-2
        │     caused by rules, dora
        │   image threat (1c9e7701)   cmd python3 /threat.py --zones /pfs/rules/zones.json --hours 22-05
        │     applied 2026-06-02 by carl
        └─● detect v4   datum c2f0a4d7   exit 0   0.31 s   network default: not hermetic
          └─ images@77ab01c2:/cam7/a-file-with-a-name-that-is-longer-than-sixty-columns-1782820929.jpg
               187 kB   sha256 e07c11d9
        ");
        insta::assert_snapshot!(tree(200), @r"
        ● threat v3   datum 0b77c1aa   exit 0   0.02 s   network none
        │   job threat@90c4d5e1   2026-07-01 11:02:31 +02:00 (09:02:31Z)   docker 28.2 on edge-2   caused by rules, dora
        │   image threat (1c9e7701)   cmd python3 /threat.py --zones /pfs/rules/zones.json --hours 22-05   applied 2026-06-02 by carl
        └─● detect v4   datum c2f0a4d7   exit 0   0.31 s   network default: not hermetic
          └─ images@77ab01c2:/cam7/a-file-with-a-name-that-is-longer-than-sixty-columns-1782820929.jpg   187 kB   sha256 e07c11d9
        ");
    }

    #[test]
    fn lines_break_between_parts_then_words_then_anywhere() {
        assert_eq!(
            wrap("image busybox:1   cmd sh -c x   applied by Anna", 24),
            ["image busybox:1", "cmd sh -c x", "applied by Anna"]
        );
        assert_eq!(wrap("one two three four five", 16), ["one two three", "four five"]);
        assert_eq!(wrap(&"x".repeat(40), 16), ["x".repeat(16), "x".repeat(16), "x".repeat(8)]);
    }

    #[test]
    fn a_colour_ends_with_its_line_and_goes_on_in_the_next() {
        let lines = wrap(&paint("31", "one two three four five"), 16);
        let shown: Vec<_> = lines.iter().map(|line| shown(line, true).into_owned()).collect();
        assert_eq!(shown, ["\u{1b}[31mone two three\u{1b}[0m", "\u{1b}[31mfour five\u{1b}[0m"]);
        assert_eq!(shown_cut(&paint("31", "abcdef"), 4), "\u{1b}[31mabc…\u{1b}[0m");
    }

    fn shown_cut(text: &str, width: usize) -> String {
        shown(&cut(text, width), true).into_owned()
    }

    #[test]
    fn a_line_does_without_its_least_parts() {
        let line = |width| {
            let part = |rank, text: &str| Part { rank, text: text.to_owned() };
            of_parts(vec![part(0, "detect"), part(3, "━━━━━━"), part(2, "118/s"), part(0, "1 failed")], width)
        };
        assert_eq!(line(40), "detect  ━━━━━━  118/s  1 failed");
        assert_eq!(line(24), "detect  118/s  1 failed");
        assert_eq!(line(20), "detect  1 failed");
        assert_eq!(line(8), "detect …");
    }
}
