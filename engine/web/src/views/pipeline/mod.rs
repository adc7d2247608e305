//! One pipeline: what it is, how it is doing, its jobs over time, its spec and versions, and what one can do to it.
//!
//! - `facts` what it is, and its state
//! - `history` its jobs over time
//! - `reasons` why it is in its state, and what would run
//! - `versions` its versions, what differs between two, one of them
//! - `actions` forms
//!
//! What costs more than a look is at an address of its own: `?why`, `?plan`, `?versions`, `?version=2`, `?apply`, `?delete`.

mod actions;
mod facts;
mod history;
mod reasons;
mod versions;

use answers::moment::Moment;
use answers::pipeline::pipeline_details;
use maud::{Markup, html};
use repos::access::Role;
use serde::Deserialize;
use specs::PipelineName;

use super::Result;
use super::work::tab;
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::spec;

/// Which pipeline.
#[derive(Debug, Deserialize)]
pub struct Path {
    /// Its name.
    pipeline: PipelineName,
}

/// What of it is shown; by default the current state.
#[derive(Debug, Default, Deserialize)]
pub struct Query {
    /// As it was at a run, `@RUN`, or at a time.
    at: Option<String>,
    /// All versions; `1..2` also shows what differs between these.
    versions: Option<String>,
    /// The version with this number.
    version: Option<u32>,
    /// Why it is in its state.
    why: Option<String>,
    /// What would run now.
    plan: Option<String>,
    /// The form for a new version.
    apply: Option<String>,
    /// Whether to delete it.
    delete: Option<String>,
}

/// One pipeline.
pub fn pipeline(look: &Look<'_>, path: Path, query: Query) -> Result<View> {
    let name = &path.pipeline;
    let view = View::new(name.to_string(), "pipelines");
    if let Some(text) = query.at.as_deref().filter(|text| !text.trim().is_empty()) {
        let moment = Moment::find(look.store, text)?;
        let jobs = history::charts(look, name, Some(moment.time))?;
        return Ok(view.fixed("past", versions::past(look, name, &moment, text)?).fixed("jobs", jobs));
    }
    let follows = [name.to_string()];
    let tabs = tabs(look, name, &query);
    Ok(if let Some(version) = query.version {
        view.live("version", follows, html! { (title(name)) (tabs) (versions::one(look, name, version)?) })
    } else if let Some(range) = &query.versions {
        view.live("versions", follows, html! { (title(name)) (tabs) (versions::all(look, name, range)?) })
    } else if query.why.is_some() {
        view.live("why", follows, html! { (title(name)) (tabs) (reasons::why(look, name)?) })
    } else if query.plan.is_some() {
        view.live("plan", follows, html! { (title(name)) (tabs) (reasons::plan(look, name)?) })
    } else if query.apply.is_some() && look.may(Role::Admin) {
        view.fixed("apply", html! { (title(name)) (tabs) (apply(look, name)?) })
    } else if query.delete.is_some() && look.may(Role::Admin) {
        view.fixed("delete", html! { (title(name)) (tabs) (actions::deletion(look, name)?) })
    } else {
        let details = pipeline_details(look.store, name, Some(look.live))?;
        let jobs = html! { (history::charts(look, name, None)?) (history::newest(look, name)?) };
        view.live(
            "pipeline",
            follows.clone(),
            html! { (facts::state_of(&details)) (tabs) (facts::parts(look, &details)) },
        )
        .live("actions", follows.clone(), actions::forms(look, &details))
        .live("jobs", follows.clone(), jobs)
        .live("spec", follows, html! { h2 { "Spec" } (spec::shown(&text_of(&details.spec))) })
    })
}

fn title(name: &PipelineName) -> Markup {
    html! { h1 { "Pipeline " (name) } }
}

fn text_of(value: &serde_json::Value) -> String {
    answers::pipeline::spec_value_text(value)
}

/// The address of a part of the view.
fn part(name: &PipelineName, word: &str) -> Address {
    address::pipeline(name).with(word, "")
}

fn tabs(look: &Look<'_>, name: &PipelineName, query: &Query) -> Markup {
    let of_versions = query.versions.is_some() || query.version.is_some();
    let is_now = !of_versions && query.why.is_none() && query.plan.is_none() && query.apply.is_none();
    let is_admin = look.may(Role::Admin);
    html! {
        nav .tabs aria-label="Of this pipeline" {
            (tab(look, &address::pipeline(name), "Now", is_now && query.delete.is_none()))
            (tab(look, &part(name, "why"), "Why", query.why.is_some()))
            (tab(look, &part(name, "plan"), "What would run", query.plan.is_some()))
            (tab(look, &part(name, "versions"), "Versions", of_versions))
            (tab(look, &super::runs::of(None, Some(name.as_str())), "Runs", false))
            @if is_admin { (tab(look, &part(name, "apply"), "Apply a spec", query.apply.is_some())) }
            @if is_admin { (tab(look, &part(name, "delete"), "Delete", query.delete.is_some())) }
        }
    }
}

fn apply(look: &Look<'_>, name: &PipelineName) -> Result<Markup> {
    let details = pipeline_details(look.store, name, Some(look.live))?;
    Ok(html! {
        h2 { "Apply a spec" }
        @if details.inputs_not_visible > 0 {
            p { "It reads what is not visible to you, so its spec is not whole here; use " code { "pv pipeline apply" } "." }
        } @else {
            @if details.transform.code.is_some() {
                p { "Its code is a folder, which only " code { "pv pipeline apply -f" } " sends along." }
            }
            (spec::editor(look.base, &address::pipeline(name).under(""), &text_of(&details.spec)))
        }
    })
}
