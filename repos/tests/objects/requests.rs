//! The number of requests, and the copies that save some.

use std::sync::Arc;

use repos::packs::{ObjectPacks, PackStore};
use repos::place::{Access, Place};

use super::{URL, assert_sound, joined, large_content, made, memory, options};
use crate::common::{self, TestStore, contents};
use crate::flaky::{Plan, flaky};

#[test]
fn one_request_tells_that_nothing_is_new() {
    let place = memory();
    let test = made(&place);
    test.set("images", &[("/a", Some("1"))]);
    test.store.own().unwrap();
    let dir = test.store.dir().to_owned();
    let TestStore { folder: _folder, store } = test;
    drop(store);
    let plan = Arc::new(Plan::default());
    let reader = options(&flaky(&place, &plan)).open(&dir).unwrap();
    assert_eq!(contents(&reader, reader.resolve(&"images".parse().unwrap()).unwrap().tree()).len(), 1);
    assert_eq!(plan.seen(), 1);
    reader.refresh().unwrap();
    assert_eq!(plan.seen(), 2);
}

#[test]
fn a_file_is_read_again_without_a_request() {
    let place = memory();
    let bytes = large_content(9 << 20);
    let file = {
        let test = made(&place);
        let stored = test.store.put_content(bytes.as_slice()).unwrap();
        let file = repos::tree::FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        let mut edits = repos::files::Edits::default();
        edits.files.insert(common::path("/large"), Some(file));
        test.commit("images", &edits);
        file
    };
    let plan = Arc::new(Plan::default());
    let test = joined(&flaky(&place, &plan));
    let joining = plan.seen();
    assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
    let reading = plan.seen() - joining;
    assert!((1..=3).contains(&reading), "blocks, not chunks: {reading}");
    assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
    assert_eq!(plan.seen(), joining + reading);
    // A damaged copy is not used, and is fetched again.
    for copy in std::fs::read_dir(test.store.folder().join("cache")).unwrap().map(|copy| copy.unwrap().path()) {
        let length = std::fs::metadata(&copy).unwrap().len() as usize;
        for garbage in [vec![0xa5; length], vec![1; length / 2], Vec::new()] {
            std::fs::write(&copy, garbage).unwrap();
            assert_eq!(test.store.read_file(&file, 0..file.size).unwrap(), bytes);
        }
    }
    test.resolve("images").tree();
    assert_sound(&test.store);
}

#[test]
fn copies_of_data_are_bounded() {
    let place = memory();
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("packs")).unwrap();
    let mut names = Vec::new();
    {
        let packs = ObjectPacks::new(place.clone(), folder.path());
        for number in 0..6_u8 {
            let mut writer = repos::packs::writer::PackWriter::new(repos::object::PackClass::Data, u64::MAX);
            let mut bytes = large_content(5 << 20);
            bytes[0] = number;
            writer.append(&packs, repos::object::Kind::Chunk, repos::hash::digest_of(&bytes), &bytes).unwrap();
            names.push(writer.finish().unwrap().remove(0).name);
        }
    }
    let elsewhere = tempfile::tempdir().unwrap();
    std::fs::create_dir(elsewhere.path().join("packs")).unwrap();
    let packs = ObjectPacks::new(place, elsewhere.path()).cache_bytes(12 << 20);
    for name in names.iter().chain(&names) {
        assert_eq!(packs.read(name, (5 << 20)..(5 << 20) + 10).unwrap().len(), 10);
        assert_eq!(packs.read(name, 0..5 << 20).unwrap().len(), 5 << 20);
    }
    let kept: Vec<u64> = std::fs::read_dir(elsewhere.path().join("cache"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect();
    assert!(kept.iter().sum::<u64>() <= (12 << 20) + (5 << 20), "{kept:?}");
    // Packs written here are evicted too.
    let writer = ObjectPacks::new(Place::open(URL, &Access::default()).unwrap(), folder.path()).cache_bytes(8 << 20);
    assert_eq!(writer.known().unwrap().0.len(), 6);
}
