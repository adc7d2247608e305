//! The rules that commands follow, enforced again where records take effect, so that writing to the journal directly cannot bypass them.
//!
//! What a commit states about itself (repository, kind, run) comes from its document, which the index knows from the packs; a commit whose
//! pack has not arrived yet is checked when it is read. Unsigned records come from earlier versions, which enforced some rules less
//! strictly: only what every version enforced is required of them.

use specs::{CommitId, PipelineName, RepoName, RunId};

use super::apply::read;
use super::rows::{JobRow, KeyRow, RepoRow, RunRow, SaidRow, TagRow};
use super::{View, keys};
use crate::base::error::RepoError;
use crate::base::time::Timestamp;
use crate::documents::CommitKind;
use crate::journal::{Cause, CauseKind, Move, Record, RepoKind, SealedState, signed_bytes};

use crate::base::error::Result;

/// The record being applied.
#[derive(Debug)]
pub(super) struct Context<'r> {
    pub(super) record: &'r Record,
    /// Its number, from 1.
    pub(super) number: u64,
}

impl Context<'_> {
    pub(super) fn at(&self) -> Timestamp {
        self.record.at
    }

    /// Whether the record comes from a version that enforces all rules.
    pub(super) fn is_strict(&self) -> bool {
        self.record.signature.is_some()
    }
}

fn refused(what: String) -> RepoError {
    RepoError::Conflict { what, hint: None }
}

/// What names a commit.
#[derive(Debug, Clone, Copy)]
pub(super) enum Namer<'a> {
    Run(&'a RunId, CauseKind),
    Job(&'a RunId),
}

/// A branch points only to commits of its own repository, and never to one of a failed job.
pub(super) fn head(said: &SaidRow, commit: &CommitId, repo: &RepoName) -> Result<()> {
    is_of(said, commit, repo)?;
    if said.failed {
        return Err(refused(format!(
            "commit {} belongs to a failed job; a branch cannot point to it",
            commit.short(12)
        )));
    }
    Ok(())
}

/// A commit belongs to the repository that its document names.
pub(super) fn is_of(said: &SaidRow, commit: &CommitId, repo: &RepoName) -> Result<()> {
    if said.repo == *repo {
        return Ok(());
    }
    Err(refused(format!("commit {} belongs to repository `{}`, not to `{repo}`", commit.short(12), said.repo)))
}

/// People make commits in user repositories, a pipeline in its output repository, a cron schedule its ticks.
pub(super) fn new_commit(
    view: &View<'_>,
    said: &SaidRow,
    commit: &CommitId,
    repo: &RepoName,
    by: Namer<'_>,
) -> Result<()> {
    let Some(row) = read::<RepoRow>(view, &keys::repo(repo))? else { return Ok(()) };
    let (run, is_right) = match by {
        Namer::Run(run, CauseKind::Cron) => (run, (row.kind, said.kind) == (RepoKind::Cron, CommitKind::Cron)),
        Namer::Run(run, _) => (run, (row.kind, said.kind) == (RepoKind::User, CommitKind::User)),
        Namer::Job(run) => (run, said.kind == CommitKind::Output),
    };
    if is_right && said.run == *run {
        return Ok(());
    }
    let whose = match row.kind {
        RepoKind::User => "people",
        RepoKind::Output => "its pipeline",
        RepoKind::Cron => "the clock",
    };
    let (id, run) = (commit.short(12), run.short(8));
    Err(refused(format!("run {run} cannot make commit {id} in `{repo}`: only {whose} commits to it")))
}

/// What a run may move depends on its cause.
pub(super) fn moves_of(view: &View<'_>, cause: &Cause, moves: &[Move]) -> Result<()> {
    let moves_none = matches!(cause.kind, CauseKind::Try | CauseKind::Rerun | CauseKind::Retry);
    if moves_none && !moves.is_empty() {
        return Err(refused(format!("a run with cause `{}` cannot move a branch", cause.kind.word())));
    }
    for Move { repo, .. } in moves.iter().filter(|_| cause.kind == CauseKind::Cron) {
        if read::<RepoRow>(view, &keys::repo(repo))?.is_some_and(|row| row.kind != RepoKind::Cron) {
            return Err(refused(format!("ticks are not committed to `{repo}`")));
        }
    }
    Ok(())
}

/// A job moves the branch of its pipeline's output to the commit that it made, if it succeeded and was not a trial.
pub(super) fn job_moves(
    view: &View<'_>,
    job: &JobRow,
    state: SealedState,
    commit: Option<CommitId>,
    moved: &Move,
) -> Result<()> {
    let run: Option<RunRow> = read(view, &keys::run(job.order))?;
    let is_try = run.is_some_and(|run| run.cause.kind == CauseKind::Try);
    let said = commit.map(|commit| view.said(&commit)).transpose()?.flatten();
    let is_right = state == SealedState::Success
        && moved.to.is_some()
        && moved.to == commit
        && !is_try
        && said.is_none_or(|said| said.branch == moved.branch);
    if is_right {
        return Ok(());
    }
    let what = format!("job `{}@{}` cannot move `{}@{}`", job.pipeline, job.run.short(8), moved.repo, moved.branch);
    Err(refused(what))
}

/// A job writes to its pipeline's output repository.
pub(super) fn job_repo(pipeline: &PipelineName, moved: &Move) -> Result<()> {
    if moved.repo == pipeline.output_repo() {
        return Ok(());
    }
    Err(refused(format!("a job of pipeline `{pipeline}` cannot move branches of `{}`", moved.repo)))
}

/// A version number never means two different versions.
pub(super) fn version(
    view: &View<'_>,
    pipeline: &PipelineName,
    version: u32,
    document: &specs::Digest,
    newest: Option<u32>,
) -> Result<()> {
    let known: Option<super::rows::PipelineRow> = read(view, &keys::version(pipeline, version))?;
    let is_other = known.is_some_and(|known| known.document != *document);
    if version == 0 || is_other || newest.is_some_and(|newest| version <= newest) {
        return Err(refused(format!("version {version} of pipeline `{pipeline}` already exists")));
    }
    Ok(())
}

/// A tag names a commit of its own repository, unless the commit's document is not known.
pub(super) fn tag(view: &View<'_>, row: &TagRow, repo: &RepoName) -> Result<()> {
    view.said(&row.commit)?.map_or(Ok(()), |said| is_of(&said, &row.commit, repo))
}

/// Whether the signature of a record is from a key that counts.
pub(super) fn is_vouched_for(view: &View<'_>, of: &Context<'_>) -> Result<bool> {
    let Some(signature) = &of.record.signature else { return Ok(false) };
    let Some(key) = read::<KeyRow>(view, &keys::signing_key(&signature.key))? else { return Ok(false) };
    let value = serde_json::to_value(of.record).expect("records have a JSON form");
    let is_in_use = key.replaced_in.is_none_or(|replaced| replaced >= of.number);
    Ok(key.vouched && is_in_use && key.public_key.has_signed(&signed_bytes(&value), &signature.signature))
}
