//! What a store keeps: commits that are deleted or lose their files, keys, mirrors.

use ::repos::access::{Right, Role};
use ::repos::{Store, Timestamp};
use answers::key::{RotatedView, TrustedView, key_by_prefix, rotated_view};
use answers::upkeep::{self, DeletedCommitView, PruneView, Selection, mirror_view, pruned_commits};
use engine::keep::{self, Prune};
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{BranchName, Reference, Revision};

use super::commits::{OfCommit, Word, commit_of};
use super::repos::OfRepo;
use super::upkeep::{Started, start};
use crate::caller::Call;
use crate::operation::{Operation, delete, post};
use crate::parts::{Answer, Json, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        delete(
            "/repos/{repo}/commits/{commit}",
            ("deleteCommit", "Delete the newest commit of a branch, if nothing else refers to it"),
            remove,
        )
        .needs(Role::Admin),
        post(
            "/repos/{repo}/prune",
            ("pruneCommits", "Drop the files of old commits; keep ids, trees and lineage"),
            prune,
        )
        .needs(Role::Admin),
        post("/mirror", ("mirror", "Copy the store to another place; sends only what is missing there"), mirror)
            .needs_right(Right::Mirror),
        post("/keys/rotate", ("rotateKey", "Replace the store's key by a new one, signed by the old one"), rotate)
            .needs_right(Right::Keys),
        post(
            "/keys/{fingerprint}/trust",
            ("trustKey", "Trust a key of another machine, or one that replaced a lost key"),
            trust,
        )
        .needs_right(Right::Keys),
    ]
}

async fn remove(call: Call, Path(of): Path<OfCommit>) -> Result<Answer<DeletedCommitView>> {
    let by = call.actor(None);
    let deleted = call.change(move |store| {
        let commit = commit_of(store, &of.repo, &of.commit.0)?;
        let keep::Deletable { branch, parent } = keep::deletable(store, commit)?;
        let run = keep::delete_commit(store, commit, &by)?;
        Ok::<_, Problem>(DeletedCommitView { branch, commit, deleted: "commit", head: parent, repo: of.repo, run })
    });
    deleted.await.map(Answer)
}

/// Which commits lose their files: one of `keep`, `before` and `under`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Pruned {
    /// Only those of this branch; absent: of all branches.
    branch: Option<BranchName>,
    /// Drop all commits of each branch except the newest N.
    #[schemars(range(min = 1))]
    keep: Option<u32>,
    /// Those made before this time.
    before: Option<Timestamp>,
    /// The ancestors of this commit.
    under: Option<Word>,
    /// Only say which.
    dry_run: bool,
}

async fn prune(
    call: Call,
    Path(OfRepo { repo }): Path<OfRepo>,
    Json(pruned): Json<Pruned>,
) -> Result<Answer<PruneView>> {
    let by = call.actor(None);
    let done = call.change(move |store| {
        let Pruned { branch, keep, before, under, dry_run } = pruned;
        let selection = match (keep, before, under) {
            (Some(keep @ 1..), None, None) => Selection::AllBut(keep as usize),
            (None, Some(time), None) => Selection::MadeBefore(time),
            (None, None, Some(Word(revision))) => Selection::Under(commit_of(store, &repo, &revision)?),
            _ => return Err(Problem::usage("which commits is not clear", "send one of `keep`, `before` and `under`")),
        };
        let of = Reference { repo, revision: branch.as_ref().map(Revision::branch), path: None };
        let prune = Prune::of(store, &of)?.only(selection);
        let plan = prune.plan(store)?;
        let size_bytes = upkeep::freed_by(store, &plan, &|_, _, _| {})?;
        if dry_run || plan.commits.is_empty() {
            return Ok(PruneView { pruned: false, commits: pruned_commits(store, &plan)?, size_bytes });
        }
        let done = prune.commit(store, &by)?;
        Ok(PruneView { pruned: true, commits: pruned_commits(store, &done)?, size_bytes })
    });
    done.await.map(Answer)
}

/// Where to copy the store.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mirror {
    /// `s3://BUCKET/PREFIX`. The server's environment has the credentials. Folders of its machine are for the command line there.
    #[schemars(regex(pattern = "^s3://.+$"))]
    to: String,
    /// Then remove packs there that this store no longer has.
    #[serde(default)]
    prune: bool,
}

async fn mirror(call: Call, Json(Mirror { to, prune }): Json<Mirror>) -> Result<Started> {
    if !to.starts_with("s3://") || to.len() == "s3://".len() {
        let detail = format!("`{to}` is not the URL of an object store");
        return Err(Problem::usage(
            detail,
            "write `s3://BUCKET/PREFIX`; folders are for pv mirror on the server's machine",
        ));
    }
    let places = call.machine()?.places;
    start(&call, "mirror", move |store, progress| {
        let done = store.mirror(&to, &places, prune, &|what, done, total| progress.tell(what, done, total))?;
        Ok(mirror_view(to, &done))
    })
}

async fn rotate(call: Call) -> Result<Answer<RotatedView>> {
    let rotated = call.change(Store::replace_key).await?;
    Ok(Answer(rotated_view(rotated.0, &rotated.1)))
}

/// A key.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfKey {
    /// Its fingerprint, or at least its first 8 digits.
    #[schemars(regex(pattern = "^[0-9A-Fa-f]{8,64}$"))]
    fingerprint: String,
}

async fn trust(call: Call, Path(OfKey { fingerprint }): Path<OfKey>) -> Result<Answer<TrustedView>> {
    let trusted = call.change(move |store| {
        let (fingerprint, is_trusted) = key_by_prefix(store, &fingerprint)?;
        if !is_trusted {
            store.trust_key(&fingerprint)?;
        }
        Ok::<_, Problem>(TrustedView { changed: !is_trusted, fingerprint, vouched: true })
    });
    trusted.await.map(Answer)
}
