//! Our layout beside that of `rust-sugiyama`, for `make bench`: how long each takes, and how many edges cross. Only the feature `bench` has it.
//!
//! Edges count as straight lines from node to node, for both: `rust-sugiyama` does not say how its edges run.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use rust_sugiyama::configure::Config;
use rust_sugiyama::from_vertices_and_edges;
use serde::Serialize;

use super::generated::layered;
use super::{Shape, Size, compute};

/// Each is repeated for as long, at least once; the median counts.
const TIME: Duration = Duration::from_secs(5);

/// One graph, laid out by both.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Beside {
    pub nodes: usize,
    pub edges: usize,
    pub ours: Laid,
    pub theirs: Laid,
}

/// What one of them made of it.
#[derive(Debug, Clone, Copy, Serialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Laid {
    pub seconds: f64,
    pub crossings: u64,
}

type Point = (f64, f64);

/// Lays a graph of so many nodes out.
pub fn beside(count: usize) -> Beside {
    let (nodes, edges) = layered(count);
    let of = |(seconds, places): (f64, Vec<Point>)| Laid { seconds, crossings: crossings(&places, &edges) };
    let (ours, theirs) = (of(ours(&nodes, &edges)), of(theirs(&nodes, &edges)));
    Beside { nodes: nodes.len(), edges: edges.len(), ours, theirs }
}

fn ours(nodes: &[Size], edges: &[(usize, usize)]) -> (f64, Vec<Point>) {
    let (seconds, layout) = timed(|| compute(Shape { nodes, edges }));
    (seconds, layout.nodes.iter().map(|node| (f64::from(node.x), f64::from(node.y))).collect())
}

fn theirs(nodes: &[Size], edges: &[(usize, usize)]) -> (f64, Vec<Point>) {
    let size = |node: &Size| (f64::from(node.width), f64::from(node.height));
    let nodes: Vec<(u32, Point)> = (0..).zip(nodes.iter().map(size)).collect();
    let edges: Vec<(u32, u32)> = edges.iter().map(|(from, to)| (*from as u32, *to as u32)).collect();
    let (seconds, parts) = timed(|| from_vertices_and_edges(&nodes, &edges, &Config::default()));
    let (mut places, mut right) = (HashMap::new(), 0.0);
    // Parts of the graph that no edge joins are laid out each on its own: here they stand side by side.
    for (part, _, _) in parts {
        let left = part.iter().map(|(_, (x, _))| *x).fold(f64::INFINITY, f64::min);
        let width = part.iter().map(|(_, (x, _))| *x - left).fold(0.0, f64::max);
        places.extend(part.into_iter().map(|(node, (x, y))| (node, (x - left + right, y))));
        right += width + 1.0;
    }
    (seconds, (0..nodes.len()).map(|node| places[&node]).collect())
}

/// The median of the seconds that something takes, and what it makes.
fn timed<T>(make: impl Fn() -> T) -> (f64, T) {
    let (start, mut took) = (Instant::now(), Vec::new());
    loop {
        let before = Instant::now();
        let made = make();
        took.push(before.elapsed());
        if start.elapsed() >= TIME {
            took.sort_unstable();
            return (took[took.len() / 2].as_secs_f64(), made);
        }
    }
}

fn crossings(places: &[Point], edges: &[(usize, usize)]) -> u64 {
    let after = |at: usize| edges[at + 1..].iter().filter(move |other| do_cross(places, edges[at], **other));
    (0..edges.len()).map(|at| after(at).count() as u64).sum()
}

/// Whether two lines have a point in common, other than an end that is that of both.
fn do_cross(places: &[Point], one: (usize, usize), other: (usize, usize)) -> bool {
    let side = |line: (usize, usize), node: usize| {
        let ((x, y), (to_x, to_y), (of_x, of_y)) = (places[line.0], places[line.1], places[node]);
        (to_x - x) * (of_y - y) - (to_y - y) * (of_x - x)
    };
    let are_apart = |line: (usize, usize), by: (usize, usize)| side(by, line.0) * side(by, line.1) < 0.0;
    let is_end = [other.0, other.1].contains(&one.0) || [other.0, other.1].contains(&one.1);
    !is_end && are_apart(one, other) && are_apart(other, one)
}
