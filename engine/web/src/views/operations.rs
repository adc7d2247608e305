//! Long work that was started with this token: how far it is, and its result. The server keeps it in memory for a day. And the machines
//! that have joined to execute datums.

use answers::worker::WorkerView;
use maud::{Markup, html};
use repos::access::Right;
use repos::documents::ExecutorKind;
use repos::settings::EXECUTOR;
use repos::{RepoError, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::Result;
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{action, link, long_action, size, state, time};

/// Most bytes of a result that are shown as they are.
const SHOWN: usize = 64 << 10;
/// Most rows of a table in a result.
const ROWS: usize = 100;

/// Long work.
#[derive(Debug, Clone)]
pub struct Work {
    /// Its id.
    pub id: String,
    /// What it does: `gc`, `fsck`, …
    pub kind: String,
    /// `running`, `done` or `failed`.
    pub state: &'static str,
    /// When it was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What came of it.
    pub result: Option<Value>,
    /// Why it failed, and what to try.
    pub why: Vec<String>,
    /// Whether it can be stopped now.
    pub can_be_stopped: bool,
}

/// How far long work is.
#[derive(Debug, Clone)]
pub struct Progress {
    /// What is counted.
    pub what: String,
    /// How many are done.
    pub done: u64,
    /// How many there are; 0 if that is not known.
    pub total: u64,
}

impl Work {
    fn is_running(&self) -> bool {
        self.state == "running"
    }
}

/// The id of long work.
#[derive(Debug, Deserialize)]
pub struct OfWork {
    id: String,
}

/// All long work of this token, and the workers for whoever may see the whole store.
pub fn operations(look: &Look<'_>, works: &[Work], workers: &[WorkerView]) -> Result<View> {
    let list = html! {
        h1 { "Operations" }
        p .hint { "Long work that you started. It is kept for a day, or until the server stops." }
        @if works.is_empty() { p { "None." } }
        @else {
            table {
                thead {
                    tr {
                        th scope="col" { "Operation" }
                        th scope="col" { "State" }
                        th scope="col" { "Started" }
                        th scope="col" { "Progress" }
                    }
                }
                tbody {
                    @for work in works {
                        tr {
                            th scope="row" { (link(look, &address::operation(&work.id), words(&work.kind))) }
                            td { (state(work.state)) }
                            td { (time(look, work.started_at)) }
                            td { (progress(work)) }
                        }
                    }
                }
            }
        }
    };
    let view = View::new("Operations", "operations").timed("operations", 2, list);
    let sees_workers = look.access.may(Right::Check) && look.store.setting(&EXECUTOR)? == Some(ExecutorKind::Workers);
    Ok(if sees_workers { view.timed("workers", 2, table_of_workers(workers)) } else { view })
}

/// The workers that have joined.
fn table_of_workers(workers: &[WorkerView]) -> Markup {
    html! {
        h2 { "Workers" }
        @if workers.is_empty() {
            p { "No worker has joined, so no datum runs. On a machine that is to execute datums: " code { "pv worker join URL" } }
        } @else {
            table {
                thead {
                    tr {
                        th scope="col" { "Worker" }
                        th scope="col" { "Executor" }
                        th scope="col" { "Platform" }
                        th .number scope="col" { "Slots" }
                        th .number scope="col" { "Sandboxes" }
                        th scope="col" { "State" }
                        th scope="col" { "Token" }
                    }
                }
                tbody {
                    @for worker in workers {
                        tr {
                            th scope="row" { (worker.name) }
                            td { (worker.executor) " " (worker.version) }
                            td { (worker.platform) }
                            td .number { (worker.slots) }
                            td .number { (worker.sandboxes) }
                            td { @if worker.going_away { "going away" } @else { "joined" } }
                            td { (worker.token) }
                        }
                    }
                }
            }
        }
    }
}

/// One piece of long work.
pub fn operation(look: &Look<'_>, works: &[Work], of: &OfWork) -> Result<View> {
    let Some(work) = works.iter().find(|work| work.id == of.id) else {
        return Err(RepoError::NotFound {
            what: format!("operation `{}` not found", of.id),
            hint: Some("finished operations are kept for a day, or until the server stops".to_owned()),
        }
        .into());
    };
    let shown = html! {
        h1 { (words(&work.kind)) }
        p {
            (state(work.state)) " started " (time(look, work.started_at))
            @if let Some(at) = work.ended_at { ", ended " (time(look, at)) }
        }
        (progress(work))
        @if work.can_be_stopped { (action(look, "DELETE", &address::api(["operations", &work.id]), &[], "Stop it")) }
        @if let Some((why, rest)) = work.why.split_first() {
            p .problem role="alert" { (why) }
            @for line in rest { p .hint { (line) } }
        }
        @if let Some(result) = &work.result { (result_of(look, &work.kind, result)) }
        p { (link(look, &address::place("operations"), "All operations")) }
    };
    let view = View::new(words(&work.kind), "operations");
    Ok(if work.is_running() { view.timed("operation", 1, shown) } else { view.fixed("operation", shown) })
}

fn words(kind: &str) -> &str {
    match kind {
        "gc" => "Garbage collection",
        "fsck" => "Check of the store",
        "verify" => "Verification",
        "mirror" => "Mirror",
        "run" => "Run",
        "try" => "Trial",
        other => other,
    }
}

fn progress(work: &Work) -> Markup {
    let Some(Progress { what, done, total }) = work.progress.as_ref().filter(|_| work.is_running()) else {
        return html! {};
    };
    html! {
        @if *total > 0 { progress max=(total) value=(done) aria-label=(what) {} " " }
        (done) @if *total > 0 { " of " (total) } " " (what)
    }
}

fn result_of(look: &Look<'_>, kind: &str, result: &Value) -> Markup {
    let about = match kind {
        "gc" => collected(look, result),
        "fsck" => checked(result),
        _ => html! {},
    };
    let mut text = serde_json::to_string_pretty(result).unwrap_or_default();
    let is_long = text.len() > SHOWN;
    text.truncate((0..=SHOWN.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0));
    html! {
        (about)
        details open[kind != "gc" && kind != "fsck"] {
            summary { "The whole result" }
            pre { (text) }
            @if is_long { p .hint { "It is longer: " code { "pv" } " shows all of it with " code { "--json" } "." } }
        }
    }
}

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap_or(0)
}

fn text<'v>(of: &'v Value, field: &str) -> &'v str {
    of[field].as_str().unwrap_or_default()
}

fn rows<'v>(of: &'v Value, field: &str) -> impl Iterator<Item = &'v Value> {
    of[field].as_array().into_iter().flatten().take(ROWS)
}

/// What a garbage collection freed, or would free: then it can be done.
fn collected(look: &Look<'_>, result: &Value) -> Markup {
    let is_dry = result["dry_run"] == true;
    html! {
        p {
            @if is_dry { "It would free " } @else { "Freed " }
            b { (size(number(result, "freed_bytes"))) } ": " (number(result, "objects")) " objects."
            @if number(result, "left_bytes") > 0 {
                " " (size(number(result, "left_bytes"))) " of garbage stay in packs that are not worth copying yet."
            }
        }
        @if is_dry && look.access.may(Right::Collect) {
            (long_action(look, &address::api(["gc"]), &[], "Collect the garbage now"))
        }
        (table_of(result, "gone", "What goes", &[("reason", "Why"), ("repo", "Repository")]))
        (table_of(result, "only", "Kept by one branch or tag alone", &[("held_by", "Kept by")]))
        (table_of(result, "largest", "Largest files that are kept", &[("commit", "Commit"), ("path", "Path"), ("held_by", "Kept by")]))
    }
}

/// A list of a result, with its columns of text and the size of each row.
fn table_of(result: &Value, field: &str, title: &str, columns: &[(&str, &str)]) -> Markup {
    let mut rows = rows(result, field).peekable();
    if rows.peek().is_none() {
        return html! {};
    }
    html! {
        h2 { (title) }
        table {
            thead {
                tr {
                    @for (_, words) in columns { th scope="col" { (words) } }
                    th .number scope="col" { "Size" }
                }
            }
            tbody {
                @for row in rows {
                    tr {
                        @for (name, _) in columns { td { (text(row, name)) } }
                        td .number { (size(number(row, "size_bytes"))) }
                    }
                }
            }
        }
    }
}

/// What a check of the store found.
fn checked(result: &Value) -> Markup {
    html! {
        p {
            @if result["sound"] == true { (state("success")) " The store is intact: " } @else { (state("failed")) " The store is damaged: " }
            (number(result, "records")) " records, " (number(result, "objects")) " objects, "
            (size(number(result, "size_bytes"))) " read."
        }
        @for problem in rows(result, "problems") {
            div .problem { b { (text(problem, "what")) } " " (text(problem, "why")) }
        }
        @if result["sound"] != true { p .hint { "Where the store is: " code { "pv fsck --repair" } } }
    }
}
