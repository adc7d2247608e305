//! Edits of stored files: remove, move, copy, revert. No content is read or moved.
//!
//! Each edit begins with a constructor that resolves all names and refuses invalid requests; [`Edit::commit`] then applies it to the
//! branch's current head.

use repos::files::{self, Edits};
use repos::store::Resolved;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{FilePath, Glob, Reference, Revision};

use crate::changes::{self, NewCommit, ensure_not_output};
use crate::error::{EngineError, Result};
use crate::run::Actor;
use crate::target::{CommitOutcome, TargetBranch};

/// A change of a branch's files, with all names resolved.
#[derive(Debug, Clone)]
pub struct Edit {
    target: TargetBranch,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Remove { paths: Vec<FilePath>, recursive: bool },
    RemoveMatching { below: Vec<FilePath>, glob: Glob, recursive: bool },
    Move { from: FilePath, to: FilePath },
    Copy { from: Box<Resolved>, to: FilePath },
    CopyMatching { from: Box<Resolved>, glob: Glob, to: FilePath },
    Revert(Box<Resolved>),
}

impl Edit {
    /// Removes files of one branch, and with `recursive` directories; with `matching` all files below these paths whose whole path matches.
    pub fn remove(store: &Store, files: &[Reference], recursive: bool, matching: Option<Glob>) -> Result<Self> {
        let [first, others @ ..] = files else {
            return Err(EngineError::usage("nothing to remove", "pv rm REF:/PATH"));
        };
        if let Some(other) = others.iter().find(|other| !is_same_branch(first, other)) {
            let what = format!("`{first}` and `{other}` are on different branches; one commit changes one branch");
            return Err(EngineError::usage(what, "remove them with one command each"));
        }
        let target = TargetBranch::of(store, first)?;
        let action = if let Some(glob) = matching {
            let below = files.iter().map(|file| file.path.clone().unwrap_or_else(FilePath::root)).collect();
            Action::RemoveMatching { below, glob, recursive }
        } else {
            Action::Remove { paths: files.iter().map(path_of).collect::<Result<_>>()?, recursive }
        };
        Ok(Self { target, action })
    }

    /// Moves a file or directory within its branch.
    pub fn rename(store: &Store, from: &Reference, to: &Reference) -> Result<Self> {
        let (path, new_path) = (path_of(from)?, path_of(to)?);
        if !is_same_branch(from, to) {
            ensure_not_output(store, &to.repo)?;
            let what = format!("`{from}` and `{to}` are on different branches; a move stays on one branch");
            let is_branch = from.revision.as_ref().is_none_or(|revision| revision.as_branch().is_some());
            let is_user = ensure_not_output(store, &from.repo).is_ok();
            let rest = if is_branch && is_user { format!("  then pv rm '{from}'") } else { String::new() };
            return Err(EngineError::usage(what, format!("pv cp '{from}' '{to}'{rest}")));
        }
        Ok(Self { target: TargetBranch::of(store, to)?, action: Action::Move { from: path, to: new_path } })
    }

    /// Copies a file or directory of any commit to a branch; with `matching` all files below it whose whole path matches.
    pub fn copy(store: &Store, from: &Reference, to: &Reference, matching: Option<Glob>) -> Result<Self> {
        let target = TargetBranch::of(store, to)?;
        let action = if let Some(glob) = matching {
            let to = to.path.clone().unwrap_or_else(FilePath::root);
            Action::CopyMatching { from: Box::new(store.resolve(from)?), glob, to }
        } else {
            path_of(from)?;
            let to = path_of(to)?;
            Action::Copy { from: Box::new(store.resolve(from)?), to }
        };
        Ok(Self { target, action })
    }

    /// Undoes a commit on the named branch, else on the branch on which it was made.
    pub fn revert(store: &Store, commit: &Reference) -> Result<Self> {
        if let Reference { repo, path: Some(path), .. } = commit {
            let branch = store.default_branch()?;
            let hint = format!("pv cp '{repo}@{branch}~1:{path}' '{repo}:{path}'  restores the older file");
            return Err(EngineError::usage("revert undoes a whole commit, not a path", hint));
        }
        let found = store.resolve(commit)?;
        let repo = found.commit.repo.clone();
        let named = commit.revision.as_ref().map_or(Some(store.default_branch()?), Revision::as_branch);
        let branch = match named {
            Some(branch) if store.find_branch(&repo, &branch)?.is_some() => branch,
            _ => found.commit.branch.clone(),
        };
        let on = Reference { repo, revision: Some(Revision::branch(&branch)), path: None };
        Ok(Self { target: TargetBranch::of(store, &on)?, action: Action::Revert(Box::new(found)) })
    }

    /// Undoes a commit on this branch.
    pub fn revert_on(store: &Store, commit: &Reference, on: &Reference) -> Result<Self> {
        let found = store.resolve(commit)?;
        Ok(Self { target: TargetBranch::of(store, on)?, action: Action::Revert(Box::new(found)) })
    }

    /// Applies the edit as one commit. A revert without a message gets one that names the commit.
    pub fn commit(&self, store: &Store, by: &Actor, message: &str) -> Result<CommitOutcome> {
        let target = &self.target;
        let message = match &self.action {
            Action::Revert(commit) if message.is_empty() => {
                let short = store.short_commit(&commit.id)?;
                format!("revert {short} {}", commit.commit.message).trim_end().to_owned()
            }
            _ => message.to_owned(),
        };
        let new = NewCommit { repo: &target.repo, branch: &target.branch, expect: None, by, message: &message };
        let (committed, summary) = changes::commit(store, &new, |base| self.edits(store, base))?;
        Ok(CommitOutcome { target: target.clone(), committed, summary, skipped: Vec::new() })
    }

    fn edits(&self, store: &Store, base: Tree) -> Result<Edits, RepoError> {
        let (place, repo) = (self.target.place(), &self.target.repo);
        match &self.action {
            Action::Remove { paths, recursive } => files::rm(store, base, &place, paths, *recursive),
            Action::RemoveMatching { below, glob, recursive } => {
                let mut edits = Edits::default();
                for path in below {
                    edits.files.extend(files::rm_matching(store, base, &place, path, glob, *recursive)?.files);
                }
                Ok(edits)
            }
            Action::Move { from, to } => files::mv(store, base, &place, from, to),
            Action::Copy { from, to } => files::cp(store, from, repo, base, to),
            Action::CopyMatching { from, glob, to } => files::cp_matching(store, from, glob, repo, base, to),
            Action::Revert(commit) => files::revert(store, commit, base),
        }
    }
}

fn is_same_branch(one: &Reference, other: &Reference) -> bool {
    (&one.repo, &one.revision) == (&other.repo, &other.revision)
}

/// The path of a reference, which must have one.
pub(crate) fn path_of(reference: &Reference) -> Result<FilePath> {
    let none = || EngineError::usage(format!("`{reference}` has no path"), format!("write {reference}:/PATH"));
    reference.path.clone().ok_or_else(none)
}
