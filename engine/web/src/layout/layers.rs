//! Columns: cycles are broken, and each node stands after all that it depends on.

use super::Shape;

/// The columns of nodes, and the edges as they lead to the right.
#[derive(Debug)]
pub(super) struct Layered {
    /// The column of each node; absent for nodes without edges.
    pub(super) layer: Vec<Option<usize>>,
    /// For each edge of the shape its ends from left to right, and whether it was turned round; absent from a node to itself.
    pub(super) edges: Vec<Option<Edge>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edge {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) is_reversed: bool,
}

pub(super) fn layers(shape: Shape<'_>) -> Layered {
    let count = shape.nodes.len();
    let edges = without_cycles(count, shape.edges);
    let mut outs = vec![Vec::new(); count];
    let mut waits_for = vec![0_usize; count];
    for edge in edges.iter().flatten() {
        outs[edge.from].push(edge.to);
        waits_for[edge.to] += 1;
    }
    let is_source: Vec<bool> = waits_for.iter().map(|count| *count == 0).collect();
    let mut ready: Vec<usize> = (0..count).filter(|node| is_source[*node]).collect();
    let mut longest = vec![0; count];
    while let Some(node) = ready.pop() {
        for to in &outs[node] {
            longest[*to] = longest[*to].max(longest[node] + 1);
            waits_for[*to] -= 1;
            if waits_for[*to] == 0 {
                ready.push(*to);
            }
        }
    }
    // What depends on nothing stands right before its first reader: its edges are short.
    for node in 0..count {
        if let Some(first) = outs[node].iter().map(|to| longest[*to]).min().filter(|_| is_source[node]) {
            longest[node] = first - 1;
        }
    }
    let has_edges = |node: usize| !is_source[node] || !outs[node].is_empty();
    Layered { layer: (0..count).map(|node| has_edges(node).then_some(longest[node])).collect(), edges }
}

/// Turns edges round that lead back to a node on the way to them, in a search that goes deep first.
fn without_cycles(count: usize, edges: &[(usize, usize)]) -> Vec<Option<Edge>> {
    let edge = |(from, to): &(usize, usize)| Edge { from: *from, to: *to, is_reversed: false };
    let mut found: Vec<Option<Edge>> = edges.iter().map(|ends| (ends.0 != ends.1).then(|| edge(ends))).collect();
    let mut outs = vec![Vec::new(); count];
    for (at, edge) in found.iter().enumerate() {
        if let Some(edge) = edge {
            outs[edge.from].push(at);
        }
    }
    let (mut is_seen, mut is_open) = (vec![false; count], vec![false; count]);
    for start in 0..count {
        let mut way = if is_seen[start] { Vec::new() } else { vec![(start, 0)] };
        while let Some((node, next)) = way.last_mut() {
            (is_seen[*node], is_open[*node]) = (true, true);
            let Some(at) = outs[*node].get(*next) else {
                is_open[*node] = false;
                way.pop();
                continue;
            };
            *next += 1;
            let Some(Edge { from, to, .. }) = found[*at] else { continue };
            if is_open[to] {
                found[*at] = Some(Edge { from: to, to: from, is_reversed: true });
            } else if !is_seen[to] {
                way.push((to, 0));
            }
        }
    }
    found
}
