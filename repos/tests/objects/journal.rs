//! Records that a place has lost, and forked journals.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use repos::fsck::check;
use repos::fsck::repair::Repair;
use repos::journal::Entry;
use repos::place::Place;
use repos::{Change, RepoError, Store};
use specs::BranchName;

use super::{URL, assert_sound, joined, made, memory, options};
use crate::common::{self, TestStore, edits, name};

#[test]
fn a_record_that_is_gone_or_damaged_is_told() {
    use object_store::ObjectStoreExt;
    let place = memory();
    let test = made(&place);
    test.set("images", &[("/a", Some("1"))]);
    let last = ObjectPath::from("journal/00000000000000000003");
    let block_on = |work: &dyn Fn(Arc<dyn ObjectStore>)| {
        let _same = place.wrapped(|objects| {
            work(objects.clone());
            objects
        });
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    block_on(&|objects| runtime.block_on(objects.put(&last, "other".into())).map(|_| ()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let joining = options(&place).init_shared(folder.path(), URL, BranchName::main()).unwrap_err();
    assert!(matches!(joining, RepoError::DamagedJournal { record: 3, .. }), "{joining}");
}

/// Removes a record from a place.
fn lose(place: &Place, record: u64) {
    use object_store::ObjectStoreExt;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let _same = place.wrapped(|objects| {
        runtime.block_on(objects.delete(&ObjectPath::from(format!("journal/{record:020}")))).unwrap();
        objects
    });
}

#[test]
fn a_place_that_lost_its_last_records_gets_them_back_from_a_copy() {
    let place = memory();
    let test = made(&place);
    let commits = ["1", "2", "3"].map(|content| test.set("images", &[("/a", Some(content))]));
    lose(&place, 5);
    lose(&place, 4);
    let one = options(&place).open(test.store.dir()).unwrap();
    assert_eq!((one.position().records, one.resolve(&"images".parse().unwrap()).unwrap().id), (5, commits[2]));
    let other = joined(&place);
    assert_eq!((other.store.position(), other.resolve("images").id), (one.position(), commits[2]));
    // Also while it is being written to.
    lose(&place, 5);
    test.store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    assert_eq!(joined(&place).store.position(), test.store.position());
    assert_sound(&other.store);
}

#[test]
fn a_journal_that_forked_shows_both_sides_and_a_repair_takes_up_the_places() {
    let place = memory();
    let (test, other) = (made(&place), joined(&place));
    let lost = test.set("images", &[("/a", Some("lost"))]);
    lose(&place, 3);
    // The other machine has not seen it.
    let edits = edits(&other.store, &[("/a", Some("kept"))]);
    let kept = common::commit(&other.store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
    let error =
        test.store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap_err();
    let RepoError::DamagedJournal { record: 3, why } = error else { panic!("{error}") };
    let line = |store: &Store| {
        let journal = std::fs::read_to_string(store.folder().join("journal")).unwrap();
        journal.lines().nth(2).unwrap()[..12].to_owned()
    };
    assert!(why.contains(&line(&test.store)) && why.contains(&line(&other.store)) && why.contains("--repair"), "{why}");
    let dir = test.store.dir().to_owned();
    let TestStore { folder: _folder, store } = test;
    drop(store);
    let reopen = || options(&place).open_damaged(&dir);
    let store = reopen().unwrap();
    let report = check(&store, &|_, _, _| {}).unwrap();
    assert!(report.problems.iter().any(|problem| problem.why.contains("it forked")), "{report:?}");
    let repair = Repair::begin(store, &report, None, reopen, &|_, _, _| {}).unwrap();
    let done = repair.finish().unwrap();
    assert!(done.iter().any(|done| done.is_healed && done.how.contains("Superseded")), "{done:?}");
    let store = options(&place).open(&dir).unwrap();
    assert_eq!(store.resolve(&"images".parse().unwrap()).unwrap().id, kept);
    assert_eq!(store.position(), other.store.position());
    store.publish(&Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }])).unwrap();
    other.store.refresh().unwrap();
    assert_eq!((store.position(), store.commit_row(&lost).unwrap()), (other.store.position(), None));
    assert_sound(&store);
}
