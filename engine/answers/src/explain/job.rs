//! Why a job was created, what had changed, and what it did.

use repos::documents::{Commit, Provenance};
use repos::journal::SealedState;
use repos::{JobRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{BranchName, CommitId, RepoName};

use super::sides::{Differences, FieldChange, Side, compare_transforms};
use crate::datum::{hidden_inputs, provenance_of};
use crate::job::{JobView, job_view};
use crate::sight::is_none;
use engine::Result;
use engine::graph::Pipeline;
use engine::live::Live;

/// Explains a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobExplained {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// Who caused its run.
    pub author: Option<String>,
    /// What had changed, such as `images@main`.
    pub refs: Vec<String>,
    /// The reason, in the words of the user who decided it.
    pub message: Option<String>,
    /// Inputs whose commit differs from the previous one.
    pub inputs: Vec<InputChange>,
    /// Inputs that are unchanged.
    pub same: Vec<String>,
    /// How many inputs are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub inputs_not_visible: u64,
    /// The previous version, if it differs.
    pub version_before: Option<u32>,
    /// How the new version differs in what it executes.
    pub changes: Vec<FieldChange>,
    /// The explanation in one line.
    pub why: String,
}

/// An input that changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct InputChange {
    pub repo: RepoName,
    pub branch: BranchName,
    pub old: Option<CommitId>,
    pub new: CommitId,
    /// The author of the new commit.
    pub author: String,
    pub message: String,
}

/// Explains a job by comparing it with the previous output commit.
pub fn explain_job(store: &Store, job: &JobRow, live: Option<&Live>) -> Result<JobExplained> {
    let key = engine::live::JobKey { order: job.order, pipeline: job.pipeline.clone() };
    let view = job_view(store, job, live.and_then(|live| live.job(&key)).as_ref())?;
    let pipeline = Pipeline::load_version(store, &job.pipeline, job.version)?;
    let commit = job.commit.map(|id| store.commit(&id)).transpose()?;
    let before = before(store, &pipeline, job, commit.as_ref())?;
    let (mut inputs, mut same) = (Vec::new(), Vec::new());
    for Provenance { repo, branch, commit } in &provenance_of(store, job)? {
        let origins = before.as_ref().map_or(&[][..], |before| &before.provenance);
        let old = origins.iter().find(|origin| origin.repo == *repo && origin.branch == *branch);
        let old = old.map(|origin| origin.commit);
        if old == Some(*commit) {
            same.push(format!("{repo}@{branch}"));
            continue;
        }
        let Commit { author, message, .. } = store.commit(commit)?;
        let (repo, branch) = (repo.clone(), branch.clone());
        inputs.push(InputChange { repo, branch, old, new: *commit, author, message });
    }
    let stamp = before.as_ref().and_then(|before| before.pipeline.as_ref());
    let stamp = stamp.filter(|stamp| stamp.version != job.version);
    let mut differences = Differences::default();
    if let (Some(before), true) = (&before, stamp.is_some())
        && let Some(old) = Side::of_commit(store, before)?
    {
        compare_transforms(store, &old, &Side::of_job(store, job)?, &mut differences)?;
    }
    let cause = store.run(&job.run)?.cause;
    let version_before = stamp.map(|stamp| stamp.version);
    let inputs_not_visible = hidden_inputs(store, job)?;
    let why = why(&view, &inputs, version_before, (before.is_some(), inputs_not_visible > 0));
    Ok(JobExplained {
        job: view,
        author: cause.author,
        refs: cause.refs,
        message: cause.message,
        inputs,
        same,
        inputs_not_visible,
        version_before,
        changes: differences.changes,
        why,
    })
}

/// The output commit that was the head when the job was created.
pub(super) fn before(
    store: &Store,
    pipeline: &Pipeline,
    job: &JobRow,
    commit: Option<&Commit>,
) -> Result<Option<Commit>> {
    let id = if let Some(commit) = commit {
        commit.parents.first().copied()
    } else {
        let (repo, branch) = pipeline.output_branch();
        store.head_as_of(&repo, &branch, job.order.saturating_sub(1))?.flatten()
    };
    Ok(id.map(|id| store.commit(&id)).transpose()?)
}

fn why(
    view: &JobView,
    inputs: &[InputChange],
    version_before: Option<u32>,
    (has_before, has_hidden): (bool, bool),
) -> String {
    let mut reasons: Vec<String> = inputs.iter().map(|input| format!("{}@{}", input.repo, input.branch)).collect();
    if let Some(version) = version_before {
        reasons.push(format!("version {version} → {}", view.pipeline_version));
    }
    let reason = view.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let did = match (view.finished_at, view.output_commit) {
        (None, _) if view.datums_failed > 0 => {
            format!("{}{reason}; {} of {} datums failed so far", view.state, view.datums_failed, view.datums_total)
        }
        (None, _) | (_, None) => format!("{}{reason}", view.state),
        _ => {
            let [run, cached, failed] = [view.datums_processed, view.datums_cached, view.datums_failed];
            let ended = if view.state == SealedState::Success.into() {
                String::new()
            } else {
                format!("; {}{reason}", view.state)
            };
            format!(
                "{run} executed, {cached} not executed, {failed} failed, {} recovered{ended}",
                view.datums_recovered
            )
        }
    };
    match (view.output_commit, has_before, reasons.is_empty()) {
        (None, ..) => did,
        (_, false, _) => format!("the first output: {did}"),
        (_, true, true) if has_hidden => format!("no input that you see and no version changed: {did}"),
        (_, true, true) => format!("no input and no version changed: {did}"),
        (_, true, false) => format!("{} changed: {did}", reasons.join(", ")),
    }
}
