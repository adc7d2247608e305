//! What one can do to a pipeline.

use answers::pipeline::{PipelineDetails, PipelineState};
use engine::apply::deletable_pipeline;
use maud::{Markup, html};
use repos::access::Role;
use specs::PipelineName;
use specs::words::plural;

use super::super::Result;
use super::super::work::field;
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{action, form, link};

fn operation(name: &PipelineName, verb: &str) -> Address {
    address::api(["pipelines", name.as_str(), verb])
}

/// The same look, from an address that one goes to when a form is done.
fn leading_to<'a>(look: &Look<'a>, next: &'a str) -> Look<'a> {
    Look { here: next, ..*look }
}

/// The forms that the reader may use.
pub(super) fn forms(look: &Look<'_>, details: &PipelineDetails) -> Markup {
    let name = &details.view.name;
    let is_stopped = details.view.state == PipelineState::Stopped;
    let to_run = leading_to(look, "/runs/{run}");
    html! {
        @if look.may(Role::Writer) {
            h2 .sr { "Actions" }
            div .actions {
                @if details.view.state == PipelineState::Pending {
                    (action(look, "POST", &address::api(["run"]), &[("pipelines:list", name.as_str())], "Run now"))
                }
                @if !is_stopped {
                    (form(&to_run, "POST", &operation(name, "rerun"),
                        &field("input", "Run again, all datums or those that read", None, "glob, such as /cam7/*"), "Run again"))
                }
                @if details.view.next_tick.is_some() { (action(&to_run, "POST", &operation(name, "tick"), &[], "Tick now")) }
                @if look.may(Role::Admin) {
                    @if is_stopped { (action(look, "POST", &operation(name, "start"), &[], "Start")) }
                    @else { (action(look, "POST", &operation(name, "stop"), &[], "Stop")) }
                }
            }
        }
    }
}

/// What ends with a pipeline, and the forms that delete it.
pub(super) fn deletion(look: &Look<'_>, name: &PipelineName) -> Result<Markup> {
    let (repo, home) = (name.output_repo(), address::pipelines().under(""));
    let done = leading_to(look, &home);
    let delete = address::api(["pipelines", name.as_str()]);
    let deletable = match deletable_pipeline(look.store, name) {
        Ok(deletable) => deletable,
        Err(error @ engine::EngineError::InUse { .. }) => {
            return Ok(html! { h2 { "It cannot be deleted" } p { (error) } });
        }
        Err(error) => return Err(error),
    };
    Ok(html! {
        h2 { "Delete " (name) "?" }
        ul {
            li { "It gets no more jobs; " (plural(deletable.open_jobs, "job that has", "jobs that have")) " not ended will be killed." }
            li { "Its versions, runs and jobs can still be looked at." }
        }
        h3 { "Keep its output" }
        p { "Repository " (link(look, &address::repo(&repo), repo.as_str())) " stays, with all commits, and becomes one of yours." }
        (action(&done, "DELETE", &delete, &[], "Delete the pipeline"))
        h3 { "Delete its output too" }
        p { "Repository " (repo) " goes with all its commits and branches, and so do ticks of its schedule that nothing else reads." }
        (action(&done, "DELETE", &delete.with("with_data", true), &[], "Delete the pipeline and its output"))
    })
}
