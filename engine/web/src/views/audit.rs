//! The audit log: who did what, and who read what.

use answers::token::{self, AuditFilter, AuditLine};
use maud::{Markup, html};
use repos::access::Right;
use serde::Deserialize;

use super::Result;
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{exact_time, link, next_page};

/// Lines of a page.
const LINES: usize = 100;
/// Most lines that are looked at for one page: further ones are on the next.
const LOOKED_AT: usize = 20_000;

/// Which lines are shown.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    /// Only of this token.
    who: Option<String>,
    /// Only of operations whose names contain this.
    operation: Option<String>,
    /// `reads`: what was read. Else what was changed or refused.
    what: Option<String>,
    /// Only what failed or was refused, if it is there.
    failed: Option<String>,
    /// The newest line of the first page.
    from: Option<String>,
    /// How many lines after it the page begins.
    after: Option<usize>,
}

impl Which {
    fn reads(&self) -> bool {
        self.what.as_deref() == Some("reads")
    }

    fn fits(&self, line: &AuditLine) -> bool {
        let who = self.who.as_deref().unwrap_or_default();
        let operation = self.operation.as_deref().unwrap_or_default().to_lowercase();
        (who.is_empty() || line.who == who)
            && (operation.is_empty() || line.operation.to_lowercase().contains(&operation))
            && (self.failed.is_none() || is_failure(line))
    }

    /// The address of the page that begins so many lines after this one.
    fn next(self, from: &str, after: usize) -> Address {
        let text = |text: Option<String>| text.filter(|text| !text.is_empty());
        address::place("audit")
            .with_some("who", text(self.who))
            .with_some("operation", text(self.operation))
            .with_some("what", text(self.what))
            .with_some("failed", self.failed.map(|_| "on"))
            .with("from", from)
            .with("after", after)
    }
}

/// A line of a command has an exit code, one of a request a status.
fn is_failure(line: &AuditLine) -> bool {
    line.outcome >= 400 || (1..100).contains(&line.outcome)
}

/// Lines of a page, and where the next one begins.
struct Page {
    lines: Vec<AuditLine>,
    next: Option<Address>,
}

/// Pinned to the newest line of the first page, and counted from there: later lines come before it.
fn page(look: &Look<'_>, which: Which) -> Result<Page> {
    let lines: Box<dyn Iterator<Item = Result<AuditLine>>> = if which.reads() {
        Box::new(token::reads(look.store, AuditFilter::default())?)
    } else {
        Box::new(token::audit(look.store, AuditFilter::default())?)
    };
    let (mut pin, mut shown, mut number) = (which.from.clone(), Vec::new(), 0);
    let mut is_newer = pin.is_some();
    let skip = which.after.unwrap_or(0);
    for line in lines {
        let line = line?;
        let id = format!("{} {}", line.at, line.request.as_deref().unwrap_or_default());
        is_newer = is_newer && pin.as_ref() != Some(&id);
        if is_newer {
            continue;
        }
        let from = pin.get_or_insert(id);
        if shown.len() == LINES || number >= skip + LOOKED_AT {
            return Ok(Page { lines: shown, next: Some(which.next(from, number)) });
        }
        number += 1;
        if number > skip && which.fits(&line) {
            shown.push(line);
        }
    }
    Ok(Page { lines: shown, next: Option::None })
}

/// The audit log, the newest lines first.
pub fn audit(look: &Look<'_>, _: super::None, which: Which) -> Result<View> {
    look.store.ensure_may(Right::Tokens)?;
    let (filter, reads) = (filter(look, &which), which.reads());
    let Page { lines, next } = page(look, which)?;
    let list = html! {
        @if lines.is_empty() { p { "There is no such line" @if next.is_some() { " on this page" } "." } }
        @else {
            table .log {
                thead {
                    tr {
                        th scope="col" { "When" }
                        th scope="col" { "Who" }
                        th scope="col" { "From" }
                        th scope="col" { "Operation" }
                        th scope="col" { "On" }
                        th scope="col" { "Outcome" }
                        th scope="col" { "Request" }
                    }
                }
                tbody { @for line in &lines { (row(look, reads, line)) } }
            }
        }
        (next_page(look, next.as_ref()))
    };
    Ok(View::new("Audit", "audit").fixed("filter", filter).fixed("lines", list))
}

fn row(look: &Look<'_>, reads: bool, line: &AuditLine) -> Markup {
    let of_them = address::place("audit").with_some("what", reads.then_some("reads")).with("who", &line.who);
    html! {
        tr {
            td { (exact_time(line.at)) }
            td { @if line.who.is_empty() { span .dim { "unknown" } } @else { (link(look, &of_them, &line.who)) } }
            td { (line.from.as_deref().unwrap_or("this machine")) }
            td { (line.operation) }
            td { code { (line.on.as_deref().unwrap_or_default()) } }
            td {
                @if is_failure(line) { strong { "✕ " (line.outcome) } } @else { (line.outcome) }
                @if let Some(why) = &line.why { " " (why) }
            }
            td { @if let Some(request) = &line.request { code title=(request) { (request.get(..8).unwrap_or(request)) } } }
        }
    }
}

fn filter(look: &Look<'_>, which: &Which) -> Markup {
    html! {
        h1 { "Audit" }
        form .filter action=(look.link(&address::place("audit"))) {
            label {
                "What"
                select name="what" {
                    option value="" { "changed or refused" }
                    option value="reads" selected[which.reads()] { "read" }
                }
            }
            label { "Who" input name="who" value=(which.who.as_deref().unwrap_or_default()); }
            label { "Operation" input name="operation" value=(which.operation.as_deref().unwrap_or_default()); }
            label .check { input type="checkbox" name="failed" checked[which.failed.is_some()]; "Only what failed" }
            button { "Show" }
        }
    }
}
