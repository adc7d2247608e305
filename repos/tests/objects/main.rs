//! Stores whose packs and journal are in an object store: in memory, in a folder, and on a server that speaks S3.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/flaky.rs"]
mod flaky;

mod access;
mod faults;
mod journal;
mod machines;
mod mirror;
mod requests;

use common::TestStore;
use repos::fsck::check;
use repos::packs::ObjectPacks;
use repos::packs::testing::pack_store_contract;
use repos::place::{Access, Place};
use repos::{OpenOptions, Store};
use specs::BranchName;

const URL: &str = "memory://test";

fn memory() -> Place {
    Place::open(URL, &Access::default()).unwrap()
}

fn options(place: &Place) -> OpenOptions {
    OpenOptions::default().place(place.clone())
}

/// A store in a place, with the repository `images`.
fn made(place: &Place) -> TestStore {
    let test = joined(place);
    test.create("images");
    test
}

fn joined(place: &Place) -> TestStore {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    std::fs::create_dir(&dir).unwrap();
    let store = options(place).init_shared(&dir, place.url(), BranchName::main()).unwrap();
    TestStore { folder, store }
}

#[track_caller]
fn assert_sound(store: &Store) {
    assert_eq!(check(store, &|_, _, _| {}).unwrap().problems, []);
}

fn keeps_the_contract(place: &Place) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("packs")).unwrap();
    pack_store_contract(&ObjectPacks::new(place.clone(), folder.path()));
}

#[test]
fn packs_keep_the_contract_in_memory_and_in_a_folder() {
    keeps_the_contract(&memory());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/place", folder.path().display());
    keeps_the_contract(&Place::open(&url, &Access::default()).unwrap());
}

fn lives_through_the_loss_of_its_folder(place: &Place) {
    let test = made(place);
    test.set("images", &[("/a", Some("1")), ("/b", Some("2"))]);
    test.set("images", &[("/a", Some("3"))]);
    let large = large_content(40 << 20);
    let stored = test.store.put_content(large.as_slice()).unwrap();
    let mut edits = repos::files::Edits::default();
    let file = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    edits.files.insert(common::path("/large"), Some(file));
    test.commit("images", &edits);
    let (before, records) = (test.resolve("images").id, test.store.position());
    assert_sound(&test.store);
    drop(test);
    let again = joined(place);
    assert_eq!((again.resolve("images").id, again.store.position()), (before, records));
    assert_eq!(again.store.read_file(&file, 0..file.size).unwrap(), large);
    assert_eq!(again.store.read_file(&file, 9_000_000..9_000_010).unwrap(), large[9_000_000..9_000_010]);
    assert_sound(&again.store);
    again.set("images", &[("/c", Some("4"))]);
    assert_eq!(again.store.position().records, records.records + 1);
}

/// Bytes without repetitions.
fn large_content(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_store_lives_through_the_loss_of_its_folder() {
    lives_through_the_loss_of_its_folder(&memory());
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/place", folder.path().display());
    lives_through_the_loss_of_its_folder(&Place::open(&url, &Access::default()).unwrap());
}
