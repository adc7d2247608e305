//! Small pieces that views share.

use maud::{Markup, html};
use repos::Timestamp;

use crate::address::{self, Address};
use crate::look::Look;

/// A link. Its words are text.
pub(crate) fn link(look: &Look<'_>, to: &Address, words: impl maud::Render) -> Markup {
    html! { a href=(look.link(to)) { (words) } }
}

/// A link whose words are short: they are not broken into lines.
pub(crate) fn short_link(look: &Look<'_>, to: &Address, words: impl maud::Render) -> Markup {
    html! { a .ref href=(look.link(to)) { (words) } }
}

/// A point in time: how long ago, with the exact time for those who ask. On a page of a past state, whose text must not change, exactly.
pub(crate) fn time(look: &Look<'_>, at: Timestamp) -> Markup {
    if look.is_past() {
        return exact_time(at);
    }
    html! { time datetime=(at) title=(at) { (ago(look.now.seconds_since(at))) } }
}

/// A point in time, exactly: where it is evidence.
pub(crate) fn exact_time(at: Timestamp) -> Markup {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default().replace('T', " ");
    html! { time datetime=(text) title=(text) data-exact { (seconds) "Z" } }
}

fn ago(seconds: f64) -> String {
    let (count, unit) = match seconds.abs() {
        s if s < 5.0 => return "now".to_owned(),
        s if s < 60.0 => (s, "s"),
        s if s < 3600.0 => (s / 60.0, "min"),
        s if s < 86400.0 => (s / 3600.0, "h"),
        s => (s / 86400.0, "d"),
    };
    let count = count.floor();
    if seconds < 0.0 { format!("in {count} {unit}") } else { format!("{count} {unit} ago") }
}

/// A link to the next page of a list, if there is one.
pub(crate) fn next_page(look: &Look<'_>, next: Option<&Address>) -> Markup {
    html! { @if let Some(next) = next { p .pages { a rel="next" href=(look.link(next)) { "Next page" } } } }
}

/// A size in bytes, in words; the exact number for those who ask.
pub(crate) fn size(bytes: u64) -> Markup {
    html! { data value=(bytes) title={ (bytes) " bytes" } { (specs::words::size(bytes)) } }
}

/// A state as shape and word: `state` is the word, its shape and colour come from the style.
pub(crate) fn state(word: &str) -> Markup {
    html! { span .state data-state=(word) { (word) } }
}

/// A digest or id: its first digits, whole for those who ask.
pub(crate) fn id(text: &str) -> Markup {
    html! { code title=(text) { (text.get(..12).unwrap_or(text)) } }
}

/// A form that calls an operation of the API, then shows this view again. `fields`: what it sends besides what a person enters.
///
/// `method` and `operation` are those of the API; `button` is what a person presses.
pub(crate) fn action(
    look: &Look<'_>,
    method: &str,
    operation: &Address,
    fields: &[(&str, &str)],
    button: &str,
) -> Markup {
    form(
        look,
        method,
        operation,
        &html! {
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
        },
        button,
    )
}

/// Like [`action`], with the elements of the form that people fill in. Their names are the fields of the operation's body: `name` for text,
/// `name:number`, `name:flag` (a checkbox), `name:list` (several elements, or lines of a text).
pub(crate) fn form(look: &Look<'_>, method: &str, operation: &Address, fields: &Markup, button: &str) -> Markup {
    form_to(look, method, operation, fields, button, look.here)
}

/// Like [`form`], but what is shown then is `next`, an address without the base path; `{id}` in it is the `id` of the operation's answer.
pub(crate) fn form_to(
    look: &Look<'_>,
    method: &str,
    operation: &Address,
    fields: &Markup,
    button: &str,
    next: &str,
) -> Markup {
    html! {
        form .action method="post" action=(look.link(&address::act())) {
            input type="hidden" name="-method" value=(method);
            input type="hidden" name="-operation" value=(operation.under(""));
            input type="hidden" name="-next" value=(next);
            (fields)
            button { (button) }
        }
    }
}

/// Like [`form`], for an operation whose answer is shown, since nothing shows it again. `first`: the field of the answer that matters most.
pub(crate) fn form_once(
    look: &Look<'_>,
    method: &str,
    operation: &Address,
    fields: &Markup,
    button: &str,
    first: &str,
) -> Markup {
    form(look, method, operation, &html! { input type="hidden" name="-shows" value=(first); (fields) }, button)
}

/// Like [`action`], for an operation that takes long: then goes to its progress.
pub(crate) fn long_action(look: &Look<'_>, operation: &Address, fields: &[(&str, &str)], button: &str) -> Markup {
    html! {
        form .action method="post" action=(look.link(&address::act())) {
            input type="hidden" name="-method" value="POST";
            input type="hidden" name="-operation" value=(operation.under(""));
            input type="hidden" name="-next" value="/operations/{id}";
            @for (name, value) in fields { input type="hidden" name=(name) value=(value); }
            button { (button) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_in_words_before_and_after_now() {
        let words = [0.0, -3.0, 59.0, 61.0, 7300.0, -90_000.0].map(ago);
        assert_eq!(words, ["now", "now", "59 s ago", "1 min ago", "2 h ago", "in 1 d"]);
        let shown = exact_time(Timestamp::from_micros(1_500_000)).into_string();
        assert!(shown.contains(">1970-01-01 00:00:01Z<"), "{shown}");
    }
}
