//! Several processes, each with its own store, change one branch at the same time.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{TestStore, edits, name};
use repos::Store;
use repos::fsck::check;
use repos::object::{Kind, PackClass};
use repos::packs::writer::PackWriter;
use repos::packs::{LocalPacks, PackStore};
use repos::tree::Tree;
use specs::BranchName;

const WRITERS: usize = 3;
const PUTS: usize = 12;

fn write(dir: &std::path::Path, writer: usize, owner: bool) {
    let store = Store::open(dir).unwrap();
    if owner {
        store.own().unwrap();
    }
    for number in 0..PUTS {
        let (path, content) = (format!("/{writer}/{number}"), format!("{writer} {number}"));
        let edits = edits(&store, &[(&path, Some(&content)), ("/shared", Some(&content))]);
        common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap();
    }
}

#[test]
fn concurrent_puts_all_land_in_one_line_and_readers_see_each() {
    let test = TestStore::new();
    let dir = test.store.dir().to_owned();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let dir = &dir;
                    move || write(dir, writer, false)
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let store = Store::open(&dir).unwrap();
            let mut seen = 0;
            while !ended.load(Ordering::Relaxed) {
                store.refresh().unwrap();
                let records = store.position().records;
                assert!(records >= seen, "what was seen stays");
                seen = records;
                if let Some(head) = store.branch(&name("images"), &BranchName::main()).ok().and_then(|row| row.commit) {
                    common::contents(&store, repos::tree::Tree::at(store.commit(&head).unwrap().tree));
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        ended.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });
    test.store.refresh().unwrap();
    let commits: Vec<_> =
        repos::files::log(&test.store, &test.resolve("images")).unwrap().map(Result::unwrap).collect();
    let runs: HashSet<_> = commits.iter().map(|logged| logged.commit.run).collect();
    assert_eq!((commits.len(), runs.len()), (WRITERS * PUTS, WRITERS * PUTS));
    assert_eq!(test.contents("images").len(), WRITERS * PUTS + 1);
    assert_eq!(check(&test.store, &|_, _, _| {}).unwrap().problems, []);
}

#[test]
fn a_published_change_is_seen_after_a_refresh_and_not_before() {
    let test = TestStore::new();
    let reader = Store::open(test.store.dir()).unwrap();
    for number in 0..5 {
        let id = test.set("images", &[("/a", Some(&number.to_string()))]);
        let before = reader.find_branch(&name("images"), &BranchName::main()).unwrap().and_then(|row| row.commit);
        assert_ne!(before, Some(id));
        reader.refresh().unwrap();
        assert_eq!(reader.head(&name("images"), &BranchName::main()).unwrap(), id);
        assert_eq!(
            common::contents(&reader, repos::tree::Tree::at(reader.commit(&id).unwrap().tree))[0].1,
            number.to_string()
        );
    }
}

#[test]
fn an_owner_holds_the_store_until_it_is_dropped() {
    let test = TestStore::new();
    write(test.store.dir(), 0, true);
    write(test.store.dir(), 1, false);
    test.store.refresh().unwrap();
    assert_eq!(test.contents("images").len(), 2 * PUTS + 1);
    assert_eq!(check(&test.store, &|_, _, _| {}).unwrap().problems, []);
}

#[test]
fn an_object_is_found_when_the_copy_seen_last_goes_and_an_older_one_stays() {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    test.store.finish_packs().unwrap();
    let reader = Store::open(test.store.dir()).unwrap();
    let tree = reader.commit(&test.resolve("images").id).unwrap().tree;
    // Another process writes the same node again, and this copy is the newest that the reader knows.
    let packs = LocalPacks::new(test.store.dir().join(".pv/packs"));
    let mut writer = PackWriter::new(PackClass::Meta, 1 << 30);
    let bytes = reader.document_bytes(Kind::Node, &tree).unwrap();
    writer.append(&packs, Kind::Node, tree, &bytes).unwrap();
    let again = writer.finish().unwrap()[0].name;
    reader.refresh().unwrap();
    // The process that collects garbage counts the other copy.
    packs.remove(&again).unwrap();
    reader.refresh().unwrap();
    assert_eq!(reader.document_bytes(Kind::Node, &tree).unwrap(), bytes);
    assert_eq!(common::contents(&reader, Tree::at(tree)), [("/a".to_owned(), "1".to_owned())]);
}
