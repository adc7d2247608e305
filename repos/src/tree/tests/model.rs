//! Whatever is done to a map, it equals a `BTreeMap`, and its root equals that of a fresh build.

use std::sync::LazyLock;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

/// Keys that are boundaries on the two lowest levels: a few of them make a map of many levels.
static BOUNDARIES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let is_boundary = |level: u8, key: &[u8]| node::digest_of(&[&[level], key].concat()).as_bytes()[0] < 8;
    let keys = (0u32..).map(|n| format!("{n:08}").into_bytes());
    keys.filter(|key| is_boundary(0, key) && is_boundary(1, key)).take(130).collect()
});

/// Keys that collide and share prefixes; some are so long that only a few fit into a node.
fn key() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => vec(prop_oneof![Just(b'a'), Just(b'b'), Just(0), Just(255)], 0..7),
        8 => (0u32..400).prop_map(|n| format!("/{}/{n}", n % 3).into_bytes()),
        8 => proptest::sample::select(BOUNDARIES.as_slice()),
        1 => (any::<u8>(), 3000usize..4200, any::<u8>()).prop_map(|(first, length, last)| {
            let mut key = vec![first; length];
            key.push(last);
            key
        }),
        1 => (0u8..20, 8000usize..20_000).prop_map(|(first, length)| vec![first; length]),
    ]
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        6 => vec(any::<u8>(), 0..4),
        2 => (any::<u8>(), 0usize..3000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn model(entries: usize) -> impl Strategy<Value = Model> {
    btree_map(key(), value(), 0..entries)
}

fn bound(index: prop::sample::Index, model: &Model, other: Vec<u8>) -> Vec<u8> {
    if model.is_empty() { other } else { model.keys().nth(index.index(model.len())).cloned().unwrap_or(other) }
}

/// Ranges whose ends may or may not be keys of the map.
fn model_and_range() -> impl Strategy<Value = (Model, KeyRange)> {
    let end = || (any::<prop::sample::Index>(), key(), any::<bool>());
    (model(300), end(), end(), 0u8..8).prop_map(|(model, from, to, open)| {
        let [mut from, mut to] =
            [from, to].map(|(index, other, of_map)| if of_map { bound(index, &model, other) } else { other });
        if from > to {
            std::mem::swap(&mut from, &mut to);
        }
        let range = KeyRange { from: if open % 4 == 0 { Vec::new() } else { from }, to: (open != 4).then_some(to) };
        (model, range)
    })
}

fn inside(model: &Model, range: &KeyRange) -> Model {
    model.iter().filter(|(key, _)| range.contains(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

fn apply(model: &mut Model, edits: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
    for (key, value) in edits {
        match value {
            Some(value) => model.insert(key.clone(), value.clone()),
            None => model.remove(key),
        };
    }
}

/// Edits, about half of which hit an existing entry.
fn model_and_edits() -> impl Strategy<Value = (Model, BTreeMap<Vec<u8>, Option<Vec<u8>>>)> {
    let edit = (any::<prop::sample::Index>(), key(), any::<bool>(), proptest::option::of(value()));
    (model(300), vec(edit, 0..60)).prop_map(|(model, edits)| {
        let edits = edits
            .into_iter()
            .map(|(index, other, of_map, value)| (if of_map { bound(index, &model, other) } else { other }, value));
        let edits = edits.collect();
        (model, edits)
    })
}

fn expected_changes(old: &Model, new: &Model, range: &KeyRange) -> Vec<Change<Vec<u8>>> {
    let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).filter(|key| range.contains(key)).collect();
    let changes =
        keys.into_iter().map(|key| Change { key: key.clone(), old: old.get(key).cloned(), new: new.get(key).cloned() });
    changes.filter(|change| change.old != change.new).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_map_reads_back_as_built((model, range) in model_and_range(), other in key()) {
        let nodes = MemoryNodes::default();
        let map = build(&nodes, &model);
        map.check(&nodes)?;
        prop_assert_eq!(contents(&nodes, map, KeyRange::all()), model.clone().into_iter().collect::<Vec<_>>());
        prop_assert_eq!(contents(&nodes, map, range.clone()), inside(&model, &range).into_iter().collect::<Vec<_>>());
        prop_assert_eq!(map.range_totals(&nodes, &range)?.entries, inside(&model, &range).len() as u64);
        prop_assert_eq!(map.totals(&nodes)?.entries, model.len() as u64);
        let mut cursor = map.cursor(&nodes)?; // goes to and fro
        for key in model.keys().rev().step_by(3).chain(model.keys().step_by(2)).chain([&other, &range.from]) {
            prop_assert_eq!(&map.get(&nodes, key)?, &model.get(key).cloned());
            prop_assert_eq!(&cursor.get(key)?, &model.get(key).cloned());
        }
    }

    #[test]
    fn an_edited_map_is_the_map_built_afresh((mut model, edits) in model_and_edits()) {
        let nodes = MemoryNodes::default();
        let old = build(&nodes, &model);
        let new = old.edit(&nodes, edits.clone(), &mut &nodes)?;
        apply(&mut model, &edits);
        prop_assert_eq!(new, build(&MemoryNodes::default(), &model));
        new.check(&nodes)?;
    }

    #[test]
    fn an_editor_tells_the_values_before((model, edits) in model_and_edits()) {
        let nodes = MemoryNodes::default();
        let old = build(&nodes, &model);
        let mut sink = &nodes;
        let mut editor = Editor::new(old, &nodes, &mut sink)?;
        for (key, value) in &edits {
            let before = match value {
                Some(value) => editor.set(key, value)?,
                None => editor.remove(key)?,
            };
            prop_assert_eq!(before.as_ref(), model.get(key));
        }
    }

    #[test]
    fn bulk_edits_between_any_two_maps(old in model(300), new in model(300)) {
        let nodes = MemoryNodes::default();
        let (old_map, new_map) = (build(&nodes, &old), build(&nodes, &new));
        let changes: Vec<_> = old_map.diff(&nodes, new_map)?.map(Result::unwrap).collect();
        prop_assert_eq!(&changes, &expected_changes(&old, &new, &KeyRange::all()));
        let edits = changes.into_iter().map(|change| (change.key, change.new));
        prop_assert_eq!(old_map.edit(&nodes, edits, &mut &nodes)?, new_map);
        let removals = old.keys().map(|key| (key, None));
        prop_assert_eq!(old_map.edit(&nodes, removals, &mut &nodes)?, Map::empty());
    }

    #[test]
    fn a_difference_is_that_of_the_entries((old, edits) in model_and_edits(), (_, range) in model_and_range()) {
        let nodes = MemoryNodes::default();
        let mut new = old.clone();
        apply(&mut new, &edits);
        let (old_map, new_map) = (build(&nodes, &old), build(&nodes, &new));
        for range in [range, KeyRange::all()] {
            let changes: Vec<_> = old_map.diff_range(&nodes, new_map, range.clone())?.map(Result::unwrap).collect();
            prop_assert_eq!(changes, expected_changes(&old, &new, &range));
        }
    }

    #[test]
    fn a_subtree_is_the_map_of_its_entries((model, range) in model_and_range()) {
        let nodes = MemoryNodes::default();
        let part = build(&nodes, &model).subtree(&nodes, &range, &mut &nodes)?;
        prop_assert_eq!(part, build(&MemoryNodes::default(), &inside(&model, &range)));
        part.check(&nodes)?;
    }
}

/// One map through many rounds, so that it has several levels; each round compares its root with that of a fresh build.
#[test]
fn a_long_life_leaves_no_trace() {
    let nodes = MemoryNodes::default();
    let mut numbers = Numbers(1);
    let mut model: BTreeMap<_, _> = camera_images(20_000);
    let mut map = build(&nodes, &model);
    for round in 0..60 {
        let edits: BTreeMap<Vec<u8>, Option<FileEntry>> = (0..=numbers.next(1 << (round % 12)))
            .map(|_| match numbers.next(4) {
                0 => (format!("/cam{}/new-{}", numbers.next(60), numbers.next(1000)).into_bytes(), Some(file(round))),
                1 => (format!("/{}{}", "deep/".repeat(700), numbers.next(500)).into_bytes(), Some(file(round))),
                _ => {
                    let at = numbers.next(model.len() as u64) as usize;
                    let key = model.keys().nth(at).unwrap().clone();
                    (key, (numbers.next(2) == 0).then(|| file(numbers.next(1 << 40))))
                }
            })
            .collect();
        let before = map;
        map = map.edit(&nodes, edits.clone(), &mut &nodes).unwrap();
        for (key, value) in edits {
            match value {
                Some(value) => model.insert(key, value),
                None => model.remove(&key),
            };
        }
        assert_eq!(map, build(&MemoryNodes::default(), &model), "round {round}");
        let changed = before.diff(&nodes, map).unwrap().map(Result::unwrap);
        assert!(changed.into_iter().all(|change| model.get(&change.key).copied() == change.new));
        let sum: u64 = model.values().map(|file| file.size).sum();
        assert_eq!(map.totals(&nodes).unwrap(), Totals { entries: model.len() as u64, weight: sum });
    }
}

/// Names can be chosen so that every one is a boundary on several levels; even then each level has at most half the nodes of the one below.
#[test]
fn a_map_of_boundaries_only_is_not_deep() {
    let nodes = MemoryNodes::default();
    let map = build(&nodes, &BOUNDARIES.iter().map(|key| (key.clone(), vec![])).collect());
    let mut cursor = map.cursor(&nodes).unwrap();
    let mut depth = 1;
    while let Some(Step::Subtree { .. }) = cursor.peek() {
        cursor.enter().unwrap();
        depth += 1;
    }
    assert!((3..=8).contains(&depth), "{depth}");
}

/// Every range of maps whose levels end in different ways, including a last node with only one entry.
#[test]
fn every_part_of_a_deep_map_is_the_map_of_its_entries() {
    for count in [9, 16, 17, 33, 34, 49] {
        let model: Model = BOUNDARIES[..count].iter().map(|key| (key.clone(), vec![])).collect();
        let (nodes, others) = (MemoryNodes::default(), MemoryNodes::default());
        let map = build(&nodes, &model);
        for (from, to) in (0..count).flat_map(|from| (from..=count).map(move |to| (from, to))) {
            let range = KeyRange { from: BOUNDARIES[from].clone(), to: BOUNDARIES[..count].get(to).cloned() };
            let expected = build(&others, &inside(&model, &range));
            assert_eq!(map.subtree(&nodes, &range, &mut &nodes).unwrap(), expected, "{from}..{to} of {count}");
            let rest = model.keys().filter(|key| !range.contains(key)).map(|key| (key, None));
            assert_eq!(map.edit(&nodes, rest, &mut &nodes).unwrap(), expected, "all but {from}..{to} of {count}");
            assert_eq!(expected.edit(&others, [("9", Some(vec![1]))], &mut &others).unwrap(), {
                let mut longer = inside(&model, &range);
                longer.insert(b"9".to_vec(), vec![1]);
                build(&others, &longer)
            });
        }
    }
}

#[test]
fn keys_out_of_order_are_refused() {
    let nodes = MemoryNodes::default();
    let twice = [("b", vec![]), ("b", vec![])];
    assert_eq!(Map::build(twice, &mut &nodes), Err(TreeError::Unsorted { key: "b".to_owned() }));
    let edits = [("b", None), ("a", Some(vec![]))];
    let edited = Map::<Vec<u8>>::empty().edit(&nodes, edits, &mut &nodes);
    assert_eq!(edited, Err(TreeError::Unsorted { key: "a".to_owned() }));
    let empty_key = Map::build([("", vec![1]), ("a", vec![2])], &mut &nodes).unwrap();
    assert_eq!(empty_key.get(&nodes, b"").unwrap(), Some(vec![1]));
}
