//! Which pipelines a trial runs, and with which inputs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use repos::Store;
use repos::tree::Tree;
use specs::{CommitId, PipelineName};

use super::Request;
use crate::error::{EngineError, Result};
use crate::graph::{BranchOf, Pipeline};
use crate::inputs::refusal;
use crate::recipe::Leaf;

/// The pipelines of a trial.
#[derive(Debug)]
pub(super) struct Selected {
    /// In the order of data flow.
    pub(super) pipelines: Vec<Arc<Pipeline>>,
    /// Affected too, but downstream of a pipeline that makes no commit.
    pub(super) left_out: Vec<PipelineName>,
}

/// The inputs of a pipeline in a trial, or why it cannot run.
pub(super) type Inputs = Result<Vec<Leaf>, String>;

impl Selected {
    /// With `only_first`, excludes pipelines that read the output of another: nothing is committed that they could read.
    pub(super) fn of(store: &Store, request: &Request, only_first: bool) -> Result<Self> {
        for name in &request.names {
            if !request.graph.pipelines.contains_key(name) {
                store.pipeline(name)?;
            }
        }
        let touched = touched(request);
        let mut wanted = touched.clone();
        if !request.names.is_empty() {
            let above = request.graph.upstream(request.names.clone());
            wanted.retain(|name| above.contains(name));
            wanted.extend(request.names.iter().cloned());
        }
        if wanted.is_empty() {
            return Err(EngineError::Usage {
                what: "nothing to try".to_owned(),
                hint: Some("name a pipeline, or use --with REPO@REV or --with SPEC".to_owned()),
            });
        }
        let mut selected = Self { pipelines: Vec::new(), left_out: Vec::new() };
        for pipeline in request.graph.in_order().into_iter().filter(|pipeline| wanted.contains(pipeline.name())) {
            let mut above = request.graph.upstream(BTreeSet::from([pipeline.name().clone()]));
            above.remove(pipeline.name());
            if only_first && !above.is_disjoint(&wanted) {
                selected.left_out.push(pipeline.name().clone());
            } else {
                selected.pipelines.push(pipeline.clone());
            }
        }
        Ok(selected)
    }

    pub(super) fn names(&self) -> Vec<PipelineName> {
        self.pipelines.iter().map(|pipeline| pipeline.name().clone()).collect()
    }

    /// The inputs of a pipeline: the commits given in place of heads, otherwise what the trial itself made, otherwise the heads.
    pub(super) fn inputs(
        &self,
        store: &Store,
        request: &Request,
        pipeline: &Pipeline,
        made: &BTreeMap<BranchOf, CommitId>,
    ) -> Result<Inputs> {
        let mut leaves = Vec::new();
        for input in pipeline.spec.input.leaves() {
            let branch = pipeline.input_branch(input);
            let mut commit = request.commits.get(&branch).or_else(|| made.get(&branch)).copied();
            if commit.is_none() {
                let writer = self.pipelines.iter().find(|above| above.output_branch() == branch);
                if let Some(writer) = writer {
                    return Ok(Err(format!("{} made no output", writer.name())));
                }
                let has_repo = store.has_repo(&branch.0)?;
                commit =
                    if has_repo { store.find_branch(&branch.0, &branch.1)?.and_then(|row| row.commit) } else { None };
            }
            let tree = commit.map(|id| store.commit(&id)).transpose()?;
            let tree = tree.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
            leaves.push(Leaf { input: input.clone(), branch, commit, tree });
        }
        Ok(match refusal(store, &leaves)? {
            Some(why) => Err(why),
            None => Ok(leaves),
        })
    }
}

/// The pipelines that are tried in another form, or read something that is replaced, and everything downstream.
fn touched(request: &Request) -> BTreeSet<PipelineName> {
    let mut touched = BTreeSet::new();
    let mut branches: BTreeSet<BranchOf> = request.commits.keys().cloned().collect();
    for pipeline in request.graph.in_order() {
        if request.specs.contains(pipeline.name()) || !pipeline.input_branches().is_disjoint(&branches) {
            touched.insert(pipeline.name().clone());
            branches.insert(pipeline.output_branch());
        }
    }
    touched
}
