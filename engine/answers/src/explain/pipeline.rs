//! Why nothing runs for a pipeline.

use repos::Store;
use repos::documents::Commit;
use repos::tree::Tree;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::CommitId;
use specs::spec::PfsInput;

use super::job::{JobExplained, explain_job};
use crate::job::JobState;
use crate::pipeline::{PipelineState, PipelineView, pipeline_view};
use crate::sight::{gap_in_words, is_none};
use engine::Result;
use engine::datums::count_matches;
use engine::graph::{BranchOf, Pipeline};
use engine::live::Live;

/// Explains the state of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PipelineExplained {
    /// The pipeline.
    #[serde(flatten)]
    pub pipeline: PipelineView,
    /// Why nothing runs, or what does; the nearest reason first.
    pub because: Vec<String>,
    /// Its inputs.
    pub inputs: Vec<InputExplained>,
    /// How many inputs are not visible to the one who asks.
    #[serde(default, skip_serializing_if = "is_none")]
    pub inputs_not_visible: u64,
    /// Its newest job.
    pub job: Option<JobExplained>,
}

/// The state of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputExplained {
    /// Its name.
    pub input: String,
    /// `REPO@BRANCH`
    pub branch: String,
    /// The glob.
    pub glob: String,
    /// The head of the branch; absent if it has no commit, or does not exist.
    pub head: Option<CommitId>,
    /// The commit that the newest output was made from; absent if there is none.
    pub taken: Option<CommitId>,
    /// Number of paths in the head that the glob matches.
    pub matches: u64,
    /// What blocks the pipeline here.
    pub problem: Option<String>,
}

/// Explains a pipeline by its state, its inputs and its newest job.
pub fn explain_pipeline(store: &Store, row: &repos::PipelineRow, live: Option<&Live>) -> Result<PipelineExplained> {
    let pipeline = Pipeline::load(store, row)?;
    let view = pipeline_view(store, pipeline.name(), live)?;
    let output = view.output_commit.map(|id| store.commit(&id)).transpose()?;
    let (seen, hidden): (Vec<_>, Vec<_>) =
        pipeline.spec.input.leaves().into_iter().partition(|leaf| store.sees(&leaf.repo));
    let (inputs, inputs_not_visible) = (seen.into_iter(), hidden.len() as u64);
    let inputs: Vec<InputExplained> =
        inputs.map(|input| explain_input(store, &pipeline, input, output.as_ref())).collect::<Result<_>>()?;
    let job = view.newest.as_ref().map(|job| explain_job(store, job, live)).transpose()?;
    let mut because = because(&view, &inputs, job.as_ref());
    if inputs_not_visible > 0 {
        because.push(format!("{}: what is said of inputs is of the others", gap_in_words(inputs_not_visible, "input")));
    }
    Ok(PipelineExplained { pipeline: view, because, inputs, inputs_not_visible, job })
}

fn explain_input(
    store: &Store,
    pipeline: &Pipeline,
    input: &PfsInput,
    output: Option<&Commit>,
) -> Result<InputExplained> {
    let branch = pipeline.input_branch(input);
    let name = format!("{}@{}", branch.0, branch.1);
    let row = if store.has_repo(&branch.0)? { store.find_branch(&branch.0, &branch.1)? } else { None };
    let head = row.as_ref().and_then(|row| row.commit);
    let tree = head.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
    let matched = count_matches(store, tree, &input.glob)?;
    let origins = output.map_or(&[][..], |output| &output.provenance);
    let taken = origins.iter().find(|origin| (&origin.repo, &origin.branch) == (&branch.0, &branch.1));
    let files = tree.totals(store)?.entries;
    let problem = match (&row, head) {
        (None, _) => Some(format!("branch `{name}` does not exist")),
        (_, None) => Some(format!("`{name}` has no commit yet{}", of_writer(store, &branch)?)),
        _ if files == 0 => Some(format!("`{name}` is empty")),
        _ if matched == 0 => Some(format!("glob `{}` matches nothing in `{name}` ({files} files)", input.glob)),
        _ => None,
    };
    Ok(InputExplained {
        input: input.name.clone(),
        branch: name,
        glob: input.glob.to_string(),
        head,
        taken: taken.map(|origin| origin.commit),
        matches: matched,
        problem,
    })
}

/// What is wrong with the pipeline that writes a branch: `: detect is failed, 1 of 3 datums failed`.
fn of_writer(store: &Store, branch: &BranchOf) -> Result<String> {
    let name = branch.0.as_pipeline();
    if store.find_pipeline(&name)?.is_none() {
        return Ok(String::new());
    }
    let view = pipeline_view(store, &name, None)?;
    let reason = view.reason.map_or_else(String::new, |reason| format!(", {reason}"));
    Ok(format!(": {name} is {}{reason}", view.state))
}

/// The reasons, the nearest first.
fn because(view: &PipelineView, inputs: &[InputExplained], job: Option<&JobExplained>) -> Vec<String> {
    let reason = view.reason.clone().unwrap_or_default();
    let mut because = match view.state {
        PipelineState::Stopped => vec![format!("it is stopped {reason}").trim_end().to_owned()],
        PipelineState::Running => vec![format!("its job is running: {reason}")],
        PipelineState::Pending => vec![format!("its job waits {reason}")],
        PipelineState::Failed => {
            let state = job.map_or(JobState::Failure, |job| job.job.state);
            vec![format!("its newest job ended as {state}: {reason}")]
        }
        PipelineState::Current => Vec::new(),
    };
    because.extend(inputs.iter().filter_map(|input| input.problem.clone()));
    if view.state != PipelineState::Current {
        return because;
    }
    let Some(job) = job else {
        because.push("it has no job: its inputs have had no data since it was applied".to_owned());
        return because;
    };
    let late: Vec<&str> = inputs
        .iter()
        .filter(|input| input.head.is_some() && input.head != input.taken)
        .map(|input| input.branch.as_str())
        .collect();
    if late.is_empty() {
        because.push("the newest output was made from the current commit of every input".to_owned());
    } else {
        because.push(format!(
            "{} moved without starting a job: its trigger has not fired yet, or the input starts no jobs",
            late.join(", ")
        ));
    }
    if job.job.datums_processed == 0 && job.job.state == JobState::Success {
        because.push("its newest job executed nothing: no datum was new".to_owned());
    }
    because
}
