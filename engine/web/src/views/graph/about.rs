//! What can be chosen, and the selected node.

use answers::graph::{Node, What};
use answers::pipeline::PipelineState;
use maud::{Markup, html};
use repos::journal::RepoKind;

use super::part::Why;
use super::query::{To, ZOOM};
use super::{MANY, Scene};
use crate::address;
use crate::parts::{exact_time, link, state};

/// So many neighbours of the selected node are listed.
const LISTED: usize = 50;
/// Steps of the size of the picture, in percent.
const SIZES: [u32; 9] = [25, 35, 50, 70, 100, 140, 200, 280, 400];

/// The region.
pub(super) fn about(scene: &Scene<'_>) -> Markup {
    let (shown, all) = (scene.part.shown.len(), scene.graph.nodes.len());
    html! {
        h1 { "Graph" @if scene.moment.is_some() { " as it was" } }
        (past(scene))
        p .what {
            @match scene.part.why {
                Why::All => { "All " (all) " repositories and pipelines." }
                Why::Attention => { (shown) " of " (all) ": what fails, runs or waits, and what is around it." }
                Why::Last => { (shown) " of " (all) ": the pipelines that ran last, and what is around them." }
                Why::Focus => { (shown) " of " (all) ": around " b { (scene.query.focus().unwrap_or_default()) } "." }
                Why::OnlyPath => { (shown) " of " (all) ": only the path of " b { (scene.query.path().unwrap_or_default()) } "." }
            }
        }
        nav .choices aria-label="What is shown" {
            @if all > MANY || scene.part.why != Why::All {
                (choice(scene, To::Attention, if all > MANY { "What needs attention" } else { "All" }, scene.part.why == Why::Attention))
                @if all > MANY { (choice(scene, To::All, "Whole graph", scene.part.why == Why::All)) }
            }
            (choice(scene, To::Table(false), "Picture", !scene.query.is_table()))
            (choice(scene, To::Table(true), "Table", scene.query.is_table()))
            @if !matches!(scene.part.why, Why::All | Why::OnlyPath) { (steps(scene)) }
            @if !scene.query.is_table() { (zoom(scene)) }
        }
        div .forms { (form(scene, "focus", "Around", "name of a pipeline or repository")) (form(scene, "at", "As of", "@RUN or 2026-09-01 14:02")) }
        @if !scene.query.is_table() { (legend()) }
    }
}

fn choice(scene: &Scene<'_>, to: To<'_>, words: &str, is_chosen: bool) -> Markup {
    let to = scene.look.link(&scene.query.to(to));
    html! { a href=(to) aria-current=[is_chosen.then_some("true")] { (words) } }
}

/// How far around: one more, one less.
fn steps(scene: &Scene<'_>) -> Markup {
    let (up, down) = (scene.query.up(), scene.query.down());
    let step = |to: (usize, usize), sign: &str, words: &str| {
        let to = scene.look.link(&scene.query.to(To::Steps(to.0, to.1)));
        html! { a .step href=(to) aria-label=(words) { (sign) } }
    };
    html! {
        span .steps {
            "Inputs "
            @if up > 0 { (step((up - 1, down), "−", "One step of inputs less")) }
            " " (up) " " (step((up + 1, down), "+", "One step of inputs more"))
        }
        span .steps {
            "Readers "
            @if down > 0 { (step((up, down - 1), "−", "One step of readers less")) }
            " " (down) " " (step((up, down + 1), "+", "One step of readers more"))
        }
    }
}

fn zoom(scene: &Scene<'_>) -> Markup {
    let now = scene.query.zoom();
    let (smaller, larger) = (SIZES.iter().rev().find(|size| **size < now), SIZES.iter().find(|size| **size > now));
    let to = |size: u32, sign: &str, words: &str| {
        let to = scene.look.link(&scene.query.to(To::Zoom(size)));
        html! { a .step href=(to) aria-label=(words) { (sign) } }
    };
    html! {
        span .steps data-zoom=(now) data-least=(ZOOM.start()) data-most=(ZOOM.end()) {
            "Size "
            @if let Some(size) = smaller { (to(*size, "−", "Smaller")) }
            " " a .now href=(scene.look.link(&scene.query.to(To::Zoom(100)))) title="Back to 100 %" { (now) " %" } " "
            @if let Some(size) = larger { (to(*size, "+", "Larger")) }
        }
    }
}

/// A form that sets one parameter.
fn form(scene: &Scene<'_>, name: &str, label: &str, placeholder: &str) -> Markup {
    let value = if name == "at" { scene.query.at() } else { scene.query.focus() };
    html! {
        form action=(scene.look.link(&address::graph())) {
            @for (kept, value) in scene.query.kept_beside(name) {
                @if name != "focus" || !["all", "only_path"].contains(&kept) { input type="hidden" name=(kept) value=(value); }
            }
            label { (label) input name=(name) value=[value] placeholder=(placeholder) autocomplete="off" spellcheck="false"; }
            button { "Show" }
        }
    }
}

/// What is said about the past, if it is shown.
fn past(scene: &Scene<'_>) -> Markup {
    let Some(moment) = &scene.moment else { return html! {} };
    html! {
        p .past {
            @match &moment.run {
                Some(run) => {
                    "As of run " (link(scene.look, &address::run(&run.to_string()), run.short(8)))
                    ", accepted " (exact_time(moment.time)) ", when its jobs and those before it had ended. "
                }
                None => { "As of " (exact_time(moment.time)) ". " }
            }
            (link(scene.look, &scene.query.to(To::Now), "Now"))
        }
        p .dim {
            "Not known of the past: what jobs waited for. A pipeline is stopped here if it was for that run."
        }
    }
}

fn legend() -> Markup {
    let states = [
        PipelineState::Failed,
        PipelineState::Running,
        PipelineState::Pending,
        PipelineState::Stopped,
        PipelineState::Current,
    ];
    html! {
        details .legend {
            summary { "Signs and keys" }
            p { @for one in states { (state(&one.to_string())) " " } }
            p {
                "A box with one line is a repository, with two a pipeline and its output repository; lines lead from what is read to who "
                "reads it. A name leads to its page, a state to the newest job, a box lights its path. Keys in the picture: arrows go "
                "from node to node, " kbd { "+" } " " kbd { "−" } " " kbd { "0" } " or Ctrl and the wheel change its size."
            }
        }
    }
}

/// The selected node.
pub(super) fn selected(scene: &Scene<'_>) -> Markup {
    let Some((at, path)) = &scene.part.selected else { return html! {} };
    let node = &scene.graph.nodes[*at];
    let others = (path.above.len() - 1, path.below.len() - 1);
    html! {
        div .selected {
            h2 { (link(scene.look, &scene.page_of(node), node.name())) }
            p {
                (kind(node))
                @if let What::Pipeline { newest: Some(_), .. } = &node.what {
                    " · " (link(scene.look, &scene.job_of(node), "newest job")) " · " (link(scene.look, &scene.log_of(node), "log"))
                }
                @if let What::Pipeline { newest: Some(job), .. } = &node.what {
                    " · its run began " (scene.time(job.created_at))
                }
            }
            p { "Depends on " (others.0) "; " (others.1) " depend on it." }
            (list(scene, "Reads", &node.inputs, node.inputs_not_visible))
            (list(scene, "Is read by", &scene.part.web.readers[*at], 0))
            p .choices {
                @if scene.query.is_only_path() {
                    (choice(scene, To::OnlyPath(false), "Show everything", false))
                } @else {
                    (choice(scene, To::OnlyPath(true), "Only this path", false))
                }
                (choice(scene, To::Focus(node.name()), "Around it", false))
                (choice(scene, To::NoPath, "No selection", false))
            }
        }
    }
}

/// What a node is, in words.
pub(super) fn kind(node: &Node) -> Markup {
    match &node.what {
        What::Repo { kind: Some(RepoKind::Cron), .. } => html! { "clock" },
        What::Repo { kind: Some(_), .. } => html! { "repository" },
        What::Repo { kind: None, .. } => html! { "deleted repository" },
        What::Pipeline { version, state: of_node, .. } => {
            html! { "pipeline, version " (version) " · " (state(&of_node.to_string())) }
        }
    }
}

/// Neighbours of a node.
fn list(scene: &Scene<'_>, words: &str, nodes: &[usize], hidden: usize) -> Markup {
    if nodes.is_empty() && hidden == 0 {
        return html! {};
    }
    html! { p { (words) " " (neighbours(scene, nodes, hidden)) } }
}

/// Names of nodes; each selects its node.
pub(super) fn neighbours(scene: &Scene<'_>, nodes: &[usize], hidden: usize) -> Markup {
    html! {
        @for (at, node) in nodes.iter().take(LISTED).enumerate() {
            @let name = scene.graph.nodes[*node].name();
            @if at > 0 { ", " }
            (link(scene.look, &scene.query.to(To::Path(name)), name))
        }
        @if nodes.len() > LISTED { " and " (nodes.len() - LISTED) " more" }
        @if hidden > 0 { @if !nodes.is_empty() { ", " } (answers::sight::gap_in_words(hidden as u64, "input")) }
    }
}
