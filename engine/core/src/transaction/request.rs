//! From lines to steps: first all names and sources are resolved, then content is stored; errors in all lines are reported together.
//!
//! If the sources are on another machine, [`upload`] reads and sends them there, and [`prepare_listed`] takes the listings in their place.

use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use repos::files::{Edits, Outbox, parse_list};
use repos::store::Sender;
use repos::tree::Tree;
use repos::{RepoError, Store};
use serde::{Deserialize, Serialize};
use specs::{CommitId, ErrorKind, Reference, Revision};

use super::{Action, Drastic, Line, LineAction, Outcome, Step, Transaction};
use crate::error::{EngineError, Result, in_full};
use crate::graph::BranchOf;
use crate::put::{self, Caller, Found, MAX_LIST_BYTES, MirrorOf, PutFiles, PutListing, Upload};
use crate::run::Actor;
use crate::target::TargetBranch;

/// Changes to make together.
#[derive(Debug, Clone)]
pub struct TransactionRequest {
    /// The changes, in order.
    pub lines: Vec<Line>,
    /// The base of relative paths of local files; `None`: the working folder of this process.
    pub folder: Option<PathBuf>,
    /// Who makes the changes.
    pub by: Actor,
    /// The message, for commits whose lines have none.
    pub message: String,
}

impl TransactionRequest {
    fn of<'a>(&'a self, steps: &'a [Step]) -> Transaction<'a> {
        Transaction { by: &self.by, message: &self.message, steps }
    }
}

/// What another machine found for each line that puts files, by the line's number: what it uploaded, or why it could not.
pub type Listings = BTreeMap<u32, std::result::Result<PutListing, NotFoundThere>>;

/// Why another machine could not upload the files of a line; it had uploaded nothing then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotFoundThere {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
}

impl NotFoundThere {
    fn of(error: &EngineError) -> Self {
        Self { kind: error.kind(), message: in_full(error), hint: error.hint() }
    }

    fn to_error(&self) -> EngineError {
        let Self { kind, message, hint } = self.clone();
        RepoError::Remote { kind, message, hint, race: false, collected: false }.into()
    }
}

/// The listings of a transaction, and the client that sent their content.
#[derive(Debug, Clone, Copy)]
struct Listed<'a> {
    listings: &'a Listings,
    from: Sender<'a>,
}

/// Returns what a transaction would do: reads and hashes files, stores none of them, and makes nothing visible.
///
/// `Lines` if lines cannot be done.
pub fn preview(store: &Store, request: &TransactionRequest, caller: &dyn Caller) -> Result<Outcome> {
    let steps = Steps { store, request, caller, listed: None, dry_run: true }.all()?;
    request.of(&steps).preview(store)
}

/// Like [`preview`], for files that another machine listed; their content need not be here.
pub fn preview_listed(
    store: &Store,
    request: &TransactionRequest,
    listings: &Listings,
    from: Sender<'_>,
) -> Result<Outcome> {
    let listed = Some(Listed { listings, from });
    let steps = Steps { store, request, caller: &(), listed, dry_run: true }.all()?;
    request.of(&steps).preview(store)
}

/// Resolves the names in all lines, and stores the content that they put. Nothing is visible before [`PreparedTransaction::publish`].
///
/// `Lines` if names or sources of lines cannot be found.
pub fn prepare<'a>(
    store: &'a Store,
    request: &'a TransactionRequest,
    caller: &'a dyn Caller,
) -> Result<PreparedTransaction<'a>> {
    prepare_steps(Steps { store, request, caller, listed: None, dry_run: false })
}

/// Like [`prepare`], for content that another machine sent: see [`upload`].
///
/// `NotSent` if a listing names content that is missing, or that `from` neither sent nor may read.
pub fn prepare_listed<'a>(
    store: &'a Store,
    request: &'a TransactionRequest,
    listings: &'a Listings,
    from: Sender<'a>,
) -> Result<PreparedTransaction<'a>> {
    prepare_steps(Steps { store, request, caller: &(), listed: Some(Listed { listings, from }), dry_run: false })
}

fn prepare_steps(all: Steps<'_>) -> Result<PreparedTransaction<'_>> {
    Ok(PreparedTransaction { steps: all.all()?, all })
}

/// Reads the files of all lines, and sends the content that the store elsewhere lacks. Needs no store on this machine.
///
/// If sources of lines cannot be found, it sends nothing and returns only why: the store's half reports that together with what it finds.
pub fn upload(request: &TransactionRequest, how: &Upload<'_>, caller: &dyn Caller) -> Result<Listings> {
    let (mut found, mut problems) = (Vec::new(), Listings::new());
    for line in &request.lines {
        let LineAction::Put { on, files, files_from } = &line.action else { continue };
        let files = with_list(request.folder.as_ref(), files, files_from.as_deref());
        match files.and_then(|files| Found::of(&Reference { path: None, ..on.clone() }, Tree::empty(), &files)) {
            Ok(files) => found.push((line.number, files)),
            Err(problem) => drop(problems.insert(line.number, Err(NotFoundThere::of(&problem)))),
        }
    }
    if !problems.is_empty() {
        return Ok(problems);
    }
    let outbox = Outbox::new(how.to);
    let sent = |(number, files): (u32, Found)| {
        Ok((number, Ok(put::listing_of(&files.sent(&outbox, how.known, caller, how.dry_run)?))))
    };
    found.into_iter().map(sent).collect()
}

/// The files of a line, with the paths of its list.
fn with_list(folder: Option<&PathBuf>, files: &PutFiles, list: Option<&Path>) -> Result<PutFiles> {
    let files = PutFiles { folder: folder.cloned(), ..files.clone() };
    let files_from = list.map(|list| read_list(&files.path(list), list)).transpose()?;
    Ok(PutFiles { files_from: files_from.map(Into::into), ..files })
}

/// A transaction whose content is stored.
pub struct PreparedTransaction<'a> {
    all: Steps<'a>,
    steps: Vec<Step>,
}

impl PreparedTransaction<'_> {
    /// Mirrors that would remove most of the existing files: the caller should confirm them.
    pub fn drastic(&self) -> Result<Vec<Drastic>> {
        let mirrors = |step: &Step| matches!(step.action, Action::Put { mirror: Some(_), .. });
        if !self.steps.iter().any(mirrors) {
            return Ok(Vec::new());
        }
        Ok(self.all.request.of(&self.steps).preview(self.all.store)?.drastic)
    }

    /// Does everything, or nothing.
    ///
    /// `Lines` if lines cannot be done.
    pub fn publish(self) -> Result<Outcome> {
        let Self { all, steps } = self;
        let Steps { store, request, .. } = all;
        let outcome = match request.of(&steps).publish(store) {
            // Content that was collected meanwhile is stored again.
            Err(EngineError::Store(error)) if Store::is_collected(&error) => request.of(&all.all()?).publish(store),
            done => done,
        }?;
        if let Some(Listed { listings, from }) = &all.listed {
            put::release(store, from, listings.values().flatten().flat_map(PutListing::entries));
        }
        Ok(outcome)
    }
}

/// Turns lines into steps.
#[derive(Clone, Copy)]
struct Steps<'a> {
    store: &'a Store,
    request: &'a TransactionRequest,
    caller: &'a dyn Caller,
    /// In place of files on this machine.
    listed: Option<Listed<'a>>,
    dry_run: bool,
}

/// A line with its names and sources resolved.
struct FoundLine<'a> {
    line: &'a Line,
    branch: BranchOf,
    expect: Option<CommitId>,
    files: Option<Found>,
}

impl Steps<'_> {
    fn all(&self) -> Result<Vec<Step>> {
        let lines = &self.request.lines;
        let (mut problems, mut found, mut created) = (Vec::new(), Vec::new(), HashSet::new());
        for line in lines {
            match self.find(line, &created) {
                Ok(line) => found.push(line),
                Err(problem) => problems.push((line.number, problem)),
            }
            if let LineAction::BranchCreate { branch, .. } = &line.action {
                created.insert(branch.clone());
            }
        }
        if !problems.is_empty() {
            return Err(EngineError::Lines(problems));
        }
        found.into_iter().map(|found| self.step(found)).collect()
    }

    fn find<'l>(&self, line: &'l Line, created: &HashSet<BranchOf>) -> Result<FoundLine<'l>> {
        let target = match &line.action {
            LineAction::BranchMove { branch, .. } | LineAction::BranchCreate { branch, .. } => {
                self.store.repo(&branch.0)?;
                let named = Reference { repo: branch.0.clone(), revision: None, path: None };
                TargetBranch::created(branch.clone(), &named)
            }
            LineAction::Put { on, .. }
            | LineAction::Rm { on, .. }
            | LineAction::Mv { on, .. }
            | LineAction::Cp { on, .. } => self.target(on, created)?,
        };
        let expect = line.expect.as_ref().map(|revision| target.revision(self.store, revision)).transpose()?;
        let files = match &line.action {
            LineAction::Put { files, files_from, .. } if self.listed.is_none() => {
                let files = with_list(self.request.folder.as_ref(), files, files_from.as_deref())?;
                Some(Found::of(target.named(), target.files(self.store)?, &files)?)
            }
            _ => None,
        };
        if let Some(Err(problem)) = self.listed.and_then(|listed| listed.listings.get(&line.number)) {
            return Err(problem.to_error());
        }
        Ok(FoundLine { line, branch: (target.repo, target.branch), expect, files })
    }

    /// The branch that gets a commit; an earlier line may create it.
    fn target(&self, reference: &Reference, created: &HashSet<BranchOf>) -> Result<TargetBranch> {
        let named = reference.revision.as_ref().and_then(Revision::as_branch);
        match named.map(|name| (reference.repo.clone(), name)).filter(|branch| created.contains(branch)) {
            Some(branch) => Ok(TargetBranch::created(branch, reference)),
            None => TargetBranch::of(self.store, reference),
        }
    }

    fn step(&self, found: FoundLine<'_>) -> Result<Step> {
        let FoundLine { line, branch, expect, files } = found;
        let action = match &line.action {
            LineAction::Put { files, .. } if self.listed.is_some() => {
                let (edits, mirror) = self.listed(line.number, files)?;
                Action::Put { edits, mirror }
            }
            LineAction::Put { .. } => {
                let files = files.expect("a put was gathered when it was found");
                let content = files.content(self.store, self.caller, self.dry_run)?;
                // All files, whatever the branch holds: earlier steps may change it.
                Action::Put { edits: content.edits(self.store, Tree::empty())?.0, mirror: content.mirror()? }
            }
            LineAction::Rm { paths, recursive, .. } => Action::Rm { paths: paths.clone(), recursive: *recursive },
            LineAction::Mv { from, to, .. } => Action::Mv { from: from.clone(), to: to.clone() },
            LineAction::Cp { from, to, .. } => Action::Cp { from: from.clone(), to: to.clone() },
            LineAction::BranchMove { to, .. } => Action::Move { to: to.clone() },
            LineAction::BranchCreate { at, .. } => Action::Create { at: at.clone() },
        };
        Ok(Step { line: line.number, message: line.message.clone(), expect, branch, action })
    }
}

impl Steps<'_> {
    /// What another machine uploaded for a line.
    fn listed(&self, line: u32, files: &PutFiles) -> Result<(Edits, Option<MirrorOf>)> {
        let listing = self.listed.and_then(|listed| Some((listed.listings.get(&line)?.as_ref().ok()?, listed.from)));
        let Some((listing, from)) = listing else {
            let problem = EngineError::usage("its files were not uploaded", "repeat the command");
            return Err(EngineError::Lines(vec![(line, problem)]));
        };
        put::edits_of(self.store, files, listing, &from, self.dry_run)
    }
}

/// The paths in the list at `path`, which the caller calls `named`.
fn read_list(path: &Path, named: &Path) -> Result<Vec<PathBuf>> {
    let what = format!("the list `{}`", named.display());
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|source| EngineError::Io { doing: format!("read {what}"), source })?;
    if bytes.len() as u64 > MAX_LIST_BYTES {
        return Err(EngineError::Usage { what: format!("{what} is longer than 1.1 GB"), hint: None });
    }
    Ok(parse_list(&bytes))
}
