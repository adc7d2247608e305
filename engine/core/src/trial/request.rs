//! From the request to what a trial uses instead of the current state.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use repos::files::{self, GetOptions, ListedFile, Listing, ObjectSink, Outbox, PutOptions, SendOptions};
use repos::store::Sender;
use repos::tree::Tree;
use repos::{RepoError, Store};
use sandbox::{Executor, HostFolder, OnPull};
use specs::spec::SpecSet;
use specs::{CommitId, Diagnostic, PipelineName, Reference};

use super::{EphemeralTrial, Request, Room, Sample, branch_read};
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
            None => (self.graph(store)?, BTreeSet::new()),
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
        Ok(Request { graph, specs, commits, names, sample, refs, store: store.clone() })
    }
}

impl TrialRequest {
    /// The pipelines that may be tried as they are: those whose inputs are visible.
    ///
    /// `Refused` for a requested one that is not among them, and without the right to run pipelines.
    fn graph(&self, store: &Store) -> Result<Arc<Graph>> {
        let graph = Graph::load(store)?;
        let requested = self.names.iter().chain(graph.pipelines.keys().take(1));
        requested
            .into_iter()
            .filter(|name| graph.pipelines.contains_key(*name))
            .try_for_each(|name| store.ensure_may_run(name))?;
        if !store.is_limited() {
            return Ok(graph);
        }
        let seen = Graph::clone(&graph).seen_through(store);
        let hides = |name: &&PipelineName| graph.pipelines.contains_key(*name) && !seen.pipelines.contains_key(*name);
        match self.names.iter().find(hides) {
            None => Ok(Arc::new(seen)),
            Some(name) => Err(EngineError::Store(RepoError::Refused {
                what: format!("pipeline `{name}` cannot be tried: it has inputs that are not visible to you"),
                hint: Some("ask an admin of the store for a token with more rights".to_owned()),
            })),
        }
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
            return Err(has_store(&named));
        }
        self.mounts.push(HostFolder { from, at: at.to_owned() });
        Ok(())
    }

    /// Like [`Self::mount`], for a folder of another machine, which sent its files with [`upload_mount`]: lays them out in the empty folder
    /// `room`, which the caller removes after the trial.
    ///
    /// `NotSent` if the listing names content that is missing, or that `from` neither sent nor may read.
    pub fn mount_listed(
        &mut self,
        store: &Store,
        (listing, from): (&Listing, &Sender<'_>),
        room: &Path,
        at: &Path,
    ) -> Result<()> {
        listing.ensure_sound()?;
        let entries: Vec<_> = listing.files().iter().map(ListedFile::entry).collect();
        store.ensure_may_name(from, &entries)?;
        let edits = listing.edits(store, Tree::empty())?;
        let tree = files::apply(store, Tree::empty(), &edits)?.0;
        let options = GetOptions { since: None, matching: None, force: false, progress: &|_, _| {} };
        files::get_loose(store, tree, room, options)?;
        self.mounts.push(HostFolder { from: room.to_owned(), at: at.to_owned() });
        Ok(())
    }
}

impl EphemeralTrial {
    /// Mounts the folders that [`upload_mounts`] sent from another machine, each at its path; returns where they are laid out until the
    /// value is dropped.
    ///
    /// `Usage` for a message that cannot be read; else as [`Self::mount_listed`].
    pub fn mount_sent(&mut self, store: &Store, (sent, from): (&[u8], &Sender<'_>), at: &[&Path]) -> Result<Room> {
        let listings: Vec<Listing> = postcard::from_bytes(sent).unwrap_or_default();
        if listings.len() != at.len() {
            let what = "the list of mounted folders cannot be read";
            return Err(EngineError::usage(what, "use the same version of pv on both sides"));
        }
        let room = Room::make(store)?;
        for (number, (listing, at)) in listings.iter().zip(at).enumerate() {
            self.mount_listed(store, (listing, from), &room.path().join(number.to_string()), at)?;
        }
        Ok(room)
    }
}

/// Sends the files of all folders that a trial elsewhere mounts, as [`upload_mount`] does; returns a message about them.
pub fn upload_mounts(folders: &[(PathBuf, &Path)], to: &dyn ObjectSink) -> Result<Vec<u8>> {
    let listings = folders.iter().map(|(from, named)| upload_mount((from, named), to));
    let listings = listings.collect::<Result<Vec<Listing>>>()?;
    Ok(postcard::to_stdvec(&listings).expect("listings have a form"))
}

fn has_store(named: &std::path::Display<'_>) -> EngineError {
    let what = format!("`{named}` contains the store, which sandboxes must not see");
    EngineError::usage(what, "mount a folder outside the store, such as --mount ./src:/code")
}

/// Sends the files of a folder on this machine that a trial elsewhere mounts; the caller calls it `named`. Needs no store on this machine.
///
/// `Usage` if it is not a folder, or contains a store or is inside one.
pub fn upload_mount((from, named): (&Path, &Path), to: &dyn ObjectSink) -> Result<Listing> {
    let doing = || format!("mount `{}`", named.display());
    let from = from.canonicalize().map_err(|source| EngineError::Io { doing: doing(), source })?;
    if !from.is_dir() {
        return Err(EngineError::usage(format!("`{}` is not a folder", named.display()), "--mount DIR:/PATH"));
    }
    // A store on this machine has a private key.
    if from.ancestors().any(|above| above.ends_with(Store::FOLDER)) || Store::is_at(&from) {
        return Err(has_store(&named.display()));
    }
    let gathered = files::gather(&PutOptions { sources: vec![from], ..PutOptions::default() })?;
    let how = SendOptions { known: None, dry_run: false, skip_unreadable: false, progress: &|_, _| {} };
    Ok(files::send(&Outbox::new(to), &gathered, &how)?.listing(&gathered))
}
