//! The picture: SVG with presentation attributes and classes only.
//!
//! Whoever counts bytes: a store of 500 repositories and 500 pipelines has to fit into 60 KB compressed. So edges have no marks of their own;
//! they are in the order of their nodes' `data-in`, and all that lead to one node are one path, drawn from there, which `graph.js` takes apart.
//! The name of a node is that of its group, once for all its links.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use answers::graph::{Node, What};
use answers::job::job_id;
use answers::pipeline::PipelineState;
use maud::{Markup, Render, html};

use super::Scene;
use super::query::To;
use crate::address::{self, Address};
use crate::layout::{Layout, Shape, Size, layout};
use crate::parts::link;

/// The width of a letter of a name: the font of the style has letters of one width.
const LETTER: usize = 7;
/// Longer names are cut.
const LETTERS: usize = 28;
/// The height of a repository, which has one line, and that of a pipeline, which has two.
const HEIGHTS: (i32, i32) = (28, 44);
/// Around the whole picture.
const MARGIN: i32 = 8;

/// The region of the picture.
pub(super) fn region(scene: &Scene<'_>) -> Markup {
    html! {
        h2 .away { "Picture" }
        @if scene.part.shown.is_empty() {
            p { "There is nothing to show." }
        } @else {
            div .pane { (Picture::of(scene).svg()) }
            // `graph.js` shows it: a picture that somebody looks at is not taken away.
            p #others hidden {
                "Other pipelines than these need attention now. " (link(scene.look, &scene.query.to(To::Attention), "Show them"))
            }
        }
    }
}

/// The shown nodes at their places.
pub(super) struct Picture<'a> {
    scene: &'a Scene<'a>,
    layout: Arc<Layout>,
    /// Edges, by positions among the shown nodes, in the order of the layout's lines.
    edges: Vec<(usize, usize)>,
    /// The shown nodes from left to right and from top to bottom.
    order: Vec<usize>,
    /// The position of each node in that order.
    number: Vec<usize>,
    /// The numbers of what each node reads, rising.
    inputs: Vec<Vec<usize>>,
}

impl<'a> Picture<'a> {
    pub(super) fn of(scene: &'a Scene<'a>) -> Self {
        let shown = &scene.part.shown;
        let place: HashMap<usize, usize> = shown.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        let sizes: Vec<Size> = shown.iter().map(|node| size(&scene.graph.nodes[*node])).collect();
        let mut edges = Vec::new();
        for (to, node) in shown.iter().enumerate() {
            let inputs = scene.graph.nodes[*node].inputs.iter();
            edges.extend(inputs.filter_map(|input| Some((*place.get(input)?, to))));
        }
        let layout = layout(Shape { nodes: &sizes, edges: &edges });
        let mut order: Vec<usize> = (0..shown.len()).collect();
        order.sort_by_key(|at| {
            let place = &layout.nodes[*at];
            (place.layer.unwrap_or(usize::MAX), place.y, place.x)
        });
        let mut number = vec![0; order.len()];
        for (at, node) in order.iter().enumerate() {
            number[*node] = at;
        }
        let mut inputs = vec![Vec::new(); order.len()];
        for (from, to) in edges.iter().filter(|(from, to)| from != to) {
            inputs[*to].push(number[*from]);
        }
        for numbers in &mut inputs {
            numbers.sort_unstable();
        }
        Self { scene, layout, edges, order, number, inputs }
    }

    /// The element.
    pub(super) fn svg(&self) -> Markup {
        let Layout { width, height, .. } = *self.layout;
        let (width, height) = (width + 2 * MARGIN, height + 2 * MARGIN);
        let zoom = i64::from(self.scene.query.zoom());
        let zoomed = |length: i32| i64::from(length) * zoom / 100;
        let lines = self.lines();
        let is_lit = self.scene.part.selected.is_some();
        html! {
            svg #picture .graph .path[is_lit] role="group" aria-label={ (self.order.len()) " repositories and pipelines" }
                width=(zoomed(width)) height=(zoomed(height)) viewBox={ "-" (MARGIN) " -" (MARGIN) " " (width) " " (height) }
                data-topology=(topology(self.scene)) {
                defs {
                    marker #tip viewBox="0 0 6 6" refX="6" refY="3" markerWidth="6" markerHeight="6" orient="auto-start-reverse" {
                        path d="M0 0 6 3 0 6z" {}
                    }
                }
                g .edges marker-start="url(#tip)" {
                    @for (line, is_lit) in &lines { path .lit[*is_lit] d=(line) {} }
                }
                @for at in &self.order { (self.node(*at)) }
            }
        }
    }

    /// The edges as paths, in the order of the nodes that they lead to, and whether each is lit. Without a lit path, those that lead to one
    /// node are one path.
    fn lines(&self) -> Vec<(String, bool)> {
        let mut edges: Vec<usize> = (0..self.edges.len()).filter(|edge| !self.layout.lines[*edge].is_empty()).collect();
        edges.sort_by_key(|edge| {
            let (from, to) = self.edges[*edge];
            (self.number[to], self.number[from])
        });
        let drawn = |edge: &usize| drawn(&self.layout.lines[*edge]);
        let Some((_, path)) = &self.scene.part.selected else {
            let of_one_node = edges.chunk_by(|one, other| self.edges[*one].1 == self.edges[*other].1);
            return of_one_node.map(|edges| (edges.iter().map(drawn).collect(), false)).collect();
        };
        let shown = &self.scene.part.shown;
        let is_lit = |(from, to): (usize, usize)| path.has_edge(shown[from], shown[to]);
        edges.iter().map(|edge| (drawn(edge), is_lit(self.edges[*edge]))).collect()
    }

    fn node(&self, at: usize) -> Markup {
        let place = &self.layout.nodes[at];
        let position = self.scene.part.shown[at];
        let node = &self.scene.graph.nodes[position];
        let name = node.name();
        let is_lit = self.scene.part.selected.as_ref().is_some_and(|(_, path)| path.has(position));
        let is_selected = self.scene.part.selected.as_ref().is_some_and(|(selected, _)| *selected == position);
        let inputs = &self.inputs[at];
        let (x, y) = (place.x, place.y);
        html! {
            g .n .(class_of(node)) .lit[is_lit] role="group" aria-label=(name) transform={ "translate(" (x) " " (y) ")" }
                data-in=[(!inputs.is_empty()).then(|| joined(inputs))] {
                a href=(self.scene.look.link(&self.scene.query.to(To::Path(name)))) aria-label="Path"
                    aria-current=[is_selected.then_some("true")] {
                    rect width=(place.width) height=(place.height) rx="5" {}
                }
                (Text { scene: self.scene, node, width: place.width })
            }
        }
    }
}

/// The words in a node, and where they lead.
struct Text<'a> {
    scene: &'a Scene<'a>,
    node: &'a Node,
    width: i32,
}

impl Render for Text<'_> {
    fn render(&self) -> Markup {
        let name = self.node.name();
        let to = self.scene.look.link(&self.scene.page_of(self.node));
        let is_cut = name.len() > LETTERS;
        html! {
            a href=(to) {
                text x="10" y="18" { @if is_cut { (&name[..LETTERS - 1]) "…" title { (name) } } @else { (name) } }
            }
            @if let What::Pipeline { version, state, newest, .. } = &self.node.what {
                @if newest.is_some() {
                    a href=(self.scene.look.link(&self.scene.job_of(self.node))) {
                        text .s x="10" y="35" { (sign(*state)) " " (state) }
                    }
                    a href=(self.scene.look.link(&self.scene.log_of(self.node))) {
                        text x="86" y="35" { "log" }
                    }
                } @else {
                    text .s x="10" y="35" { (sign(*state)) " " (state) }
                }
                text .v x=(self.width - 8) y="35" { "v" (version) }
            }
        }
    }
}

impl Scene<'_> {
    /// The page of a node: as of the moment of this one.
    pub(super) fn page_of(&self, node: &Node) -> Address {
        let page = match &node.what {
            What::Repo { name, .. } => address::repo(name),
            What::Pipeline { name, .. } => address::pipeline(name),
        };
        page.with_some("at", self.query.at())
    }

    /// A word for the job of a node: now its newest one, whichever that is when somebody follows the link; otherwise that of then.
    fn job_word(&self, node: &Node) -> String {
        match &node.what {
            What::Pipeline { newest: Some(job), .. } if self.moment.is_some() => job_id(&job.pipeline, &job.run),
            _ => node.name().to_owned(),
        }
    }

    pub(super) fn job_of(&self, node: &Node) -> Address {
        address::job(&self.job_word(node))
    }

    pub(super) fn log_of(&self, node: &Node) -> Address {
        address::log(&self.job_word(node), None)
    }
}

/// The shape that stands before the word of a state, as in all of the page.
pub(super) const fn sign(state: PipelineState) -> &'static str {
    match state {
        PipelineState::Current => "●",
        PipelineState::Pending => "◌",
        PipelineState::Running => "▶",
        PipelineState::Failed => "✕",
        PipelineState::Stopped => "■",
    }
}

/// The class that tells what a node is, and its state.
fn class_of(node: &Node) -> String {
    match &node.what {
        What::Repo { .. } => "repo".to_owned(),
        What::Pipeline { state, .. } => state.to_string(),
    }
}

fn size(node: &Node) -> Size {
    let letters = node.name().len().min(LETTERS);
    let (least, height) = match node.what {
        What::Repo { .. } => (64, HEIGHTS.0),
        What::Pipeline { .. } => (152, HEIGHTS.1),
    };
    let width = (letters * LETTER + letters / 3 + 20).max(least).next_multiple_of(8);
    Size { width: i32::try_from(width).unwrap_or(i32::MAX), height }
}

fn joined(numbers: &[usize]) -> String {
    numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
}

/// A line as a path, from its end to its start: level in columns, curved between them.
fn drawn(points: &[(i32, i32)]) -> String {
    let mut points = points.iter().rev();
    let Some(mut last) = points.next() else { return String::new() };
    let mut path = format!("M{} {}", last.0, last.1);
    let mut level = 0;
    for next in points {
        let (along, down) = (next.0 - last.0, next.1 - last.1);
        last = next;
        if down == 0 {
            level += along;
            continue;
        }
        if level != 0 {
            let _ = write!(path, "h{level}");
            level = 0;
        }
        let half = along / 2;
        path.push('c');
        for (at, number) in [half, 0, half, down, along, down].into_iter().enumerate() {
            // A sign separates as well as a space.
            let space = if at > 0 && number >= 0 { " " } else { "" };
            let _ = write!(path, "{space}{number}");
        }
    }
    if level != 0 {
        let _ = write!(path, "h{level}");
    }
    path
}

/// Stands for what the picture shows besides states: if it differs, the picture is old.
pub(super) fn topology(scene: &Scene<'_>) -> String {
    let mut text = String::new();
    for node in scene.part.shown.iter().map(|node| &scene.graph.nodes[*node]) {
        let _ = match &node.what {
            What::Repo { name, .. } => write!(text, "{name}"),
            What::Pipeline { name, version, newest, .. } => write!(text, "{name} {version} {}", newest.is_some()),
        };
        let _ = writeln!(text, " < {}", joined(&node.inputs));
    }
    repos::hash::digest_of(text.as_bytes()).to_string()[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::drawn;

    #[test]
    fn a_line_is_level_in_columns_and_curved_between_them() {
        assert_eq!(drawn(&[(0, 4), (10, 4), (66, 4), (90, 4)]), "M90 4h-90");
        assert_eq!(drawn(&[(0, 4), (10, 4), (66, 24), (90, 24)]), "M90 24h-24c-28 0-28-20-56-20h-10");
        assert_eq!(drawn(&[]), "");
    }
}
