//! The branch that gets the files of a watch. The store may be on this machine, or elsewhere, so the watch knows only [`Branch`].

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use engine::changes::{self, Committed, NewCommit};
use engine::run::Actor;
use engine::target::{CommitOutcome, TargetBranch};
use engine::{EngineError, Result};
use repos::files::{self, ChangeSummary, Edits, Gathered, UploadOptions};
use repos::tree::{Tree, directory_range, path_of};
use repos::{RepoError, Store};
use specs::{FilePath, Reference};

/// A branch that gets the files of a watch.
pub trait Branch: Debug {
    /// Its name in full: `images@main`.
    fn place(&self) -> String;

    /// Free bytes on the disk of the store, if that is known here.
    fn room(&self) -> Option<u64>;

    /// The files below `directory` that the branch has, and the folder neither has nor leaves out.
    fn lacking(&self, directory: &FilePath, found: &Gathered) -> Result<Vec<FilePath>>;

    /// The files that the branch has below a path.
    fn below(&self, path: &FilePath) -> Result<Vec<FilePath>>;

    /// Commits files and removals; makes no commit if nothing differs from the branch. On return all that was taken is durable.
    ///
    /// A file that changed since it was gathered is not taken, nor is one that cannot be read, or that would be both a file and a directory.
    fn commit(&self, batch: &NewBatch<'_>) -> Result<Taken>;
}

/// What to commit.
#[derive(Debug, Clone, Copy)]
pub struct NewBatch<'a> {
    /// Files to add or replace.
    pub files: &'a Arc<Gathered>,
    /// Files to remove.
    pub removed: &'a [FilePath],
    /// Who commits.
    pub by: &'a Actor,
    /// The message.
    pub message: &'a str,
}

/// What a branch took of a batch.
#[derive(Debug)]
pub struct Taken {
    /// The commit, and what it changed; `None` if that was said elsewhere.
    pub outcome: Option<CommitOutcome>,
    /// For each file, whether the branch has its content now.
    pub files: Vec<bool>,
    /// Files that could not be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
    /// Files that were left out, because a path would be both a file and a directory.
    pub clashing: BTreeSet<FilePath>,
}

/// A branch of a store on this machine.
#[derive(Debug)]
pub(crate) struct StoreBranch {
    store: Store,
    target: TargetBranch,
}

impl StoreBranch {
    /// The branch that a reference names. Errors are those of a branch that cannot get commits.
    pub(crate) fn of(store: &Store, target: &Reference) -> Result<Self> {
        Ok(Self { store: store.clone(), target: TargetBranch::of(store, target)? })
    }
}

/// A commit that was made or was not needed, what it changed, and what was left out of it because of clashes.
pub(crate) type Edited = (Committed, ChangeSummary, BTreeSet<FilePath>);

/// Commits edits and removals. What would be both a file and a directory is left out.
pub(crate) fn commit_edits(
    store: &Store,
    target: &TargetBranch,
    (by, message): (&Actor, &str),
    removed: &[FilePath],
    mut edits: impl FnMut(Tree) -> Result<Edits, RepoError>,
) -> Result<Edited> {
    let TargetBranch { repo, branch, .. } = target;
    let new = NewCommit { repo, branch, expect: None, by, message };
    // Paths that would be both; what is at or below them is left out.
    let mut both: BTreeSet<FilePath> = BTreeSet::new();
    let is_both = |both: &BTreeSet<FilePath>, path: &FilePath| {
        let mut above = std::iter::successors(Some(path.clone()), FilePath::parent);
        !both.is_empty() && above.any(|path| both.contains(&path))
    };
    loop {
        let mut left_out = BTreeSet::new();
        let committed = changes::commit(store, &new, |base| {
            let mut edits = edits(base)?;
            left_out = edits.files.keys().filter(|path| is_both(&both, path)).cloned().collect();
            edits.files.retain(|path, _| !left_out.contains(path));
            edits.files.extend(removed.iter().map(|path| (path.clone(), None)));
            Ok(edits)
        });
        match committed {
            Err(EngineError::Store(RepoError::Clashes { paths })) => {
                let before = both.len();
                both.extend(paths.iter().cloned());
                if both.len() == before {
                    return Err(RepoError::Clashes { paths }.into());
                }
            }
            Err(error) => return Err(error),
            Ok((committed, summary)) => return Ok((committed, summary, left_out)),
        }
    }
}

/// The files that a branch has below a path.
pub(crate) fn below(store: &Store, target: &TargetBranch, path: &FilePath) -> Result<Vec<FilePath>> {
    let base = target.files(store)?;
    let entries = base.range(store, directory_range(path))?;
    let path = |key: &[u8]| path_of(key).map_err(RepoError::from);
    let paths = entries.map(|entry| entry.and_then(|(key, _)| path(&key)));
    Ok(paths.collect::<Result<_, RepoError>>()?)
}

impl Branch for StoreBranch {
    fn place(&self) -> String {
        self.target.place()
    }

    fn room(&self) -> Option<u64> {
        let found = rustix::fs::statvfs(self.store.folder()).ok()?;
        Some(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn lacking(&self, directory: &FilePath, found: &Gathered) -> Result<Vec<FilePath>> {
        let mut edits = Edits::default();
        let base = self.target.files(&self.store)?;
        files::mirror_gathered(&self.store, base, directory, found, &mut edits)?;
        Ok(edits.files.into_keys().collect())
    }

    fn below(&self, path: &FilePath) -> Result<Vec<FilePath>> {
        below(&self.store, &self.target, path)
    }

    fn commit(&self, batch: &NewBatch<'_>) -> Result<Taken> {
        let _operation = self.store.operation();
        let base = self.target.files(&self.store)?;
        let options =
            UploadOptions { base, trust_stat: false, dry_run: false, skip_unreadable: true, progress: &|_, _| {} };
        let mut uploaded = files::upload_with(&self.store, batch.files, &options)?;
        uploaded.leave_out_changed(batch.files);
        let (committed, summary, clashing) =
            commit_edits(&self.store, &self.target, (batch.by, batch.message), batch.removed, |base| {
                uploaded.edits(&self.store, base, batch.files)
            })?;
        let taken = batch.files.stamps().zip(&uploaded.files);
        let files = taken.map(|((path, _), file)| file.is_some() && !clashing.contains(&path)).collect();
        let skipped = uploaded.skipped;
        let outcome = CommitOutcome { target: self.target.clone(), committed, summary, skipped: skipped.clone() };
        Ok(Taken { outcome: Some(outcome), files, skipped, clashing })
    }
}
