//! The state of a job: its times, its counts, its progress while it runs, and the forms for it.

use answers::datum::{hidden_inputs, provenance_of};
use answers::job::{JobRow, JobState, JobView, job_view, live_job, may_be_retried, output_of, pace};
use answers::run::cause_words;
use answers::sight::gap_in_words;
use maud::{Markup, html};
use repos::access::Role;
use specs::words::{count, duration};

use super::super::Result;
use super::super::run::progress;
use super::super::work::{commit_link, ran_on, run_link, state_of, took};
use super::address_of;
use crate::address;
use crate::look::Look;
use crate::parts::{link, time};

/// Datums at work that are listed.
const RUNNING: usize = 20;

/// Everything about a job but its datums.
pub(super) fn shown(look: &Look<'_>, job: &JobRow) -> Result<Markup> {
    let live = live_job(Some(look.live), job);
    let view = job_view(look.store, job, live.as_ref())?;
    let inputs = provenance_of(look.store, job)?;
    let hidden = hidden_inputs(look.store, job)?;
    let output = output_of(look.store, &view)?;
    let repo = job.pipeline.output_repo();
    Ok(html! {
        h1 { "Job " (job.pipeline) "@" (job.run.short(8)) }
        p { (state_of(look, &view)) (progress(&view)) }
        dl .fields {
            dt { "Pipeline" } dd { (link(look, &address::pipeline(&job.pipeline), job.pipeline.as_str())) ", version "
                (link(look, &address::pipeline(&job.pipeline).with("versions", ""), view.pipeline_version)) }
            dt { "Run" } dd { (run_link(look, &job.run)) ": " (cause_words(view.cause.kind, &view.cause.refs)) ", by " (view.cause.who()) }
            dt { "Created" } dd { (time(look, view.created_at)) }
            @if let Some(started) = view.started_at { dt { "Started" } dd { (time(look, started)) ", after "
                (duration(started.seconds_since(view.created_at))) } }
            @if let Some(ended) = view.finished_at { dt { "Ended" } dd { (time(look, ended))
                @if view.duration_seconds.is_some() { ", after " (took(view.duration_seconds)) } } }
            dt { "Datums" } dd { (counts(&view)) }
            @if let Some(stamp) = &view.executed_on {
                dt { "Ran on" } dd { (ran_on(stamp, None)) }
            }
            @if !inputs.is_empty() || hidden > 0 {
                dt { "Read" }
                dd { @for input in &inputs { div { (commit_link(look, &input.repo, &input.commit)) " " span .dim { (input.branch) } } }
                    @if hidden > 0 { div .dim { (gap_in_words(hidden, "input")) } } }
            }
            @if let Some(commit) = &job.commit {
                dt { "Wrote" } dd { (commit_link(look, &repo, commit)) " "
                    (link(look, &address::files(&repo, commit, None), "files"))
                    @if output.is_some_and(|output| output.is_partial) { " " span .dim { "only what succeeded; on no branch" } } }
            }
        }
        (forms(look, job, &view))
    })
}

fn counts(view: &JobView) -> Markup {
    let done = view.datums_processed + view.datums_cached + view.datums_failed + view.datums_recovered;
    html! {
        @if view.finished_at.is_none() { (count(done)) " of " }
        (count(view.datums_total)) ": " (count(view.datums_processed)) " executed, " (count(view.datums_cached)) " cached, "
        (count(view.datums_failed)) " failed, " (count(view.datums_recovered)) " recovered"
    }
}

/// Links to the pages that come before a change.
fn forms(look: &Look<'_>, job: &JobRow, view: &JobView) -> Markup {
    if !look.may(Role::Writer) {
        return html! {};
    }
    let change = |what: &str, words: &str| link(look, &address_of(job).with("change", what), words);
    let is_again = may_be_retried(look.store, job);
    html! {
        p .changes {
            @if view.finished_at.is_none() && view.state != JobState::Killed { (change("stop", "Stop …")) " " }
            @if is_again { (change("retry", "Retry …")) " " }
            @if is_again && view.datums_failed > 0 { (change("skip", "Go on without the failed …")) " " }
            @if view.finished_at.is_some() { (change("rerun", "Run some datums again …")) }
        }
    }
}

/// The datums that are executed now, and how fast it goes; nothing for a job that does not run here.
pub(super) fn running(look: &Look<'_>, job: &JobRow) -> Result<Option<Markup>> {
    let Some(live) = live_job(Some(look.live), job).filter(|_| job.sealed.is_none()) else { return Ok(None) };
    let Some(pace) = pace(look.store, job, &live)? else { return Ok(None) };
    Ok(Some(html! {
        h2 { "At work" }
        p {
            @if let Some(rate) = pace.datums_per_second { (format!("{rate:.1}")) " datums a second. " }
            @if let Some(left) = pace.seconds_left { "About " (duration(left)) " left. " }
            @if let Some(median) = pace.median_seconds { "Half of the datums take at most " (duration(median)) "." }
        }
        @if !pace.running.is_empty() {
            ul .running {
                @for (datum, since) in pace.running.iter().take(RUNNING) {
                    @let id = datum.id.to_string();
                    li {
                        @for input in datum.inputs.iter().take(3) { (input.path) " " }
                        (link(look, &address::log(&answers::job::job_id(&job.pipeline, &job.run), Some(&id)).with("follow", ""), "log"))
                        @if let Some(since) = since { " " span .dim { "since " (time(look, *since)) } }
                    }
                }
            }
            @if pace.running.len() > RUNNING { p .dim { "and " (pace.running.len() - RUNNING) " more" } }
        }
    }))
}
