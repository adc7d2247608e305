//! Branches, and how they moved. The entity tag of a branch is its head: changes may depend on it.

use ::repos::access::Role;
use answers::branch::{self, BranchMoveView, BranchView};
use axum::http::HeaderMap;
use engine::changes;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{BranchName, RepoName};

use super::commits::{Word, commit_of};
use super::content::ensure_head;
use super::repos::OfRepo;
use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, delete, get, put};
use crate::parts::{Answer, Done, IfMatch, Json, Path, With, current};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/repos/{repo}/branches", ("listBranches", "List the branches of a repository"), all),
        get("/repos/{repo}/branches/{branch}", ("showBranch", "Show a branch"), show),
        put("/repos/{repo}/branches/{branch}", ("moveBranch", "Create a branch, or move it to another commit"), set)
            .needs(Role::Writer),
        delete("/repos/{repo}/branches/{branch}", ("deleteBranch", "Delete a branch; its commits stay"), remove)
            .needs(Role::Writer),
        get(
            "/repos/{repo}/branches/{branch}/moves",
            ("listBranchMoves", "List the moves of a branch, newest first"),
            moves,
        ),
    ]
}

/// A branch of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfBranch {
    /// The repository.
    pub(super) repo: RepoName,
    /// The branch.
    pub(super) branch: BranchName,
}

async fn all(call: Call, Path(OfRepo { repo }): Path<OfRepo>, wanted: Wanted) -> Result<Listed<BranchView>> {
    list(call, wanted, move |store, _, cursor, items| {
        let branches = branch::branches(store, &repo)?;
        let rest = branches.into_iter().filter(|branch| !cursor.is_before(branch.name.as_str()));
        items.extend(rest.map(Ok::<_, Problem>), |branch| branch.name.to_string())
    })
    .await
}

async fn show(call: Call, Path(OfBranch { repo, branch }): Path<OfBranch>) -> Result<With<Answer<BranchView>>> {
    call.ask(move |store, _| branch::branch_view(store, &repo, &branch)).await.map(tagged)
}

/// A branch with its head as entity tag.
fn tagged(branch: BranchView) -> With<Answer<BranchView>> {
    let headers = branch.commit.as_ref().map_or_else(HeaderMap::new, current);
    With(headers, Answer(branch))
}

/// Where a branch should point.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewHead {
    /// A commit of the repository: an id, a branch or a tag; absent: the head of the default branch, for a new branch.
    #[serde(default)]
    commit: Option<Word>,
    /// Makes a new branch without a commit.
    #[serde(default)]
    empty: bool,
}

async fn set(
    call: Call,
    Path(OfBranch { repo, branch }): Path<OfBranch>,
    IfMatch(expected): IfMatch,
    Json(NewHead { commit, empty }): Json<NewHead>,
) -> Result<With<Answer<BranchView>>> {
    let by = call.actor(None);
    let moved = call.change(move |store| {
        ensure_head(store, &repo, &branch, expected)?;
        let to = commit.map(|revision| commit_of(store, &repo, &revision.0)).transpose()?;
        match (store.find_branch(&repo, &branch)?, to) {
            (Some(_), Some(to)) => changes::move_branch(store, &repo, &branch, to, &by)?,
            (Some(_), None) => return Err(Problem::usage("`commit` is missing", "name the commit to move to")),
            (None, to) => {
                let start = if empty {
                    None
                } else {
                    to.map_or_else(|| changes::default_head(store, &repo), |to| Ok(Some(to)))?
                };
                changes::create_branch(store, &repo, &branch, start, &by)?
            }
        };
        Ok(branch::branch_view(store, &repo, &branch)?)
    });
    moved.await.map(tagged)
}

async fn remove(
    call: Call,
    Path(OfBranch { repo, branch }): Path<OfBranch>,
    IfMatch(expected): IfMatch,
) -> Result<Done> {
    call.change(move |store| {
        ensure_head(store, &repo, &branch, expected)?;
        changes::delete_branch(store, &repo, &branch).map_err(Problem::from)
    })
    .await?;
    Ok(Done)
}

async fn moves(
    call: Call,
    Path(OfBranch { repo, branch }): Path<OfBranch>,
    wanted: Wanted,
) -> Result<Listed<BranchMoveView>> {
    list(call, wanted, move |store, _, cursor, items| {
        // Numbered from the oldest, which later moves do not change.
        let moves: Vec<_> = branch::branch_moves(store, &repo, &branch, None)?.collect::<engine::Result<_>>()?;
        let before = cursor.after.as_ref().and_then(|after| after.parse().ok()).unwrap_or(moves.len());
        let count = moves.len();
        for (at, one) in moves.into_iter().enumerate().skip(count.saturating_sub(before)) {
            if items.push(&(count - at - 1), one).is_break() {
                break;
            }
        }
        Ok::<_, Problem>(())
    })
    .await
}
