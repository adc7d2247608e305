//! The graph of repositories and pipelines: a picture or a table, whole or a part of it, now or as it was.
//!
//! - `query`   what the address says, and the addresses of the same view with something changed
//! - `part`    which nodes are shown; ancestors and descendants
//! - `picture` the nodes and edges as SVG, at the places that `layout` gives them
//! - `table`   the same nodes as rows
//! - `about`   what can be chosen: which part, how far around, from when; the selected node
//! - `states`  how pipelines are doing, in small regions of their own
//! - `strip`   the runs of the last days
//!
//! **What is updated is small.** The picture never changes while the topology is the same, so it follows nothing; `states` is the live region,
//! and `graph.js` carries the states from there to the nodes. Without scripts, reload.

mod about;
mod part;
mod picture;
mod query;
mod states;
mod strip;
mod table;
#[cfg(test)]
mod tests;

use answers::graph::{GraphView, graph as whole};
use answers::moment::Moment;
use engine::EngineError;
use maud::{Markup, html};
use repos::{RepoError, Timestamp};

use super::{None, Result};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{exact_time, link, time};
use part::{Part, Web};
use picture::Picture;
pub use query::Query;
pub use strip::strip;

/// So many nodes are shown at once without being asked for all.
const MANY: usize = 150;
/// So many nodes are shown in the small graph of the overview.
const SMALL: usize = 40;

/// Everything that the parts of a view need.
struct Scene<'a> {
    look: &'a Look<'a>,
    query: &'a Query,
    graph: GraphView,
    moment: Option<Moment>,
    /// The nodes that are shown, and those that are lit.
    part: Part,
}

impl Scene<'_> {
    /// A time. Pages of the past do not change, so they do not say how long ago it is.
    fn time(&self, at: Timestamp) -> Markup {
        if self.moment.is_none() { time(self.look, at) } else { exact_time(at) }
    }
}

/// The graph.
pub fn graph(look: &Look<'_>, _: None, query: Query) -> Result<View> {
    let moment = query.at().map(|text| Moment::find(look.store, text)).transpose()?;
    let graph = whole(look.store, Some(look.live), moment.as_ref())?;
    let part = Part::of(&graph, &query).map_err(|name| unknown(&name))?;
    let scene = Scene { look, query: &query, graph, moment, part };
    let main = if query.is_table() { table::table(&scene) } else { picture::region(&scene) };
    let mut view = View::new("Graph", "graph").fixed("about", about::about(&scene));
    // What is past does not change.
    view = match &scene.moment {
        None => view.live("states", ["*"], states::states(&scene)),
        Some(_) => view.fixed("states", states::states(&scene)),
    };
    if scene.part.selected.is_some() {
        let selected = about::selected(&scene);
        view = if scene.moment.is_none() {
            view.live("selected", ["*"], selected)
        } else {
            view.fixed("selected", selected)
        };
    }
    let view = if query.is_table() && scene.moment.is_none() {
        view.live("nodes", ["*"], main)
    } else {
        view.fixed(if query.is_table() { "nodes" } else { "graph" }, main)
    };
    let urgent = states::urgent(&scene)?;
    Ok(if scene.moment.is_none() { view.live("urgent", ["*"], urgent) } else { view.fixed("urgent", urgent) })
}

fn unknown(name: &str) -> EngineError {
    EngineError::Store(RepoError::NotFound {
        what: format!("no repository or pipeline `{name}` in this graph"),
        hint: Some("the whole graph has all names".to_owned()),
    })
}

/// A small graph for the overview: whole if it has few nodes, otherwise what fails, runs and waits with one step around, as far as there is
/// room.
pub fn small(look: &Look<'_>) -> Result<Markup> {
    let query = Query::default();
    let graph = whole(look.store, Some(look.live), None)?;
    let part = Part::few(&graph, SMALL);
    let (all, shown) = (graph.nodes.len(), part.shown.len());
    let scene = Scene { look, query: &query, graph, moment: None, part };
    Ok(html! {
        @if shown > 0 { div .pane .small { (Picture::of(&scene).svg()) } }
        p .dim {
            @match shown {
                0 => { "There are no repositories yet." }
                _ if shown < all => { (shown) " of " (all) " nodes. " (link(look, &address::graph(), "The graph")) }
                _ => { (link(look, &address::graph(), "The graph")) }
            }
        }
    })
}

/// Which nodes read which: both ways.
fn web(graph: &GraphView) -> Web {
    Web::of(graph.nodes.iter().map(|node| node.inputs.clone()).collect())
}
