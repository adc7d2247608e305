//! The results of checking a store, and of garbage collection.

use std::cmp::Reverse;

use engine::Result;
use repos::fsck::repair::Done;
use repos::fsck::{Problem, Report};
use repos::gc::{self, Collected, Reason};
use repos::store::Mirrored;
use repos::{Store, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, Digest, RepoName, RunId};

pub use repos::gc::{Plan, Selection};

/// What was checked, what is wrong, and what was done about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they count")]
pub struct ReportView {
    /// Whether nothing is wrong.
    pub sound: bool,
    pub records: u64,
    pub packs: u64,
    pub objects: u64,
    pub size_bytes: u64,
    pub commits: u64,
    pub results: u64,
    pub files: u64,
    pub problems: Vec<ProblemView>,
    /// Harmless observations.
    pub notes: Vec<String>,
    pub repaired: Vec<DoneView>,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ProblemView {
    /// What is affected.
    pub what: String,
    /// The kind of the object, if it is one.
    pub kind: Option<&'static str>,
    /// The digest of the object.
    pub digest: Option<Digest>,
    /// What is wrong.
    pub why: String,
    /// The first objects that need it.
    pub needed_by: Vec<String>,
    /// How many more need it.
    pub needed_by_more: u64,
}

/// What was done about a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoneView {
    /// What was affected.
    pub what: String,
    /// What was done, or why nothing could be.
    pub how: String,
    /// Whether it is intact again.
    pub healed: bool,
}

/// The result of a check, and of a repair.
pub fn report_view(report: &Report, done: &[Done]) -> ReportView {
    let counts = &report.counts;
    ReportView {
        sound: report.problems.is_empty(),
        records: counts.records,
        packs: counts.packs,
        objects: counts.objects,
        size_bytes: counts.size_bytes,
        commits: counts.commits,
        results: counts.results,
        files: counts.files,
        problems: report.problems.iter().map(problem_view).collect(),
        notes: report.notes.clone(),
        repaired: done.iter().map(done_view).collect(),
    }
}

fn done_view(done: &Done) -> DoneView {
    DoneView { what: done.subject.to_string(), how: done.how.clone(), healed: done.is_healed }
}

fn problem_view(problem: &Problem) -> ProblemView {
    let object = problem.subject.object();
    ProblemView {
        what: problem.subject.to_string(),
        kind: object.map(|(kind, _)| kind.word()),
        digest: object.map(|(_, digest)| digest),
        why: problem.why.clone(),
        needed_by: problem.needed_by.iter().map(ToString::to_string).collect(),
        needed_by_more: problem.needed_by_more,
    }
}

/// What a collection did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct GcView {
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The freed bytes.
    pub freed_bytes: u64,
    /// Garbage in large packs that are not worth copying yet.
    pub left_bytes: u64,
    /// The number of removed objects.
    pub objects: u64,
    /// The number of removed packs.
    pub packs_removed: u64,
    /// Packs written with the live objects of removed ones.
    pub packs_written: u64,
    /// Commits whose files were dropped.
    pub commits_pruned: usize,
    /// What was removed, by reason.
    pub gone: Vec<GoneView>,
    /// The largest files that are kept.
    pub largest: Vec<KeptView>,
    /// What is kept by only one branch or tag.
    pub only: Vec<HolderView>,
}

/// What was removed for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct GoneView {
    pub reason: &'static str,
    pub repo: Option<RepoName>,
    pub objects: u64,
    pub size_bytes: u64,
}

/// A file that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeptView {
    /// A commit that has it: `images@77ab01c2`.
    pub commit: String,
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What keeps it.
    pub held_by: String,
}

/// A branch or tag that is the only one to keep something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HolderView {
    /// The branch or tag.
    pub held_by: String,
    /// What would be freed without it.
    pub size_bytes: u64,
}

/// What a collection did, or would do.
pub fn gc_view(collected: &Collected, dry_run: bool) -> GcView {
    let Collected { plan, account, swept } = collected;
    let gone = account.gone.iter().map(|((reason, repo), amount)| GoneView {
        reason: reason.word(),
        repo: repo.clone(),
        objects: amount.objects,
        size_bytes: amount.size_bytes,
    });
    let largest = account.largest.iter().map(|file| KeptView {
        commit: file.place.clone(),
        path: file.path.to_string(),
        size_bytes: file.size_bytes,
        held_by: file.held_by.clone(),
    });
    let only = account.only.iter();
    let only = only.map(|only| HolderView { held_by: only.holder.clone(), size_bytes: only.size_bytes });
    GcView {
        dry_run,
        freed_bytes: swept.bytes_freed,
        left_bytes: account.left_bytes,
        objects: swept.objects_removed,
        packs_removed: swept.packs_removed,
        packs_written: swept.packs_written,
        commits_pruned: plan.commits.len(),
        gone: gone.collect(),
        largest: largest.collect(),
        only: only.collect(),
    }
}

/// A commit whose files are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PrunedView {
    /// Its repository.
    pub repo: RepoName,
    /// Its id.
    pub id: CommitId,
    /// The id again, under the name that other JSON objects use.
    pub commit: CommitId,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its message.
    pub message: String,
    /// A unique short form of its id.
    #[serde(skip)]
    pub short: String,
}

/// What a prune did, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PruneView {
    /// Whether it was done, not only planned.
    pub pruned: bool,
    /// The commits, newest first.
    pub commits: Vec<PrunedView>,
    /// The bytes that the next `pv gc` frees.
    pub size_bytes: u64,
}

/// The commits that a plan prunes, newest first.
pub fn pruned_commits(store: &Store, plan: &Plan) -> Result<Vec<PrunedView>> {
    let mut views = Vec::new();
    for id in plan.commits.keys() {
        let commit = store.commit(id)?;
        let (repo, message, created_at) = (commit.repo, commit.message, commit.created_at);
        views.push(PrunedView { repo, id: *id, commit: *id, created_at, message, short: store.short_commit(id)? });
    }
    views.sort_by_key(|view| Reverse(view.created_at));
    Ok(views)
}

/// The bytes that the next collection frees because of a plan. `tell` is called with the progress.
pub fn freed_by(store: &Store, plan: &Plan, tell: &(dyn Fn(&str, u64, u64) + Sync)) -> Result<u64> {
    let account = gc::account_of(store, plan, tell)?;
    let pruned = account.gone.iter().filter(|((reason, _), _)| *reason == Reason::Pruned);
    Ok(pruned.map(|(_, amount)| amount.size_bytes).sum())
}

/// A commit that was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DeletedCommitView {
    /// The branch of which it was the head.
    pub branch: BranchName,
    /// Its id.
    pub commit: CommitId,
    /// The word `commit`.
    pub deleted: &'static str,
    /// Where the branch points now; `null` if it is empty.
    pub head: Option<CommitId>,
    /// Its repository.
    pub repo: RepoName,
    /// The run that its deletion caused.
    pub run: RunId,
}

/// What a mirror holds, and what was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they count")]
pub struct MirrorView {
    /// Where it is.
    pub url: String,
    pub records: u64,
    pub packs: u64,
    pub size_bytes: u64,
    pub new_records: u64,
    pub new_packs: u64,
    pub new_bytes: u64,
    pub removed_packs: u64,
}

/// What a mirror at `url` holds, and what was sent.
pub fn mirror_view(url: String, done: &Mirrored) -> MirrorView {
    MirrorView {
        url,
        records: done.records,
        packs: done.packs,
        size_bytes: done.size_bytes,
        new_records: done.new_records,
        new_packs: done.new_packs,
        new_bytes: done.new_bytes,
        removed_packs: done.removed_packs,
    }
}
