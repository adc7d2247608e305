//! The overview: `pv status`.

use answers::pipeline::{PipelineLine, PipelineState, PipelineView, pipeline_lines};
use answers::status::{Need, StatusView, Wanted, WantedRepos, status};
use maud::{Markup, html};
use notifications::NotificationState;
use repos::access::{Right, Role};
use specs::{NotificationName, PipelineName};

use super::{None, Result, graph};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{action, link, size, state, time};

/// Most needs that are listed.
const NEEDS: usize = 50;
/// How many days of runs are shown.
const DAYS: u32 = 7;
/// Most pipelines that are listed.
const PIPELINES: usize = 20;

/// What needs somebody, and how all pipelines are doing.
pub fn home(look: &Look<'_>, _: None, _: None) -> Result<View> {
    let folder = look.store.folder();
    let mut status = status(look.store, Some(look.live), Wanted { repos: WantedRepos::None, folder: &folder })?;
    status.needs_you.extend(notifications::needs(look.store, true)?);
    let view = View::new("Overview", "home")
        .live("needs", ["*"], needs(look, &status))
        .live("shape", ["*"], graph::small(look)?)
        .live("strip", ["*"], graph::strip(look, DAYS)?);
    Ok(view.live("pipelines", ["*"], pipelines(look, &status)?).live("store", ["*"], store(look, &status)?))
}

fn needs(look: &Look<'_>, status: &StatusView) -> Markup {
    let count = status.needs_you.len();
    html! {
        h1 { "Overview" }
        @if count == 0 {
            p .well { (state("current")) " Nothing needs you." }
        } @else {
            h2 { "Needs you" }
            ul .needs {
                @for need in status.needs_you.iter().take(NEEDS) { li { (need_of(look, status, need)) } }
            }
            @if status.needs_you.len() > NEEDS {
                p { "And " (status.needs_you.len() - NEEDS) " more: " (link(look, &address::pipelines(), "all pipelines")) }
            }
        }
    }
}

fn need_of(look: &Look<'_>, status: &StatusView, need: &Need) -> Markup {
    let name = match (&need.pipeline, &need.watch, &need.notification) {
        (Some(pipeline), ..) => link(look, &address::pipeline(pipeline), pipeline.as_str()),
        (_, Some(watch), _) => link(look, &address::place("watches"), watch.as_str()),
        (.., Some(notification)) => return of_notification(look, need, notification),
        _ => html! {},
    };
    // What is about files on the machine of the store has no button.
    let is_of_state = need.commands.iter().any(|command| !command.contains(" -f "));
    let button = need.pipeline.as_ref().filter(|_| is_of_state).map(|pipeline| button(look, status, pipeline));
    told(&name, &need.what, &need.commands, &button.unwrap_or_default())
}

/// A need: whose, what is wrong, what to do about it here or by the command line.
fn told(name: &Markup, what: &str, commands: &[String], buttons: &Markup) -> Markup {
    html! {
        p { b { (name) } " " (what) }
        div .remedies {
            (buttons)
            @for command in commands { code { (command) } }
        }
    }
}

/// What can be done about a pipeline with one press.
fn button(look: &Look<'_>, status: &StatusView, name: &PipelineName) -> Markup {
    let pipeline = status.pipelines.iter().find(|pipeline| pipeline.name == *name);
    let Some(PipelineView { state, last_job, .. }) = pipeline else { return html! {} };
    html! {
        @match (state, last_job) {
            (PipelineState::Failed, Some(job)) => {
                (link(look, &address::log(job, Option::None), "Log"))
                @if look.may(Role::Writer) {
                    (action(look, "POST", &address::api(["jobs", job, "retry"]), &[], "Retry"))
                }
            }
            (PipelineState::Running, Some(job)) => { (link(look, &address::log(job, Option::None), "Log")) }
            (PipelineState::Stopped, _) if look.may(Role::Admin) => {
                (action(look, "POST", &address::api(["pipelines", name.as_str(), "start"]), &[], "Start"))
            }
            _ => {}
        }
    }
}

fn of_notification(look: &Look<'_>, need: &Need, notification: &NotificationName) -> Markup {
    let name = link(look, &address::notification(notification), notification.as_str());
    let ended = notifications::show(look.store, notification).is_ok_and(|view| view.state == NotificationState::Ended)
        && look.may(Role::Admin);
    let resume = address::api(["notifications", notification.as_str(), "resume"]);
    let buttons = if ended {
        action(look, "POST", &resume, &[], "Resume")
    } else {
        html! {}
    };
    told(&name, &need.what, &need.commands, &buttons)
}

/// How urgent it is to look at a pipeline.
fn rank(state: PipelineState) -> u8 {
    match state {
        PipelineState::Failed => 0,
        PipelineState::Running => 1,
        PipelineState::Pending => 2,
        PipelineState::Stopped => 3,
        PipelineState::Current => 4,
    }
}

fn pipelines(look: &Look<'_>, status: &StatusView) -> Result<Markup> {
    let mut all: Vec<&PipelineView> = status.pipelines.iter().collect();
    all.sort_by_key(|pipeline| rank(pipeline.state));
    let shown = all.iter().take(PIPELINES).map(|pipeline| PipelineView::clone(pipeline));
    let lines = pipeline_lines(look.store, Some(look.live), shown).collect::<Result<Vec<_>>>()?;
    let count = |state| all.iter().filter(|pipeline| pipeline.state == state).count();
    let ranked = [
        PipelineState::Failed,
        PipelineState::Running,
        PipelineState::Pending,
        PipelineState::Stopped,
        PipelineState::Current,
    ];
    Ok(html! {
        h2 { "Pipelines" }
        @if all.is_empty() {
            p { "No pipelines yet: " code { "pv pipeline apply -f FILE" } }
        } @else {
            p .counts {
                @for one in ranked.into_iter().filter(|one| count(*one) > 0) {
                    span { (count(one)) " " (state(&one.to_string())) }
                }
            }
            table {
                thead {
                    tr {
                        th scope="col" { "Pipeline" }
                        th scope="col" { "State" }
                        th scope="col" { "Last run" }
                        th scope="col" { "Why" }
                    }
                }
                tbody { @for line in &lines { (row(look, line)) } }
            }
            @if all.len() > PIPELINES {
                p { (link(look, &address::pipelines(), format!("All {} pipelines", all.len()))) }
            }
        }
    })
}

fn row(look: &Look<'_>, line: &PipelineLine) -> Markup {
    let newest = line.newest.as_ref();
    html! {
        tr {
            th scope="row" { (link(look, &address::pipeline(&line.pipeline.name), line.pipeline.name.as_str())) }
            td { (state(&line.pipeline.state.to_string())) }
            td {
                @if let Some(job) = newest {
                    a href=(look.link(&address::job(&job.id))) { (time(look, job.finished_at.unwrap_or(job.created_at))) }
                    @if job.finished_at.is_none() && job.datums_total > 0 {
                        " " (job.datums_processed + job.datums_cached + job.datums_failed + job.datums_recovered) " of "
                        (job.datums_total)
                    }
                }
            }
            td { (line.pipeline.reason.as_deref().unwrap_or_default()) }
        }
    }
}

fn store(look: &Look<'_>, status: &StatusView) -> Result<Markup> {
    let repos = look.store.repos()?.len();
    let folder = look.access.may(Right::Check).then(|| status.store.display().to_string());
    Ok(html! {
        h2 { "Store" }
        dl .fields {
            @if let Some(folder) = folder { dt { "Folder" } dd { code { (folder) } } }
            dt { "Engine" }
            dd { "runs jobs as commits arrive, by the executor " code { (status.executor) } }
            dt { "Repositories" }
            dd { (link(look, &address::repos(), repos)) }
            dt { "Stored" }
            dd { (link(look, &address::place("storage"), size(status.size_bytes))) }
            dt { "Free on the disk" }
            dd { (size(status.free_bytes)) }
        }
    })
}
