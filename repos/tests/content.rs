//! All content can be read back unchanged, or an error says why not, wherever reading or writing fails.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::io::{Error, ErrorKind, Read, Seek, SeekFrom};
use std::sync::Arc;

use common::TestStore;
use proptest::prelude::*;
use repos::fsck::check;
use repos::hash::digest_of;
use repos::object::Kind;
use repos::packs::testing::FailAt;
use repos::tree::FileEntry;
use repos::{RepoError, Store};

/// Bytes that do not compress and have natural cuts.
fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    for byte in &mut bytes {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        *byte = (state >> 56) as u8;
    }
    bytes
}

/// Text with many repetitions.
fn words(length: usize) -> Vec<u8> {
    (0_u32..).flat_map(|number| format!("line {} of a log\n", number % 5000).into_bytes()).take(length).collect()
}

fn entry(bytes: &[u8]) -> FileEntry {
    FileEntry { digest: digest_of(bytes), size: bytes.len() as u64, executable: false }
}

/// Returns bytes in reads of these lengths, cycling through them, and fails at a given position.
struct Source<'a> {
    bytes: &'a [u8],
    reads: std::iter::Cycle<std::slice::Iter<'a, usize>>,
    fails_after: Option<usize>,
}

fn source<'a>(bytes: &'a [u8], reads: &'a [usize], fails_after: Option<usize>) -> Source<'a> {
    Source { bytes, reads: reads.iter().cycle(), fails_after }
}

impl Read for Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let limit = self.fails_after.unwrap_or(usize::MAX).min(self.bytes.len());
        let length = self.reads.next().copied().unwrap_or(1).min(into.len()).min(limit);
        if length == 0 && self.fails_after == Some(0) {
            return Err(Error::new(ErrorKind::ConnectionReset, "the line is cut"));
        }
        into[..length].copy_from_slice(&self.bytes[..length]);
        self.bytes = &self.bytes[length..];
        self.fails_after = self.fails_after.map(|left| left - length);
        Ok(length)
    }
}

fn assert_comes_back(store: &Store, bytes: &[u8], range: std::ops::Range<u64>) {
    let file = entry(bytes);
    let mut copy = Vec::new();
    store.copy_to(&file, &mut copy).unwrap();
    assert!(copy == bytes, "a copy is the same");
    copy.clear();
    store.open_file(&file).unwrap().read_to_end(&mut copy).unwrap();
    assert!(copy == bytes, "what is read is the same");
    let (start, end) = (range.start.min(file.size), range.end.min(file.size));
    let expected = &bytes[start as usize..end.max(start) as usize];
    assert!(*store.read_file(&file, range).unwrap() == *expected, "and a part of it");
    let mut reader = store.open_file(&file).unwrap();
    for to in [SeekFrom::Start(start), SeekFrom::End(start.cast_signed() - file.size.cast_signed())] {
        let mut part = Vec::new();
        assert_eq!(reader.seek(to).unwrap(), start);
        (&mut reader).take(end.saturating_sub(start)).read_to_end(&mut part).unwrap();
        assert!(part == expected, "and what is read from a place");
        // A little further back, in the current chunk or in the previous one.
        let back = (part.len() as u64).min(300_000);
        assert_eq!(reader.seek(SeekFrom::Current(-back.cast_signed())).unwrap(), start + part.len() as u64 - back);
        let mut again = vec![0; back as usize];
        reader.read_exact(&mut again).unwrap();
        assert!(part.ends_with(&again), "and again");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn any_content_comes_back_however_it_arrives(
        noisy in prop_oneof![0_usize..3000, 250_000_usize..270_000, 0_usize..9_000_000],
        wordy in prop_oneof![0_usize..3000, 0_usize..3_000_000],
        seed: u64, start in 0_u64..9_000_000, length in 0_u64..2_000_000,
        reads in prop::collection::vec(1_usize..700_000, 1..4),
    ) {
        let test = TestStore::new();
        let bytes = [noise(noisy, seed), words(wordy)].concat();
        let stored = test.store.put_content(source(&bytes, &reads, None)).unwrap();
        prop_assert_eq!((stored.digest, stored.size_bytes), (digest_of(&bytes), bytes.len() as u64));
        prop_assert!(stored.new_bytes <= stored.size_bytes);
        // First from the open pack, then from a finished one.
        assert_comes_back(&test.store, &bytes, start..start + length);
        test.store.finish_packs().unwrap();
        assert_comes_back(&test.store, &bytes, start..start + length);
        let again = test.store.put_content(bytes.as_slice()).unwrap();
        prop_assert_eq!((again.digest, again.new_bytes), (stored.digest, 0));
    }
}

#[test]
fn a_source_that_fails_is_told_as_its_own_error_wherever_it_fails() {
    let bytes = noise(7_000_000, 1);
    let test = TestStore::new();
    let block = 2 << 20;
    let places = [0, 1, (256 << 10) - 1, 256 << 10, 1 << 20, block - 1, block, block + 1, 2 * block, 3 * block + 7];
    for place in places.into_iter().chain([bytes.len() - 1, bytes.len()]) {
        let error = test.store.put_content(source(&bytes, &[300_000], Some(place))).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::ConnectionReset, "the line is cut"));
    }
    let stored = test.store.put_content(bytes.as_slice()).unwrap();
    assert_eq!(stored.digest, digest_of(&bytes));
    assert_comes_back(&test.store, &bytes, 0..10);
}

#[test]
fn a_large_file_is_whole_or_refused_whichever_write_fails() {
    let bytes = noise(7_000_000, 2);
    for stays in [false, true] {
        for n in 0.. {
            let test = TestStore::new();
            let dir = test.store.dir().to_owned();
            let fail = if stays { FailAt::from } else { FailAt::once };
            let store = common::options().wrap_packs(move |packs| Arc::new(fail(packs, n))).open(&dir).unwrap();
            let put = |store: &Store| -> Result<(), RepoError> {
                let stored = store.put_content(bytes.as_slice());
                let stored = stored.map_err(|error| error.downcast::<RepoError>().expect("the store's own error"))?;
                assert_eq!(stored.digest, digest_of(&bytes));
                store.finish_packs()
            };
            let done = put(&store);
            if let Err(error) = &done {
                let hint = error.hint().unwrap_or_default();
                assert!(hint.contains("free some space"), "write {n}: {error}");
                assert_eq!(put(&store).is_ok(), !stays, "write {n}");
            }
            if done.is_ok() || !stays {
                assert_comes_back(&store, &bytes, 5..3_000_000);
            }
            drop(store);
            let reopened = Store::open(&dir).unwrap();
            assert_eq!(check(&reopened, &|_, _, _| {}).unwrap().problems, [], "write {n}");
            if done.is_ok() {
                assert!(n > 6, "each of the writes has failed");
                break;
            }
        }
    }
}

#[test]
fn several_large_files_at_once_share_the_threads() {
    let test = TestStore::new();
    let shared = noise(3_000_000, 3);
    let files: Vec<Vec<u8>> =
        (0..4_u64).map(|number| [shared.clone(), noise(2_500_000, 10 + number)].concat()).collect();
    let new_bytes: u64 = std::thread::scope(|scope| {
        let puts: Vec<_> =
            files.iter().map(|bytes| scope.spawn(|| test.store.put_content(bytes.as_slice()).unwrap())).collect();
        puts.into_iter().map(|put| put.join().unwrap().new_bytes).sum()
    });
    // Where the shared part ends, each has its own chunk of at most 1 MiB.
    let least = 3_000_000 + 4 * 2_500_000;
    assert!((least..=least + (4 << 20)).contains(&new_bytes), "what they share is kept once: {new_bytes}");
    for bytes in &files {
        assert_comes_back(&test.store, bytes, 2_400_000..2_600_000);
    }
}

#[test]
fn a_flipped_byte_is_found_by_a_copy_and_the_chunk_named() {
    for bytes in [noise(6_000_000, 4), noise(900_000, 5), noise(1000, 6), words(20_000)] {
        let test = TestStore::new();
        let stored = test.store.put_content(bytes.as_slice()).unwrap();
        test.store.finish_packs().unwrap();
        let packs = std::fs::read_dir(test.store.folder().join("packs")).unwrap().map(|entry| entry.unwrap().path());
        let pack = packs.into_iter().find(|path| path.to_string_lossy().ends_with(".data.pack")).unwrap();
        let mut damaged = std::fs::read(&pack).unwrap();
        let middle = damaged.len() / 3;
        damaged[middle] ^= 4;
        std::fs::write(&pack, damaged).unwrap();
        let store = Store::open(test.store.dir()).unwrap();
        let error = store.copy_to(&entry(&bytes), &mut Vec::new()).unwrap_err();
        assert!(matches!(error, RepoError::DamagedObject { kind: Kind::Chunk, .. }), "{error}");
        assert_eq!(stored.digest, digest_of(&bytes));
    }
}

#[test]
fn what_an_owner_wrote_is_found_by_a_prefix_of_its_name_before_its_pack_is_finished() {
    let test = TestStore::new();
    test.store.own().unwrap();
    test.write("a.txt", "in an open pack");
    let commit = test.put("images", "/", &["a.txt"]).unwrap().0.unwrap();
    let content = digest_of(b"in an open pack");
    let tree = test.store.commit(&commit).unwrap().tree;
    let names = [(Kind::Chunk, content), (Kind::Node, tree), (Kind::Commit, commit.digest())];
    let reader = Store::open(test.store.dir()).unwrap();
    let look = |store: &Store, when: &str| {
        for (kind, digest) in names {
            let digits_of = digest.to_string();
            for digits in [7, 8, 64] {
                let found = store.objects_by_prefix(kind, &digits_of[..digits], 9).unwrap();
                assert_eq!(found, [digest], "{kind} {digits} {when}");
            }
            let other = if digits_of.starts_with('0') { "1" } else { "0" };
            let found = store.objects_by_prefix(kind, &format!("{other}{}", &digits_of[1..8]), 9).unwrap();
            assert_eq!(found, [], "{kind} {when}");
        }
    };
    look(&test.store, "by the owner");
    look(&reader, "by another process");
    test.store.finish_packs().unwrap();
    look(&test.store, "in a finished pack");
}
