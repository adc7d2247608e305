//! The shown nodes as rows: the same set as in the picture.

use answers::graph::{Node, What};
use maud::{Markup, html};

use super::Scene;
use super::about::{kind, neighbours};
use super::query::To;
use crate::parts::link;

/// Rows of a page.
const ROWS: usize = 100;

/// The region.
pub(super) fn table(scene: &Scene<'_>) -> Markup {
    let mut rows: Vec<usize> = scene.part.shown.clone();
    rows.sort_by_key(|node| scene.graph.nodes[*node].name());
    rows.retain(|node| scene.query.after().is_none_or(|after| scene.graph.nodes[*node].name() > after));
    let next = rows.get(ROWS).and_then(|_| rows.get(ROWS - 1)).map(|node| scene.graph.nodes[*node].name());
    rows.truncate(ROWS);
    html! {
        table {
            caption .away { "Repositories and pipelines, with what they read and who reads them" }
            thead {
                tr {
                    th scope="col" { "Name" }
                    th scope="col" { "What" }
                    th scope="col" { "Newest job" }
                    th scope="col" { "Reads" }
                    th scope="col" { "Is read by" }
                }
            }
            tbody { @for node in &rows { (row(scene, *node)) } }
        }
        @if let Some(next) = next { p { (link(scene.look, &scene.query.to(To::After(next)), "Next page")) } }
    }
}

fn row(scene: &Scene<'_>, at: usize) -> Markup {
    let node: &Node = &scene.graph.nodes[at];
    html! {
        tr id={ "n-" (node.name()) } {
            th scope="row" { (link(scene.look, &scene.page_of(node), node.name())) }
            td { (kind(node)) }
            td {
                @if let What::Pipeline { newest: Some(job), .. } = &node.what {
                    (link(scene.look, &scene.job_of(node), "job")) " · " (link(scene.look, &scene.log_of(node), "log")) " · "
                    (scene.time(job.created_at))
                }
            }
            td { (neighbours(scene, &node.inputs, node.inputs_not_visible)) }
            td { (neighbours(scene, &scene.part.web.readers[at], 0)) }
        }
    }
}
