//! Text of users and of receivers, made fit for one line of something else.

use reqwest::Url;

/// One line of at most `limit` characters: control characters and those that turn the direction of writing become `�`, runs of white space
/// a space. A text that is cut ends with `…`.
pub(crate) fn line(text: &str, limit: usize) -> String {
    let words = text.split(|c: char| c.is_whitespace()).filter(|word| !word.is_empty());
    let whole = words.collect::<Vec<_>>().join(" ");
    let clean = whole.chars().map(|c| if is_plain(c) { c } else { char::REPLACEMENT_CHARACTER });
    cut(clean, limit)
}

/// At most `limit` characters; if there are more, the last is `…`.
fn cut(characters: impl Iterator<Item = char>, limit: usize) -> String {
    let mut kept: Vec<char> = characters.take(limit + 1).collect();
    if kept.len() > limit {
        kept.truncate(limit.saturating_sub(1));
        kept.push('…');
    }
    kept.into_iter().collect()
}

/// Whether a character can neither end a line nor change how its neighbours look.
fn is_plain(c: char) -> bool {
    let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    !(c.is_control() || turns || matches!(c, '\u{feff}' | '\u{fff9}'..='\u{fffb}'))
}

/// Replaces each character for which `entity` has a text. The result has at most `limit` characters; if it is cut, it ends with `…`, never
/// within an entity.
pub(crate) fn escaped(text: &str, limit: usize, entity: impl Fn(char) -> Option<&'static str>) -> String {
    let pieces: Vec<String> = text.chars().map(|c| entity(c).map_or_else(|| c.to_string(), str::to_owned)).collect();
    let ends: Vec<usize> = pieces
        .iter()
        .scan(0, |sum, piece| {
            *sum += piece.chars().count();
            Some(*sum)
        })
        .collect();
    if ends.last().is_none_or(|length| *length <= limit) {
        return pieces.concat();
    }
    let fitting = ends.iter().take_while(|end| **end < limit).count();
    pieces[..fitting].concat() + "…"
}

/// A link that can stand in a markup of any kind; `None` if it is not for a browser.
pub(crate) fn link(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "https" | "http"))?;
    // `Url` leaves these as they are.
    Some(url.as_str().replace('|', "%7C").replace('\'', "%27"))
}

/// Entities of HTML, for texts and for values of attributes.
pub(crate) fn html(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        '\'' => Some("&#39;"),
        _ => None,
    }
}

/// An error and its causes on one line, without what repeats.
pub(crate) fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for one in std::iter::successors(Some(error), |cause| cause.source()) {
        let text = one.to_string();
        if !parts.iter().any(|known| known.contains(&text)) {
            parts.push(text);
        }
    }
    line(&parts.join(": "), WHY)
}

/// Most characters of a reason.
pub(crate) const WHY: usize = 300;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_becomes_one_line() {
        assert_eq!(line("a\r\nBcc: x\ty\u{2028}z", 99), "a Bcc: x y z");
        assert_eq!(line("gpj.\u{202e}exe\u{7}\u{0}", 99), "gpj.�exe��");
        assert_eq!(line("12345", 5), "12345");
        assert_eq!(line("123456", 5), "1234…");
        assert_eq!(escaped("a<b", 6, html), "a&lt;b");
        assert_eq!(escaped("a<b", 5, html), "a…", "an entity is not cut");
    }

    proptest! {
        #[test]
        fn lines_and_entities_keep_their_limit(text in ".*", limit in 1_usize..40) {
            let one = line(&text, limit);
            prop_assert!(one.chars().count() <= limit && one.chars().all(is_plain), "{:?}", one);
            let entities = escaped(&text, limit, html);
            prop_assert!(entities.chars().count() <= limit);
            prop_assert!(!entities.contains(['<', '>', '"', '\'']));
        }
    }
}
