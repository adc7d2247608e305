//! From the request to what a trial uses instead of the current state.

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

/// The request of a trial.
#[derive(Debug)]
pub struct TrialRequest {
    /// Specs instead of the current ones, and the source of each.
    pub specs: Option<(SpecSet, SpecSources)>,
    /// Commits in place of the heads of branches.
    pub replacements: Vec<Replacement>,
    /// The requested pipelines; empty for everything affected.
    pub names: BTreeSet<PipelineName>,
    /// Which datums.
    pub sample: Sample,
    /// Who makes the request.
    pub by: Actor,
    /// The request in the user's words, for the record.
    pub refs: Vec<String>,
}

/// A commit instead of a branch's head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replacement {
    /// Instead of the only branch of its repository that pipelines read.
    Commit(Reference),
    /// Instead of this branch.
    Branch {
        /// The branch.
        branch: BranchOf,
        /// The commit.
        by: Reference,
    },
}

impl TrialRequest {
    /// Resolves the names, and does everything with the specs that an apply does except publishing. `on_pull` is called for pulls of
    /// images, `on_warnings` once with warnings about the specs.
    ///
    /// `Specs` if they cannot be applied, `NotFound` for a commit that does not exist, `Usage` for one that no pipeline would read.
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
    /// Which branch is replaced by which commit.
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
    /// Mounts a folder of the host in the sandboxes: `from` is its path, `named` the caller's name for it, `at` its path inside.
    ///
    /// `Usage` if it is not a folder, or contains the store or is inside it.
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
