//! Several machines on one store.

use repos::place::Place;
use specs::BranchName;

use super::{assert_sound, joined, made, memory};
use crate::common::{self, TestStore, contents, edits, name};

fn write(place: &Place, writer: usize, puts: usize, owner: bool) {
    let test = joined(place);
    if owner {
        test.store.own().unwrap();
    }
    for number in 0..puts {
        let (path, content) = (format!("/{writer}/{number}"), format!("{writer} {number}"));
        let edits = edits(&test.store, &[(&path, Some(&content)), ("/shared", Some(&content))]);
        common::commit(&test.store, &name("images"), &BranchName::main(), &edits).unwrap();
    }
    assert_sound(&test.store);
}

pub(super) fn many_machines_make_one_history(place: &Place, puts: usize) {
    const MACHINES: usize = 3;
    let test = made(place);
    std::thread::scope(|scope| {
        for writer in 0..MACHINES {
            scope.spawn(move || write(place, writer, puts, writer == 0));
        }
    });
    test.store.refresh().unwrap();
    let commits: Vec<_> =
        repos::files::log(&test.store, &test.resolve("images")).unwrap().map(Result::unwrap).collect();
    assert_eq!(commits.len(), MACHINES * puts);
    assert_eq!(test.contents("images").len(), MACHINES * puts + 1);
    assert_sound(&test.store);
}

#[test]
fn machines_that_commit_at_the_same_time_make_one_history() {
    many_machines_make_one_history(&memory(), 12);
}

#[test]
fn machines_that_commit_in_turn_see_each_other() {
    let place = memory();
    let (one, other) = (made(&place), joined(&place));
    for number in 0..6 {
        let (writer, reader) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        writer.store.refresh().unwrap();
        writer.set("images", &[(&format!("/{number}"), Some("content"))]);
        reader.store.refresh().unwrap();
        assert_eq!(reader.contents("images").len(), number + 1);
    }
    let journal = |test: &TestStore| std::fs::read(test.store.folder().join("journal")).unwrap();
    assert_eq!(journal(&one), journal(&other), "each has a byte for byte copy");
}

#[test]
fn packs_that_another_machine_folded_are_found_again() {
    let place = memory();
    let (one, other) = (made(&place), joined(&place));
    let data = |test: &TestStore| {
        let listed = std::fs::read_dir(test.store.folder().join("packs")).unwrap();
        listed.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(".data.pack")).count()
    };
    for number in 0..7 {
        one.set("images", &[(&format!("/{number}"), Some(&format!("content {number}")))]);
    }
    other.store.refresh().unwrap();
    let tree = other.tree("images");
    one.set("images", &[("/7", Some("content 7"))]);
    assert!(data(&one) < 8, "they were folded");
    // No new record reports that.
    for _ in 0..2 {
        assert_eq!(contents(&other.store, tree).len(), 7);
    }
    other.set("images", &[("/here", Some("content 3"))]);
    assert_sound(&other.store);
    one.store.refresh().unwrap();
    assert_eq!(one.contents("images").len(), 9);
    assert_sound(&one.store);
}

#[test]
fn two_that_make_the_store_at_the_same_time_make_one() {
    for _ in 0..10 {
        let place = memory();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| joined(&place).store.id().unwrap())).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(joined(&place).store.position().records, 1);
    }
}
