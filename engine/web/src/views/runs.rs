//! All runs, newest first.

use answers::run::{RunFilter, RunState, RunView, cause_words, runs_where};
use maud::{Markup, html};
use serde::Deserialize;
use specs::RunId;
use specs::words::count;

use super::work::{ROWS, choice, chosen, commit_link, field, more, run_link};
use super::{None, Result};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{state, time};

/// Which runs are shown.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    /// Those of this repository.
    repo: Option<String>,
    /// Those of this pipeline.
    pipeline: Option<String>,
    /// Those in this state.
    state: Option<String>,
    /// Those before this one.
    before: Option<RunId>,
}

const STATES: [&str; 5] = ["waiting", "running", "success", "failure", "killed"];

/// So many runs are looked at for one page.
const LOOKED_AT: usize = 500;
/// Moves of a run that are listed in its row.
const MOVES: usize = 3;

/// The runs that a form asks for.
pub(super) fn of(repo: Option<&str>, pipeline: Option<&str>) -> Address {
    address::runs().with_some("repo", repo).with_some("pipeline", pipeline)
}

/// All runs.
pub fn runs(look: &Look<'_>, _: None, query: Query) -> Result<View> {
    let filter = html! {
        h1 { "Runs" }
        form .filter action=(look.link(&address::runs())) {
            (field("repo", "Repository", query.repo.as_deref(), ""))
            (field("pipeline", "Pipeline", query.pipeline.as_deref(), ""))
            (choice("state", "State", &STATES, query.state.as_deref()))
            button { "Show" }
        }
    };
    let list = list(look, &query)?;
    let view = View::new("Runs", "runs").fixed("filter", filter);
    // A page that begins at a run stays as it is, but for jobs that end.
    Ok(view.live("list", ["*"], list))
}

fn list(look: &Look<'_>, query: &Query) -> Result<Markup> {
    let filter = RunFilter {
        repo: chosen("repo", query.repo.as_deref())?,
        pipeline: chosen("pipeline", query.pipeline.as_deref())?,
    };
    let wanted: Option<RunState> = chosen("state", query.state.as_deref())?;
    let mut rows: Vec<RunView> = Vec::new();
    let (mut next, mut last) = (Option::None, Option::None);
    for (number, run) in runs_where(look.store, Some(look.live), query.before.as_ref(), filter)?.enumerate() {
        if let Some(last) = last.filter(|_| rows.len() == ROWS || number == LOOKED_AT) {
            let here = of(query.repo.as_deref(), query.pipeline.as_deref());
            next = Some(here.with_some("state", query.state.as_ref()).with("before", last));
            break;
        }
        let run = run?;
        last = Some(run.id);
        if wanted.is_none_or(|wanted| wanted == run.state) {
            rows.push(run);
        }
    }
    Ok(html! {
        @if !rows.is_empty() {
            (table(look, &rows))
        } @else if next.is_some() {
            p { "None of these " (LOOKED_AT) " runs is in that state." }
        } @else {
            p { "There is no such run." }
        }
        (more(look, next.as_ref(), "Older runs"))
    })
}

/// Runs as a table.
pub(super) fn table(look: &Look<'_>, rows: &[RunView]) -> Markup {
    html! {
        div .wide { table {
            thead { tr {
                th scope="col" { "Run" } th scope="col" { "State" } th scope="col" { "Cause" } th scope="col" { "Who" }
                th scope="col" { "Jobs" } th scope="col" { "Moved" } th scope="col" { "Started" }
            } }
            tbody { @for run in rows { (row(look, run)) } }
        } }
    }
}

fn row(look: &Look<'_>, run: &RunView) -> Markup {
    html! {
        tr {
            th scope="row" { (run_link(look, &run.id)) }
            td { (state(run_word(run))) }
            td { (cause_words(run.cause.kind, &run.cause.refs))
                @if !run.cause.message.is_empty() { br; span .reason { (run.cause.message) } } }
            td { (run.cause.who()) }
            td { (jobs_by_state(run)) }
            td { (moves(look, run)) }
            td { (time(look, run.created_at)) }
        }
    }
}

/// The state of a run as a word.
pub(super) fn run_word(run: &RunView) -> &'static str {
    match run.state {
        RunState::Waiting => "waiting",
        RunState::Running => "running",
        RunState::Success => "success",
        RunState::Failure => "failure",
        RunState::Killed => "killed",
    }
}

/// How many jobs of a run are in each state.
pub(super) fn jobs_by_state(run: &RunView) -> Markup {
    html! {
        @if run.counts.is_empty() { span .dim { "none" } }
        @for (number, (jobs, word)) in run.counts.iter().enumerate() {
            @if number > 0 { ", " }
            (count(*jobs as u64)) " " (state(word))
        }
    }
}

fn moves(look: &Look<'_>, run: &RunView) -> Markup {
    html! {
        @for moved in run.moves.iter().take(MOVES) {
            div { @match &moved.to {
                Some(commit) => (commit_link(look, &moved.repo, commit)),
                Option::None => { (moved.repo) "@" (moved.branch) }
            } }
        }
        @if run.moves.len() > MOVES { div .dim { (run.moves.len() - MOVES) " more" } }
    }
}
