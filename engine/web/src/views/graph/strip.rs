//! The runs of the last days as bars.

use std::sync::LazyLock;

use answers::run::{RunMark, RunState, cause_words, run_marks};
use maud::{Markup, html};
use quick_cache::sync::Cache;
use repos::Timestamp;
use specs::RunId;

use super::Result;
use crate::address;
use crate::look::Look;
use crate::parts::link;

/// Most runs that are shown.
const MOST: usize = 100;
/// The distance of bars, and their width.
const BAR: (usize, usize) = (10, 7);
/// The room for bars, above it that for shapes, below that for days.
const HEIGHTS: (usize, usize, usize) = (40, 12, 16);

/// How runs ended that are over: they stay so.
static OVER: LazyLock<Cache<RunId, RunState>> = LazyLock::new(|| Cache::new(5_000));

/// The runs of so many days, at most the newest hundred: one bar a run, higher with more jobs.
pub fn strip(look: &Look<'_>, days: u32) -> Result<Markup> {
    let since = Timestamp::from_micros(look.now.as_micros() - i64::from(days) * 86_400_000_000);
    // Whoever sees a part of a run sees another state of it.
    let is_shared = !look.store.is_limited();
    let known = |run: &RunId| OVER.get(run).filter(|_| is_shared);
    let mut runs = run_marks(look.store, Some(look.live), since, MOST + 1, known)?;
    for run in runs.iter().filter(|run| is_shared && run.state.is_over()) {
        OVER.insert(run.id, run.state);
    }
    let is_cut = runs.len() > MOST;
    runs.truncate(MOST);
    runs.reverse();
    Ok(html! {
        @if runs.is_empty() {
            p .dim { "No runs in the last " (days) " days." }
        } @else {
            div .pane .runs { (bars(look, &runs)) }
            p .dim {
                @if is_cut { "The newest " (MOST) " runs. " } @else { (runs.len()) " runs in " (days) " days. " }
                (link(look, &address::runs(), "All runs"))
            }
        }
    })
}

fn bars(look: &Look<'_>, runs: &[RunMark]) -> Markup {
    let most = runs.iter().map(|run| run.jobs).max().unwrap_or(0).max(1);
    let (width, height) = (runs.len() * BAR.0, HEIGHTS.0 + HEIGHTS.1 + HEIGHTS.2);
    let day = |run: &RunMark| run.created_at.to_string()[..10].to_owned();
    let begins = |at: usize| at == 0 || day(&runs[at]) != day(&runs[at - 1]);
    // Labels of days that are too near to the one before are left out.
    let mut labels: Vec<(usize, String)> = Vec::new();
    for at in (0..runs.len()).filter(|at| begins(*at)) {
        if labels.last().is_none_or(|(last, _)| (at - last) * BAR.0 >= 48) {
            labels.push((at, day(&runs[at])[5..].to_owned()));
        }
    }
    html! {
        svg .strip role="group" aria-label={ "The last " (runs.len()) " runs, oldest first" }
            width=(width.max(48)) height=(height) viewBox={ "0 0 " (width.max(48)) " " (height) } {
            @for (at, run) in runs.iter().enumerate() { (bar(look, at * BAR.0, run, most)) }
            @for (at, label) in &labels { text .day x=(at * BAR.0) y=(height - 3) { (label) } }
        }
    }
}

fn bar(look: &Look<'_>, x: usize, run: &RunMark, most: usize) -> Markup {
    let height = 4 + (HEIGHTS.0 - 4) * run.jobs.min(most).isqrt() / most.isqrt().max(1);
    let bottom = HEIGHTS.0 + HEIGHTS.1;
    let jobs = specs::words::plural(run.jobs as u64, "job", "jobs");
    let words = format!("{}: {}, {jobs}, {}", run.created_at, cause_words(run.cause, &[]), run.state.word());
    html! {
        a href=(look.link(&address::run(&run.id.to_string()))) aria-label=(words) {
            title { (words) }
            rect .hit x=(x) y="0" width=(BAR.0) height=(bottom) {}
            rect class={ "run " (run.state.word()) } x=(x) y=(bottom - height) width=(BAR.1) height=(height) {}
            @match run.state {
                RunState::Failure => { path .sign d={ "M" (x + 1) " " (bottom - height - 7) "l5 5m0-5l-5 5" } {} }
                RunState::Killed => { path .sign d={ "M" (x + 1) " " (bottom - height - 4) "h5" } {} }
                RunState::Running => { path .sign d={ "M" (x + 1) " " (bottom - height - 7) "l5 3-5 3z" } {} }
                RunState::Waiting | RunState::Success => {}
            }
        }
    }
}
