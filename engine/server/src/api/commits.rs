//! Commits, and the history of files.

use ::repos::Store;
use answers::commit::{self, ChangedView, CommitDetails, CommitView, Log};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{CommitId, FilePath, Reference, RepoName, Revision};

use super::repos::OfRepo;
use crate::caller::Call;
use crate::lists::{Cursor, Listed, Wanted, list};
use crate::operation::{Operation, get};
use crate::parts::{Answer, Path, Query};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/repos/{repo}/commits", ("listCommits", "List the commits of a branch, newest first"), log),
        get("/repos/{repo}/commits/{commit}", ("showCommit", "Show a commit with its signatures"), show),
        get("/repos/{repo}/history/{*path}", ("listChanges", "List the changes of a path, newest first"), history),
    ]
}

/// A commit of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfCommit {
    /// The repository.
    pub(super) repo: RepoName,
    /// The commit: its id, a unique beginning of it, a branch, a tag, or `BRANCH~2`.
    pub(super) commit: Word,
}

/// A revision as a parameter.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Word(pub(super) Revision);

impl OfCommit {
    /// As a reference, to this path.
    pub(super) fn at(&self, path: Option<FilePath>) -> Reference {
        Reference { repo: self.repo.clone(), revision: Some(self.commit.0.clone()), path }
    }

    /// Whether this names the commit by its whole id, so that the answer never changes.
    pub(super) fn is_whole_id(&self, id: &CommitId) -> bool {
        self.commit.0.to_string() == id.to_string()
    }
}

/// The commit of a repository that a revision names.
pub(super) fn commit_of(store: &Store, repo: &RepoName, revision: &Revision) -> Result<CommitId> {
    let reference = Reference { repo: repo.clone(), revision: Some(revision.clone()), path: None };
    Ok(store.resolve(&reference)?.id)
}

/// Where a history starts.
#[derive(Debug, Deserialize, JsonSchema)]
struct From {
    /// The newest commit: an id, a branch or a tag; absent: the head of the default branch.
    #[serde(default)]
    from: Option<Word>,
}

impl From {
    /// Where this page starts: at the last commit of the page before, if there was one.
    fn reference(self, repo: RepoName, path: Option<FilePath>, cursor: &Cursor) -> Result<Reference> {
        let revision = match &cursor.after {
            Some(after) => Some(
                after.parse().map_err(|_| Problem::usage("`cursor` is not one of this list", "start without it"))?,
            ),
            None => self.from.map(|from| from.0),
        };
        Ok(Reference { repo, revision, path })
    }
}

async fn log(
    call: Call,
    Path(OfRepo { repo }): Path<OfRepo>,
    Query(from): Query<From>,
    wanted: Wanted,
) -> Result<Listed<CommitView>> {
    list(call, wanted, move |store, _, cursor, items| {
        let reference = from.reference(repo, None, cursor)?;
        let Log::Commits(commits) = commit::log(store, &reference, None, None)? else { return Ok(()) };
        let rest = commits.skip(usize::from(cursor.after.is_some()));
        items.extend(rest, |commit| commit.id.to_string()).map_err(Problem::from)
    })
    .await
}

/// A path of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfPath {
    /// The repository.
    repo: RepoName,
    /// The path, with its `/` as they are.
    #[schemars(regex(pattern = specs::pattern::relative_path()))]
    path: String,
}

async fn history(
    call: Call,
    Path(OfPath { repo, path }): Path<OfPath>,
    Query(from): Query<From>,
    wanted: Wanted,
) -> Result<Listed<ChangedView>> {
    let path = file_path(&path)?;
    list(call, wanted, move |store, _, cursor, items| {
        let reference = from.reference(repo, Some(path), cursor)?;
        let Log::Changes(changes) = commit::log(store, &reference, None, None)? else { return Ok(()) };
        let rest = changes.skip(usize::from(cursor.after.is_some()));
        items.extend(rest, |change| change.commit.id.to_string()).map_err(Problem::from)
    })
    .await
}

/// The path in a request's path, which has no `/` at its start.
pub(super) fn file_path(text: &str) -> Result<FilePath> {
    let path = format!("/{}", text.trim_end_matches('/'));
    path.parse()
        .map_err(|error: specs::path::PathError| Problem::usage(error.to_string(), "write the path as `/` and names"))
}

async fn show(call: Call, Path(of): Path<OfCommit>) -> Result<Answer<CommitDetails>> {
    call.ask(move |store, _| {
        let at = store.resolve(&of.at(None))?;
        commit::commit_details(store, at.id, at.commit).map_err(Problem::from)
    })
    .await
    .map(Answer)
}
