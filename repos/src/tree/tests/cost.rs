//! The cost of operations, in nodes read and written.

use super::*;

#[test]
fn one_edit_among_many_files_touches_one_path() {
    let nodes = MemoryNodes::default();
    let model = camera_images(100_000);
    let map = build(&nodes, &model);
    let mut numbers = Numbers(2);
    let mut sum = (0, 0);
    for round in 0..200 {
        let key = match round % 4 {
            0 => b"/a".to_vec(),
            1 => b"/z".to_vec(),
            _ => model.keys().nth(numbers.next(100_000) as usize).unwrap().clone(),
        };
        let value = (round % 3 != 2).then(|| file(round));
        nodes.take_counts();
        let edited = map.edit(&nodes, [(key, value)], &mut &nodes).unwrap();
        let (reads, writes) = nodes.take_counts();
        assert!(reads <= 12 && writes <= 12, "round {round}: {reads} reads, {writes} writes");
        sum = (sum.0 + reads, sum.1 + writes);
        let changes = map.diff(&nodes, edited).unwrap().count();
        let (reads, _) = nodes.take_counts();
        assert!(changes <= 1 && reads <= 20, "round {round}: {reads} reads for {changes} changes");
    }
    assert!(sum.0 <= 200 * 6 && sum.1 <= 200 * 6, "on average {} reads, {} writes", sum.0 / 200, sum.1 / 200);
}

#[test]
fn an_edit_that_changes_nothing_writes_nothing() {
    let nodes = MemoryNodes::default();
    let model = camera_images(10_000);
    let map = build(&nodes, &model);
    nodes.take_counts();
    let same = model.iter().step_by(100).map(|(key, value)| (key.clone(), Some(*value)));
    let absent = (0..100).map(|n| (format!("/{n}").into_bytes(), None));
    let edits: BTreeMap<_, _> = same.chain(absent).collect();
    assert_eq!(map.edit(&nodes, edits, &mut &nodes).unwrap(), map);
    assert_eq!(nodes.take_counts().1, 0);
    assert_eq!(map.diff(&nodes, map).unwrap().count(), 0);
    assert_eq!(nodes.take_counts(), (0, 0));
}

#[test]
fn a_part_of_a_map_is_found_summed_and_cut_out_without_a_scan() {
    let nodes = MemoryNodes::default();
    let model = camera_images(100_000);
    let map = build(&nodes, &model);
    let range = KeyRange::prefix("/cam17/");
    nodes.take_counts();
    let totals = map.range_totals(&nodes, &range).unwrap();
    assert!(nodes.take_counts().0 <= 9);
    let sum: u64 = model.iter().filter(|(key, _)| range.contains(key)).map(|(_, file)| file.size).sum();
    assert_eq!(totals, Totals { entries: 2000, weight: sum });
    map.subtree(&nodes, &range, &mut &nodes).unwrap();
    let (reads, writes) = nodes.take_counts();
    assert!(reads <= 12 && writes <= 12, "{reads} reads, {writes} writes");
    assert_eq!(map.subtree(&nodes, &KeyRange::all(), &mut &nodes).unwrap(), map);
    let (reads, writes) = nodes.take_counts();
    assert!(reads <= 5 && writes == 0, "{reads} reads, {writes} writes");
    assert_eq!(map.range(&nodes, KeyRange::prefix("/cam17/")).unwrap().take(10).count(), 10);
    assert!(nodes.take_counts().0 <= 6);
}

#[test]
fn a_difference_reads_what_differs_only() {
    let nodes = MemoryNodes::default();
    let mut model = camera_images(100_000);
    let old = build(&nodes, &model);
    let changed: Vec<_> = model.keys().skip(40_000).take(1000).cloned().collect();
    for key in &changed {
        model.get_mut(key).unwrap().size += 1;
    }
    model.extend((0..1000).map(|n| (format!("/added/{n}").into_bytes(), file(n))));
    let new = build(&nodes, &model);
    nodes.take_counts();
    assert_eq!(old.diff(&nodes, new).unwrap().count(), 2000);
    let (reads, _) = nodes.take_counts();
    assert!(reads <= 130, "{reads} reads for 2,000 changes in about 95 leaves");
    let elsewhere = KeyRange::prefix("/cam9/");
    assert_eq!(old.diff_range(&nodes, new, elsewhere).unwrap().count(), 0);
    assert!(nodes.take_counts().0 <= 10);
}

#[test]
fn nearby_keys_are_looked_up_without_reading_again() {
    let nodes = MemoryNodes::default();
    let model = camera_images(10_000);
    let map = build(&nodes, &model);
    let leaves_and_above = nodes.all().len();
    nodes.take_counts();
    let mut cursor = map.cursor(&nodes).unwrap();
    for (key, value) in &model {
        assert_eq!(cursor.get(key).unwrap(), Some(*value));
    }
    assert_eq!(nodes.take_counts().0, leaves_and_above);
}

#[test]
fn nodes_are_of_moderate_size() {
    let nodes = MemoryNodes::default();
    let model = camera_images(100_000);
    build(&nodes, &model);
    let sizes: Vec<usize> = nodes.all().iter().map(|(_, bytes)| bytes.len()).collect();
    let average = sizes.iter().sum::<usize>() / sizes.len();
    assert!((1000..2000).contains(&average), "{average}");
    assert!(sizes.len() < 100_000 / 30);

    let nodes = MemoryNodes::default();
    let deep = |n: u32| format!("/{}/{n:05}", format!("{n:05}").repeat(830)).into_bytes();
    build(&nodes, &(0..500).map(|n| (deep(n), file(u64::from(n)))).collect());
    let largest = nodes.all().iter().map(|(_, bytes)| bytes.len()).max().unwrap();
    assert!((16_384..16_384 + 4300).contains(&largest), "{largest}");
}
