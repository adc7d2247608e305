//! All pipelines, by name: their states, and their newest jobs. And the form for a new one.

use answers::pipeline::{PipelineLine, PipelineState, PipelineView, pipeline_lines, pipelines_after};
use maud::{Markup, html};
use repos::access::Role;
use serde::Deserialize;
use specs::PipelineName;
use specs::words::count;

use super::work::{ROWS, choice, chosen, datums_of, field, job_link, more};
use super::{None, Result};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{link, state, time};
use crate::spec;

/// Which pipelines are shown.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    /// Those with this text in their names.
    name: Option<String>,
    /// Those in this state.
    state: Option<String>,
    /// Those after this one.
    after: Option<PipelineName>,
    /// Instead: the form for a new pipeline.
    apply: Option<String>,
}

const STATES: [&str; 5] = ["current", "pending", "running", "failed", "stopped"];

/// What a new pipeline looks like.
const NEW: &str =
    "pipeline:\n  name: \ntransform:\n  image: \n  cmd: [sh, -c, \"\"]\ninput:\n  pfs:\n    repo: \n    glob: \"/*\"\n";

/// All pipelines.
pub fn pipelines(look: &Look<'_>, _: None, query: Query) -> Result<View> {
    if query.apply.is_some() && look.may(Role::Admin) {
        return Ok(View::new("Apply", "pipelines").fixed("apply", new_one(look)));
    }
    let filter = html! {
        h1 { "Pipelines" }
        form .filter action=(look.link(&address::pipelines())) {
            (field("name", "Name has", query.name.as_deref(), ""))
            (choice("state", "State", &STATES, query.state.as_deref()))
            button { "Show" }
        }
        @if look.may(Role::Admin) { p { (link(look, &spec::new_one(), "Apply a spec")) } }
    };
    let list = list(look, &query)?;
    Ok(View::new("Pipelines", "pipelines").fixed("filter", filter).live("list", ["*"], list))
}

fn new_one(look: &Look<'_>) -> Markup {
    html! {
        h1 { "Apply a spec" }
        p { "It may have several pipelines, each a document after " code { "---" } ". Code in folders is sent by "
            code { "pv pipeline apply -f" } "." }
        (spec::editor(look.base, &address::pipelines().under(""), NEW))
    }
}

fn list(look: &Look<'_>, query: &Query) -> Result<Markup> {
    let wanted: Option<PipelineState> = chosen("state", query.state.as_deref())?;
    let part = query.name.as_deref().unwrap_or_default();
    let mut found: Vec<PipelineView> = Vec::new();
    let mut next = Option::None;
    for pipeline in pipelines_after(look.store, Some(look.live), query.after.as_ref(), part)? {
        let pipeline = pipeline?;
        if wanted.is_some_and(|wanted| wanted != pipeline.state) {
            continue;
        }
        if let (ROWS, Some(last)) = (found.len(), found.last()) {
            let here = address::pipelines().with_some("name", query.name.as_ref());
            next = Some(here.with_some("state", query.state.as_ref()).with("after", &last.name));
            break;
        }
        found.push(pipeline);
    }
    let lines = pipeline_lines(look.store, Some(look.live), found).collect::<Result<Vec<_>>>()?;
    Ok(html! {
        @if lines.is_empty() { p { "There is no such pipeline." } } @else {
            div .wide { table {
                thead { tr {
                    th scope="col" { "Pipeline" } th scope="col" { "State" } th scope="col" .number { "Version" }
                    th scope="col" { "Newest job" } th scope="col" { "Datums" } th scope="col" .number { "Runs behind" }
                } }
                tbody { @for line in &lines { (row(look, line)) } }
            } }
        }
        (more(look, next.as_ref(), "More pipelines"))
    })
}

fn row(look: &Look<'_>, line: &PipelineLine) -> Markup {
    let pipeline = &line.pipeline;
    html! {
        tr {
            th scope="row" { (link(look, &address::pipeline(&pipeline.name), pipeline.name.as_str())) }
            td { (state(&pipeline.state.to_string())) " " span .reason { (pipeline.reason.as_deref().unwrap_or_default()) } }
            td .number { (pipeline.version) }
            td { @if let Some(job) = &line.newest {
                (job_link(look, &job.pipeline, &job.run)) " " (state(&job.state.to_string())) " "
                span .dim { (time(look, job.finished_at.unwrap_or(job.created_at))) }
            } }
            td { @if let Some(job) = &line.newest { (datums_of(job)) } }
            td .number { @if pipeline.behind_runs > 0 { (count(pipeline.behind_runs)) } }
        }
    }
}
