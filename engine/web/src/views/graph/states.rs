//! How pipelines are doing: counted; what fails, runs or waits; and for `graph.js` the state of each shown node.

use answers::graph::{Node, What};
use answers::pipeline::{PipelineState, pipeline_view};
use maud::{Markup, html};

use super::part::{Why, urgency};
use super::picture::{sign, topology};
use super::query::To;
use super::{Result, Scene};
use crate::parts::{link, state};

/// So many pipelines that fail, run or wait are listed.
const LISTED: usize = 8;

const STATES: [PipelineState; 5] = [
    PipelineState::Failed,
    PipelineState::Running,
    PipelineState::Pending,
    PipelineState::Stopped,
    PipelineState::Current,
];

/// How many pipelines are in each state: always a line, since nothing above the picture may move it.
pub(super) fn states(scene: &Scene<'_>) -> Markup {
    let count = |state| scene.graph.nodes.iter().filter(|node| node.state() == Some(state)).count();
    html! {
        p .counts aria-label="Pipelines by state" {
            @for one in STATES { span .state data-state=(one) { (count(one)) " " (one) } " " }
            @if scene.part.why == Why::Last { span .dim { "Nothing fails, runs or waits; shown is what ran last." } }
        }
        @if scene.moment.is_none() { (for_script(scene)) }
    }
}

/// The pipelines that fail, run or wait, with the reason of each.
pub(super) fn urgent(scene: &Scene<'_>) -> Result<Markup> {
    let mut urgent: Vec<&Node> = scene.graph.nodes.iter().filter(|node| urgency(node.state()) <= 2).collect();
    urgent.sort_by_key(|node| urgency(node.state()));
    let more = urgent.len().saturating_sub(LISTED);
    urgent.truncate(LISTED);
    let mut lines = Vec::new();
    for node in urgent {
        lines.push((node, reason(scene, node)?));
    }
    Ok(html! {
        @if !lines.is_empty() {
            h2 { "What fails, runs or waits" }
            ul .urgent {
                @for (node, reason) in &lines {
                    li {
                        @if let Some(of_node) = node.state() { (state(&of_node.to_string())) " " }
                        (link(scene.look, &scene.page_of(node), node.name())) " · "
                        (link(scene.look, &scene.job_of(node), "job")) " · "
                        (link(scene.look, &scene.log_of(node), "log")) " · "
                        (link(scene.look, &scene.query.to(To::Focus(node.name())), "around it"))
                        @if let Some(reason) = reason { span .dim { " " (reason) } }
                    }
                }
                @if more > 0 { li .dim { "and " (more) " more" } }
            }
        }
    })
}

/// Why a pipeline is in its state. Nobody knows what it was waiting for in the past.
fn reason(scene: &Scene<'_>, node: &Node) -> Result<Option<String>> {
    match &node.what {
        What::Pipeline { name, .. } if scene.moment.is_none() => {
            Ok(pipeline_view(scene.look.store, name, Some(scene.look.live))?.reason)
        }
        _ => Ok(None),
    }
}

/// The names of the shown pipelines in each state, with the shape of that state.
pub(super) fn for_script(scene: &Scene<'_>) -> Markup {
    let shown: Vec<&Node> = scene.part.shown.iter().map(|node| &scene.graph.nodes[*node]).collect();
    let names = |state| {
        let names: Vec<&str> =
            shown.iter().filter(|node| node.state() == Some(state)).map(|node| node.name()).collect();
        names.join(" ")
    };
    html! {
        ul #of-nodes hidden data-topology=(topology(scene)) data-chosen[matches!(scene.part.why, Why::Attention | Why::Last)] {
            @for one in STATES {
                @let names = names(one);
                @if !names.is_empty() { li data-state=(one) data-sign=(sign(one)) { (names) } }
            }
        }
    }
}
