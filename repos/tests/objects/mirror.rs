//! Mirrors.

use repos::place::{Access, Place};
use repos::{OpenOptions, RepoError, Store};

use super::{assert_sound, joined};
use crate::common::TestStore;

fn mirror(store: &Store, url: &str) -> Result<repos::store::Mirrored, RepoError> {
    store.mirror(url, &Access::default(), false, &|_, _, _| {})
}

fn mirror_folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("file://{}/mirror", folder.path().display());
    (folder, url)
}

#[test]
fn a_mirror_takes_what_is_new_and_becomes_a_store_again() {
    let (_folder, url) = mirror_folder();
    let test = TestStore::new();
    for (number, records) in (0..4).zip(3..) {
        test.set("images", &[(&format!("/{number}"), Some("content"))]);
        let done = mirror(&test.store, &url).unwrap();
        assert_eq!((done.records, done.new_records), (records, if number == 0 { 3 } else { 1 }));
        assert!((1..=2).contains(&done.new_packs) && done.packs >= done.new_packs, "{done:?}");
    }
    let done = mirror(&test.store, &url).unwrap();
    assert_eq!((done.new_packs, done.new_bytes, done.new_records), (0, 0, 0));
    let journal = std::fs::read(test.store.folder().join("journal")).unwrap();
    assert_eq!(repos::store::journal_at(&url, &Access::default()).unwrap(), journal);
    let back = tempfile::tempdir().unwrap();
    let alone = OpenOptions::default().init_from(back.path(), &url, &|_, _, _| {}).unwrap();
    assert_eq!(alone.position(), test.store.position());
    assert_eq!(alone.id().unwrap(), test.store.id().unwrap());
    assert_eq!(alone.objects_url().unwrap(), None);
    assert_sound(&alone);
    let place = Place::open(&url, &Access::default()).unwrap();
    let on_it = joined(&place);
    assert_eq!(on_it.contents("images"), test.contents("images"));
    assert_sound(&on_it.store);
    // They diverge now, and neither is overwritten.
    on_it.set("images", &[("/there", Some("1"))]);
    let ahead = mirror(&test.store, &url).unwrap_err();
    assert_eq!(ahead.kind(), specs::ErrorKind::Conflict, "{ahead}");
    test.set("images", &[("/here", Some("1"))]);
    let apart = mirror(&test.store, &url).unwrap_err();
    assert_eq!(apart.kind(), specs::ErrorKind::Conflict, "{apart}");
    let other = mirror(&TestStore::new().store, &url).unwrap_err();
    assert_eq!(other.kind(), specs::ErrorKind::Conflict, "{other}");
    on_it.store.refresh().unwrap();
    assert_sound(&on_it.store);
}

#[test]
fn a_mirror_that_was_broken_off_goes_on() {
    let (folder, url) = mirror_folder();
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    mirror(&test.store, &url).unwrap();
    test.set("images", &[("/a", Some("2"))]);
    test.set("images", &[("/a", Some("3"))]);
    let before = mirror(&test.store, &url).unwrap();
    let place = folder.path().join("mirror");
    std::fs::remove_file(place.join("journal/00000000000000000004")).unwrap();
    let mut lost = 0;
    for pack in std::fs::read_dir(place.join("packs")).unwrap().map(|pack| pack.unwrap().path()).take(2) {
        std::fs::remove_file(pack).unwrap();
        lost += 1;
    }
    std::fs::remove_file(place.join("format")).unwrap();
    let back = tempfile::tempdir().unwrap();
    let none = OpenOptions::default().init_from(back.path(), &url, &|_, _, _| {}).unwrap_err();
    assert_eq!(none.kind(), specs::ErrorKind::NotFound, "{none}");
    let done = mirror(&test.store, &url).unwrap();
    assert_eq!((done.new_packs, done.packs), (lost, before.packs));
    let alone = OpenOptions::default().init_from(back.path(), &url, &|_, _, _| {}).unwrap();
    assert_sound(&alone);
    assert_eq!(alone.position(), test.store.position());
}

#[test]
fn a_pack_that_is_lost_here_stays_in_the_mirror_unless_it_is_pruned() {
    let (_folder, url) = mirror_folder();
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    mirror(&test.store, &url).unwrap();
    let packs = test.store.folder().join("packs");
    let lost = std::fs::read_dir(&packs).unwrap().next().unwrap().unwrap();
    let bytes = std::fs::read(lost.path()).unwrap();
    std::fs::remove_file(lost.path()).unwrap();
    let store = Store::open(test.store.dir()).unwrap();
    mirror(&store, &url).unwrap();
    let there = repos::packs::open_url(&url, &Access::default()).unwrap();
    let name = lost.file_name().to_string_lossy().parse().unwrap();
    assert_eq!(there.read(&name, 0..1 << 20).unwrap(), bytes);
    let done = store.mirror(&url, &Access::default(), true, &|_, _, _| {}).unwrap();
    assert_eq!(done.removed_packs, 1);
    there.read(&name, 0..1).unwrap_err();
}
