//! A store read by another process while its owner has output in unfinished packs.

use repos::tree::{FileEntry, KeyRange, Tree};
use repos::{RepoError, Store, fsck};
use specs::{Reference, RepoName};

use super::flow::UPPER;
use super::setting::{Setting, copy};
use answers::proof::{Contents, Verdict, gather, verify};
use sandbox::scripted::{Call, Reply};

/// Size in bytes of a file of more than one chunk.
const LARGE: usize = 3 << 20;

/// Copies its input, and adds a file with many chunks.
fn with_a_large_file(call: Call) -> Reply {
    let mut reply = copy(call);
    let bytes: Vec<u8> = (0..LARGE as u64).map(|at| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as u8).collect();
    reply.files.insert("large".to_owned(), bytes);
    reply
}

/// Unfinished packs.
fn parts(store: &Store) -> usize {
    let packs = std::fs::read_dir(store.folder().join("packs")).unwrap();
    packs.filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|end| end == "part")).count()
}

fn files(store: &Store, repo: &str) -> Vec<FileEntry> {
    let repo: RepoName = repo.parse().unwrap();
    let head = store.head(&repo, &"main".parse().unwrap()).unwrap();
    let tree = Tree::at(store.commit(&head).unwrap().tree);
    tree.range(store, KeyRange::all()).unwrap().map(|entry| entry.unwrap().1).collect()
}

/// Reads a store in every way there is.
fn assert_whole(store: &Store) {
    let report = verify(store, None, &[]).unwrap();
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.worst());
    let sound = fsck::check(store, &|_, _, _| {}).unwrap();
    assert_eq!((sound.problems, sound.notes), (vec![], vec![]));
    let at = store.resolve(&"upper".parse::<Reference>().unwrap()).unwrap();
    gather(store, &at, Contents { data: true, code: true }).unwrap();
    for file in files(store, "upper") {
        store.copy_to(&file, &mut std::io::sink()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn output_in_unfinished_packs_is_read_proven_and_sound_in_and_outside_of_its_owner() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1"))]);
    // Opened before the run: it knows nothing of the output.
    let before = Store::open(s.store.dir()).unwrap();
    s.run_with(with_a_large_file).await;
    assert_eq!(parts(&s.store), 2, "the test is about these");
    let after = Store::open(s.store.dir()).unwrap();
    before.refresh().unwrap();
    for store in [&before, &after] {
        assert_whole(store);
    }
    let report = verify(&s.store, None, &[]).unwrap();
    assert_eq!(report.verdict(), Verdict::Proven, "{:?}", report.worst());
    // Once the owner ends, everything it writes is finished at once.
    s.store.end_owning().unwrap();
    assert_eq!(parts(&s.store), 0);
    for store in [&before, &after, &Store::open(s.store.dir()).unwrap()] {
        assert_whole(store);
    }
    s.put("images", [("/b", Some("2"))]);
    s.run().await;
    assert_eq!(parts(&s.store), 0, "also the end of a job");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_no_pack_at_all_is_missing() {
    let s = Setting::new();
    s.repo("images").pipeline(UPPER);
    s.put("images", [("/a", Some("1"))]);
    s.run().await;
    let packs = s.store.folder().join("packs");
    let part = std::fs::read_dir(&packs)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_str().unwrap().ends_with(".data.part"));
    // Everything but its header is lost.
    std::fs::OpenOptions::new().write(true).open(part.unwrap()).unwrap().set_len(16).unwrap();
    let other = Store::open(s.store.dir()).unwrap();
    let missing =
        files(&other, "upper").into_iter().map(|file| other.copy_to(&file, &mut std::io::sink()).unwrap_err());
    assert!(missing.into_iter().all(|error| matches!(error, RepoError::MissingObject { .. })));
    assert_eq!(verify(&other, None, &[]).unwrap().verdict(), Verdict::Damaged);
    assert!(!fsck::check(&other, &|_, _, _| {}).unwrap().problems.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_is_made_anew_by_no_owner() {
    let s = Setting::new();
    let error = s.store.rebuild_index().unwrap_err();
    assert!(matches!(error, RepoError::InUse { .. }), "{error}");
}
