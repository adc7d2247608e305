//! Characters that would hide or turn text, shown by their number.

use std::fmt::Write;

/// Before the value of a field, which a form sends: it has to stay what it is. In a value `"` is escaped.
const VALUE: &str = " value=\"";

/// Shows what would hide or turn text: control characters, and those that change the direction of writing. Pages have none of their own,
/// so it is done once, to the whole document, but not to what forms send.
pub(super) fn visible(document: String) -> String {
    if document.is_ascii() && !document.bytes().any(|byte| is_trick(char::from(byte))) {
        return document;
    }
    let mut text = String::with_capacity(document.len() + 64);
    // In text and in values `<` is escaped, so each further piece begins with a tag.
    let mut pieces = document.split('<');
    push(&mut text, pieces.next().unwrap_or_default());
    for piece in pieces {
        text.push('<');
        push_piece(&mut text, piece);
    }
    text
}

/// A tag without its `<`, and the text after it.
fn push_piece(text: &mut String, piece: &str) {
    // In a value `>` is escaped, too.
    let (tag, after) = piece.split_at(piece.find('>').unwrap_or(piece.len()));
    match tag.split(' ').next() {
        Some("input" | "option") => {
            push_field(text, tag);
            push(text, after);
        }
        Some("textarea") => {
            push(text, tag);
            text.push_str(after);
        }
        _ => push(text, piece),
    }
}

/// The tag of a field, with its value as it is.
fn push_field(text: &mut String, tag: &str) {
    let Some((before, value)) = tag.split_once(VALUE) else { return push(text, tag) };
    let (value, after) = value.split_at(value.find('"').unwrap_or(value.len()));
    push(text, before);
    text.push_str(VALUE);
    text.push_str(value);
    push(text, after);
}

fn push(text: &mut String, of: &str) {
    for c in of.chars() {
        if is_trick(c) {
            let _ = write!(text, "\u{27e8}U+{:04X}\u{27e9}", c as u32);
        } else {
            text.push(c);
        }
    }
}

fn is_trick(c: char) -> bool {
    match c {
        '\n' | '\t' | '\r' => false,
        '\u{ad}'
        | '\u{61c}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{feff}'
        | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e007f}' => true,
        c => c.is_control(),
    }
}

#[cfg(test)]
mod tests {
    use maud::html;

    use super::*;

    #[test]
    fn characters_that_hide_or_turn_text_are_shown() {
        assert_eq!(visible("a\u{202e}b\u{0}c\nd".to_owned()), "a⟨U+202E⟩b⟨U+0000⟩c\nd");
        assert_eq!(visible("plain".to_owned()), "plain");
        assert_eq!(visible("a\u{1}".to_owned()), "a⟨U+0001⟩");
    }

    #[test]
    fn what_a_form_sends_stays_what_it_is() {
        let name = "a\">\u{202e}b";
        let value = "value=\"a&quot;&gt;\u{202e}b\"";
        for form in [
            html! { input type="hidden" name="path" value=(name); p title=(name) { (name) } },
            html! { input placeholder=(name) value=(name) required; (name) },
            html! { option value=(name) selected { (name) } (name) },
        ] {
            let shown = visible(form.into_string());
            assert!(shown.contains(value), "{shown}");
            assert_eq!(shown.matches('\u{202e}').count(), 1, "{shown}");
            assert_eq!(shown.matches("⟨U+202E⟩").count(), 2, "{shown}");
        }
        let shown = visible(html! { textarea title=(name) { (name) } p { (name) } }.into_string());
        assert!(shown.contains(">a&quot;&gt;\u{202e}b</textarea>"), "{shown}");
        assert_eq!(shown.matches("⟨U+202E⟩").count(), 2, "{shown}");
    }

    #[test]
    fn what_only_looks_like_a_field_is_shown() {
        let text = "<inputs value=\"\u{202e}\"> value=\"\u{202e}\"<p value=\"\u{202e}\"><input\u{202e}";
        assert!(!visible(text.to_owned()).contains('\u{202e}'));
        let whole = "é<<>><input><input value=\"<textarea>a</textarea><option";
        assert_eq!(visible(whole.to_owned()), whole);
    }
}
