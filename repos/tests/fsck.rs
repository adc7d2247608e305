//! Damage to any byte is found, and whoever needs it is named.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::{Path, PathBuf};

use common::TestStore;
use repos::fsck::{Report, Subject, check};
use repos::object::Kind;
use repos::{OpenOptions, Store};

fn report(store: &Store) -> Report {
    check(store, &|_, _, _| {}).unwrap()
}

/// A copy of a store's folder, to be damaged.
fn copied(test: &TestStore) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().to_owned();
    let mut open = vec![(test.store.folder(), to.join(".pv"))];
    while let Some((from, to)) = open.pop() {
        std::fs::create_dir_all(&to).unwrap();
        for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                open.push((entry.path(), target));
            } else {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
    (folder, to)
}

fn example() -> TestStore {
    let test = TestStore::new();
    test.set("images", &[("/cam/a", Some("content of a")), ("/cam/b", Some("content of b")), ("/c", Some(""))]);
    test.set("images", &[("/cam/a", Some("newer content of a"))]);
    test.write(
        "large",
        (0..3_000_000_u32)
            .flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes())
            .take(3_000_000)
            .collect::<Vec<_>>(),
    );
    test.put("images", "/", &["large"]).unwrap();
    test
}

fn packs(dir: &Path) -> Vec<PathBuf> {
    let mut packs: Vec<_> =
        std::fs::read_dir(dir.join(".pv/packs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    packs.sort();
    packs
}

#[test]
fn a_sound_store_has_no_problems() {
    let test = example();
    let report = report(&test.store);
    assert_eq!(report.problems, []);
    assert_eq!((report.counts.commits, report.counts.records, report.counts.files), (3, 5, 5));
    test.store.rebuild_index().unwrap();
    assert_eq!(check(&test.store, &|_, _, _| {}).unwrap(), report);
}

#[test]
fn a_damaged_chunk_is_named_with_all_files_that_need_it() {
    let test = example();
    let (_folder, dir) = copied(&test);
    let needle = b"content of b";
    for pack in packs(&dir) {
        let mut bytes = std::fs::read(&pack).unwrap();
        if let Some(at) = bytes.windows(needle.len()).position(|window| window == needle) {
            bytes[at] ^= 1;
            std::fs::write(&pack, bytes).unwrap();
        }
    }
    let report = report(&Store::open(&dir).unwrap());
    let [problem] = report.problems.as_slice() else { panic!("{report:?}") };
    assert_eq!(problem.subject, Subject::Object(Kind::Chunk, repos::hash::digest_of(needle)));
    let commits = ["images@main", "images@main^", "images@main~2"].map(|commit| test.resolve(commit).place());
    let needed_by: Vec<String> = problem.needed_by.iter().map(ToString::to_string).collect();
    assert_eq!(needed_by, commits.map(|commit| format!("{commit}:/cam/b")));
}

#[test]
fn any_flipped_byte_of_a_small_pack_is_found_and_nothing_panics() {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("content"))]);
    for pack in packs(test.store.dir()) {
        let bytes = std::fs::read(&pack).unwrap();
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x41;
            std::fs::write(&pack, &damaged).unwrap();
            let report = report(&common::options().open(test.store.dir()).unwrap());
            assert!(!report.problems.is_empty(), "byte {at} of {}", pack.display());
        }
        std::fs::write(&pack, &bytes).unwrap();
    }
    assert_eq!(report(&test.store).problems, []);
}

#[test]
fn missing_packs_and_a_broken_journal_are_reported() {
    let test = example();
    for pack in packs(test.store.dir()) {
        let (_folder, dir) = copied(&test);
        std::fs::remove_file(dir.join(".pv/packs").join(pack.file_name().unwrap())).unwrap();
        let store = OpenOptions::default().open(&dir).unwrap();
        assert!(report(&store).problems.iter().any(|problem| !problem.needed_by.is_empty()), "{}", pack.display());
    }
    let (_folder, dir) = copied(&test);
    let store = Store::open(&dir).unwrap();
    let journal = dir.join(".pv/journal");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&journal, bytes).unwrap();
    assert!(report(&store).problems.iter().any(|problem| problem.subject == Subject::Journal));
}

#[test]
fn an_index_that_says_something_else_is_reported_and_rebuilt() {
    let test = example();
    test.store.rebuild_index().unwrap();
    let other = example();
    other.store.rebuild_index().unwrap();
    let (_folder, dir) = copied(&test);
    std::fs::remove_dir_all(dir.join(".pv/index")).unwrap();
    let (_other, stranger) = copied(&other);
    std::fs::rename(stranger.join(".pv/index"), dir.join(".pv/index")).unwrap();
    let store = Store::open(&dir).unwrap();
    assert!(report(&store).problems.iter().any(|problem| problem.subject == Subject::Index));
    store.rebuild_index().unwrap();
    assert_eq!(report(&store).problems, []);
}
