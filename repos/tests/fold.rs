//! Many small commits leave few files, and nothing in them is lost.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::needless_for_each, reason = "tests")]

mod common;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{TestStore, contents, name};
use repos::Store;
use repos::fsck::check;
use repos::packs::testing::FailAt;
use repos::tree::Tree;
use specs::BranchName;

/// Number of commits; the full test uses 10,000.
fn commits() -> usize {
    std::env::var("PV_COMMITS").ok().and_then(|text| text.parse().ok()).unwrap_or(150)
}

fn files_below(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| if entry.file_type().unwrap().is_dir() { files_below(&entry.path()) } else { 1 }).sum()
}

/// Makes one commit in its own process.
fn commit_alone(dir: &Path, path: &str, content: &str) {
    let store = common::options().open(dir).unwrap();
    let edits = common::edits(&store, &[(path, Some(content))]);
    common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
}

fn read_all(store: &Store) -> Vec<(String, String)> {
    contents(store, store.resolve(&"images".parse().unwrap()).unwrap().tree())
}

fn assert_sound(dir: &Path) {
    let store = Store::open(dir).unwrap();
    assert_eq!(check(&store, &|_, _, _| {}).unwrap().problems, []);
}

#[test]
fn many_one_file_commits_leave_few_files_and_all_is_readable() {
    let test = TestStore::new();
    let dir = test.store.dir();
    let before = files_below(&test.store.folder());
    let mut took: Vec<Duration> = Vec::new();
    let mut most = 0;
    for number in 0..commits() {
        let started = Instant::now();
        commit_alone(dir, &format!("/{}/{number}", number % 97), &format!("content {number}"));
        took.push(started.elapsed());
        most = most.max(files_below(&test.store.folder()));
    }
    assert!(most - before <= 100, "{most} files, {before} before");
    let median = |took: &[Duration]| {
        let mut sorted = took.to_vec();
        sorted.sort_unstable();
        sorted[sorted.len() / 2]
    };
    let (first, last) = (median(&took[..100]), median(&took[took.len() - 100..]));
    println!("{} commits: at most {most} files; a commit {first:?} at first, {last:?} at last", took.len());
    test.store.refresh().unwrap();
    let files = read_all(&test.store);
    assert_eq!(files.len(), commits());
    assert!(files.iter().all(|(path, content)| path.ends_with(&content.replace("content ", "/"))));
    assert_eq!(check(&test.store, &|_, _, _| {}).unwrap().problems, []);
    test.store.rebuild_index().unwrap();
    assert_eq!(check(&test.store, &|_, _, _| {}).unwrap().problems, []);
    assert_eq!(read_all(&Store::open(dir).unwrap()), files);
}

#[test]
fn an_owner_folds_too() {
    let test = TestStore::new();
    let owner = common::options().open(test.store.dir()).unwrap();
    owner.own().unwrap();
    for number in 0..60 {
        let edits = common::edits(&owner, &[(&format!("/{number}"), Some("content"))]);
        common::commit(&owner, &name("images"), &BranchName::main(), &edits).unwrap();
    }
    assert!(files_below(&test.store.folder().join("packs")) < 30);
    assert_eq!(read_all(&owner).len(), 60);
    drop(owner);
    assert_sound(test.store.dir());
}

#[test]
fn a_fold_that_fails_anywhere_loses_nothing() {
    for n in 0.. {
        let test = TestStore::new();
        let dir = test.store.dir();
        for number in 0..7 {
            test.set("images", &[(&format!("/{number}"), Some(&format!("content {number}")))]);
        }
        let failing: Arc<std::sync::Mutex<Option<FailAt>>> = Arc::default();
        let store = common::options()
            .wrap_packs({
                let failing = failing.clone();
                move |packs| {
                    let packs = FailAt::from(packs, n);
                    *failing.lock().unwrap() = Some(packs.clone());
                    Arc::new(packs)
                }
            })
            .open(dir)
            .unwrap();
        let edits = common::edits_of(&store, &[("/new", "new")]);
        let done = edits.and_then(|edits| common::commit(&store, &name("images"), &BranchName::main(), &edits));
        drop(store);
        assert_sound(dir);
        let store = Store::open(dir).unwrap();
        assert_eq!(read_all(&store).len(), if done.is_err() { 7 } else { 8 }, "write {n}");
        drop(store);
        test.store.refresh().unwrap();
        for number in 0..2 {
            test.set("images", &[(&format!("/again/{number}"), Some(&number.to_string()))]);
        }
        assert_sound(dir);
        if !failing.lock().unwrap().as_ref().unwrap().has_failed() {
            return;
        }
    }
}

#[test]
fn a_damaged_entry_keeps_its_pack() {
    let test = TestStore::new();
    let dir = test.store.dir();
    commit_alone(dir, "/damaged", "this content will be damaged");
    let packs = test.store.folder().join("packs");
    let needle = b"content will be";
    let found = std::fs::read_dir(&packs).unwrap().map(|entry| entry.unwrap().path()).find_map(|path| {
        let bytes = std::fs::read(&path).unwrap();
        let at = bytes.windows(needle.len()).position(|window| window == needle)?;
        Some((path, bytes, at))
    });
    let (path, mut bytes, at) = found.unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    for number in 0..20 {
        commit_alone(dir, &format!("/{number}"), &format!("{number}"));
    }
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "what a repair may need is there");
    assert!(files_below(&packs) < 25);
}

#[test]
fn readers_never_fail_beside_folding() {
    let test = TestStore::new();
    let dir = test.store.dir();
    commit_alone(dir, "/first", "first");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let store = Store::open(dir).unwrap();
                    let mut reads = 0;
                    while !ended.load(Ordering::Relaxed) || reads == 0 {
                        let head = store.head(&name("images"), &BranchName::main()).unwrap();
                        // Not refreshed: everything seen once stays readable.
                        contents(&store, Tree::at(store.commit(&head).unwrap().tree));
                        reads += 1;
                        let fresh = Store::open(dir).unwrap();
                        read_all(&fresh);
                    }
                })
            })
            .collect();
        for number in 0..80 {
            commit_alone(dir, &format!("/{number}"), &number.to_string());
        }
        ended.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
    assert_sound(dir);
}

/// Run by [`a_process_that_dies_while_folding_loses_nothing`] in its own process, which does not return.
#[test]
fn dies_while_folding() {
    let (Ok(point), Ok(dir)) = (std::env::var("PV_TEST_STOP"), std::env::var("PV_TEST_STORE")) else { return };
    repos::set_stop_point(&point);
    for number in 0..20 {
        commit_alone(dir.as_ref(), &format!("/child/{number}"), &number.to_string());
    }
}

#[test]
fn a_process_that_dies_while_folding_loses_nothing() {
    for point in ["fold.before_list", "fold.before_remove", "fold.removed_one"] {
        let test = TestStore::new();
        let dir = test.store.dir();
        let died = common::run_again("dies_while_folding", point, dir);
        assert!(!died.success(), "{point}");
        assert_sound(dir);
        for number in 0..20 {
            commit_alone(dir, &format!("/{number}"), &number.to_string());
        }
        assert_sound(dir);
        assert!(files_below(&test.store.folder().join("packs")) < 40, "{point}");
        let read = read_all(&Store::open(dir).unwrap());
        assert!(read.iter().filter(|(path, _)| path.starts_with("/child")).count() >= 6, "{point}");
    }
}
