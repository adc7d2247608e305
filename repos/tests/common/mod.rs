//! A store in a temporary folder, and helpers to commit to it.
#![allow(dead_code, reason = "each test binary uses a part of this")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::documents::{Commit, CommitKind};
use repos::files::{self, ChangeSummary, Edits, PutOptions};
use repos::journal::{Cause, CauseKind, Entry, Move, RepoKind};
use repos::time::SteppingClock;
use repos::tree::{FileEntry, Tree};
use repos::{Change, OpenOptions, RepoError, Store, Timestamp};
use specs::{BranchName, CommitId, FilePath, RepoName, RunId};

/// 2026-07-01T00:00:00Z.
pub const START: i64 = 1_782_864_000_000_000;

pub fn name(text: &str) -> RepoName {
    text.parse().unwrap()
}

pub fn path(text: &str) -> FilePath {
    text.parse().unwrap()
}

pub fn options() -> OpenOptions {
    OpenOptions::default().clock(Arc::new(SteppingClock::starting_at(Timestamp::from_micros(START))))
}

/// A temporary folder with a store in `store` and room for other files in `work`.
pub struct TestStore {
    pub folder: tempfile::TempDir,
    pub store: Store,
}

impl TestStore {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("store");
        std::fs::create_dir(&dir).unwrap();
        std::fs::create_dir(folder.path().join("work")).unwrap();
        let store = options().init(&dir, BranchName::main()).unwrap();
        let test = Self { folder, store };
        test.create("images");
        test
    }

    pub fn create(&self, repo: &str) {
        let entry = Entry::RepoCreate { repo: name(repo), repo_kind: RepoKind::User };
        self.store.publish(&Change::of(vec![entry])).unwrap();
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    /// Writes a file in the work folder.
    pub fn write(&self, at: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.work().join(at);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn resolve(&self, reference: &str) -> repos::store::Resolved {
        self.store.resolve(&reference.parse().unwrap()).unwrap()
    }

    pub fn tree(&self, reference: &str) -> Tree {
        self.resolve(reference).tree()
    }

    /// Puts sources from the work folder and commits them.
    pub fn put(
        &self,
        repo: &str,
        directory: &str,
        sources: &[&str],
    ) -> Result<(Option<CommitId>, ChangeSummary), RepoError> {
        let sources = sources.iter().map(|source| self.work().join(source)).collect();
        let options = PutOptions {
            reference: repo.to_owned(),
            directory: Some(path(directory)),
            sources,
            ..PutOptions::default()
        };
        let gathered = files::gather(&options)?;
        let uploaded = files::upload(&self.store, &gathered, &|_, _| {})?;
        commit(&self.store, &name(repo), &BranchName::main(), &uploaded.into_edits(&gathered))
    }

    pub fn commit(&self, repo: &str, edits: &Edits) -> CommitId {
        commit(&self.store, &name(repo), &BranchName::main(), edits).unwrap().0.unwrap()
    }

    /// Commits files with these contents; `None` removes.
    pub fn set(&self, repo: &str, files: &[(&str, Option<&str>)]) -> CommitId {
        self.commit(repo, &edits(&self.store, files))
    }

    /// All paths with their contents.
    pub fn contents(&self, reference: &str) -> Vec<(String, String)> {
        contents(&self.store, self.tree(reference))
    }
}

pub fn edits(store: &Store, files: &[(&str, Option<&str>)]) -> Edits {
    let mut edits = Edits::default();
    for (at, content) in files {
        let entry = content.map(|content| entry(store, content.as_bytes()));
        edits.files.insert(path(at), entry);
    }
    edits
}

pub fn entry(store: &Store, bytes: &[u8]) -> FileEntry {
    let stored = store.put_bytes(bytes).unwrap();
    FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false }
}

pub fn contents(store: &Store, tree: Tree) -> Vec<(String, String)> {
    let read = |entry: Result<(Vec<u8>, FileEntry), RepoError>| {
        let (key, file) = entry.unwrap();
        let bytes = store.read_file(&file, 0..file.size).unwrap();
        (String::from_utf8(key).unwrap(), String::from_utf8_lossy(&bytes).into_owned())
    };
    tree.range(store, repos::tree::KeyRange::all()).unwrap().map(read).collect()
}

/// Commits edits to a branch, retrying from the new head if another commit came first; no commit if nothing changes.
pub fn commit(
    store: &Store,
    repo: &RepoName,
    branch: &BranchName,
    edits: &Edits,
) -> Result<(Option<CommitId>, ChangeSummary), RepoError> {
    loop {
        let head = store.find_branch(repo, branch)?.and_then(|row| row.commit);
        let base = head.map(|id| store.commit(&id)).transpose()?;
        let base = base.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
        let (tree, summary) = files::apply(store, base, edits)?;
        if !summary.is_change() {
            return Ok((None, summary));
        }
        let (change, id) = change_to(store, repo, branch, head, tree, edits)?;
        match store.publish(&change) {
            Ok(()) => return Ok((Some(id), summary)),
            Err(error) if Store::is_race(&error) => store.refresh()?,
            Err(error) => return Err(error),
        }
    }
}

/// Commits any tree to an empty branch.
pub fn commit_tree(store: &Store, repo: &RepoName, tree: Tree) {
    let (change, _) = change_to(store, repo, &BranchName::main(), None, tree, &Edits::default()).unwrap();
    store.publish(&change).unwrap();
}

fn change_to(
    store: &Store,
    repo: &RepoName,
    branch: &BranchName,
    head: Option<CommitId>,
    tree: Tree,
    edits: &Edits,
) -> Result<(Change, CommitId), RepoError> {
    let run = RunId::from_bytes(repos::random_bytes());
    let at = store.clock().now();
    let commit = Commit {
        repo: repo.clone(),
        branch: branch.clone(),
        parents: head.into_iter().collect(),
        tree: tree.root(),
        lineage: None,
        datums: None,
        run,
        kind: CommitKind::User,
        author: "anna".to_owned(),
        committer: "uid:1@edge".to_owned(),
        message: String::new(),
        created_at: at,
        provenance: Vec::new(),
        sources: edits.sources.clone(),
        origins: edits.origins.clone(),
        pipeline: None,
        job: None,
        error: None,
        journal: None,
    };
    let id = store.put_commit(&commit)?;
    let moved = Move { repo: repo.clone(), branch: branch.clone(), from: head, to: Some(id) };
    Ok((Change::of(vec![run_entry(run, vec![moved], at)]), id))
}

pub fn run_entry(run: RunId, moves: Vec<Move>, at: Timestamp) -> Entry {
    let cause = Cause {
        kind: CauseKind::Commit,
        author: None,
        committer: "uid:1@edge".to_owned(),
        at,
        refs: Vec::new(),
        message: None,
    };
    Entry::Run { run, cause, moves, jobs: Vec::new() }
}

/// All files of a folder with their contents, sorted.
pub fn files_in(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let relative = entry.path().strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((relative, std::fs::read_to_string(entry.path()).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// All files of a folder, with what is text in them.
pub fn files_in_lossy(folder: &Path) -> Vec<(String, String)> {
    let (mut found, mut open) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else {
                let bytes = std::fs::read(entry.path()).unwrap();
                found.push((entry.path().display().to_string(), String::from_utf8_lossy(&bytes).into_owned()));
            }
        }
    }
    found
}

/// Like [`edits`] for files that are set, for a store that may fail.
pub fn edits_of(store: &Store, files: &[(&str, &str)]) -> Result<Edits, RepoError> {
    let mut edits = Edits::default();
    for (at, content) in files {
        let stored = store.put_bytes(content.as_bytes())?;
        let entry = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
        edits.files.insert(path(at), Some(entry));
    }
    Ok(edits)
}

/// Runs a test of this binary in its own process, which is expected to stop at a point.
pub fn run_again(test: &str, point: &str, dir: &Path) -> std::process::ExitStatus {
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", test]).env("PV_TEST_STOP", point).env("PV_TEST_STORE", dir);
    again.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    again.status().unwrap()
}
