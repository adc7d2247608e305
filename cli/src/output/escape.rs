//! Escapes text: everything that a command prints as text goes through here.
//!
//! Names, messages, paths, log lines and answers of the operating system are untrusted, and a terminal interprets control characters in
//! them: they can rename its window, hide text, or move back and overwrite text. So they are escaped (`\u{1b}`). Only pv's own colours
//! pass:
//! [`paint`] marks them with a random word of this process, which nobody outside can know.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::OnceLock;

/// The prefix of pv's own colour codes; the ANSI numbers and `m` follow.
fn mark() -> &'static str {
    static MARK: OnceLock<String> = OnceLock::new();
    MARK.get_or_init(|| format!("\u{1b}{}:", repos::random_hex()))
}

/// `text` in the colour of these ANSI numbers, such as `1;31`; the marks become escape sequences when printed.
pub(crate) fn paint(numbers: &str, text: &str) -> String {
    let mark = mark();
    format!("{mark}{numbers}m{text}{mark}0m")
}

/// Escapes control characters except line ends and tabs, and keeps the marks of pv's own colours: for a part of a text. `tricks` as in
/// [`shown`].
pub(super) fn escaped(text: &str, tricks: bool) -> Cow<'_, str> {
    let is_refused = |c: char| (c.is_control() && c != '\n' && c != '\t') || (tricks && is_a_trick(c));
    written_out(text, is_refused, |numbers| Cow::Owned(format!("{}{numbers}m", mark())))
}

/// A piece of text for layout: the mark of one of pv's own colours, which has no width, or a character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// The mark as it appears in the text.
    Color(&'t str),
    Char(char),
}

/// The pieces of a text, in order.
pub(super) fn pieces(mut text: &str) -> impl Iterator<Item = Piece<'_>> {
    std::iter::from_fn(move || {
        let length = color_length(text).unwrap_or(0);
        if length > 0 {
            let (color, rest) = text.split_at(length);
            text = rest;
            return Some(Piece::Color(color));
        }
        let mut chars = text.chars();
        let c = chars.next()?;
        text = chars.as_str();
        Some(Piece::Char(c))
    })
}

/// The length of the colour mark at the start of a text.
fn color_length(text: &str) -> Option<usize> {
    Some(mark().len() + text.strip_prefix(mark())?.find('m')? + 1)
}

/// Whether a mark ends a colour.
pub(super) fn ends_color(color: &str) -> bool {
    color.strip_prefix(mark()) == Some("0m")
}

/// The mark that ends a colour.
pub(super) fn color_end() -> String {
    format!("{}0m", mark())
}

/// Text as it is printed; with `tricks`, invisible characters and those that change the direction of text are escaped too.
pub(super) fn shown(text: &str, tricks: bool) -> Cow<'_, str> {
    let is_refused = |c: char| (c.is_control() && c != '\n' && c != '\t') || (tricks && is_a_trick(c));
    written_out(text, is_refused, |numbers| Cow::Owned(format!("\u{1b}[{numbers}m")))
}

fn written_out(
    text: &str,
    is_refused: impl Fn(char) -> bool,
    color: impl Fn(&str) -> Cow<'static, str>,
) -> Cow<'_, str> {
    if !text.contains(&is_refused) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&is_refused) {
        let (before, from) = rest.split_at(at);
        shown.push_str(before);
        if let Some((numbers, behind)) = from.strip_prefix(mark()).and_then(|numbers| numbers.split_once('m')) {
            shown.push_str(&color(numbers));
            rest = behind;
            continue;
        }
        let mut chars = from.chars();
        shown.extend(chars.next().into_iter().flat_map(char::escape_default));
        rest = chars.as_str();
    }
    Cow::Owned(shown + rest)
}

/// Whether a character is invisible and changes how its neighbours look, or their order.
fn is_a_trick(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// JSON without control characters in strings: the JSON standard requires escapes for some of them only.
pub(super) fn escaped_json(json: &str) -> Cow<'_, str> {
    if !json.contains(char::is_control) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() {
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("a string takes all text");
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}

/// Decodes printed bytes as text, piece by piece, since a character or line end can be split between two pieces.
///
/// A byte that is not UTF-8 is escaped (`\xff`). A carriage return ends a line, so that later text cannot cover earlier text.
#[derive(Debug, Default)]
pub(crate) struct LogText {
    /// An incomplete character, at most 3 bytes.
    rest: Vec<u8>,
    /// Whether the last byte was a carriage return; a following line feed belongs to it.
    returned: bool,
}

impl LogText {
    /// The text of the next piece.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let bytes = [std::mem::take(&mut self.rest).as_slice(), bytes].concat();
        let mut text = String::with_capacity(bytes.len());
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.lines(chunk.valid(), &mut text);
            let is_cut = chunks.peek().is_none()
                && std::str::from_utf8(chunk.invalid()).is_err_and(|error| error.error_len().is_none());
            if is_cut {
                chunk.invalid().clone_into(&mut self.rest);
            } else if !chunk.invalid().is_empty() {
                self.returned = false;
                write!(text, "{}", chunk.invalid().escape_ascii()).expect("a string takes all text");
            }
        }
        text
    }

    /// The rest at the end of the input.
    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.rest).escape_ascii().to_string()
    }

    fn lines(&mut self, piece: &str, text: &mut String) {
        for c in piece.chars() {
            match c {
                '\n' if self.returned => {}
                '\r' => text.push('\n'),
                c => text.push(c),
            }
            self.returned = c == '\r';
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn nothing_that_a_terminal_acts_on_passes(text in any::<String>(), numbers in "[0-9]{1,2}") {
            for tricks in [true, false] {
                let shown = shown(&text, tricks);
                prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "{:?}", shown);
                prop_assert!(!(tricks && shown.contains(is_a_trick)));
            }
            let painted = paint(&numbers, &text);
            let expected = format!("\u{1b}[{numbers}m{}\u{1b}[0m", shown(&text, true));
            prop_assert_eq!(shown(&painted, true), expected.as_str());
            let part = escaped(&painted, true);
            prop_assert_eq!(shown(&part, true), expected.as_str());
        }

        #[test]
        fn a_log_is_the_same_text_however_it_is_cut(bytes in any::<Vec<u8>>(), cut in 0_usize..100) {
            let whole = |pieces: &[&[u8]]| {
                let mut log = LogText::default();
                let mut text: String = pieces.iter().map(|piece| log.push(piece)).collect();
                text.push_str(&log.finish());
                text
            };
            let (one, two) = bytes.split_at(cut.min(bytes.len()));
            prop_assert_eq!(whole(&[one, two]), whole(&[&bytes]));
            prop_assert!(!whole(&[&bytes]).contains('\r'));
        }
    }

    #[test]
    fn json_keeps_every_character_and_a_terminal_gets_none_that_it_acts_on() {
        let text: String = (0..0x300_u32).chain(0x2000..0x2100).filter_map(char::from_u32).collect();
        let json = serde_json::to_string(&text).unwrap();
        let escaped = escaped_json(&json);
        assert!(!escaped.contains(char::is_control));
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
        assert_eq!(shown("a\u{202e}gpj.\u{1b}]0;x\u{7f}e\u{301}", true), "a\\u{202e}gpj.\\u{1b}]0;x\\u{7f}e\u{301}");
    }

    #[test]
    fn foreign_colours_are_written_out() {
        assert_eq!(shown("ok \u{1b}[8mhidden", false), "ok \\u{1b}[8mhidden");
    }

    #[test]
    fn a_log_keeps_lines_and_shows_what_is_no_text() {
        let mut log = LogText::default();
        assert_eq!(log.push(b"10%\r20%\r\nd\xffne \xe2\x82"), "10%\n20%\nd\\xffne ");
        assert_eq!(log.push(b"\xac\r"), "€\n");
        assert_eq!(log.push(b"\n\xe2"), "");
        assert_eq!(log.finish(), "\\xe2");
    }
}
