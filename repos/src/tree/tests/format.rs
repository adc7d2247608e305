//! Format 1 is frozen: roots and bytes that every version must produce, and bytes that no version may accept.

use std::fmt::Write;

use proptest::prelude::*;

use super::node::{Entries, Node, NodeWriter};
use super::*;

/// Encodes a decoded node again.
fn encode_again<V: MapValue>(node: &Node<V>) -> Vec<u8> {
    let mut writer = NodeWriter::new(node.level);
    for index in 0..node.len() {
        match &node.entries {
            Entries::Leaf(values) => {
                let mut value = Vec::new();
                values[index].encode(&mut value);
                writer.push_value(node.key(index), &value, values[index].weight());
            }
            Entries::Inner(children) => writer.push_child(node.key(index), &children[index]),
        }
    }
    writer.take().1
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn sample_nodes() -> Vec<(Digest, Vec<u8>)> {
    let nodes = MemoryNodes::default();
    build(&nodes, &camera_images(3000));
    let mut all: Vec<_> = nodes.all().into_iter().map(|(digest, bytes)| (digest, bytes.to_vec())).collect();
    all.sort();
    all
}

/// Roots and nodes of fixed maps, as text.
fn vectors() -> String {
    let mut text = String::new();
    let nodes = MemoryNodes::default();
    let mut line = |name: &str, map: Digest| writeln!(text, "{name} {map}").unwrap();
    line("empty", Map::<FileEntry>::build(<[(&str, _); 0]>::default(), &mut &nodes).unwrap().root());
    let small = Map::build([("/a/1", file(1)), ("/a/2", file(7)), ("/b", file(300))], &mut &nodes).unwrap();
    line("three files", small.root());
    line("3,000 camera images", build(&nodes, &camera_images(3000)).root());
    line("100,000 camera images", build(&nodes, &camera_images(100_000)).root());
    let digests = (0..1000u64).map(|n| (n.to_be_bytes(), file(n).digest));
    line("1,000 digests", Map::build(digests, &mut &nodes).unwrap().root());
    let texts = (0..200u64).map(|n| (format!("{n:03}"), "reason ".repeat(n as usize * 3)));
    line("200 texts up to 4 KB", Map::build(texts, &mut &nodes).unwrap().root());
    let long = (0..100u64).map(|n| (format!("{n:02}").repeat(4500), vec![n as u8]));
    line("100 keys of 9,000 bytes", Map::build(long, &mut &nodes).unwrap().root());
    let two_leaves = (0..6u8).map(|n| ([b'k', n], vec![n; 6000]));
    let inner = Map::build(two_leaves, &mut &nodes).unwrap();
    line("leaf and inner node", inner.root());
    for root in [small.root(), inner.root()] {
        writeln!(text, "node {}", hex(&nodes.read(&root).unwrap())).unwrap();
    }
    text
}

const VECTORS: &str = include_str!("vectors.txt");

#[test]
fn roots_and_bytes_are_those_of_format_1() {
    let made = vectors();
    assert!(
        made == VECTORS,
        "format 1 is frozen: no root of a stored map may change. If vectors were only added, vectors.txt becomes:\n{made}"
    );
}

#[test]
fn the_empty_map_needs_no_store() {
    let nodes = MemoryNodes::default();
    assert_eq!(Map::<FileEntry>::empty().totals(&nodes), Ok(Totals::default()));
    assert_eq!(build(&nodes, &Model::new()), Map::empty());
    assert_eq!(nodes.read(&Map::<FileEntry>::empty().root()).unwrap().as_ref(), [1, 0]);
}

proptest! {
    #[test]
    fn a_changed_node_is_refused_or_has_one_encoding(
        which: prop::sample::Index, at: prop::sample::Index, byte: u8, cut: bool, zeros in 0usize..3,
    ) {
        let nodes = sample_nodes();
        let mut bytes = which.get(&nodes).1.clone();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        bytes.extend(std::iter::repeat_n(0, zeros));
        if let Ok(node) = Node::<FileEntry>::decode(&bytes) {
            prop_assert_eq!(encode_again(&node), bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_have_one_encoding(level in 0u8..2, entries in proptest::collection::vec(0u8..4, 0..60)) {
        let bytes = [&[1, level][..], &entries].concat();
        if let Ok(node) = Node::<Vec<u8>>::decode(&bytes) {
            prop_assert_eq!(encode_again(&node), bytes);
        }
    }
}

#[test]
fn what_no_writer_makes_is_refused() {
    let leaf = |entries: &[u8]| Node::<Vec<u8>>::decode(&[&[1, 0][..], entries].concat());
    assert!(leaf(&[0, 1, b'a', 0, 1, 1, b'b', 0]).is_ok());
    let refused: [(&str, &[u8]); 8] = [
        ("a shared prefix on the first key", &[1, 1, b'a', 0]),
        ("the same key twice", &[0, 1, b'a', 0, 1, 0, 0]),
        ("keys that descend", &[0, 1, b'b', 0, 0, 1, b'a', 0]),
        ("a shared prefix that is too short", &[0, 1, b'a', 0, 0, 2, b'a', b'b', 0]),
        ("a shared prefix that is too long", &[0, 1, b'a', 0, 2, 1, b'b', 0]),
        ("a number not in its shortest form", &[0, 0x81, 0, b'a', 0]),
        ("a value that is cut off", &[0, 1, b'a', 2, 0]),
        ("a key that is cut off", &[0, 2, b'a']),
    ];
    for (what, entries) in refused {
        assert!(leaf(entries).is_err(), "{what}");
    }
    assert!(Node::<Vec<u8>>::decode(&[1]).is_err() && Node::<Vec<u8>>::decode(&[2, 0]).is_err());
    assert!(Node::<Vec<u8>>::decode(&[1, 1]).is_err(), "an inner node without a child");
    assert!(Node::<Digest>::decode(&[1, 0, 0, 1, b'a', 1, 0]).is_err(), "a value of another type");
}

#[test]
fn a_missing_or_foreign_node_is_named() {
    let nodes = MemoryNodes::default();
    let model = camera_images(3000);
    let map = build(&nodes, &model);
    let child = {
        let mut cursor = map.cursor(&nodes).unwrap();
        while let Some(Step::Subtree { level: 1.., .. }) = cursor.peek() {
            cursor.enter().unwrap();
        }
        let Some(Step::Subtree { child, .. }) = cursor.peek() else { panic!("a leaf comes next") };
        child.digest
    };
    let read = || match map.range(&nodes, KeyRange::all()) {
        Ok(mut entries) => entries.find_map(Result::err),
        Err(error) => Some(error),
    };
    assert_eq!(read(), None);
    nodes.remove(&child);
    assert_eq!(read(), Some(TreeError::Missing { digest: child }));
    nodes.replace(child, vec![1, 0]);
    assert!(matches!(read(), Some(TreeError::Damaged { digest, .. }) if digest == child));
}

#[test]
fn a_node_in_a_wrong_place_is_refused() {
    let nodes = MemoryNodes::default();
    let leaf = Map::build([("a", vec![1]), ("b", vec![2])], &mut &nodes).unwrap();
    let totals = Totals { entries: 2, weight: 0 };
    let root_of = |level: u8, entries: &[(&str, Totals)]| {
        let mut writer = NodeWriter::new(level);
        for (key, totals) in entries {
            writer.push_child(key.as_bytes(), &Child { digest: leaf.root(), totals: *totals });
        }
        let (child, bytes) = writer.take();
        (&mut &nodes).write(child.digest, bytes).unwrap();
        Map::<Vec<u8>>::at(child.digest)
    };
    let get = |map: Map<Vec<u8>>| map.get(&nodes, b"a");
    let wrong = Totals { entries: 3, weight: 0 };
    assert!(matches!(get(root_of(1, &[("b", totals), ("c", totals)])), Ok(Some(_))));
    for map in [
        root_of(1, &[("a", totals), ("b", totals)]), // another last key
        root_of(1, &[("b", wrong), ("c", totals)]),  // other sums
        root_of(2, &[("b", totals), ("c", totals)]), // another level
        root_of(1, &[("b", totals)]),                // a root of one child
    ] {
        assert!(matches!(get(map), Err(TreeError::Damaged { .. })));
    }
}

#[test]
fn a_map_cut_into_nodes_at_wrong_places_fails_the_check() {
    let nodes = MemoryNodes::default();
    let mut writer = NodeWriter::new(1);
    for n in 0..2u8 {
        let leaf = Map::build([([n], vec![n])], &mut &nodes).unwrap();
        writer.push_child(&[n], &Child { digest: leaf.root(), totals: Totals { entries: 1, weight: 0 } });
    }
    let (child, bytes) = writer.take();
    (&mut &nodes).write(child.digest, bytes).unwrap();
    let map = Map::<Vec<u8>>::at(child.digest);
    assert_eq!(map.range(&nodes, KeyRange::all()).unwrap().flatten().count(), 2);
    assert!(matches!(map.check(&nodes), Err(TreeError::Damaged { .. })));
}
