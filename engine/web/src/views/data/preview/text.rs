//! Lines with numbers, each with an address (`#L12`). A long text comes in parts; each begins at a byte, so that a late part costs no more
//! than the first.

use answers::file::shown::bytes;
use maud::{Markup, html};
use specs::words::count;

use super::Part;
use super::tokens::Painter;
use crate::look::Look;
use crate::parts::size;
use crate::views::Result;
use crate::views::data::shared::{Place, pager};

/// Most bytes of a part.
const BYTES: u64 = 64 << 10;
/// Most lines of a part.
const LINES: usize = 1000;
/// Most characters of a line.
const CHARACTERS: usize = 2000;

/// A part of a text.
pub(super) fn text(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let place = part.place().unwrap_or(Place { number: 1, byte: 0 });
    let read = bytes(look.store, part.file, place.byte, BYTES)?;
    let is_end = place.byte + read.len() as u64 >= part.file.size_bytes;
    let cut = cut(&read, is_end);
    let text = String::from_utf8_lossy(&read[..cut.bytes]);
    let is_whole = is_end && cut.bytes == read.len();
    let next = (!is_whole).then(|| Place { number: place.number + cut.ends, byte: place.byte + cut.bytes as u64 });
    let mut painter = Painter::of(part.file.path.name());
    Ok(html! {
        @if matches!(text, std::borrow::Cow::Owned(_)) { p .dim { "It has bytes that are not UTF-8; each is shown as \u{fffd}." } }
        pre .lines tabindex="0" role="region" aria-label="Lines" {
            @for (number, line) in (place.number..).zip(text.lines()) { (row(number, line, &mut painter)) }
        }
        @if let Some(next) = next {
            p .dim {
                "Up to byte " (count(next.byte)) " of " (size(part.file.size_bytes))
                ": a page shows at most " (LINES) " lines or " (BYTES >> 10) " KiB."
            }
        }
        (pager(
            look,
            (place.byte > 0).then(|| part.here()),
            next.map(|next| part.here().with("after", next)),
            ("From the start", "Next part"),
        ))
    })
}

fn row(number: u64, line: &str, painter: &mut Painter) -> Markup {
    let end = line.char_indices().nth(CHARACTERS).map(|(end, _)| end);
    let shown = &line[..end.unwrap_or(line.len())];
    html! {
        span id={ "L" (number) } {
            a href={ "#L" (number) } tabindex="-1" aria-hidden="true" { (number) }
            @for (class, text) in painter.line(shown) {
                @match class { Some(class) => { span class=(class) { (text) } } None => (text) }
            }
            @if end.is_some() { i { " … " (count((line.len() - shown.len()) as u64)) " more bytes" } }
        }
        "\n"
    }
}

/// How much of the bytes read is shown.
#[derive(Debug, PartialEq, Eq)]
struct Cut {
    bytes: usize,
    /// Number of line ends in these.
    ends: u64,
}

/// Whole lines, at most [`LINES`]; a part of a line only if it is longer than everything read.
fn cut(read: &[u8], is_end: bool) -> Cut {
    let ends = || read.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1);
    if let Some(end) = ends().nth(LINES - 1) {
        return Cut { bytes: end, ends: LINES as u64 };
    }
    let (number, last) = (ends().count() as u64, ends().next_back());
    match last {
        _ if is_end => Cut { bytes: read.len(), ends: number },
        Some(end) => Cut { bytes: end, ends: number },
        None => Cut { bytes: whole_characters(read), ends: 0 },
    }
}

/// The length of the bytes without a character that is cut off at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    let begins = |byte: &u8| byte & 0xc0 != 0x80;
    let back = bytes.iter().rev().take(4).position(begins);
    match back.map(|back| bytes.len() - 1 - back) {
        Some(start) if start > 0 && std::str::from_utf8(&bytes[start..]).is_err() => start,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_end_with_lines_and_never_within_a_character() {
        assert_eq!(cut(b"a\nb\nc", true), Cut { bytes: 5, ends: 2 });
        assert_eq!(cut(b"a\nb\nc", false), Cut { bytes: 4, ends: 2 });
        assert_eq!(cut("abä".as_bytes().split_last().unwrap().1, false), Cut { bytes: 2, ends: 0 });
        assert_eq!(cut("abä".as_bytes(), false), Cut { bytes: 4, ends: 0 });
        let many = "x\n".repeat(LINES + 5);
        assert_eq!(cut(many.as_bytes(), true), Cut { bytes: 2 * LINES, ends: LINES as u64 });
        assert_eq!(cut(b"\x80\x80\x80\x80\x80", false), Cut { bytes: 5, ends: 0 });
    }
}
