//! A trace as a drawing: sources on the left, the requested file on the right, in columns by their distance from it.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write;

use answers::trace::Trace;
use answers::trace::formats::{About, Graph, Node, Sort, Story, StoryStep, shown_commit};
use maud::{Markup, html};
use specs::words::plural;
use specs::{CommitId, DatumId};

use super::Place;
use super::steps::PAGE;
use crate::address::{self, Address};

/// Most nodes of a drawing: the nearest to the file.
const NODES: usize = 80;
/// Lines of a node, and characters of a line.
const LINES: usize = 4;
const CHARACTERS: usize = 30;
/// Sizes in pixels.
const WIDTH: usize = 220;
const LINE: usize = 16;
const PAD: usize = 8;
const GAP: usize = 14;
const BETWEEN: usize = 56;

/// Where a node stands.
struct Spot {
    node: usize,
    x: usize,
    y: usize,
    height: usize,
}

pub(super) fn shown(place: &Place<'_>, trace: &Trace, story: &Story<'_>) -> Markup {
    let graph = Graph::of(trace);
    if graph.nodes.len() < 2 {
        return html! {};
    }
    let depths = depths(&graph);
    let left = graph.nodes.len() - depths.len();
    let boxes = boxes(&graph, &depths);
    let width = boxes.iter().map(|one| one.x + WIDTH).max().unwrap_or_default() + 2;
    let height = boxes.iter().map(|one| one.y + one.height).max().unwrap_or_default() + 2;
    let at: HashMap<usize, &Spot> = boxes.iter().map(|one| (one.node, one)).collect();
    let to = Anchors::of(story);
    html! {
        h2 { "As a graph" }
        @if left > 0 {
            p .dim {
                "The nearest " (NODES) " parts are drawn; "
                (plural(left as u64, "further part is", "further parts are")) " in the steps below."
            }
        }
        div .wide.lineage tabindex="0" role="group" aria-label="Graph: sources on the left, the file on the right" {
            svg width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } {
                @for arrow in &graph.arrows {
                    @if let (Some(from), Some(to)) = (at.get(&arrow.from), at.get(&arrow.to)) {
                        path .arrow d=(curve(from, to)) { @if !arrow.label.is_empty() { title { (arrow.label) } } }
                    }
                }
                @for one in &boxes { (drawn(place, &graph.nodes[one.node], one, &to)) }
            }
        }
    }
}

/// The distance of each node from the file, in steps of the longest way; of the nearest nodes only.
fn depths(graph: &Graph<'_>) -> HashMap<usize, usize> {
    let mut into: HashMap<usize, Vec<usize>> = HashMap::new();
    for arrow in &graph.arrows {
        into.entry(arrow.to).or_default().push(arrow.from);
    }
    let (mut near, mut open) = (vec![0], VecDeque::from([0]));
    while let Some(node) = open.pop_front() {
        for before in into.get(&node).into_iter().flatten() {
            if near.len() < NODES && !near.contains(before) {
                near.push(*before);
                open.push_back(*before);
            }
        }
    }
    let mut depths: HashMap<usize, usize> = near.iter().map(|node| (*node, 0)).collect();
    // There are no circles in a trace; if there were one, this would still end.
    for _ in 0..near.len() {
        let mut is_changed = false;
        for arrow in &graph.arrows {
            let (Some(after), Some(before)) = (depths.get(&arrow.to).copied(), depths.get(&arrow.from).copied()) else {
                continue;
            };
            if before <= after && after < near.len() {
                depths.insert(arrow.from, after + 1);
                is_changed = true;
            }
        }
        if !is_changed {
            break;
        }
    }
    depths
}

/// Places nodes in columns, each in the order of what they lead to.
fn boxes(graph: &Graph<'_>, depths: &HashMap<usize, usize>) -> Vec<Spot> {
    let deepest = depths.values().copied().max().unwrap_or_default();
    let (mut boxes, mut places): (Vec<Spot>, HashMap<usize, usize>) = Default::default();
    for depth in 0..=deepest {
        let mut column: Vec<usize> = depths.iter().filter(|(_, own)| **own == depth).map(|(node, _)| *node).collect();
        let middle = |node: usize| {
            let after: Vec<usize> = graph
                .arrows
                .iter()
                .filter(|arrow| arrow.from == node)
                .filter_map(|arrow| places.get(&arrow.to).copied())
                .collect();
            if after.is_empty() { 0 } else { after.iter().sum::<usize>() / after.len() }
        };
        column.sort_by_key(|node| (middle(*node), *node));
        let (mut y, x) = (1, 1 + (deepest - depth) * (WIDTH + BETWEEN));
        for node in column {
            let height = graph.nodes[node].lines.len().min(LINES) * LINE + PAD;
            places.insert(node, y + height / 2);
            boxes.push(Spot { node, x, y, height });
            y += height + GAP;
        }
    }
    boxes.sort_by_key(|one| (one.x, one.y));
    boxes
}

fn curve(from: &Spot, to: &Spot) -> String {
    let (x, y) = (from.x + WIDTH, from.y + from.height / 2);
    let (to_x, to_y) = (to.x, to.y + to.height / 2);
    let middle = usize::midpoint(x, to_x);
    let mut path = String::new();
    let _ = write!(path, "M{x} {y}C{middle} {y} {middle} {to_y} {to_x} {to_y}");
    path
}

fn drawn(place: &Place<'_>, node: &Node<'_>, one: &Spot, to: &Anchors) -> Markup {
    let (sort, words) = match node.sort {
        Sort::Asked => ("asked", "the file"),
        Sort::File => ("made", "a file that was made"),
        Sort::Source => ("source", "a source"),
        Sort::Directory => ("folder", "a folder"),
        Sort::Datum => ("datum", "an execution"),
        Sort::End => ("end", "not followed"),
    };
    let inside = html! {
        rect .node data-sort=(sort) x=(one.x) y=(one.y) width=(WIDTH) height=(one.height) rx=(if node.sort == Sort::Datum { 8 } else { 1 }) {
        }
        title { (words) ": " (node.lines.join("\n")) }
        @for (number, line) in node.lines.iter().take(LINES).enumerate() {
            text x=(one.x + PAD) y=(one.y + PAD / 2 + (number + 1) * LINE - 4) { (cut(line)) }
        }
    };
    let address = to.address(place, node.about);
    html! { @match address { Some(address) => a href=(place.look.link(&address)) { (inside) }, None => g { (inside) } } }
}

/// A line, cut in its middle: both ends of a path tell something.
fn cut(line: &str) -> String {
    let line = line.lines().next().unwrap_or_default();
    let letters: Vec<char> = line.chars().collect();
    if letters.len() <= CHARACTERS {
        return line.to_owned();
    }
    let (start, end) = (CHARACTERS / 2 - 1, letters.len() - CHARACTERS / 2);
    letters[..start].iter().chain(&['…']).chain(&letters[end..]).collect()
}

/// The number of each step, by what it is about.
struct Anchors {
    datums: HashMap<DatumId, usize>,
    commits: HashMap<CommitId, usize>,
}

impl Anchors {
    fn of(story: &Story<'_>) -> Self {
        let (mut datums, mut commits) = (HashMap::new(), HashMap::new());
        for (number, step) in story.steps.iter().enumerate() {
            match step {
                StoryStep::Commit { source, .. } => _ = commits.insert(source.commit, number),
                StoryStep::Datum { datum, .. } => _ = datums.insert(datum.id, number),
            }
        }
        Self { datums, commits }
    }

    /// A datum's step on this page's list; a file among the files of its commit.
    fn address(&self, place: &Place<'_>, about: About<'_>) -> Option<Address> {
        let step = |number: &usize| {
            let page = number / PAGE * PAGE;
            place.here().with_some("after", (page > 0).then_some(page)).at(&format!("step-{}", number + 1))
        };
        match about {
            About::Datum(datum) => self.datums.get(&datum.id).map(step),
            About::File(file) => match self.commits.get(shown_commit(file)) {
                Some(number) => Some(step(number)),
                None => Some(address::files(&file.repo, shown_commit(file), Some(&file.path))),
            },
            About::Directory(input) => {
                let commit = input.commit.as_ref()?;
                Some(address::files(&commit.repo, &commit.id, Some(&input.path)))
            }
            About::Nothing => None,
        }
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn a_long_line_keeps_both_ends() {
        assert_eq!(cut("short"), "short");
        let cut = cut("images@0123456789ab:/a/very/long/path/to/a/picture.jpg");
        assert_eq!(cut.chars().count(), CHARACTERS);
        assert!(cut.starts_with("images@") && cut.ends_with("picture.jpg"), "{cut}");
    }
}
