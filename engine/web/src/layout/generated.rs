//! Graphs to measure and to test layouts with: the same for a size, whenever they are made.

use super::Size;

/// A graph as pipelines make it: `count` nodes in layers, each with one to three inputs from the layers before.
pub(crate) fn layered(count: usize) -> (Vec<Size>, Vec<(usize, usize)>) {
    let mut seed = 7_u64;
    let mut random = |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % most
    };
    let width = count.isqrt().max(1);
    let mut edges = Vec::new();
    for node in width..count {
        let first = (node / width).saturating_sub(3) * width;
        for _ in 0..=random(3) {
            edges.push((first + random(node / width * width - first), node));
        }
    }
    edges.sort_unstable();
    edges.dedup();
    (vec![Size { width: 128, height: 44 }; count], edges)
}
