//! Escape sequences of terminals: colours become classes, all else is dropped; nothing of it reaches a browser. What has no end is text.

/// Pieces of a line, each with the class of its colour.
pub(super) type Spans = Vec<(Option<&'static str>, String)>;

/// A line as pieces of one colour.
pub(super) fn spans(line: &str) -> Spans {
    let (mut spans, mut style, mut text) = (Spans::new(), None, String::new());
    let mut rest = line;
    while let Some(at) = rest.find(['\u{1b}', '\u{9b}', '\r']) {
        text.push_str(&rest[..at]);
        let (sequence, after) = cut(&rest[at..]);
        rest = after;
        match sequence {
            Sequence::Style(parameters) => {
                let next = style_of(parameters, style);
                if next != style {
                    push(&mut spans, style, std::mem::take(&mut text));
                    style = next;
                }
            }
            Sequence::Dropped => {}
            Sequence::Text(shown) => text.push_str(shown),
        }
    }
    text.push_str(rest);
    push(&mut spans, style, text);
    spans
}

/// A line without colours.
pub(in super::super) fn plain(line: &str) -> String {
    spans(line).into_iter().map(|(_, text)| text).collect()
}

fn push(spans: &mut Spans, style: Option<&'static str>, text: String) {
    if !text.is_empty() {
        spans.push((style, text));
    }
}

enum Sequence<'t> {
    /// Colours, by the numbers between `ESC [` and `m`.
    Style(&'t str),
    Dropped,
    /// What is no sequence, as it is shown.
    Text(&'static str),
}

/// The sequence at the start of a text, and what follows it.
fn cut(text: &str) -> (Sequence<'_>, &str) {
    if let Some(rest) = text.strip_prefix('\r') {
        // A terminal would write over what stands before it.
        return (Sequence::Text("␍"), rest);
    }
    if let Some(rest) = text.strip_prefix("\u{1b}[").or_else(|| text.strip_prefix('\u{9b}')) {
        let (parameters, last) = rest.split_at(rest.find(|c: char| !matches!(c, ' '..='?')).unwrap_or(rest.len()));
        return match last.chars().next() {
            Some('m') => (Sequence::Style(parameters), &last[1..]),
            Some('@'..='~') => (Sequence::Dropped, &last[1..]),
            _ => unfinished(text),
        };
    }
    if let Some(rest) = text.strip_prefix("\u{1b}]") {
        // Titles and links, up to their end.
        let end = &rest[rest.find(['\u{7}', '\u{1b}', '\u{9c}']).unwrap_or(rest.len())..];
        let after = end.strip_prefix("\u{1b}\\").or_else(|| end.strip_prefix(['\u{7}', '\u{9c}']));
        return after.map_or_else(|| unfinished(text), |after| (Sequence::Dropped, after));
    }
    // Two characters, such as `ESC c` and `ESC 7`; `ESC ( B` has three.
    let mut rest = text.chars();
    rest.next();
    let second = rest.next();
    let last = if matches!(second, Some('(' | ')')) { rest.next() } else { second };
    if matches!(last, Some('0'..='~')) { (Sequence::Dropped, rest.as_str()) } else { unfinished(text) }
}

/// The start of a sequence that has no end, shown: what follows it is text.
fn unfinished(text: &str) -> (Sequence<'_>, &str) {
    let mut rest = text.chars();
    rest.next();
    (Sequence::Text("␛"), rest.as_str())
}

/// The class after these numbers.
fn style_of(parameters: &str, before: Option<&'static str>) -> Option<&'static str> {
    let mut style = before;
    let mut numbers = parameters.split([';', ':']).map(|number| number.parse().unwrap_or(0_u16));
    while let Some(number) = numbers.next() {
        style = match number {
            0 | 39 => None,
            1 => style.or(Some("bold")),
            2 | 90 | 30 | 37 => Some("dim"),
            31 | 91 => Some("red"),
            32 | 92 => Some("green"),
            33 | 93 => Some("yellow"),
            34 | 35 | 94 | 95 | 36 | 96 => Some("blue"),
            // A colour by its number, or by its parts: kept as it was.
            38 | 48 => {
                let skipped = if numbers.next() == Some(2) { 3 } else { 1 };
                numbers.by_ref().take(skipped).for_each(drop);
                style
            }
            _ => style,
        };
    }
    style
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_classes_and_nothing_else_stays() {
        let text = "a\u{1b}[31mred\u{1b}[0m \u{1b}[1;32mok\u{1b}[m\u{1b}[2K\u{1b}]8;;http://x\u{7}link\u{1b}]8;;\u{1b}\\ \u{1b}(Bend";
        let shown: Vec<(Option<&str>, String)> = spans(text);
        let shown: Vec<(Option<&str>, &str)> = shown.iter().map(|(style, text)| (*style, text.as_str())).collect();
        assert_eq!(shown, [(None, "a"), (Some("red"), "red"), (None, " "), (Some("green"), "ok"), (None, "link end")]);
        assert_eq!(plain("\u{1b}[38;2;255;0;0mx\u{1b}[38;5;31my\u{9b}31mz"), "xyz");
    }

    #[test]
    fn what_overwrites_is_shown_and_what_is_broken_does_not_hide() {
        assert_eq!(plain("10%\r20%\r100%"), "10%␍20%␍100%");
        for (text, shown) in [
            ("\u{1b}", "␛"),
            ("a\u{1b}\u{1b}[31mb", "a␛b"),
            ("\u{1b}[31", "␛[31"),
            ("\u{1b}[3\u{e9}", "␛[3\u{e9}"),
            ("\u{9b}31", "␛31"),
            ("x\u{1b}é", "x␛é"),
            ("\u{1b}(éab", "␛(éab"),
            ("\u{1b}(", "␛("),
            ("\u{1b}(\u{1b}[31mred", "␛(red"),
            ("\u{1b}]0;title and more", "␛]0;title and more"),
            ("\u{1b}]0;title\u{1b}[31mred", "␛]0;titlered"),
            ("\u{1b}]0;title\u{9c}shown", "shown"),
        ] {
            assert_eq!(plain(text), shown, "{text:?}");
        }
    }

    #[test]
    fn any_text_is_cut_without_harm() {
        let pieces = ["\u{1b}", "[", "]", "31", "m", "é", "\u{7}", "\\", "\r", "(", ";", "\u{9b}", "a"];
        for first in pieces {
            for second in pieces {
                for third in pieces {
                    for fourth in pieces {
                        let text = [first, second, third, fourth].concat();
                        assert!(!plain(&text).contains(['\u{1b}', '\u{9b}', '\r']), "{text:?}");
                    }
                }
            }
        }
    }
}
