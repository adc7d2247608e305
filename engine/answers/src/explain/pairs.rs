//! Compares two datums or two jobs that the user named.

use repos::documents::{Commit, Provenance};
use repos::{JobRow, Store};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::DatumId;

use super::sides::{Differences, FieldChange, Side, compare_inputs, compare_transforms};
use crate::datum::{DatumState, FoundDatum, hidden_inputs};
use crate::job::{JobView, job_id, job_view};
use crate::logs::job_of;
use crate::sight::{InputSight, recipe};
use crate::trace::Brought;
use engine::Result;

/// The differences between two of a kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared<T> {
    /// The one named first.
    pub old: T,
    /// The other one.
    pub new: T,
    /// The differences, and what is the same.
    #[serde(flatten)]
    pub differences: Differences,
}

/// One of the compared datums.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the fields are named after what they hold")]
pub struct DatumSide {
    pub id: DatumId,
    /// The job from which it is viewed, `PIPELINE@RUN`.
    pub job: String,
    /// The job that executed it.
    pub executed_by: String,
    pub state: DatumState,
    pub exit_code: Option<i32>,
}

/// Compares two datums of the same or of different pipelines: what was executed, what was read, and what was written.
pub fn compare_datums(store: &Store, old: &FoundDatum, new: &FoundDatum) -> Result<Compared<DatumSide>> {
    let mut differences = Differences::default();
    let (was, is) = (Side::of_job(store, &old.job)?, Side::of_job(store, &new.job)?);
    let seen = |found: &FoundDatum| recipe(store, &InputSight::of_job(store, &found.job)?, &found.view.id);
    compare_transforms(store, &was, &is, &mut differences)?;
    let ((first, of_first), (second, of_second)) = (seen(old)?, seen(new)?);
    differences.not_visible = of_first.max(of_second);
    compare_inputs(store, (&was, &first), (&is, &second), &mut differences)?;
    let outputs = |found: &FoundDatum| {
        let count = found.result.outputs_count;
        let root = found.result.outputs.map_or_else(String::new, |root| format!(", {root}"));
        Some(format!("{count} {}{root}", if count == 1 { "file" } else { "files" }))
    };
    differences.compare("outputs", outputs(old), outputs(new));
    let side = |found: &FoundDatum| DatumSide {
        id: found.view.id,
        job: job_id(&found.job.pipeline, &found.job.run),
        executed_by: job_of(&found.result),
        state: found.view.state,
        exit_code: found.view.exit_code,
    };
    Ok(Compared { old: side(old), new: side(new), differences })
}

/// Compares two jobs: the version, what it executes, and their input commits.
pub fn compare_jobs(store: &Store, old: &JobRow, new: &JobRow) -> Result<Compared<JobView>> {
    let mut differences = Differences::default();
    differences.compare("version", Some(old.version.to_string()), Some(new.version.to_string()));
    let (was, is) = (Side::of_job(store, old)?, Side::of_job(store, new)?);
    compare_transforms(store, &was, &is, &mut differences)?;
    compare_commits(store, was.commit.as_ref(), is.commit.as_ref(), &mut differences)?;
    differences.not_visible = hidden_inputs(store, old)?.max(hidden_inputs(store, new)?);
    Ok(Compared { old: job_view(store, old, None)?, new: job_view(store, new, None)?, differences })
}

/// Compares the input commits, by branch.
fn compare_commits(store: &Store, old: Option<&Commit>, new: Option<&Commit>, found: &mut Differences) -> Result<()> {
    let origins = |commit: Option<&'_ Commit>| commit.map_or_else(Vec::new, |commit| commit.provenance.clone());
    let (was, is) = (origins(old), origins(new));
    let mut branches: Vec<_> = was.iter().chain(&is).map(|origin| (&origin.repo, &origin.branch)).collect();
    branches.sort_unstable();
    branches.dedup();
    for branch in branches {
        let name = format!("{}@{}", branch.0, branch.1);
        let of = |side: &[Provenance]| side.iter().find(|one| (&one.repo, &one.branch) == branch).map(|one| one.commit);
        let (old, new) = (of(&was), of(&is));
        if old == new {
            found.same.push(name);
            continue;
        }
        let by = |id: Option<specs::CommitId>| -> Result<Option<Brought>> {
            let Some(id) = id else { return Ok(None) };
            let Commit { author, committer, message, created_at, job, .. } = store.commit(&id)?;
            let by = job.unwrap_or(if author.is_empty() { committer } else { author });
            Ok(Some(Brought { commit: id, by, message, at: created_at }))
        };
        let text = |id: Option<specs::CommitId>| id.map(|id| id.to_string());
        let change = FieldChange { field: name, old: text(old), new: text(new), old_by: by(old)?, new_by: by(new)? };
        found.changes.push(change);
    }
    Ok(())
}
