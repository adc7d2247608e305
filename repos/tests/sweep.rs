//! Garbage is removed, and nothing else.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::needless_for_each, reason = "tests")]

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{TestStore, contents, entry, name, path};
use repos::files::Edits;
use repos::fsck::check;
use repos::gc::Marks;
use repos::hash::digest_of;
use repos::object::Kind;
use repos::packs::testing::FailAt;
use repos::store::Swept;
use repos::tree::{KeyRange, Tree};
use repos::{RepoError, Store};
use specs::{BranchName, Digest};

/// Everything is live except these.
struct Doomed(HashSet<Digest>);

impl Doomed {
    fn of(contents: &[&str]) -> Self {
        Self(contents.iter().map(|content| digest_of(content.as_bytes())).collect())
    }
}

impl Marks for Doomed {
    fn is_live(&self, _: Kind, digest: &Digest) -> bool {
        !self.0.contains(digest)
    }

    fn catch_up(&mut self, _: &Store) -> Result<(), RepoError> {
        Ok(())
    }
}

/// Content is live if a branch has it now; everything else always is.
#[derive(Default)]
struct OfHeads(HashSet<Digest>);

impl Marks for OfHeads {
    fn is_live(&self, kind: Kind, digest: &Digest) -> bool {
        kind != Kind::Chunk || self.0.contains(digest)
    }

    fn catch_up(&mut self, store: &Store) -> Result<(), RepoError> {
        for (branch, row) in store.branches(&name("images"))? {
            let head = row.commit.unwrap_or_else(|| panic!("{branch}"));
            let tree = Tree::at(store.commit(&head)?.tree);
            for entry in tree.range(store, KeyRange::all())? {
                self.0.insert(entry?.1.digest);
            }
        }
        Ok(())
    }
}

fn silent(_: &str, _: u64, _: u64) {}

fn sweep(dir: &Path, marks: &mut dyn Marks) -> Swept {
    Store::open(dir).unwrap().sweep(marks, &silent).unwrap()
}

/// Objects that no change names, in packs that nobody holds.
fn leave_garbage(dir: &Path, contents: &[&str]) {
    let store = Store::open(dir).unwrap();
    for content in contents {
        store.put_bytes(content.as_bytes()).unwrap();
    }
    store.finish_packs().unwrap();
}

fn has(dir: &Path, content: &str) -> bool {
    Store::open(dir).unwrap().has_content(&digest_of(content.as_bytes())).unwrap()
}

fn pack_bytes(dir: &Path) -> u64 {
    let packs = std::fs::read_dir(dir.join(".pv/packs")).unwrap();
    packs.map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn assert_sound(dir: &Path) {
    let store = Store::open(dir).unwrap();
    assert_eq!(check(&store, &silent).unwrap().problems, []);
    // A rebuilt index gives the same answers.
    store.rebuild_index().unwrap();
    assert_eq!(check(&store, &silent).unwrap().problems, []);
}

/// A store with one pack of garbage only, one with garbage and live objects, and one with live objects only.
fn example() -> TestStore {
    let test = TestStore::new();
    let store = Store::open(test.store.dir()).unwrap();
    store.put_bytes(b"garbage beside").unwrap();
    let edits = Edits { files: [(path("/a"), Some(entry(&store, b"needed")))].into(), ..Edits::default() };
    common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap();
    drop(store);
    leave_garbage(test.store.dir(), &["garbage alone", "more garbage"]);
    test.set("images", &[("/b", Some("only needed"))]);
    test
}

const GARBAGE: [&str; 3] = ["garbage beside", "garbage alone", "more garbage"];

#[test]
fn garbage_goes_and_what_is_needed_stays() {
    let test = example();
    let dir = test.store.dir();
    let before = pack_bytes(dir);
    let epoch = Store::open(dir).unwrap().gc_epoch().unwrap();
    let planned = Store::open(dir).unwrap().plan_sweep(&Doomed::of(&GARBAGE)).unwrap().outcome();
    let swept = sweep(dir, &mut Doomed::of(&GARBAGE));
    assert_eq!((swept, swept.objects_removed, swept.packs_removed, swept.packs_written), (planned, 3, 2, 1));
    assert_eq!(before - pack_bytes(dir), swept.bytes_freed);
    assert!(GARBAGE.iter().all(|content| !has(dir, content)));
    assert_sound(dir);
    let expected = [("/a", "needed"), ("/b", "only needed")];
    assert_eq!(test.contents("images"), expected.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())));
    assert!(Store::open(dir).unwrap().gc_epoch().unwrap() > epoch);
    assert_eq!(sweep(dir, &mut Doomed::of(&GARBAGE)), Swept::default());
    leave_garbage(dir, &GARBAGE);
    assert!(has(dir, "garbage alone"), "it can come back");
}

#[test]
fn duplicates_go_but_not_the_last_sound_copy() {
    let test = TestStore::new();
    let dir = test.store.dir();
    let [first, second] = [Store::open(dir).unwrap(), Store::open(dir).unwrap()];
    for (store, branch) in [(&first, "main"), (&second, "other")] {
        let edits = Edits { files: [(path("/a"), Some(entry(store, b"content")))].into(), ..Edits::default() };
        store.finish_packs().unwrap();
        let branch: BranchName = branch.parse().unwrap();
        common::commit(store, &name("images"), &branch, &edits).unwrap();
    }
    drop((first, second));
    let mut marks = OfHeads::default();
    marks.catch_up(&Store::open(dir).unwrap()).unwrap();
    let swept = sweep(dir, &mut marks);
    assert!(swept.objects_removed >= 1, "{swept:?}");
    assert_sound(dir);
    assert_eq!(sweep(dir, &mut marks), Swept::default());
}

#[test]
fn what_is_still_to_be_published_is_held() {
    let test = TestStore::new();
    let dir = test.store.dir();
    test.set("images", &[("/a", Some("a"))]);
    let writer = Store::open(dir).unwrap();
    let new = entry(&writer, b"not named yet");
    writer.finish_packs().unwrap();
    assert_eq!(sweep(dir, &mut Doomed::of(&["not named yet"])).packs_removed, 0);
    let edits = Edits { files: [(path("/b"), Some(new))].into(), ..Edits::default() };
    common::commit(&writer, &name("images"), &BranchName::main(), &edits).unwrap();
    assert_sound(dir);
    // A writer that gave up holds nothing.
    let writer = Store::open(dir).unwrap();
    entry(&writer, b"given up");
    writer.finish_packs().unwrap();
    drop(writer);
    assert_eq!(sweep(dir, &mut Doomed::of(&["given up"])).objects_removed, 1);
}

#[test]
fn an_owner_holds_what_its_operations_wrote() {
    let test = TestStore::new();
    let dir = test.store.dir();
    let owner = Store::open(dir).unwrap();
    owner.own().unwrap();
    let job = owner.operation();
    owner.put_bytes(b"of the job").unwrap();
    {
        let command = owner.operation();
        let edits = Edits { files: [(path("/a"), Some(entry(&owner, b"a")))].into(), ..Edits::default() };
        common::commit(&owner, &name("images"), &BranchName::main(), &edits).unwrap();
        drop(command);
    }
    let doomed = ["of the job"];
    assert_eq!(owner.sweep(&mut Doomed::of(&doomed), &silent).unwrap(), Swept::default());
    assert!(owner.has_content(&digest_of(b"of the job")).unwrap());
    drop(job);
    assert_eq!(owner.sweep(&mut Doomed::of(&doomed), &silent).unwrap().objects_removed, 1);
    assert!(!owner.has_content(&digest_of(b"of the job")).unwrap());
    let file = owner.resolve(&"images:/a".parse().unwrap()).unwrap().tree().file(&owner, &path("/a")).unwrap();
    assert_eq!(&*owner.read_file(&file.unwrap(), 0..1).unwrap(), b"a");
    drop(owner);
    assert_sound(dir);
}

#[test]
fn a_change_that_builds_on_garbage_is_refused_and_can_be_made_anew() {
    for is_swept_by_owner in [false, true] {
        let test = TestStore::new();
        let dir = test.store.dir();
        test.set("images", &[("/a", Some("a"))]);
        leave_garbage(dir, &["reused"]);
        let writer = Store::open(dir).unwrap();
        let reused = Edits { files: [(path("/b"), Some(entry(&writer, b"reused")))].into(), ..Edits::default() };
        let sweeper = Store::open(dir).unwrap();
        if is_swept_by_owner {
            sweeper.own().unwrap();
        }
        assert_eq!(sweeper.sweep(&mut Doomed::of(&["reused"]), &silent).unwrap().objects_removed, 1);
        drop(sweeper);
        let error = common::commit(&writer, &name("images"), &BranchName::main(), &reused).unwrap_err();
        assert!(Store::is_collected(&error) && !Store::is_race(&error), "{error}");
        assert_eq!(test.contents("images").len(), 1);
        let again = Edits { files: [(path("/b"), Some(entry(&writer, b"reused")))].into(), ..Edits::default() };
        common::commit(&writer, &name("images"), &BranchName::main(), &again).unwrap();
        assert_sound(dir);
        assert_eq!(contents(&writer, writer.resolve(&"images".parse().unwrap()).unwrap().tree()).len(), 2);
    }
}

#[test]
fn readers_and_writers_go_on_beside_sweeping() {
    let test = TestStore::new();
    let dir = test.store.dir();
    test.set("images", &[("/kept", Some("kept"))]);
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2)
            .map(|writer| {
                scope.spawn(move || {
                    for number in 0..40 {
                        let store = Store::open(dir).unwrap();
                        let content = format!("one of a few {}", number % 5);
                        let put = || {
                            let at = path(&format!("/{writer}"));
                            let edits = [(at, Some(entry(&store, content.as_bytes())))].into();
                            let edits = Edits { files: edits, ..Edits::default() };
                            common::commit(&store, &name("images"), &BranchName::main(), &edits)
                        };
                        while let Err(error) = put() {
                            assert!(Store::is_collected(&error), "{error}");
                            store.refresh().unwrap();
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let store = Store::open(dir).unwrap();
            while !ended.load(Ordering::Relaxed) {
                store.refresh().unwrap();
                let head = store.head(&name("images"), &BranchName::main()).unwrap();
                let file = Tree::at(store.commit(&head).unwrap().tree).file(&store, &path("/kept")).unwrap().unwrap();
                assert_eq!(&*store.read_file(&file, 0..4).unwrap(), b"kept");
            }
        });
        let sweeper = scope.spawn(|| {
            let mut removed = 0;
            while !ended.load(Ordering::Relaxed) {
                let store = Store::open(dir).unwrap();
                let mut marks = OfHeads::default();
                marks.catch_up(&store).unwrap();
                removed += store.sweep(&mut marks, &silent).unwrap().objects_removed;
            }
            removed
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        ended.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        assert!(sweeper.join().unwrap() > 0);
    });
    let store = Store::open(dir).unwrap();
    let files = contents(&store, store.resolve(&"images".parse().unwrap()).unwrap().tree());
    assert_eq!(files.len(), 3);
    store.rebuild_index().unwrap();
    assert_eq!(contents(&store, store.resolve(&"images".parse().unwrap()).unwrap().tree()), files);
}

#[test]
fn a_sweep_that_fails_anywhere_loses_nothing_and_can_be_repeated() {
    for n in 0.. {
        let test = example();
        let dir = test.store.dir();
        let store = common::options().wrap_packs(move |packs| Arc::new(FailAt::from(packs, n))).open(dir).unwrap();
        let done = store.sweep(&mut Doomed::of(&GARBAGE), &silent);
        drop(store);
        assert_sound(dir);
        sweep(dir, &mut Doomed::of(&GARBAGE));
        assert!(GARBAGE.iter().all(|content| !has(dir, content)), "write {n}");
        assert_sound(dir);
        if done.is_ok() && n > 3 {
            return;
        }
    }
}

/// Run by [`a_process_that_dies_while_sweeping_loses_nothing`] in its own process, which does not return.
#[test]
fn dies_while_sweeping() {
    let (Ok(point), Ok(dir)) = (std::env::var("PV_TEST_STOP"), std::env::var("PV_TEST_STORE")) else { return };
    repos::set_stop_point(&point);
    sweep(dir.as_ref(), &mut Doomed::of(&GARBAGE));
}

#[test]
fn a_process_that_dies_while_sweeping_loses_nothing() {
    let points = ["gc.after_copy", "gc.before_record", "gc.after_record", "gc.before_remove", "gc.removed_one"];
    for point in points {
        let test = example();
        let dir = test.store.dir();
        assert!(!common::run_again("dies_while_sweeping", point, dir).success(), "{point}");
        assert_sound(dir);
        test.store.refresh().unwrap();
        assert_eq!(test.contents("images").len(), 2, "{point}");
        sweep(dir, &mut Doomed::of(&GARBAGE));
        assert!(GARBAGE.iter().all(|content| !has(dir, content)), "{point}");
        assert_sound(dir);
    }
}

/// A small separate file system; `None` if this user may not mount one.
struct Tmpfs(tempfile::TempDir);

impl Tmpfs {
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=24m", "tmpfs"]).arg(folder.path());
        let mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        assert!(mounted || std::env::var_os("CI").is_none(), "CI may mount a tmpfs");
        mounted.then(|| Self(folder))
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        std::process::Command::new("umount").arg(self.0.path()).status().ok();
    }
}

/// Incompressible bytes.
fn noise(seed: u8, length: usize) -> Vec<u8> {
    (0..length.div_ceil(32)).flat_map(|at| *digest_of(&[&[seed][..], &at.to_be_bytes()].concat()).as_bytes()).collect()
}

#[test]
fn a_full_disk_gets_emptier() {
    let Some(disk) = Tmpfs::mount() else {
        println!("SKIPPED: no tmpfs can be mounted here");
        return;
    };
    let dir = disk.0.path();
    let store = common::options().init(dir, BranchName::main()).unwrap();
    let create = repos::journal::Entry::RepoCreate { repo: name("images"), repo_kind: repos::journal::RepoKind::User };
    store.publish(&repos::Change::of(vec![create])).unwrap();
    let edits = Edits { files: [(path("/a"), Some(entry(&store, b"needed")))].into(), ..Edits::default() };
    common::commit(&store, &name("images"), &BranchName::main(), &edits).unwrap();
    drop(store);
    let garbage = noise(1, 4 << 20);
    let store = Store::open(dir).unwrap();
    store.put_bytes(&garbage).unwrap();
    store.finish_packs().unwrap();
    drop(store);
    // Another process fills the disk to its last byte.
    let filled = std::fs::File::create(dir.join("filler")).and_then(|mut file| {
        while std::io::Write::write(&mut file, &noise(2, 1 << 16))? > 0 {}
        Ok(())
    });
    filled.unwrap_err();
    let swept = sweep(dir, &mut Doomed([digest_of(&garbage)].into()));
    assert!(swept.bytes_freed > 4 << 20, "{swept:?}");
    std::fs::remove_file(dir.join("filler")).unwrap();
    assert_sound(dir);
    assert_eq!(contents(&Store::open(dir).unwrap(), head_tree(dir)).len(), 1);
}

fn head_tree(dir: &Path) -> Tree {
    Store::open(dir).unwrap().resolve(&"images".parse().unwrap()).unwrap().tree()
}
