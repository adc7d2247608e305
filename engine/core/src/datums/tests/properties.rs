//! Properties of every input and every change.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{TestCaseResult, TestError, TestRunner};
use repos::Store;
use repos::tree::KeyRange;
use specs::spec::Input;

use super::model::{self, ModelDatum, World, content};
use super::world::{KINDS, history, input, pair, store, trees, world};
use crate::datums::DatumMap;
use crate::datums::{self, DatumKey, Difference, InputMatch, KeyedChanges, MemberRows, Shape, prefix};

/// What user code sees of a datum, without what is outside its recipe.
type Shown = Vec<(usize, String, Option<String>, Vec<(String, String)>)>;

fn config(share: u32) -> ProptestConfig {
    let cases = std::env::var("PV_CASES").map_or(400, |cases| cases.parse().expect("PV_CASES is a number"));
    ProptestConfig {
        cases: (cases / share).max(1),
        failure_persistence: None,
        max_global_rejects: u32::MAX,
        ..ProptestConfig::default()
    }
}

/// Checks a property, and shows the smallest input that breaks it.
fn check<S: Strategy>(share: u32, strategy: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    match TestRunner::new(config(share)).run(strategy, property) {
        Ok(()) => {}
        Err(TestError::Fail(why, value)) => panic!("{why}\n{value:?}"),
        Err(TestError::Abort(why)) => panic!("{why}"),
    }
}

fn as_model(key: &DatumKey, inputs: &[InputMatch]) -> ModelDatum {
    let parts = key.parts().unwrap().into_iter().map(|(leaf, text)| (leaf, text.to_owned()));
    let inputs = inputs.iter().map(|input| (input.leaf, input.path.to_string(), input.key.clone()));
    ModelDatum { key: parts.collect(), inputs: inputs.collect() }
}

/// All datums from a full plan; each must occur once, with what is at its paths.
fn planned(store: &Store, input: &Input, world: &World) -> BTreeSet<ModelDatum> {
    let trees = trees(store, input, world);
    let list = datums::all(store, &Shape::of(input), trees.clone()).unwrap();
    let mut found = BTreeSet::new();
    let mut keys = BTreeSet::new();
    for (key, inputs) in &list {
        for input in &inputs {
            assert_eq!(
                Some(input.matched),
                datums::match_at(store, trees[input.leaf], &input.path).unwrap(),
                "{input:?}"
            );
        }
        assert!(keys.insert(key.clone()), "{key:?} comes twice");
        found.insert(as_model(&key, &inputs));
    }
    assert_eq!(found.len(), list.len());
    found
}

fn by_definition(input: &Input, world: &World) -> BTreeSet<ModelDatum> {
    let all = model::datums(input, 0, world);
    let set: BTreeSet<ModelDatum> = all.iter().cloned().collect();
    assert_eq!(set.len(), all.len(), "the model gives each datum once");
    set
}

fn shown(input: &Input, world: &World, datum: &ModelDatum) -> Shown {
    let leaves = input.leaves();
    let inputs = datum.inputs.iter().filter(|input| !leaves[input.0].reference);
    inputs.map(|(leaf, path, key)| (*leaf, path.clone(), key.clone(), content(world, leaves[*leaf], path))).collect()
}

#[test]
fn every_nesting_of_two_kinds_gives_the_datums_of_its_definition() {
    let (store, _folder) = store();
    for outer in KINDS {
        for inner in KINDS {
            check(16, &(pair(outer, inner), world()), |(input, world)| {
                prop_assert_eq!(planned(&store, &input, &world), by_definition(&input, &world));
                Ok(())
            });
        }
    }
}

#[test]
fn deep_nestings_give_the_datums_of_their_definition() {
    let (store, _folder) = store();
    check(2, &(input(3), world()), |(input, world)| {
        let expected = by_definition(&input, &world);
        prop_assume!(expected.len() < 2000);
        prop_assert_eq!(planned(&store, &input, &world), expected);
        Ok(())
    });
}

#[test]
fn an_empty_arm_empties_crosses_and_joins_alone() {
    let (store, _folder) = store();
    let spec = |kind: &str| {
        let leaf = |repo| format!("{{pfs: {{repo: {repo}, glob: '/(*)-1', join_on: $1, group_by: $1}}}}");
        let yaml = format!(
            "pipeline: {{name: p}}\ntransform: {{cmd: [sh]}}\ninput: {{{kind}: [{}, {}]}}",
            leaf("one"),
            leaf("two")
        );
        specs::parse_specs(&[("p.yml".to_owned(), yaml)]).specs[0].spec.input.clone()
    };
    let files = BTreeMap::from([("/a-1".to_owned(), "0".to_owned()), ("/b-1".to_owned(), "0".to_owned())]);
    let world = World::from([("one".to_owned(), files), ("two".to_owned(), BTreeMap::new())]);
    let counts = ["cross", "union", "join", "group"].map(|kind| planned(&store, &spec(kind), &world).len());
    assert_eq!(counts, [0, 2, 0, 2]);
}

/// A datums map, updated commit by commit: `d` rows with what the datum shows, `k` rows.
struct Kept<'a> {
    store: &'a Store,
    input: &'a Input,
    map: DatumMap,
}

impl Kept<'_> {
    fn edit(&mut self, edits: BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        self.map = self.map.edit(self.store, edits, &mut &*self.store).unwrap();
    }

    /// The effect of a job with a full plan.
    fn in_full(&mut self, world: &World) {
        let trees = trees(self.store, self.input, world);
        let mut edits = self.rows(&MemberRows::All { shape: Shape::of(self.input), trees: trees.clone() });
        for (key, inputs) in &datums::all(self.store, &Shape::of(self.input), trees).unwrap() {
            edits.insert(key.below(prefix::DATUM), Some(self.value(world, &key, &inputs)));
        }
        self.edit(edits);
    }

    fn rows(&self, members: &MemberRows) -> BTreeMap<Vec<u8>, Option<Vec<u8>>> {
        let mut rows = BTreeMap::new();
        let mut add = |row, comes: bool| {
            rows.insert(row, comes.then(Vec::new));
            Ok(())
        };
        members.visit(self.store, &mut add).unwrap();
        rows
    }

    fn value(&self, world: &World, key: &DatumKey, inputs: &[InputMatch]) -> Vec<u8> {
        format!("{:?}", shown(self.input, world, &as_model(key, inputs))).into_bytes()
    }

    /// The effect of an incremental job; returns the keys of the touched datums now and before.
    fn step(&mut self, old: &World, new: &World) -> [BTreeSet<DatumKey>; 2] {
        let shape = Shape::of(self.input);
        let (old, trees) = (trees(self.store, self.input, old), trees(self.store, self.input, new));
        let changes = KeyedChanges::new(self.store, &shape, (&old, &trees), usize::MAX).unwrap().unwrap();
        let difference = Difference::new(self.store, &shape, (old, trees), self.map, &changes);
        let (mut now, mut before) = (BTreeMap::new(), BTreeSet::new());
        let mut on_now = |datum: datums::Datum| {
            assert!(now.insert(datum.key.clone(), datum.inputs).is_none(), "{:?} comes twice", datum.key);
            Ok(())
        };
        let mut on_before = |datum: datums::Datum| {
            assert!(before.insert(datum.key.clone()), "{:?} goes twice", datum.key);
            Ok(())
        };
        difference.touched(&mut on_now, &mut on_before).unwrap();
        let mut edits = self.rows(&changes.rows());
        edits.extend(before.iter().map(|key| (key.below(prefix::DATUM), None)));
        edits.extend(now.iter().map(|(key, inputs)| (key.below(prefix::DATUM), Some(self.value(new, key, inputs)))));
        // Every datum can be found by its key alone.
        for (key, inputs) in &datums::all(self.store, &shape, trees_of(self, new)).unwrap() {
            let found = difference.datum(&key).unwrap().map(|datum| (datum.key, datum.inputs));
            assert_eq!(found, Some((key, inputs)));
        }
        self.edit(edits);
        [now.into_keys().collect(), before]
    }

    fn entries(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.map.range(self.store, KeyRange::all()).unwrap().map(Result::unwrap).collect()
    }
}

fn trees_of(kept: &Kept<'_>, world: &World) -> Vec<repos::tree::Tree> {
    trees(kept.store, kept.input, world)
}

/// The keys of the differing datums, now and before, by definition.
fn differing(input: &Input, old: &World, new: &World) -> [BTreeSet<Vec<(usize, String)>>; 2] {
    let side = |world: &World| -> BTreeMap<_, Shown> {
        let all = by_definition(input, world).into_iter();
        all.map(|datum| (datum.key.clone(), shown(input, world, &datum))).collect()
    };
    let (old, new) = (side(old), side(new));
    let but = |some: &BTreeMap<_, Shown>, others: &BTreeMap<_, Shown>| {
        let differ = some.iter().filter(|(key, shown)| others.get(*key) != Some(*shown));
        differ.map(|(key, _): (&Vec<(usize, String)>, _)| key.clone()).collect()
    };
    [but(&new, &old), but(&old, &new)]
}

fn in_parts(keys: &BTreeSet<DatumKey>) -> BTreeSet<Vec<(usize, String)>> {
    let owned = |key: &DatumKey| key.parts().unwrap().into_iter().map(|(leaf, text)| (leaf, text.to_owned())).collect();
    keys.iter().map(owned).collect()
}

#[test]
fn a_change_touches_what_differs_and_commit_after_commit_equals_a_plan_in_full() {
    let (store, _folder) = store();
    check(2, &(input(3), history(3)), |(input, worlds)| {
        let leaves = input.leaves();
        let all: Vec<BTreeSet<ModelDatum>> = worlds.iter().map(|world| by_definition(&input, world)).collect();
        prop_assume!(all.iter().all(|datums| datums.len() < 500));
        // Inputs outside the recipe that appear and disappear in a join of joins may count as a change: the cache handles that.
        let is_exact = !leaves.iter().any(|leaf| leaf.reference);
        let mut kept = Kept { store: &store, input: &input, map: DatumMap::empty() };
        kept.in_full(&worlds[0]);
        for pair in worlds.windows(2) {
            let [old, new] = pair else { unreachable!("windows of two") };
            let touched = kept.step(old, new);
            let (touched, differing) = (touched.each_ref().map(in_parts), differing(&input, old, new));
            prop_assert!(differing.iter().zip(&touched).all(|(differing, touched)| differing.is_subset(touched)));
            prop_assert!(!is_exact || touched == differing, "{:?} are not {:?}", touched, differing);
            let mut full = Kept { store: &store, input: &input, map: DatumMap::empty() };
            full.in_full(new);
            prop_assert_eq!(kept.entries(), full.entries());
        }
        Ok(())
    });
}

#[test]
fn the_readers_of_a_file_are_those_with_it_among_their_arms() {
    let (store, _folder) = store();
    check(2, &(input(3), world()), |(input, world)| {
        prop_assume!(by_definition(&input, &world).len() < 500);
        let shape = Shape::of(&input);
        let trees = trees(&store, &input, &world);
        let mut kept = Kept { store: &store, input: &input, map: DatumMap::empty() };
        kept.in_full(&world);
        let all = datums::all(&store, &shape, trees.clone()).unwrap();
        for (repo, path) in world.iter().flat_map(|(repo, files)| files.keys().map(move |path| (repo, path))) {
            let path: specs::FilePath = path.parse().unwrap();
            let leaves = input.leaves().into_iter().enumerate();
            let holders: BTreeSet<usize> =
                leaves.filter(|(_, leaf)| leaf.repo.as_str() == repo.as_str()).map(|(number, _)| number).collect();
            let reads = |input: &InputMatch| {
                holders.contains(&input.leaf) && (input.path == path || input.path.contains(&path))
            };
            let expected: BTreeSet<DatumKey> =
                all.iter().filter(|(_, inputs)| inputs.iter().any(reads)).map(|(key, _)| key).collect();
            let mut found = BTreeSet::new();
            let mut visit = |reader: datums::ReadBy| {
                assert!(found.insert(reader.key.clone()), "{:?} comes twice", reader.key);
                Ok(())
            };
            shape.readers(&store, (trees.clone(), kept.map), &path, &holders, &mut visit).unwrap();
            prop_assert_eq!(found, expected, "{}:{}", repo, path);
        }
        Ok(())
    });
}
