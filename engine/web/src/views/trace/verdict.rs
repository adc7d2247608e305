//! The outcome of a verification: the links and the verdict, as `pv verify` tells them, and nothing more.

use answers::proof::{Link, State, Verdict, VerifyView};
use maud::{Markup, html};
use specs::words::{count, plural};

use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::link;

/// Links that do not hold which are shown.
const BAD: usize = 20;

/// How far a verification is.
#[derive(Debug)]
pub enum Verification {
    /// It runs.
    Running,
    /// It has ended.
    Done(Box<VerifyView>),
    /// It could not be made: why, and what to try.
    Failed(String, Option<String>),
    /// The server does not know it any more.
    Gone,
}

/// A verification of `of`, a reference.
pub fn verdict(look: &Look<'_>, of: &str, is: &Verification) -> View {
    let content = html! {
        div .court data-again[matches!(is, Verification::Running)] {
            h1 { "Verification" }
            p {
                "What is claimed about " code { (of) }
                " is checked: every link from its bytes back to the commits of people, without caches."
            }
            @match is {
                Verification::Running => {
                    p .verdict data-verdict="cut" { b { "Running" } ": the outcome comes here." }
                    p .on-screen { a href={ (look.base) (look.here) } { "Look again" } }
                }
                Verification::Gone => p .problem {
                    "The server does not know this verification any more: start it again at the file."
                },
                Verification::Failed(why, hint) => p .problem {
                    (why) @if let Some(hint) = hint { br; span .hint { (hint) } }
                },
                Verification::Done(found) => (outcome(found)),
            }
            p .on-screen { (link(look, &address::trace(of), "Where it comes from")) }
        }
    };
    View::new(format!("Verification of {of}"), "repos").live("verdict", ["*"], content)
}

fn outcome(found: &VerifyView) -> Markup {
    let checked = plural(found.total(), "link", "links");
    let noted: Vec<String> = found.not_checked().iter().map(|(link, count)| noted_words(link, *count)).collect();
    let noted = if noted.is_empty() { String::new() } else { format!(", but for {}", noted.join("; ")) };
    let worst = || found.worst().map(words).unwrap_or_default();
    let (mark, verdict, rest) = match found.verdict {
        Verdict::Proven => ("whole", "PROVEN", format!("{}: {checked}{noted}", found.subject)),
        Verdict::Whole => ("cut", "WHOLE, SIGNER NOT CHECKED", format!("{}: {checked}{noted}", found.subject)),
        Verdict::Unsigned => ("cut", "WHOLE, NOT SIGNED", format!("{}: {checked}{noted}", found.subject)),
        Verdict::NotProven | Verdict::Damaged => ("gap", "NOT PROVEN", worst()),
    };
    html! {
        p .verdict data-verdict=(mark) role="status" { b { (verdict) } " " (rest) }
        @match found.verdict {
            Verdict::Whole => p {
                "It is consistent, but the signer was not checked: " code { "pv verify --key KEY.pem" }
                " checks it, with the key that the store's owner gets from " code { "pv key show" } "."
            },
            Verdict::Unsigned => p {
                "It is consistent, but nothing is signed: the next commit made here will be signed, and its signature covers everything that it refers to."
            },
            Verdict::Damaged => p {
                code { "pv fsck" } " lists the damage; " code { "pv fsck --repair --from MIRROR" } " repairs it."
            },
            Verdict::Proven | Verdict::NotProven => {}
        }
        (links(found))
    }
}

fn words(link: &Link) -> String {
    let Link { link, subject, state } = link;
    match state {
        State::Holds => format!("{} {subject}", link.word()),
        State::Noted(why) | State::Fails(why) | State::Damaged(why) => format!("{} {subject}: {why}", link.word()),
    }
}

/// Links that were not checked, for one common reason.
fn noted_words(link: &Link, number: u64) -> String {
    let why = if let State::Noted(why) = &link.state { why.as_str() } else { "" };
    let word = link.link.word();
    format!("{}: {why}", plural(number, &format!("{word} link"), &format!("{word} links")))
}

fn links(found: &VerifyView) -> Markup {
    let left = found.not_held.len().saturating_sub(BAD);
    let row = |link: &Link| {
        let (word, why) = match &link.state {
            State::Holds => ("ok", ""),
            State::Noted(why) => ("ok, but", why.as_str()),
            State::Fails(why) => ("NO", why.as_str()),
            State::Damaged(why) => ("DAMAGED", why.as_str()),
        };
        html! { tr { td { (word) } td { (link.link.word()) } td { (link.subject) @if !why.is_empty() { br; span .dim { (why) } } } } }
    };
    html! {
        div .wide tabindex="0" { table {
            thead { tr { th scope="col" { "Outcome" } th scope="col" { "Link" } th scope="col" { "Of" } } }
            tbody {
                @if found.is_listed() { @for link in &found.links { (row(link)) } }
                @else {
                    @for (kind, number) in &found.checked {
                        tr { td { "checked" } td { (kind) } td { (plural(*number, "link", "links")) } }
                    }
                }
                @for link in found.not_held.iter().take(BAD) { (row(link)) }
            }
        } }
        @if left > 0 { p .dim { "and " (count(left as u64)) " more that do not hold, or not completely." } }
    }
}
