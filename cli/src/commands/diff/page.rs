//! A page of blocks, as text or as Markdown.

use std::borrow::Cow;

use crate::context::Context;
use crate::error::Result;
use crate::output::{Columns, fitted};

/// A part of a file's description.
pub(super) enum Block {
    /// A line of prose.
    Line(String),
    /// A table: header and rows.
    Table(&'static [&'static str], Vec<Vec<String>>),
    /// Lines that begin with ` `, `+`, `-` or `@`.
    Patch(Vec<String>),
}

/// The indentation of a block.
const SET_IN: &str = "    ";

/// Where and how the page is printed.
pub(super) struct Page<'a> {
    pub(super) cx: &'a Context,
    markdown: bool,
}

impl<'a> Page<'a> {
    pub(super) fn new(cx: &'a Context, markdown: bool) -> Self {
        Self { cx, markdown }
    }

    /// The title of the page.
    pub(super) fn title(&self, title: &str) -> Result<()> {
        if self.markdown { self.text(&format!("### {}\n", escaped(title))) } else { self.cx.out().wrapped(title) }
    }

    /// The heading of a section.
    pub(super) fn heading(&self, heading: &str) -> Result<()> {
        if self.markdown {
            self.text(&format!("\n#### {}\n", escaped(heading)))
        } else {
            self.text("")?;
            self.cx.out().wrapped(heading)
        }
    }

    /// A separate line.
    pub(super) fn line(&self, line: &str) -> Result<()> {
        if self.markdown { self.text(&format!("\n{}", escaped(line))) } else { self.cx.out().wrapped(line) }
    }

    /// One item of a list.
    pub(super) fn item(&self, line: &str) -> Result<()> {
        if self.markdown { self.text(&format!("- {}", escaped(line))) } else { self.cx.out().wrapped(line) }
    }

    /// A path that differs, after the sign and word of its change.
    pub(super) fn entry(&self, color: u8, sign: char, word: &str, text: &str) -> Result<()> {
        if self.markdown {
            return self.text(&format!("- **{word}** {}", escaped(text)));
        }
        self.cx.out().wrapped(self.cx.out().paint(color, &format!("{sign} {text}")))
    }

    /// The blocks that belong to the previous item.
    pub(super) fn blocks(&self, blocks: &[Block]) -> Result<()> {
        blocks.iter().try_for_each(|block| if self.markdown { self.markdown(block) } else { self.plain(block) })
    }

    /// A separate table.
    pub(super) fn table(&self, header: &'static [&'static str], rows: Vec<Vec<String>>) -> Result<()> {
        if self.markdown {
            return self.markdown(&Block::Table(header, rows));
        }
        self.cx.table(header, rows)
    }

    fn text(&self, text: &str) -> Result<()> {
        self.cx.out().line(text)
    }

    fn plain(&self, block: &Block) -> Result<()> {
        match block {
            Block::Line(line) => self.cx.out().branch(SET_IN, SET_IN, line),
            Block::Table(header, rows) => {
                let width = self.cx.out().columns().map(|width| width.saturating_sub(SET_IN.len()));
                let table = fitted(&Columns { header, ..Columns::default() }, rows.clone(), width);
                table.lines().try_for_each(|line| self.text(&format!("{SET_IN}{line}")))
            }
            Block::Patch(lines) => lines.iter().try_for_each(|line| {
                let color = match line.as_bytes().first() {
                    Some(b'+') => 32,
                    Some(b'-') => 31,
                    Some(b'@') => 36,
                    _ => return self.text(&format!("    {line}")),
                };
                self.text(&format!("    {}", self.cx.out().paint(color, line)))
            }),
        }
    }

    /// Indented by two spaces, which makes it part of the item.
    fn markdown(&self, block: &Block) -> Result<()> {
        match block {
            Block::Line(line) => self.text(&format!("\n  {}", escaped(line))),
            Block::Table(header, rows) => {
                let row = |cells: Vec<Cow<'_, str>>| format!("  | {} |", cells.join(" | "));
                self.text("")?;
                self.text(&row(header.iter().map(|cell| Cow::Borrowed(*cell)).collect()))?;
                self.text(&row(header.iter().map(|_| Cow::Borrowed("---")).collect()))?;
                rows.iter().try_for_each(|cells| self.text(&row(cells.iter().map(|cell| escaped(cell)).collect())))?;
                self.text("")
            }
            Block::Patch(lines) => {
                // The fence must be longer than any in the text.
                let longest = lines.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max().unwrap_or(0);
                let fence = "`".repeat(longest.max(2) + 1);
                self.text(&format!("\n  {fence}diff"))?;
                lines.iter().try_for_each(|line| self.text(&format!("  {line}")))?;
                self.text(&format!("  {fence}\n"))
            }
        }
    }
}

/// Escapes Markdown: names and messages are untrusted.
pub(in crate::commands) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '`', '*', '_', '[', ']', '<', '>', '|', '&', '\n', '~']) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => shown.push(' '),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '&' => shown.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => shown.extend(['\\', c]),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}
