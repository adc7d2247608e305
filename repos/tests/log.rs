//! The index contains a Merkle tree over the journal's records, however it was made; a different journal has a different root.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::path::Path;

use common::TestStore;
use proptest::prelude::*;
use repos::fsck::check;
use repos::hash::digest_of;
use repos::journal::Entry;
use repos::log::tree::{empty_root, leaf_hash, node_hash};
use repos::store::Included;
use repos::{Change, Store};
use specs::Digest;

/// The JSON of each line.
fn records(dir: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(dir.join(".pv/journal")).unwrap();
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| line[65..].to_vec()).collect()
}

/// The root exactly as RFC 6962 defines it.
fn naive(records: &[Vec<u8>]) -> Digest {
    match records {
        [] => empty_root(),
        [record] => leaf_hash(record),
        records => {
            let left = 1 << (records.len() - 1).ilog2();
            node_hash(&naive(&records[..left]), &naive(&records[left..]))
        }
    }
}

fn setting(store: &Store, number: u64) {
    let entry = Entry::Setting { key: "note".to_owned(), value: Some(number.to_string()) };
    store.publish(&Change::of(vec![entry])).unwrap();
}

/// Checks that a store knows the roots of all its past and current states.
fn check_roots(store: &Store) {
    let records = records(store.dir());
    let head = store.log_head().unwrap();
    assert_eq!((head.size, head.root), (records.len() as u64, naive(&records)));
    let sizes: Vec<u64> = (0..=head.size).collect();
    let (read, now) = store.read_roots(&sizes).unwrap();
    assert_eq!(now, head);
    for size in sizes {
        let root = Some(naive(&records[..size as usize]));
        assert_eq!((store.root_at(size).unwrap(), read[size as usize]), (root, root), "{size} of {}", head.size);
    }
    assert_eq!(store.root_at(head.size + 1).unwrap(), None);
    assert_eq!(store.read_roots(&[head.size + 1]).unwrap().0, [None]);
}

#[test]
fn the_index_has_every_root_whatever_made_it() {
    let test = TestStore::new();
    for number in 0..70 {
        setting(&test.store, number);
        if number % 23 == 0 {
            check_roots(&test.store);
            check_roots(&Store::open(test.store.dir()).unwrap());
        }
    }
    // A reader with only part of it on disk, one with nothing, and the rebuilt index.
    let reader = Store::open(test.store.dir()).unwrap();
    (70..90).for_each(|number| setting(&test.store, number));
    reader.refresh().unwrap();
    check_roots(&reader);
    test.store.rebuild_index().unwrap();
    check_roots(&test.store);
    std::fs::remove_dir_all(test.store.folder().join("index")).unwrap();
    check_roots(&Store::open(test.store.dir()).unwrap());
    assert!(check(&test.store, &|_, _, _| {}).unwrap().problems.is_empty());
    let owner = Store::open(test.store.dir()).unwrap();
    owner.own().unwrap();
    (90..100).for_each(|number| setting(&owner, number));
    check_roots(&owner);
}

#[test]
fn a_commit_is_shown_to_be_in_the_journal() {
    let test = TestStore::new();
    let commits: Vec<_> = (0..20).map(|number| test.set("images", &[("/a", Some(&number.to_string()))])).collect();
    let head = test.store.log_head().unwrap();
    for commit in commits {
        let Included { index, record, path } = test.store.included(&commit, head.size).unwrap();
        assert_eq!(record, records(test.store.dir())[index as usize]);
        assert!(String::from_utf8_lossy(&record).contains(&commit.to_string()));
        // From the leaf up: index and size determine the side of each hash.
        let (mut at, mut last, mut hash) = (index, head.size - 1, leaf_hash(&record));
        for beside in path {
            while at == last && at & 1 == 0 {
                (at, last) = (at >> 1, last >> 1);
            }
            hash = if at & 1 == 1 { node_hash(&beside, &hash) } else { node_hash(&hash, &beside) };
            (at, last) = (at >> 1, last >> 1);
        }
        assert_eq!(hash, head.root);
    }
    let none = specs::CommitId::new(digest_of(b"none"));
    assert_eq!(test.store.included(&none, head.size).unwrap_err().kind(), specs::ErrorKind::NotFound);
    assert_eq!(test.store.consistency(head.size + 1, head.size).unwrap_err().kind(), specs::ErrorKind::NotFound);
}

#[test]
fn keys_are_in_use_from_one_record_to_another() {
    let test = TestStore::new();
    let first = test.store.public_key().unwrap().unwrap().fingerprint();
    test.set("images", &[("/a", Some("1"))]);
    let before = test.store.log_head().unwrap().size;
    let (_, second) = test.store.replace_key().unwrap();
    let (old, new) =
        (test.store.key_span(&first).unwrap().unwrap(), test.store.key_span(&second.fingerprint()).unwrap().unwrap());
    assert_eq!((old.from, old.until, new.from, new.until), (1, Some(before + 1), before + 1, None));
    assert!(old.holds_at(before) && !old.holds_at(before + 1) && new.holds_at(before + 1) && !new.holds_at(before));
    assert_eq!(test.store.first_key().unwrap(), Some(first));
    // New checkpoints are signed with the new key.
    let checkpoint = test.store.checkpoint().unwrap();
    assert_eq!(checkpoint.is_signed_by(&second), Some(true));
    assert_eq!(checkpoint.head, test.store.log_head().unwrap());
    let changed =
        checkpoint.to_string().replacen('\n', "1\n", 1).parse::<repos::log::checkpoint::Checkpoint>().unwrap();
    assert_eq!(changed.is_signed_by(&second), None, "it has another origin");
}

/// How an attacker may change the lines of a journal.
#[derive(Debug, Clone)]
enum Attack {
    Cut(usize),
    Drop(usize),
    Swap(usize, usize),
    Repeat(usize),
    Change(usize, usize),
}

fn attack() -> impl Strategy<Value = Attack> {
    let place = 0..40_usize;
    prop_oneof![
        place.clone().prop_map(Attack::Cut),
        place.clone().prop_map(Attack::Drop),
        (place.clone(), place.clone()).prop_map(|(one, other)| Attack::Swap(one, other)),
        place.clone().prop_map(Attack::Repeat),
        (place, 0..500_usize).prop_map(|(line, byte)| Attack::Change(line, byte)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_other_journal_has_the_same_root(attacks in prop::collection::vec(attack(), 1..4)) {
        thread_local! {
            static STORE: TestStore = {
                let test = TestStore::new();
                (0..38).for_each(|number| setting(&test.store, number));
                test
            };
        }
        STORE.with(|test| {
            let before = test.store.log_head().unwrap();
            let own = records(test.store.dir());
            let mut lines = own.clone();
            for attack in attacks {
                let count = lines.len().max(1);
                match attack {
                    Attack::Cut(at) => lines.truncate(at),
                    Attack::Drop(at) => drop((at < lines.len()).then(|| lines.remove(at))),
                    Attack::Swap(one, other) if !lines.is_empty() => lines.swap(one % count, other % count),
                    Attack::Repeat(at) if at < lines.len() => lines.insert(at, lines[at].clone()),
                    Attack::Change(line, byte) if !lines.is_empty() => {
                        let line = &mut lines[line % count];
                        let byte = byte % line.len();
                        line[byte] ^= 1;
                    }
                    _ => {}
                }
            }
            // An attacker who knows the format writes complete lines.
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir(folder.path().join("other")).unwrap();
            let file = folder.path().join("journal");
            let mut text = Vec::new();
            for line in &lines {
                text.extend_from_slice(format!("{} ", digest_of(line)).as_bytes());
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            std::fs::write(&file, text).unwrap();
            let kept = test.store.folder().join("kept");
            let journal = test.store.folder().join("journal");
            std::fs::rename(&journal, &kept).unwrap();
            std::fs::copy(&file, &journal).unwrap();
            let read = test.store.read_roots(&[before.size]);
            std::fs::rename(&kept, &journal).unwrap();
            let contains = read.unwrap().0[0] == Some(before.root);
            prop_assert_eq!(contains, lines.len() >= own.len() && lines[..own.len()] == own[..]);
            Ok(())
        })?;
    }
}
