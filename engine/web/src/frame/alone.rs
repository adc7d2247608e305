//! Documents without a view: where one logs in, what cannot be shown, what is shown once.

use maud::{Markup, html};
use serde_json::Value;

use super::visible::visible;
use super::{Head, document};
use crate::address;
use crate::spec::{self, SpecProblem, Typed};

/// Why a view cannot be shown.
#[derive(Debug)]
pub struct Fault<'a> {
    /// The HTTP status.
    pub status: u16,
    /// What failed, and on which thing; empty for one who has not tried to log in yet.
    pub detail: &'a str,
    /// What led to it.
    pub causes: &'a [String],
    /// What to try.
    pub hint: Option<&'a str>,
    /// Whether somebody has to log in.
    pub asks_for_token: bool,
    /// What is wrong in the specs that were sent.
    pub problems: &'a [SpecProblem],
    /// The specs that were sent: they can be mended here.
    pub typed: Option<&'a Typed>,
}

/// The page for what cannot be shown. `here`: the address that was asked for, without the base path.
pub fn fault(base: &str, here: &str, fault: &Fault<'_>) -> String {
    let title = match fault.status {
        _ if fault.asks_for_token => "Log in",
        _ if fault.typed.is_some() => "Nothing was applied",
        403 => "Your token does not allow this",
        404 | 405 => "There is nothing here",
        _ => "This cannot be shown",
    };
    let body = html! {
        h1 { (title) }
        @if !fault.detail.is_empty() { p .problem role="alert" { (fault.detail) } }
        @for cause in fault.causes { p { (cause) } }
        @if let Some(hint) = fault.hint { p .hint { (hint) } }
        @if fault.asks_for_token {
            (login_form(base, here))
        } @else {
            @if let Some(typed) = fault.typed { (spec::mended(base, typed, fault.problems, "Mend it")) }
            p { a href=(address::home().under(base)) { "To the overview" } }
        }
    };
    alone(base, title, &body)
}

/// The page of specs that were checked and have no errors: they can be applied, or changed further.
pub fn checked(base: &str, typed: &Typed, warnings: &[SpecProblem]) -> String {
    let found = if warnings.is_empty() { "No problems were found." } else { "No errors were found, but warnings." };
    let body = html! {
        h1 { "Checked" }
        p role="status" { (found) }
        (spec::mended(base, typed, warnings, "Apply it, or change it further"))
        p { a href=(address::home().under(base)) { "To the overview" } }
    };
    alone(base, "Checked", &body)
}

/// The page where one logs in. `next`: where to go then, without the base path.
pub fn login(base: &str, next: &str) -> String {
    alone(base, "Log in", &html! { h1 { "Log in" } (login_form(base, next)) })
}

fn login_form(base: &str, next: &str) -> Markup {
    html! {
        form .login method="post" action=(address::login().under(base)) {
            input type="hidden" name="next" value=(next);
            label {
                "Token"
                input type="password" name="token" required autofocus autocomplete="current-password" placeholder="pv_…"
                    spellcheck="false";
            }
            button { "Log in" }
        }
        p .hint {
            "Where the store is, " code { "pv token create NAME --role reader" } " makes a token. Whoever has one elsewhere gets a link by "
            code { "pv login --link URL" } "."
        }
    }
}

/// The page of a login link that worked. `who`: whose session has begun.
pub fn welcome(base: &str, who: &str) -> String {
    let body = html! {
        h1 { "Logged in" }
        p { "This browser is logged in as " b { (who) } "." }
        p { a href=(address::home().under(base)) autofocus { "To the overview" } }
    };
    alone(base, "Logged in", &body)
}

/// The page for what is shown only once: the answer to a form. `next`: where to go then, with the base path. `first`: the field that matters
/// most.
pub fn done(base: &str, next: &str, first: &str, answer: &Value) -> String {
    let fields = || answer.as_object().into_iter().flatten();
    let body = html! {
        h1 { "Done" }
        @if let Some(value) = answer.get(first).filter(|value| !value.is_null()) {
            h2 { (first) }
            p .once { code { (text_of(value)) } }
            @if first != "outcome" { p .hint { "Keep it now: it is not shown again." } }
        }
        dl .fields {
            @for (name, value) in fields().filter(|(name, value)| *name != first && !value.is_null()) {
                dt { (name.replace('_', " ")) }
                dd { code { (text_of(value)) } }
            }
        }
        p { a href=(next) { "Continue" } }
    };
    alone(base, "Done", &body)
}

/// A value as people read it: texts without quotes, lists with commas.
fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().map(text_of).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn alone(base: &str, title: &str, body: &Markup) -> String {
    let head = Head { base, title, at: None, has_scripts: false };
    let main = html! { main id="main" tabindex="-1" .narrow { (body) } };
    visible(document(&head, &main).into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_logs_in_comes_back_to_where_they_wanted() {
        let problem = Fault {
            status: 401,
            detail: "",
            causes: &[],
            hint: None,
            asks_for_token: true,
            problems: &[],
            typed: None,
        };
        let page = fault("/pv", "/runs?a=\"<b>", &problem);
        assert!(page.contains("action=\"/pv/login\""), "{page}");
        assert!(page.contains("name=\"next\" value=\"/runs?a=&quot;&lt;b&gt;\""), "{page}");
        assert!(!page.contains("role=\"alert\""), "nothing was tried: {page}");
    }

    #[test]
    fn specs_that_were_checked_are_still_there() {
        let typed = Typed { text: "pipeline:\n  name: <b>\n".to_owned(), next: "/pipelines".to_owned() };
        let page = checked("/pv", &typed, &[]);
        assert!(page.contains("No problems were found.") && page.contains("name: &lt;b&gt;"), "{page}");
        assert!(page.contains("name=\"specs:spec\"") && page.contains("value=\"/pipelines\""), "{page}");
        let warning = SpecProblem { line: 2, column: 3, is_error: false, message: "odd name".to_owned(), hint: None };
        let page = checked("/pv", &typed, &[warning]);
        assert!(page.contains("warning: odd name") && page.contains("id=\"L2\""), "{page}");
        assert!(!page.contains("No problems"), "{page}");
    }

    #[test]
    fn what_is_shown_once_stands_first_and_as_text() {
        let answer = serde_json::json!({ "name": "<ci>", "token": "pv_x", "repos": ["a*", "b"], "expires_at": null });
        let page = done("", "/tokens", "token", &answer);
        assert!(page.contains("<code>pv_x</code>") && page.contains("&lt;ci&gt;") && page.contains("a*, b"), "{page}");
        assert!(!page.contains("expires"), "{page}");
    }
}
