//! From what is asked for to what a trial takes in place of the present.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use repos::Store;
use sandbox::{Executor, HostFolder, OnPull};
use specs::spec::SpecSet;
use specs::{CommitId, Diagnostic, PipelineName, Reference};

use super::{EphemeralTrial, Request, Sample, branch_read};
use crate::apply::{self, SpecSources};
use crate::error::{EngineError, Result};
use crate::graph::{BranchOf, Graph};
use crate::run::Actor;

/// A trial as it is asked for.
#[derive(Debug)]
pub struct TrialRequest {
    /// Specs in place of the present ones, and where each comes from.
    pub specs: Option<(SpecSet, SpecSources)>,
    /// Commits in place of the heads of branches.
    pub replacements: Vec<Replacement>,
    /// The pipelines that are asked for; empty for all that is touched.
    pub names: BTreeSet<PipelineName>,
    /// Which datums.
    pub sample: Sample,
    /// By whom.
    pub by: Actor,
    /// The same in the words of the one who asks, for the record.
    pub refs: Vec<String>,
}

/// A commit in place of a branch's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// In place of the one branch of its repository that pipelines read.
    Commit(Reference),
    /// In place of this branch.
    Branch {
        /// The branch that is replaced.
        branch: BranchOf,
        /// The commit.
        by: Reference,
    },
}

impl TrialRequest {
    /// Finds what the names mean, and does with the specs all that an apply does but publish them. `on_pull` is told of pulls of images,
    /// `on_warnings` once of what is worth knowing of the specs.
    ///
    /// `Specs` when these cannot be applied, `NotFound` for a commit that is not there, `Usage` for one that no pipeline would read.
    pub async fn prepare(
        &self,
        store: &Store,
        executor: &dyn Executor,
        on_pull: OnPull<'_>,
        on_warnings: &(dyn Fn(&[Diagnostic]) + Send + Sync),
    ) -> Result<Request> {
        let (graph, specs) = match &self.specs {
            None => (Graph::load(store)?, BTreeSet::new()),
            Some((set, sources)) => {
                let request = apply::Request { set, sources, by: &self.by, dry: true, announce: &|_| {}, on_pull };
                let applied = apply::apply(store, executor, request).await?;
                on_warnings(&applied.warnings);
                (Arc::new(applied.graph), applied.pipelines.into_iter().map(|pipeline| pipeline.name).collect())
            }
        };
        let commits = self.replacements.iter().map(|replacement| replacement.find(store, &graph));
        let commits: BTreeMap<_, _> = commits.collect::<Result<_>>()?;
        let (names, sample, refs) = (self.names.clone(), self.sample.clone(), self.refs.clone());
        Ok(Request { graph, specs, commits, names, sample, refs })
    }
}

impl Replacement {
    /// Which branch gets which commit.
    fn find(&self, store: &Store, graph: &Graph) -> Result<(BranchOf, CommitId)> {
        match self {
            Self::Commit(reference) => {
                let found = store.resolve(reference)?;
                Ok((branch_read(graph, &found.commit.repo)?, found.id))
            }
            Self::Branch { branch, by } => {
                let found = store.resolve(by)?;
                if !graph.pipelines.values().any(|pipeline| pipeline.input_branches().contains(branch)) {
                    let what = format!("no pipeline reads `{}@{}`", branch.0, branch.1);
                    return Err(EngineError::usage(what, "pv pipeline list lists all pipelines"));
                }
                Ok((branch.clone(), found.id))
            }
        }
    }
}

impl EphemeralTrial {
    /// Shows a folder of the host to the sandboxes: `from` is where it lies, `named` what the caller calls it, `at` its place inside.
    ///
    /// `Usage` for what is not a folder, or contains the store or is contained by it.
    pub fn mount(&mut self, store: &Store, (from, named): (&Path, &Path), at: &Path) -> Result<()> {
        let named = named.display();
        let own = store.folder().canonicalize();
        let own = own.map_err(|source| EngineError::Io { doing: "find the store".to_owned(), source })?;
        let from = from.canonicalize();
        let from = from.map_err(|source| EngineError::Io { doing: format!("mount `{named}`"), source })?;
        if !from.is_dir() {
            return Err(EngineError::usage(format!("`{named}` is not a folder"), "--mount DIR:/PATH"));
        }
        if own.starts_with(&from) || from.starts_with(&own) {
            let what = format!("`{named}` contains the store, which sandboxes must not see");
            return Err(EngineError::usage(what, "mount a folder outside the store, such as --mount ./src:/code"));
        }
        self.mounts.push(HostFolder { from, at: at.to_owned() });
        Ok(())
    }
}
