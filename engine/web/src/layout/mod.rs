//! Where the nodes of a graph stand: columns from left to right, edges between them as lines.
//!
//! The way of Sugiyama, Tagawa and Toda (*Methods for Visual Understanding of Hierarchical System Structures*, 1981), in steps:
//! - `layers`  cycles are broken, and each node gets the column after the last of those that it depends on (longest path), so what stands in
//!   one column could start together
//! - `order`   edges over several columns get a place in each of them; then nodes are sorted by the mean of their neighbours' places
//!   (barycentre), column by column, there and back. The order with the fewest crossings counts
//! - `heights` the vertical positions: as near to the mean of the neighbours as the order allows
//!
//! For tests and the benchmark: `generated` graphs, and, with the feature `bench`, `beside`: the same by `rust-sugiyama`.
//!
//! The same nodes and edges always get the same places, however often they are laid out: a page that is updated never moves. States are not
//! part of a layout. Layouts are kept, by the digest of what was laid out.
//!
//! Not here: which nodes are shown, what they look like (`views::graph`).

#[cfg(feature = "bench")]
pub mod beside;
#[cfg(any(test, feature = "bench"))]
mod generated;
mod heights;
mod layers;
mod order;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use quick_cache::Weighter;
use quick_cache::sync::Cache;
use repos::hash::digest_of;
use specs::Digest;

use order::Columns;

/// Between columns, where edges change their height.
const COLUMN_GAP: i32 = 56;
/// Between the graph and the nodes without edges, and between rows of these.
const ROW_GAP: i32 = 16;
/// A row of nodes without edges is at least so wide.
const ROW_WIDTH: i32 = 960;
/// What heights and distances are made of.
pub(crate) const UNIT: i32 = 4;

/// The size of a node. Lengths are those of the picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Size {
    pub width: i32,
    pub height: i32,
}

/// A graph: the sizes of its nodes, and its edges from one to another. Edges from a node to itself are not drawn.
#[derive(Debug, Clone, Copy)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Shape<'a> {
    pub nodes: &'a [Size],
    pub edges: &'a [(usize, usize)],
}

/// A node at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Placed {
    pub x: i32,
    pub y: i32,
    pub width: i32,
    pub height: i32,
    /// Its column, from 0; absent for a node without edges.
    pub layer: Option<usize>,
}

/// A graph at its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The whole width.
    pub width: i32,
    /// The whole height.
    pub height: i32,
    /// The nodes, in the order of the shape.
    pub nodes: Vec<Placed>,
    /// The edges, in the order of the shape: the points of each, two for each column that it passes, from the right side of its first node
    /// to the left side of its last. Empty from a node to itself. An edge that closes a cycle runs from right to left.
    pub lines: Vec<Vec<(i32, i32)>>,
}

/// Lays a graph out, or takes the layout that it got before.
pub fn layout(shape: Shape<'_>) -> Arc<Layout> {
    let digest = topology(shape);
    let made = KEPT.get_or_insert_with(&digest, || Ok::<_, std::convert::Infallible>(Arc::new(compute(shape))));
    let Ok(layout) = made;
    layout
}

/// Points of layouts that are kept, some 16 bytes each.
const KEPT_POINTS: u64 = 500_000;

static KEPT: LazyLock<Cache<Digest, Arc<Layout>, Points>> =
    LazyLock::new(|| Cache::with_weighter(64, KEPT_POINTS, Points));

#[derive(Debug, Clone)]
struct Points;

impl Weighter<Digest, Arc<Layout>> for Points {
    fn weight(&self, _: &Digest, layout: &Arc<Layout>) -> u64 {
        (1 + layout.nodes.len() * 3 + layout.lines.iter().map(|line| line.len() + 2).sum::<usize>()) as u64
    }
}

/// The digest of what is laid out.
fn topology(shape: Shape<'_>) -> Digest {
    let mut bytes = Vec::with_capacity(shape.nodes.len() * 8 + shape.edges.len() * 16 + 8);
    bytes.extend((shape.nodes.len() as u64).to_be_bytes());
    bytes.extend(shape.nodes.iter().flat_map(|node| [node.width, node.height]).flat_map(i32::to_be_bytes));
    bytes.extend(shape.edges.iter().flat_map(|(from, to)| [*from as u64, *to as u64]).flat_map(u64::to_be_bytes));
    digest_of(&bytes)
}

fn compute(shape: Shape<'_>) -> Layout {
    let layered = layers::layers(shape);
    let columns = order::columns(shape, &layered);
    let mut layout = placed(shape, &layered.layer, &columns);
    place_others(shape, &mut layout);
    layout
}

/// Puts cells at their heights, columns beside each other, and lines through them.
fn placed(shape: Shape<'_>, layer: &[Option<usize>], columns: &Columns) -> Layout {
    let tops = heights::tops(columns);
    let mut lefts = Vec::with_capacity(columns.layers.len());
    let mut rights = Vec::with_capacity(columns.layers.len());
    let mut x = 0;
    for cells in &columns.layers {
        let width = cells.iter().filter_map(|cell| shape.nodes.get(*cell)).map(|node| node.width).max();
        lefts.push(x);
        x += width.unwrap_or(0);
        rights.push(x);
        x += COLUMN_GAP;
    }
    let node = |(at, size): (usize, &Size)| {
        let (x, y) = layer[at].map_or((0, 0), |layer| (lefts[layer], tops[at]));
        Placed { x, y, width: size.width, height: size.height, layer: layer[at] }
    };
    let nodes: Vec<Placed> = shape.nodes.iter().enumerate().map(node).collect();
    let line = |chain: &Vec<usize>| {
        let mut points = Vec::with_capacity(chain.len() * 2);
        for (at, cell) in chain.iter().enumerate() {
            let (column, middle) = (columns.layer[*cell], tops[*cell] + columns.height[*cell] / 2);
            if at > 0 {
                points.push((lefts[column], middle));
            }
            if at == 0 {
                points.push((lefts[column] + nodes[*cell].width, middle));
            }
            if at + 1 < chain.len() {
                points.push((rights[column], middle));
            }
        }
        points
    };
    let mut lines: Vec<Vec<(i32, i32)>> = columns.chains.iter().map(line).collect();
    for (line, is_reversed) in lines.iter_mut().zip(&columns.reversed) {
        if *is_reversed {
            line.reverse();
        }
    }
    let bottom = |layer: &Vec<usize>| layer.last().map(|cell| tops[*cell] + columns.height[*cell]);
    let height = columns.layers.iter().filter_map(bottom).max().unwrap_or(0);
    Layout { width: rights.last().copied().unwrap_or(0), height, nodes, lines }
}

/// Nodes without edges stand in rows below the others.
fn place_others(shape: Shape<'_>, layout: &mut Layout) {
    let most = layout.width.max(ROW_WIDTH);
    let (mut x, mut y, mut row_height) = (0, layout.height, 0);
    for at in 0..shape.nodes.len() {
        if layout.nodes[at].layer.is_some() {
            continue;
        }
        let Size { width, height } = shape.nodes[at];
        if row_height == 0 || x + width > most {
            y += row_height + if y + row_height > 0 { ROW_GAP } else { 0 };
            (x, row_height) = (0, 0);
        }
        (layout.nodes[at].x, layout.nodes[at].y) = (x, y);
        row_height = row_height.max(height);
        layout.width = layout.width.max(x + width);
        layout.height = layout.height.max(y + height);
        x += width + ROW_GAP;
    }
}
