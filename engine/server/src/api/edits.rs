//! Changes of files without new content: moved, copied, undone; and transactions.

use ::repos::Store;
use ::repos::access::{Access, Role};
use ::repos::files::{Edits, ListedFile};
use answers::change::{PutView, transaction_views};
use answers::file::FileEntry;
use axum::http::HeaderMap;
use engine::edit::Edit;
use engine::transaction::{Action, Step, Transaction};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, FilePath, Glob, Reference, RepoName};

use super::branches::OfBranch;
use super::commits::{Word, commit_of};
use super::content::ensure_head;
use super::objects::with_sender;
use super::uploads::{NamedFile, target};
use crate::caller::Call;
use crate::operation::{Operation, post};
use crate::parts::{Answer, IfMatch, Json, Path, With, current};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        post("/repos/{repo}/branches/{branch}/move", ("moveFile", "Move a file or directory within a branch"), rename)
            .needs(Role::Writer),
        post(
            "/repos/{repo}/branches/{branch}/copy",
            ("copyFile", "Copy a file or directory of any commit; copies no bytes"),
            copy,
        )
        .needs(Role::Writer),
        post(
            "/repos/{repo}/branches/{branch}/remove",
            ("removeFiles", "Remove files and directories, or those that match"),
            remove,
        )
        .needs(Role::Writer),
        post("/repos/{repo}/branches/{branch}/revert", ("revertCommit", "Undo a commit with a new commit"), revert)
            .needs(Role::Writer),
        post(
            "/transactions",
            ("commitTransaction", "Apply several changes to files and branches as one run, or none of them"),
            transact,
        )
        .needs(Role::Writer),
    ]
}

/// Makes an edit of a branch, if its head is still the expected one.
async fn edit(
    call: Call,
    of: OfBranch,
    expected: Option<CommitId>,
    (message, author): (String, Option<String>),
    edit: impl FnOnce(&Store, &dyn Fn(Option<FilePath>) -> Reference) -> Result<Edit> + Send + 'static,
) -> Result<With<Answer<PutView>>> {
    let by = call.actor(author);
    call.change(move |store| {
        ensure_head(store, &of.repo, &of.branch, expected)?;
        let branch = target(store, &of.repo, &of.branch)?.named().clone();
        let at = |path| Reference { path, ..branch.clone() };
        let outcome = edit(store, &at)?.commit(store, &by, &message)?;
        let headers = outcome.head().as_ref().map_or_else(HeaderMap::new, current);
        Ok::<_, Problem>(With(headers, Answer(PutView::from(&outcome))))
    })
    .await
}

/// What to move.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Rename {
    /// The file or directory.
    from: FilePath,
    /// Its new path.
    to: FilePath,
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn rename(
    call: Call,
    Path(of): Path<OfBranch>,
    IfMatch(expected): IfMatch,
    Json(Rename { from, to, message, author }): Json<Rename>,
) -> Result<With<Answer<PutView>>> {
    edit(call, of, expected, (message, author), move |store, at| {
        Ok(Edit::rename(store, &at(Some(from)), &at(Some(to)))?)
    })
    .await
}

/// What to copy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Copied {
    /// The file or directory: `REPO[@REVISION]:/PATH`.
    from: Reference,
    /// The path of the copy.
    to: FilePath,
    /// Copy everything below whose whole path matches to the same place below `to`.
    #[serde(default, rename = "match")]
    matching: Option<Glob>,
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn copy(
    call: Call,
    Path(of): Path<OfBranch>,
    IfMatch(expected): IfMatch,
    Json(Copied { from, to, matching, message, author }): Json<Copied>,
) -> Result<With<Answer<PutView>>> {
    edit(call, of, expected, (message, author), move |store, at| Ok(Edit::copy(store, &from, &at(Some(to)), matching)?))
        .await
}

/// What to remove.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Removed {
    /// The files and directories; with `match`, where to look.
    #[schemars(length(min = 1))]
    paths: Vec<FilePath>,
    /// Whether directories may be removed.
    #[serde(default)]
    recursive: bool,
    /// Remove files whose whole path matches.
    #[serde(default, rename = "match")]
    matching: Option<Glob>,
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn remove(
    call: Call,
    Path(of): Path<OfBranch>,
    IfMatch(expected): IfMatch,
    Json(Removed { paths, recursive, matching, message, author }): Json<Removed>,
) -> Result<With<Answer<PutView>>> {
    edit(call, of, expected, (message, author), move |store, at| {
        let files: Vec<Reference> = paths.into_iter().map(|path| at(Some(path))).collect();
        Ok(Edit::remove(store, &files, recursive, matching)?)
    })
    .await
}

/// What to undo.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Reverted {
    /// The commit: an id, a branch or a tag; absent: the head of the branch.
    #[serde(default)]
    commit: Option<Word>,
    /// The reason, shown in the log.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn revert(
    call: Call,
    Path(of): Path<OfBranch>,
    IfMatch(expected): IfMatch,
    Json(Reverted { commit, message, author }): Json<Reverted>,
) -> Result<With<Answer<PutView>>> {
    edit(call, of, expected, (message, author), move |store, at| {
        let branch = at(None);
        let revision = commit.map_or_else(|| branch.revision.clone(), |commit| Some(commit.0));
        Ok(Edit::revert_on(store, &Reference { revision, ..branch.clone() }, &branch)?)
    })
    .await
}

/// Changes to make together.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Changes {
    /// The changes, in order: each sees the results of those before it.
    #[schemars(length(min = 1))]
    steps: Vec<ChangeStep>,
    /// The message of commits whose changes have none.
    #[serde(default)]
    message: String,
    /// The author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// A change of a branch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ChangeStep {
    /// The repository.
    repo: RepoName,
    /// The branch.
    branch: BranchName,
    /// The revision that the branch must have before the transaction.
    #[serde(default)]
    expect: Option<Word>,
    /// The reason, shown in the log.
    #[serde(default)]
    message: Option<String>,
    /// What is done.
    action: ChangeAction,
}

/// What is done to a branch.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum ChangeAction {
    /// Adds or replaces files whose content is stored or was sent.
    Put {
        /// The files.
        files: Vec<NamedFile>,
    },
    /// Removes files.
    Rm {
        /// Their paths.
        paths: Vec<FilePath>,
        /// Whether directories may be removed.
        #[serde(default)]
        recursive: bool,
    },
    /// Moves a file or directory.
    Mv {
        /// Its path.
        from: FilePath,
        /// Its new path.
        to: FilePath,
    },
    /// Copies a file or directory of any commit.
    Cp {
        /// `REPO[@REVISION]:/PATH`.
        from: Reference,
        /// The path of the copy.
        to: FilePath,
    },
    /// Moves the branch to another commit.
    BranchMove {
        /// `REPO[@REVISION]`.
        to: Reference,
    },
    /// Creates the branch.
    BranchCreate {
        /// The commit; absent: the head of the default branch.
        #[serde(default)]
        at: Option<Reference>,
    },
}

impl ChangeStep {
    /// This change as a step; `number` counts from 1. Notes the files that it puts.
    fn step(self, store: &Store, number: u32, files: &mut Vec<FileEntry>) -> Result<Step> {
        let Self { repo, branch, expect, message, action } = self;
        let expect = expect.map(|Word(revision)| commit_of(store, &repo, &revision)).transpose()?;
        Ok(Step { line: number, message, expect, branch: (repo, branch), action: action.action(files) })
    }
}

impl ChangeAction {
    fn action(self, named: &mut Vec<FileEntry>) -> Action {
        match self {
            Self::Put { files } => {
                let files: Vec<ListedFile> = files.iter().map(NamedFile::listed).collect();
                named.extend(files.iter().map(ListedFile::entry));
                let files = files.iter().map(|file| (file.path().clone(), Some(file.entry()))).collect();
                Action::Put { edits: Edits { files, ..Edits::default() }, mirror: None }
            }
            Self::Rm { paths, recursive } => Action::Rm { paths, recursive },
            Self::Mv { from, to } => Action::Mv { from, to },
            Self::Cp { from, to } => Action::Cp { from, to },
            Self::BranchMove { to } => Action::Move { to },
            Self::BranchCreate { at } => Action::Create { at },
        }
    }
}

/// What a transaction did.
#[derive(Debug, Serialize, JsonSchema)]
struct Transacted {
    /// Each branch that it names.
    branches: Vec<PutView>,
}

async fn transact(call: Call, Json(changes): Json<Changes>) -> Result<Answer<Transacted>> {
    let Changes { steps, message, author, dry_run } = changes;
    if steps.is_empty() {
        return Err(Problem::usage("`steps` is empty", "send at least one change"));
    }
    let (by, access) = (call.actor(author), call.access().clone());
    let done = call.change(move |store| {
        let mut files = Vec::new();
        let steps = (1..).zip(steps).map(|(number, step)| step.step(store, number, &mut files));
        let steps: Vec<Step> = steps.collect::<Result<_>>()?;
        may_name(store, &access, &files)?;
        let transaction = Transaction { by: &by, message: &message, steps: &steps };
        let outcome = if dry_run { transaction.preview(store)? } else { transaction.publish(store)? };
        if !dry_run {
            with_sender(&access, |sender| store.release_sent(sender, &files))?;
        }
        Ok::<_, Problem>(Transacted { branches: transaction_views(&outcome, dry_run) })
    });
    done.await.map(Answer)
}

fn may_name(store: &Store, access: &Access, files: &[FileEntry]) -> Result<()> {
    with_sender(access, |sender| store.ensure_may_name(sender, files)).map_err(Problem::from)
}
