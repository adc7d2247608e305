use proptest::prelude::*;

use super::generated::layered;
use super::layers::layers;
use super::order::inversions;
use super::*;

/// A graph of any form: also with cycles, edges from a node to itself, the same edge twice, nodes without edges.
fn shapes() -> impl Strategy<Value = (Vec<Size>, Vec<(usize, usize)>)> {
    let size = (1..30_i32, 1..15_i32).prop_map(|(width, height)| Size { width: width * 8, height: height * UNIT });
    prop::collection::vec(size, 1..40).prop_flat_map(|nodes| {
        let count = nodes.len();
        (Just(nodes), prop::collection::vec((0..count, 0..count), 0..80))
    })
}

fn overlap(one: &Placed, other: &Placed) -> bool {
    one.x < other.x + other.width
        && other.x < one.x + one.width
        && one.y < other.y + other.height
        && other.y < one.y + one.height
}

proptest! {
    #[test]
    fn no_two_nodes_overlap_and_all_are_inside((nodes, edges) in shapes()) {
        let layout = compute(Shape { nodes: &nodes, edges: &edges });
        for (at, one) in layout.nodes.iter().enumerate() {
            prop_assert_eq!((one.width, one.height), (nodes[at].width, nodes[at].height));
            prop_assert!(one.x >= 0 && one.y >= 0);
            prop_assert!(one.x + one.width <= layout.width && one.y + one.height <= layout.height);
            for other in &layout.nodes[at + 1..] {
                prop_assert!(!overlap(one, other), "{:?} {:?}", one, other);
            }
        }
    }

    #[test]
    fn the_same_graph_gets_the_same_places((nodes, edges) in shapes()) {
        let shape = Shape { nodes: &nodes, edges: &edges };
        let first = compute(shape);
        prop_assert_eq!(&compute(shape), &first);
        prop_assert_eq!(&*layout(shape), &first);
        prop_assert_eq!(&*layout(shape), &first);
    }

    #[test]
    fn edges_lead_to_later_columns_and_from_node_to_node((nodes, edges) in shapes()) {
        let shape = Shape { nodes: &nodes, edges: &edges };
        let (layered, layout) = (layers(shape), compute(shape));
        prop_assert_eq!(layout.lines.len(), edges.len());
        for ((edge, line), (from, to)) in layered.edges.iter().zip(&layout.lines).zip(&edges) {
            let Some(edge) = edge else {
                prop_assert!(line.is_empty() && from == to);
                continue;
            };
            prop_assert!(layered.layer[edge.from] < layered.layer[edge.to]);
            let mut line = line.clone();
            if edge.is_reversed {
                prop_assert_eq!((edge.from, edge.to), (*to, *from));
                line.reverse();
            }
            let (from, to) = (&layout.nodes[edge.from], &layout.nodes[edge.to]);
            prop_assert_eq!(line.first().copied(), Some((from.x + from.width, from.y + from.height / 2)));
            prop_assert_eq!(line.last().copied(), Some((to.x, to.y + to.height / 2)));
            prop_assert!(line.windows(2).all(|pair| pair[0].0 <= pair[1].0));
        }
    }

    #[test]
    fn heights_keep_the_order_of_each_column((nodes, edges) in shapes()) {
        let shape = Shape { nodes: &nodes, edges: &edges };
        let columns = order::columns(shape, &layers(shape));
        let tops = heights::tops(&columns);
        for cells in &columns.layers {
            for pair in cells.windows(2) {
                prop_assert!(tops[pair[0]] + columns.height[pair[0]] < tops[pair[1]]);
            }
        }
    }

    #[test]
    fn an_edge_that_passes_a_column_touches_no_node_of_it((nodes, edges) in shapes()) {
        let layout = compute(Shape { nodes: &nodes, edges: &edges });
        for (line, (from, to)) in layout.lines.iter().zip(&edges) {
            for pair in line.windows(2).filter(|pair| pair[0].1 == pair[1].1) {
                let (left, right) = (pair[0].0.min(pair[1].0), pair[0].0.max(pair[1].0));
                for (at, node) in layout.nodes.iter().enumerate().filter(|(at, _)| at != from && at != to) {
                    let is_beside = right <= node.x || node.x + node.width <= left;
                    prop_assert!(is_beside || pair[0].1 <= node.y || node.y + node.height <= pair[0].1, "{at}");
                }
            }
        }
    }

    #[test]
    fn crossings_are_counted_as_pairs(numbers in prop::collection::vec(0..20_usize, 0..40)) {
        let pairs = (0..numbers.len()).flat_map(|at| numbers[at..].iter().map(move |later| (at, later)));
        let expected = pairs.filter(|(at, later)| numbers[*at] > **later).count() as u64;
        prop_assert_eq!(inversions(&numbers), expected);
    }
}

#[test]
fn a_chain_is_a_straight_line() {
    let nodes = [Size { width: 96, height: 44 }, Size { width: 128, height: 28 }, Size { width: 96, height: 44 }];
    let layout = compute(Shape { nodes: &nodes, edges: &[(0, 1), (1, 2)] });
    let middles: Vec<i32> = layout.nodes.iter().map(|node| node.y + node.height / 2).collect();
    assert_eq!(middles, [22, 22, 22]);
    assert_eq!(layout.nodes.iter().map(|node| node.x).collect::<Vec<_>>(), [0, 152, 336]);
    assert_eq!((layout.width, layout.height), (432, 44));
}

#[test]
fn a_source_stands_before_its_first_reader() {
    let nodes = [Size { width: 96, height: 28 }; 4];
    let layout = compute(Shape { nodes: &nodes, edges: &[(0, 1), (1, 2), (3, 2)] });
    assert_eq!(layout.nodes.iter().map(|node| node.layer.unwrap()).collect::<Vec<_>>(), [0, 1, 2, 1]);
}

#[test]
fn crossings_that_can_be_avoided_are() {
    let nodes = [Size { width: 96, height: 28 }; 8];
    let edges = [(0, 7), (1, 6), (2, 5), (3, 4)];
    let shape = Shape { nodes: &nodes, edges: &edges };
    let columns = order::columns(shape, &layers(shape));
    let place = |cell: usize| columns.layers[columns.layer[cell]].iter().position(|at| *at == cell).unwrap();
    let mut ends: Vec<(usize, usize)> = edges.iter().map(|(from, to)| (place(*from), place(*to))).collect();
    ends.sort_unstable();
    assert!(ends.is_sorted_by_key(|(_, to)| to));
}

#[test]
fn a_thousand_nodes_have_a_bounded_layout() {
    let (nodes, edges) = layered(1000);
    let layout = compute(Shape { nodes: &nodes, edges: &edges });
    assert_eq!(layout.nodes.len(), 1000);
    assert!(layout.height < 20_000, "{}", layout.height);
}

#[test]
fn nothing_has_no_places() {
    assert_eq!(compute(Shape { nodes: &[], edges: &[] }), Layout::default());
}
