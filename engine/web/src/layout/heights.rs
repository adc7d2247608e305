//! The vertical positions: each cell as near as possible to the mean of its neighbours, in the order of its column.
//!
//! In a column this is a regression by least squares under the condition that positions rise: isotonic regression, by pooling adjacent
//! violators (Ayer, Brunk, Ewing, Reid and Silverman, *An Empirical Distribution Function for Sampling with Incomplete Information*, 1955).
//! How much edges weigh, so that long ones become straight, is from Gansner, Koutsofios, North and Vo (*A Technique for Drawing Directed
//! Graphs*, 1993).

use super::UNIT;
use super::order::Columns;

/// Positions are multiples of this: lines that are nearly straight become so, and a picture has fewer different numbers.
const GRID: i32 = 2 * UNIT;
/// How often all columns are moved.
const ROUNDS: usize = 10;

/// Which neighbours count.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Near {
    Before,
    After,
    Both,
}

/// The upper ends of the cells.
pub(super) fn tops(columns: &Columns) -> Vec<i32> {
    let mut middle: Vec<f64> = vec![0.0; columns.layer.len()];
    for cells in &columns.layers {
        let offsets = offsets(columns, cells);
        cells.iter().zip(offsets).for_each(|(cell, offset)| middle[*cell] = f64::from(offset));
    }
    for round in 0..ROUNDS {
        let near = match round {
            _ if round + 2 >= ROUNDS => Near::Both,
            _ if round % 2 == 0 => Near::Before,
            _ => Near::After,
        };
        for step in 0..columns.layers.len() {
            let layer = if near == Near::After { columns.layers.len() - 1 - step } else { step };
            let places = regression(columns, &columns.layers[layer], &middle, near);
            columns.layers[layer].iter().zip(places).for_each(|(cell, place)| middle[*cell] = place);
        }
    }
    let mut tops = vec![0; columns.layer.len()];
    for cells in &columns.layers {
        let offsets = offsets(columns, cells);
        let mut last = i32::MIN;
        for (cell, offset) in cells.iter().zip(offsets) {
            // What is rounded are rising numbers, so all distances stay; `max`, since sums of floats are not exact.
            last = last.max(rounded(middle[*cell] - f64::from(offset)));
            tops[*cell] = last + offset - columns.height[*cell] / 2;
        }
    }
    let least = columns.layers.iter().filter_map(|cells| cells.first()).map(|cell| tops[*cell]).min().unwrap_or(0);
    for top in &mut tops {
        *top -= least;
    }
    tops
}

#[expect(clippy::cast_possible_truncation, reason = "positions in a picture")]
fn rounded(position: f64) -> i32 {
    (position / f64::from(GRID)).round() as i32 * GRID
}

/// The middles of a column's cells if they stand as close as they may.
fn offsets(columns: &Columns, cells: &[usize]) -> Vec<i32> {
    let mut offsets: Vec<i32> = Vec::with_capacity(cells.len());
    for (at, cell) in cells.iter().enumerate() {
        let distance = |before: &usize| {
            let gap = match (columns.is_passing(*before), columns.is_passing(*cell)) {
                (false, false) => 3 * UNIT,
                _ => UNIT,
            };
            columns.height[*before] / 2 + gap + columns.height[*cell] / 2
        };
        let before = at.checked_sub(1).map(|before| offsets[before] + distance(&cells[before]));
        offsets.push(before.unwrap_or(0));
    }
    offsets
}

/// The best middles of a column's cells.
fn regression(columns: &Columns, cells: &[usize], middle: &[f64], near: Near) -> Vec<f64> {
    /// Neighbouring cells at their smallest distances, which move as one.
    struct Block {
        weight: f64,
        mean: f64,
        count: usize,
    }
    let offsets = offsets(columns, cells);
    let mut blocks: Vec<Block> = Vec::new();
    for (cell, offset) in cells.iter().zip(&offsets) {
        let (weight, wanted) = wanted(columns, *cell, middle, near);
        let mut block = Block { weight, mean: wanted - f64::from(*offset), count: 1 };
        while let Some(before) = blocks.pop_if(|before| before.mean > block.mean) {
            let weight = before.weight + block.weight;
            let mean = (before.mean * before.weight + block.mean * block.weight) / weight;
            block = Block { weight, mean, count: before.count + block.count };
        }
        blocks.push(block);
    }
    let means = blocks.iter().flat_map(|block| std::iter::repeat_n(block.mean, block.count));
    means.zip(&offsets).map(|(mean, offset)| mean + f64::from(*offset)).collect()
}

/// Where a cell wants to be, and how much.
fn wanted(columns: &Columns, cell: usize, middle: &[f64], near: Near) -> (f64, f64) {
    let before = columns.ins[cell].iter().filter(|_| near != Near::After);
    let after = columns.outs[cell].iter().filter(|_| near != Near::Before);
    let (mut weight, mut sum) = (0.0, 0.0);
    for other in before.chain(after) {
        let of_edge = match (columns.is_passing(cell), columns.is_passing(*other)) {
            (true, true) => 8.0,
            (false, false) => 1.0,
            _ => 2.0,
        };
        weight += of_edge;
        sum += of_edge * middle[*other];
    }
    // Without neighbours it stays, but gives way.
    if weight == 0.0 { (0.05, middle[cell]) } else { (weight, sum / weight) }
}
