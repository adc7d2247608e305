//! Every commit is signed as it is published, by a key that the journal knows.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use common::{TestStore, name, options};
use repos::fsck::check;
use repos::journal::{Entry, Journal, Position, Record};
use repos::keys::{PublicKey, replacement};
use repos::object::Kind;
use repos::packs::codec::unpack;
use repos::packs::writer::{PackWriter, read_index};
use repos::packs::{LocalPacks, PackStore};
use repos::store::Vouched;
use repos::{Change, DoubtWhy, Store};
use specs::{BranchName, CommitId, Digest};

/// The key of a commit's only signature, which must be valid.
fn signer(store: &Store, commit: &CommitId) -> Digest {
    let signatures = store.signatures(commit).unwrap();
    assert_eq!(signatures.len(), 1);
    assert_eq!(signatures[0].vouched, Vouched::Good);
    signatures[0].key.unwrap()
}

fn entries(store: &Store) -> Vec<Entry> {
    let read = Journal::new(store.folder().join("journal")).read_after(Position::default()).unwrap();
    read.records.into_iter().flat_map(|(record, _)| record.entries).collect()
}

fn key_of(test: &TestStore) -> PathBuf {
    test.store.folder().join("key")
}

fn write_key(file: &Path, pem: &[u8]) {
    std::fs::write(file, pem).unwrap();
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o600)).unwrap();
}

/// A copy of a store as an older `pv` would have made it.
fn without_keys(test: &TestStore) -> PathBuf {
    let dir = test.work().join("older");
    let (from, to) = (test.store.folder(), dir.join(".pv"));
    std::fs::create_dir_all(to.join("packs")).unwrap();
    std::fs::copy(from.join("format"), to.join("format")).unwrap();
    let read = Journal::new(from.join("journal")).read_after(Position::default()).unwrap();
    let journal = Journal::create(&to.join("journal")).unwrap();
    let mut position = Position::default();
    for (record, _) in read.records {
        let mut entries = record.entries;
        entries.retain(|entry| !matches!(entry, Entry::Key { .. }));
        position = journal.append(position, &Record::new(position.last, record.at, entries)).unwrap();
    }
    let (from, to) = (LocalPacks::new(from.join("packs")), LocalPacks::new(to.join("packs")));
    for (name, length) in from.list().unwrap() {
        let mut writer = PackWriter::new(name.class, 1 << 30);
        for row in read_index(&from, &name, length).unwrap() {
            let kind = Kind::from_number(row.kind).unwrap();
            let bytes = unpack(&row, from.read(&name, row.stored_range()).unwrap()).unwrap();
            if kind != Kind::Signature {
                writer.append(&to, kind, row.digest, &bytes).unwrap();
            }
        }
        writer.finish().unwrap();
    }
    dir
}

#[test]
fn a_commit_is_signed_by_the_key_made_with_the_store() {
    let test = TestStore::new();
    let own = test.store.public_key().unwrap().unwrap();
    let commit = test.set("images", &[("/a", Some("1"))]);
    assert_eq!(signer(&test.store, &commit), own.fingerprint());
    let document = test.store.document_bytes(Kind::Commit, &commit.digest()).unwrap();
    let signature = test.store.signatures(&commit).unwrap()[0].signature;
    let signature: repos::documents::SignatureDocument = test.store.document(&signature).unwrap();
    assert!(own.has_signed(&document, &signature.signature), "what is signed are the document's bytes");
    assert_eq!(std::fs::metadata(key_of(&test)).unwrap().permissions().mode() & 0o777, 0o600);
    let first = entries(&test.store).into_iter().take(2).collect::<Vec<_>>();
    assert!(matches!(&first[..], [Entry::Init { .. }, Entry::Key { public_key, .. }] if *public_key == own));
}

#[test]
fn signatures_are_found_after_the_index_was_made_anew_and_packs_were_folded_and_swept() {
    let test = TestStore::new();
    let commits: Vec<CommitId> = (0..20).map(|n| test.set("images", &[("/a", Some(&format!("{n}")))])).collect();
    repos::gc::collect(&test.store, "uid:1@edge", false, &|_, _, _| {}).unwrap();
    test.store.rebuild_index().unwrap();
    let again = options().open(test.store.dir()).unwrap();
    for commit in &commits {
        signer(&again, commit);
    }
    assert!(check(&again, &|_, _, _| {}).unwrap().problems.is_empty());
}

#[test]
fn an_older_store_gets_its_key_with_its_first_commit_and_older_ones_stay_unsigned() {
    let test = TestStore::new();
    let before = test.set("images", &[("/a", Some("1"))]);
    let old = without_keys(&test);
    let store = options().open(&old).unwrap();
    assert_eq!((store.signatures(&before).unwrap(), store.signing_keys().unwrap()), (vec![], vec![]));
    assert!(store.public_key().unwrap().is_none());
    // An existing commit is not signed when it is named again; the record is.
    let tag = Entry::TagCreate { repo: name("images"), tag: "v1".parse().unwrap(), commit: before, document: None };
    store.publish(&Change::of(vec![tag])).unwrap();
    assert_eq!((store.signing_keys().unwrap().len(), store.unsigned_before().unwrap()), (1, Some(3)));
    assert_eq!(store.doubts().unwrap(), []);
    let edits = common::edits(&store, &[("/a", Some("2"))]);
    let after = common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
    assert_eq!(signer(&store, &after), store.public_key().unwrap().unwrap().fingerprint());
    assert!(store.signatures(&before).unwrap().is_empty());
    assert_eq!(store.signed_after().unwrap(), Some(1));
    assert!(check(&store, &|_, _, _| {}).unwrap().problems.is_empty());
}

#[test]
fn a_key_that_was_lost_is_made_anew_and_said() {
    let test = TestStore::new();
    let first = test.set("images", &[("/a", Some("1"))]);
    std::fs::remove_file(key_of(&test)).unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    let told = said.clone();
    let store =
        options().notify(move |what| told.lock().unwrap().push(what.to_owned())).open(test.store.dir()).unwrap();
    let edits = common::edits(&store, &[("/a", Some("2"))]);
    let second = common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
    signer(&store, &first);
    assert_eq!(store.signatures(&second).unwrap()[0].vouched, Vouched::UnvouchedKey);
    assert_eq!(store.signing_keys().unwrap().len(), 2);
    let doubts: Vec<_> = store.doubts().unwrap().iter().map(|doubt| (doubt.record, doubt.why)).collect();
    assert_eq!(doubts, [(4, DoubtWhy::Unvouched)]);
    let said = said.lock().unwrap();
    assert!(said[0].contains("a new key was created") && said[1].contains("NOT PROVEN until"), "{said:?}");
}

#[test]
fn a_key_is_replaced_by_one_that_it_signs() {
    let test = TestStore::new();
    let first = test.set("images", &[("/a", Some("1"))]);
    let old = test.store.public_key().unwrap().unwrap();
    let (previous, new) = test.store.replace_key().unwrap();
    assert_eq!(previous, old.fingerprint());
    assert_eq!(test.store.public_key().unwrap().unwrap(), new);
    let second = test.set("images", &[("/a", Some("2"))]);
    assert_eq!((signer(&test.store, &first), signer(&test.store, &second)), (previous, new.fingerprint()));
    let row = test.store.signing_key(&new.fingerprint()).unwrap().unwrap();
    let message = replacement(&test.store.id().unwrap(), &previous, &new);
    assert!(old.has_signed(&message, &row.signature.unwrap()));
    assert!(test.store.signing_key(&previous).unwrap().unwrap().replaced_at.is_some());
    assert!(!test.store.folder().join("key.next").exists());
    assert!(check(&test.store, &|_, _, _| {}).unwrap().problems.is_empty());
}

#[test]
fn a_replacement_that_stopped_half_way_is_finished_by_the_next_commit() {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    let (old, key) = (std::fs::read(key_of(&test)).unwrap(), key_of(&test));
    let (_, new) = test.store.replace_key().unwrap();
    // As if the process had died after the record and before the file was renamed.
    std::fs::rename(&key, key.with_file_name("key.next")).unwrap();
    write_key(&key, &old);
    let store = options().open(test.store.dir()).unwrap();
    let edits = common::edits(&store, &[("/a", Some("2"))]);
    let commit = common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
    assert_eq!(signer(&store, &commit), new.fingerprint());
    // The old key alone no longer works.
    write_key(&key, &old);
    let store = options().open(test.store.dir()).unwrap();
    let edits = common::edits(&store, &[("/a", Some("3"))]);
    let error = common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap_err();
    assert!(error.to_string().contains("was replaced"), "{error}");
}

#[test]
fn readers_need_no_key_and_every_change_does() {
    let test = TestStore::new();
    let commit = test.set("images", &[("/a", Some("1"))]);
    std::fs::set_permissions(key_of(&test), std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = options().open(test.store.dir()).unwrap();
    signer(&store, &commit);
    let setting = Change::of(vec![Entry::Setting { key: "jobs".to_owned(), value: None }]);
    assert!(store.publish(&setting).unwrap_err().to_string().contains("can be read or changed by other users"));
    let edits = common::edits(&store, &[("/a", Some("2"))]);
    let error = common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap_err();
    assert!(error.hint().unwrap().starts_with("chmod 600"), "{error}");
    assert_eq!(test.resolve("images").id, commit, "nothing was committed");
}

#[test]
fn another_file_can_hold_the_key_and_two_places_have_two() {
    let test = TestStore::new();
    test.set("images", &[("/a", Some("1"))]);
    let elsewhere = test.work().join("mine");
    let store = options().key(elsewhere.clone()).open(test.store.dir()).unwrap();
    let edits = common::edits(&store, &[("/a", Some("2"))]);
    let commit = common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap().0.unwrap();
    let mine = store.signatures(&commit).unwrap()[0].key.unwrap();
    assert_ne!(mine, test.store.public_key().unwrap().unwrap().fingerprint());
    assert_eq!(
        (store.signatures(&commit).unwrap()[0].vouched.clone(), store.doubts().unwrap().len()),
        (Vouched::UnvouchedKey, 1)
    );
    assert!(store.trust_key(&mine).unwrap_err().to_string().contains("is not trusted by the store"));
    // Once trusted at the store's key, it counts, also for what it signed before.
    test.store.refresh().unwrap();
    test.store.trust_key(&mine).unwrap();
    store.refresh().unwrap();
    assert_eq!((signer(&store, &commit), store.doubts().unwrap()), (mine, vec![]));
    assert_eq!(store.public_key().unwrap().as_ref().map(PublicKey::fingerprint), Some(mine));
    assert!(elsewhere.exists());
}
