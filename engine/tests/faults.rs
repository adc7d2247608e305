//! Fault injection: whichever write, sync, rename or batch fails, a change is stored completely or not at all, a change reported as
//! failed did not happen, the store is sound, and the next attempt works.

use std::collections::BTreeMap;
use std::path::Path;

use repos::files::{self, Edits};
use repos::tree::{FileEntry, KeyRange, Tree};
use repos::{Faults, OpenOptions, RepoError, Store};
use specs::{BranchName, CommitId, RepoName};

use engine::changes::{self, NewCommit};
use engine::run::Actor;
use engine::transaction::{Action, Step, Transaction};
use engine::{EngineError, Result};

/// A change of a store that has `images` with the files `/a`, `/d/b` and two commits, and an empty `rules`.
type Operation = fn(&Store) -> Result<()>;

fn by() -> Actor {
    Actor { author: "anna".to_owned(), committer: "uid:0@test".to_owned() }
}

fn name(repo: &str) -> RepoName {
    repo.parse().unwrap()
}

fn edits(store: &Store, files: &[(&str, Option<&str>)]) -> Result<Edits> {
    let mut edits = Edits::default();
    for (path, content) in files {
        let file = match content {
            None => None,
            Some(content) => {
                let stored = store.put_bytes(content.as_bytes())?;
                Some(FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false })
            }
        };
        edits.files.insert(path.parse().unwrap(), file);
    }
    Ok(edits)
}

fn commit(store: &Store, change: impl FnMut(Tree) -> Result<Edits, RepoError>) -> Result<()> {
    let (repo, branch, by) = (name("images"), BranchName::main(), by());
    let new = NewCommit { repo: &repo, branch: &branch, expect: None, by: &by, message: "" };
    changes::commit(store, &new, change).map(|_| ())
}

fn put(store: &Store) -> Result<()> {
    let edits = edits(store, &[("/new", Some("n")), ("/a", Some("changed")), ("/d/c", Some("c"))])?;
    commit(store, |_| Ok(edits.clone()))
}

fn rm(store: &Store) -> Result<()> {
    commit(store, |base| files::rm(store, base, "images@main", &["/d".parse().unwrap()], true))
}

fn move_branch(store: &Store) -> Result<()> {
    let to = first(store)?;
    changes::move_branch(store, &name("images"), &BranchName::main(), to, &by()).map(|_| ())
}

/// The first commit of `images`.
fn first(store: &Store) -> Result<CommitId> {
    let mut id = store.head(&name("images"), &BranchName::main())?;
    while let Some(parent) = store.commit(&id)?.parents.first() {
        id = *parent;
    }
    Ok(id)
}

fn transaction(store: &Store) -> Result<()> {
    let step = |line, repo, branch: &str, action| {
        let branch = (name(repo), branch.parse().unwrap());
        Step { line, message: None, expect: None, branch, action }
    };
    let put = |files: &[(&str, Option<&str>)]| {
        Ok::<_, EngineError>(Action::Put { edits: edits(store, files)?, mirror: None })
    };
    let steps = [
        step(1, "images", "main", put(&[("/x", Some("x"))])?),
        step(2, "rules", "main", put(&[("/r", Some("r"))])?),
        step(3, "rules", "main", Action::Cp { from: "images:/x".parse().unwrap(), to: "/copy".parse().unwrap() }),
        step(4, "images", "release", Action::Create { at: None }),
    ];
    Transaction { by: &by(), message: "", steps: &steps }.publish(store).map(|_| ())
}

/// Every branch with its files.
fn state(store: &Store) -> BTreeMap<String, Vec<(String, String)>> {
    let mut all = BTreeMap::new();
    for (repo, _) in store.repos().unwrap() {
        for (branch, row) in store.branches(&repo).unwrap() {
            let tree = row.commit.map_or(Tree::empty(), |id| Tree::at(store.commit(&id).unwrap().tree));
            let file = |entry: Result<(Vec<u8>, FileEntry), RepoError>| {
                let (path, file) = entry.unwrap();
                let content = store.read_file(&file, 0..file.size).unwrap();
                (String::from_utf8(path).unwrap(), String::from_utf8(content.to_vec()).unwrap())
            };
            all.insert(format!("{repo}@{branch}"), tree.range(store, KeyRange::all()).unwrap().map(file).collect());
        }
    }
    all
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn prepared() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::init(folder.path(), BranchName::main()).unwrap();
    changes::create_repo(&store, &name("images")).unwrap();
    changes::create_repo(&store, &name("rules")).unwrap();
    for content in ["1", "2"] {
        let edits = edits(&store, &[("/a", Some(content)), ("/d/b", Some("b"))]).unwrap();
        commit(&store, |_| Ok(edits.clone())).unwrap();
    }
    store.rebuild_index().unwrap();
    folder
}

fn assert_sound(store: &Store, what: &str) {
    assert_eq!(repos::fsck::check(store, &|_, _, _| {}).unwrap().problems, [], "{what}");
}

/// Runs the operation, a second time if `again`, and returns its result as the caller sees it.
fn attempt(dir: &Path, faults: &Faults, owner: bool, again: bool, operation: Operation) -> Result<()> {
    let store = OpenOptions::default().faults(faults.clone()).open(dir)?;
    if owner {
        store.own()?;
    }
    match operation(&store) {
        Err(_) if again => operation(&store),
        done => done,
    }
}

fn fails_everywhere(operation: Operation) {
    let template = prepared();
    let before = state(&Store::open(template.path()).unwrap());
    for (owner, again) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut n = 0;
        loop {
            let what = format!("write {n}, owner {owner}, again {again}");
            let folder = tempfile::tempdir().unwrap();
            copy(template.path(), folder.path());
            let faults = if again { Faults::once(n) } else { Faults::from(n) };
            let done = attempt(folder.path(), &faults, owner, again, operation);
            let store = Store::open(folder.path()).unwrap();
            assert_sound(&store, &what);
            let now = state(&store);
            match &done {
                Ok(()) => assert_ne!(now, before, "{what}: it happened"),
                Err(EngineError::Store(RepoError::Unsure { .. })) => {}
                Err(error) => assert_eq!(now, before, "{what}: {error}"),
            }
            if now == before {
                operation(&store).unwrap();
            }
            assert_ne!(state(&store), before, "{what}");
            assert_sound(&store, &what);
            if !faults.has_failed() {
                assert!(done.is_ok() && n > 1, "{what}: {done:?}");
                break;
            }
            n += 1;
        }
    }
}

#[test]
fn a_put_is_whole_or_absent() {
    fails_everywhere(put);
}

#[test]
fn an_rm_is_whole_or_absent() {
    fails_everywhere(rm);
}

#[test]
fn a_branch_move_is_whole_or_absent() {
    fails_everywhere(move_branch);
}

#[test]
fn a_transaction_is_whole_or_absent() {
    fails_everywhere(transaction);
}

#[test]
fn a_store_is_made_whole_or_the_next_init_makes_it() {
    for n in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::from(n);
        let done = OpenOptions::default().faults(faults.clone()).init(folder.path(), BranchName::main());
        let made = done.is_ok();
        drop(done);
        if !made {
            assert!(!Store::is_at(folder.path()), "write {n}");
            Store::init(folder.path(), BranchName::main()).unwrap();
        }
        let store = Store::open(folder.path()).unwrap();
        changes::create_repo(&store, &name("images")).unwrap();
        put(&store).unwrap();
        assert_sound(&store, &format!("write {n}"));
        if !faults.has_failed() {
            break;
        }
    }
}
