//! Tree, lineage and datums of an output always agree, even if a nondeterministic command writes something else each time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

use proptest::prelude::*;
use repos::documents::{Commit, ResultDocument, ResultState};
use repos::tree::{FileEntry, KeyRange, Map, Tree};
use specs::{CommitId, Digest};

use super::setting::Setting;
use engine::datums::DatumMap;
use sandbox::scripted::{Call, Reply};

/// Two union inputs with the same name: their datums have the same recipe.
const SPEC: &str = "pipeline: {name: dice}\ntransform: {cmd: [dice]}\ndatum_tries: 1\n\
    input: {union: [{pfs: {repo: in, glob: '/*', name: a}}, {pfs: {repo: in, glob: '/*', name: a}}]}\n";
const PATHS: [&str; 4] = ["/a", "/b", "/c", "/d"];

/// Pseudo-random numbers (`SplitMix64`).
fn next(state: &AtomicU64) -> u64 {
    let mut number = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
    number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    number ^ (number >> 27)
}

/// Writes some of a few files with random contents; sometimes a file that other datums may write too.
fn throw(call: &Call, state: &AtomicU64) -> Reply {
    let mut reply = Reply::default();
    let own = call.inputs.keys().next().map_or_else(String::new, |path| path.replace('/', "-"));
    for number in 0..6 {
        if next(state).is_multiple_of(2) {
            reply.files.insert(format!("{own}/{number}"), next(state).to_string().into_bytes());
        }
    }
    if next(state).is_multiple_of(8) {
        reply.files.insert("shared".to_owned(), b"x".to_vec());
    }
    reply.code = i32::from(next(state).is_multiple_of(10));
    reply
}

fn files_of(s: &Setting, tree: Tree) -> BTreeMap<Vec<u8>, FileEntry> {
    tree.range(&s.store, KeyRange::all()).unwrap().map(Result::unwrap).collect()
}

/// Each file has an owner that wrote it, and all files of each owner exist.
fn assert_agreed(s: &Setting, id: CommitId) {
    let commit: Commit = s.store.commit(&id).unwrap();
    let files = files_of(s, Tree::at(commit.tree));
    let lineage = commit.lineage.map_or(Map::empty(), Map::<Digest>::at);
    let lineage: BTreeMap<Vec<u8>, Digest> =
        lineage.range(&s.store, KeyRange::all()).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.keys().collect::<Vec<_>>(), lineage.keys().collect::<Vec<_>>());
    let datums = commit.datums.map_or(DatumMap::empty(), DatumMap::at);
    let mut owned = BTreeMap::new();
    for entry in datums.range(&s.store, KeyRange::prefix([b'd'])).unwrap() {
        let digest = Digest::from_bytes(entry.unwrap().1.try_into().unwrap());
        let result: ResultDocument = s.store.document(&digest).unwrap();
        if result.state == ResultState::Success {
            let wrote = files_of(s, Tree::at(result.outputs.unwrap())).into_iter();
            owned.extend(wrote.map(|(path, file)| (path, (digest, file))));
        }
    }
    let there: BTreeMap<_, _> = files.into_iter().map(|(path, file)| (path.clone(), (lineage[&path], file))).collect();
    assert_eq!(there, owned, "{:?}", commit.error);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn each_file_has_an_owner_that_wrote_it(
        seed in any::<u64>(),
        rounds in proptest::collection::vec(proptest::collection::btree_map(0..PATHS.len(), any::<Option<bool>>(), 1..4), 1..5),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let s = Setting::new();
            s.repo("in").put("in", [("/z", Some("z"))]);
            s.pipeline(SPEC);
            let state = std::sync::Arc::new(AtomicU64::new(seed));
            let mut present: BTreeMap<usize, bool> = BTreeMap::new();
            for round in rounds {
                let edits: Vec<_> = round.into_iter().filter(|(path, content)| present.get(path) != content.as_ref()).collect();
                if edits.is_empty() {
                    continue;
                }
                let text = |content: bool| if content { "x" } else { "y" };
                s.put("in", edits.iter().map(|(path, content)| (PATHS[*path], content.map(text))));
                for (path, content) in edits {
                    match content {
                        Some(content) => present.insert(path, content),
                        None => present.remove(&path),
                    };
                }
                let state = state.clone();
                s.run_with(move |call| throw(&call, &state)).await;
                let commits: BTreeSet<CommitId> = s.jobs("dice").iter().filter_map(|job| job.commit).collect();
                for commit in commits {
assert_agreed(&s, commit);
}
            }
        });
    }
}
