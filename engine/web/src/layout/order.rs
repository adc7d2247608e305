//! The order within columns: few crossings.
//!
//! Crossings of two columns are counted as Barth, Mutzel and Jünger do (*Simple and Efficient Bilayer Cross Counting*, 2004), with a tree of
//! sums by Fenwick (*A New Data Structure for Cumulative Frequency Tables*, 1994).

use super::layers::{Edge, Layered};
use super::{Shape, UNIT};

/// How often nodes are sorted, there or back, at most.
const SWEEPS: usize = 24;
/// So many times in a row without an improvement are enough.
const PATIENCE: usize = 6;
/// The height of the place that an edge has in a column which it passes.
const PASSING: i32 = 3 * UNIT;

/// The cells of the columns: nodes of the shape, and after them the places of edges that pass.
#[derive(Debug)]
pub(super) struct Columns {
    /// The cells of each column, from top to bottom.
    pub(super) layers: Vec<Vec<usize>>,
    /// The column of each cell.
    pub(super) layer: Vec<usize>,
    /// The height of each cell.
    pub(super) height: Vec<i32>,
    /// The cells of each edge, from left to right; empty from a node to itself.
    pub(super) chains: Vec<Vec<usize>>,
    /// Which edges were turned round.
    pub(super) reversed: Vec<bool>,
    /// The neighbours of each cell in the column before.
    pub(super) ins: Vec<Vec<usize>>,
    /// Those in the column after.
    pub(super) outs: Vec<Vec<usize>>,
    /// The number of nodes: later cells are places of edges.
    pub(super) nodes: usize,
}

impl Columns {
    /// Whether a cell is the place of an edge that passes.
    pub(super) fn is_passing(&self, cell: usize) -> bool {
        cell >= self.nodes
    }
}

/// The columns, in a good order.
pub(super) fn columns(shape: Shape<'_>, layered: &Layered) -> Columns {
    let mut columns = with_passing(shape, layered);
    columns.layers = first_order(&columns, &layered.layer);
    improve(&mut columns);
    columns
}

/// The cells, still without an order.
fn with_passing(shape: Shape<'_>, layered: &Layered) -> Columns {
    let mut columns = Columns {
        layers: Vec::new(),
        layer: layered.layer.iter().map(|layer| layer.unwrap_or(0)).collect(),
        height: shape.nodes.iter().map(|node| node.height).collect(),
        chains: Vec::with_capacity(layered.edges.len()),
        reversed: layered.edges.iter().map(|edge| edge.is_some_and(|edge| edge.is_reversed)).collect(),
        ins: Vec::new(),
        outs: Vec::new(),
        nodes: shape.nodes.len(),
    };
    for edge in &layered.edges {
        let Some(Edge { from, to, .. }) = *edge else {
            columns.chains.push(Vec::new());
            continue;
        };
        let mut chain = vec![from];
        for layer in columns.layer[from] + 1..columns.layer[to] {
            chain.push(columns.layer.len());
            columns.layer.push(layer);
            columns.height.push(PASSING);
        }
        chain.push(to);
        columns.chains.push(chain);
    }
    columns.ins = vec![Vec::new(); columns.layer.len()];
    columns.outs = columns.ins.clone();
    for pair in columns.chains.iter().flat_map(|chain| chain.windows(2)) {
        columns.outs[pair[0]].push(pair[1]);
        columns.ins[pair[1]].push(pair[0]);
    }
    columns
}

/// Cells in the order in which a search that goes deep first meets them: a tree has no crossings.
fn first_order(columns: &Columns, layer: &[Option<usize>]) -> Vec<Vec<usize>> {
    let count = columns.layer.len();
    let is_there = |cell: usize| layer.get(cell).is_none_or(Option::is_some);
    let last = (0..count).filter(|cell| is_there(*cell)).map(|cell| columns.layer[cell]).max();
    let mut layers = vec![Vec::new(); last.map_or(0, |last| last + 1)];
    let mut is_seen = vec![false; count];
    let starts = (0..count).filter(|cell| is_there(*cell) && columns.ins[*cell].is_empty());
    for start in starts {
        let mut open = vec![start];
        while let Some(cell) = open.pop() {
            if !std::mem::replace(&mut is_seen[cell], true) {
                layers[columns.layer[cell]].push(cell);
                open.extend(columns.outs[cell].iter().rev().filter(|to| !is_seen[**to]));
            }
        }
    }
    layers
}

/// Sorts the columns by the places of their neighbours, there and back, and keeps the best order.
fn improve(columns: &mut Columns) {
    let mut place = vec![0; columns.layer.len()];
    let note = |place: &mut Vec<usize>, cells: &[usize]| {
        cells.iter().enumerate().for_each(|(at, cell)| place[*cell] = at);
    };
    columns.layers.iter().for_each(|cells| note(&mut place, cells));
    let mut now = columns.layers.clone();
    let mut least = crossings(columns, &now, &place);
    let mut in_vain = 0;
    for sweep in 0..SWEEPS {
        if least == 0 || in_vain == PATIENCE {
            break;
        }
        let goes_right = sweep % 2 == 0;
        let neighbours = if goes_right { &columns.ins } else { &columns.outs };
        for step in 1..now.len() {
            let layer = if goes_right { step } else { now.len() - 1 - step };
            sort(&mut now[layer], neighbours, &place);
            note(&mut place, &now[layer]);
        }
        let count = crossings(columns, &now, &place);
        in_vain += 1;
        if count < least {
            (least, in_vain) = (count, 0);
            columns.layers.clone_from(&now);
        }
    }
}

/// Sorts a column by the mean place of each cell's neighbours; those without stay where they are.
#[expect(clippy::cast_precision_loss, reason = "places are small numbers")]
fn sort(cells: &mut [usize], neighbours: &[Vec<usize>], place: &[usize]) {
    let mean = |cell: usize| {
        let near = &neighbours[cell];
        let sum: usize = near.iter().map(|other| place[*other]).sum();
        (!near.is_empty()).then(|| sum as f64 / near.len() as f64)
    };
    let mut moving: Vec<(f64, usize)> = cells.iter().filter_map(|cell| Some((mean(*cell)?, *cell))).collect();
    moving.sort_by(|one, other| one.0.total_cmp(&other.0)); // stable: equal means keep their order
    let mut moving = moving.into_iter();
    for cell in cells {
        if !neighbours[*cell].is_empty()
            && let Some((_, next)) = moving.next()
        {
            *cell = next;
        }
    }
}

/// The number of crossings between all columns.
fn crossings(columns: &Columns, layers: &[Vec<usize>], place: &[usize]) -> u64 {
    let mut ends = Vec::new();
    let between = |cells: &Vec<usize>| {
        ends.clear();
        for cell in cells {
            let first = ends.len();
            ends.extend(columns.outs[*cell].iter().map(|to| place[*to]));
            ends[first..].sort_unstable();
        }
        inversions(&ends)
    };
    layers.iter().map(between).sum()
}

/// The number of pairs of which the first is larger.
pub(super) fn inversions(numbers: &[usize]) -> u64 {
    let mut sums = vec![0_u64; numbers.iter().max().map_or(0, |most| most + 2)];
    let mut pairs = 0;
    for (earlier, number) in (0_u64..).zip(numbers) {
        let mut not_larger = 0;
        let mut at = number + 1;
        while at > 0 {
            not_larger += sums[at];
            at &= at - 1;
        }
        pairs += earlier - not_larger;
        at = number + 1;
        while at < sums.len() {
            sums[at] += 1;
            at += at & at.wrapping_neg();
        }
    }
    pairs
}
