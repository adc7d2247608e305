//! A commit and its ancestors, newest first; optionally only those that changed a path.

use std::fmt;

use engine::Result;
use repos::documents::Commit;
use repos::files::{self, Logged, Matching};
use repos::history::Did;
use repos::store::Resolved;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{CommitId, FilePath, Glob, Reference};

use super::view::{CommitView, commit_view};
use crate::file::FileView;

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the words say it")]
pub enum PathChange {
    Added,
    Modified,
    Removed,
}

/// A commit that changed a path, and the change.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct ChangedView {
    /// The commit.
    #[serde(flatten)]
    pub commit: CommitView,
    /// `null` if it changed only files below the path.
    pub change: Option<PathChange>,
    /// The file after the commit.
    pub file: Option<FileView>,
}

/// Entries of a log, read lazily.
type Entries<'s, T> = Box<dyn Iterator<Item = Result<T>> + 's>;

/// A commit and its ancestors.
pub enum Log<'s> {
    /// All of them, or those that changed a matching path.
    Commits(Entries<'s, CommitView>),
    /// Those that changed a path, with the change.
    Changes(Entries<'s, ChangedView>),
}

impl fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Commits(_) => "Commits",
            Self::Changes(_) => "Changes",
        })
    }
}

/// The history of a commit, or of a path in it, back to `since`; with a glob only the commits that changed a matching path.
///
/// `NotFound` if the path never existed, or if nothing in the whole history matches.
pub fn log<'s>(
    store: &'s Store,
    reference: &Reference,
    glob: Option<&'s Glob>,
    since: Option<Timestamp>,
) -> Result<Log<'s>> {
    let from = store.resolve(reference)?;
    if let Some(glob) = glob {
        return matching(store, &from, glob, since).map(Log::Commits);
    }
    let mut commits = files::log(store, &from)?.peekable();
    if commits.peek().is_none() {
        // No commit touched the path. Probably it does not exist: then the error names the nearest path.
        files::kind_at(store, from.tree(), &from.place(), &from.path)?;
    }
    let commits = commits.take_while(move |logged| is_since(logged, since));
    if from.path.is_root() {
        return Ok(Log::Commits(Box::new(commits.map(|logged| {
            let Logged { id, commit, .. } = logged?;
            commit_view(store, id, commit)
        }))));
    }
    let path = from.path;
    Ok(Log::Changes(Box::new(commits.map(move |logged| changed_view(store, &path, logged?)))))
}

fn is_since(logged: &Result<Logged, repos::RepoError>, since: Option<Timestamp>) -> bool {
    logged.as_ref().map_or(true, |logged| since.is_none_or(|since| logged.commit.created_at >= since))
}

/// Commits that changed a matching path; each commit is compared up to its first matching change.
fn matching<'s>(
    store: &'s Store,
    from: &Resolved,
    glob: &'s Glob,
    since: Option<Timestamp>,
) -> Result<Entries<'s, CommitView>> {
    let whole = Resolved { path: FilePath::root(), ..from.clone() };
    let commits = files::log(store, &whole)?.take_while(move |logged| is_since(logged, since));
    let (path, place) = (from.path.clone(), from.place());
    let mut found = commits
        .filter_map(move |logged| match logged {
            Ok(Logged { id, commit, .. }) => match changes_match(store, &commit, &path, glob) {
                Ok(true) => Some(Ok((id, commit))),
                Ok(false) => None,
                Err(error) => Some(Err(error)),
            },
            Err(error) => Some(Err(error.into())),
        })
        .peekable();
    if found.peek().is_none() && since.is_none() {
        return Err(files::nothing_matches(glob, &format!("the history of {place}"), &from.path).into());
    }
    Ok(Box::new(found.map(|found: Result<(CommitId, Commit)>| {
        let (id, commit) = found?;
        commit_view(store, id, commit)
    })))
}

fn changes_match(store: &Store, commit: &Commit, path: &FilePath, glob: &Glob) -> Result<bool> {
    let mut matching = Matching::new(glob);
    for change in files::changes_of(store, commit, Some(path))? {
        if matching.fits(&change?.path) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn changed_view(store: &Store, path: &FilePath, logged: Logged) -> Result<ChangedView> {
    let Logged { id, commit, did } = logged;
    let change = did.map(|did| match did {
        Did::Added(_) => PathChange::Added,
        Did::Modified(_) => PathChange::Modified,
        Did::Removed => PathChange::Removed,
    });
    let file = did.and_then(|did| did.file()).map(|file| FileView::new(path.clone(), file));
    Ok(ChangedView { commit: commit_view(store, id, commit)?, change, file })
}
