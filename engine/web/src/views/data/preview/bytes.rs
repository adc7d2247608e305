//! A file without a better kind: its first bytes in hexadecimal.

use std::fmt::Write;

use answers::file::shown::bytes;
use maud::{Markup, html};

use super::Part;
use crate::look::Look;
use crate::parts::size;
use crate::views::Result;

/// Bytes that are shown.
const SHOWN: u64 = 512;
/// Bytes of a line.
const LINE: usize = 16;

/// The first bytes, with the characters that they are.
pub(super) fn hex(look: &Look<'_>, part: &Part<'_>) -> Result<Markup> {
    let start = bytes(look.store, part.file, 0, SHOWN)?;
    Ok(html! {
        pre .lines tabindex="0" role="region" aria-label="First bytes" { (lines(&start)) }
        @if part.file.size_bytes > SHOWN { p .dim { "The first " (SHOWN) " bytes of " (size(part.file.size_bytes)) "." } }
    })
}

fn lines(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(LINE).enumerate() {
        let _ = write!(text, "{:06x}  ", number * LINE);
        for at in 0..LINE {
            let _ = match line.get(at) {
                Some(byte) => write!(text, "{byte:02x} "),
                None => write!(text, "   "),
            };
        }
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        text.push(' ');
        text.extend(line.iter().map(shown));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_have_their_place_and_their_characters() {
        let text = super::lines(b"<b>\0 and the next line");
        assert!(text.starts_with("000000  3c 62 3e 00 20 61"), "{text}");
        assert!(text.contains("<b>. and the nex\n000010  74 20"), "{text}");
    }
}
