//! From lines to steps: first all names and sources are resolved, then content is stored; errors in all lines are reported together.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use repos::Store;
use repos::files::parse_list;
use repos::tree::Tree;
use specs::{CommitId, Reference, Revision};

use super::{Action, Drastic, Line, LineAction, Outcome, Step, Transaction};
use crate::error::{EngineError, Result};
use crate::graph::BranchOf;
use crate::put::{Caller, Found, MAX_LIST_BYTES, PutFiles};
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

/// Returns what a transaction would do: reads and hashes files, stores none of them, and makes nothing visible.
///
/// `Lines` if lines cannot be done.
pub fn preview(store: &Store, request: &TransactionRequest, caller: &dyn Caller) -> Result<Outcome> {
    let steps = Steps { store, folder: request.folder.as_ref(), caller, dry_run: true }.of(&request.lines)?;
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
    let steps = steps_of(store, request, caller)?;
    Ok(PreparedTransaction { store, request, caller, steps })
}

fn steps_of(store: &Store, request: &TransactionRequest, caller: &dyn Caller) -> Result<Vec<Step>> {
    Steps { store, folder: request.folder.as_ref(), caller, dry_run: false }.of(&request.lines)
}

/// A transaction whose content is stored.
pub struct PreparedTransaction<'a> {
    store: &'a Store,
    request: &'a TransactionRequest,
    caller: &'a dyn Caller,
    steps: Vec<Step>,
}

impl PreparedTransaction<'_> {
    /// Mirrors that would remove most of the existing files: the caller should confirm them.
    pub fn drastic(&self) -> Result<Vec<Drastic>> {
        let mirrors = |step: &Step| matches!(step.action, Action::Put { mirror: Some(_), .. });
        if !self.steps.iter().any(mirrors) {
            return Ok(Vec::new());
        }
        Ok(self.request.of(&self.steps).preview(self.store)?.drastic)
    }

    /// Does everything, or nothing.
    ///
    /// `Lines` if lines cannot be done.
    pub fn publish(self) -> Result<Outcome> {
        let Self { store, request, caller, steps } = self;
        match request.of(&steps).publish(store) {
            // Content that was collected meanwhile is stored again.
            Err(EngineError::Store(error)) if Store::is_collected(&error) => {
                request.of(&steps_of(store, request, caller)?).publish(store)
            }
            done => done,
        }
    }
}

/// Turns lines into steps.
struct Steps<'a> {
    store: &'a Store,
    folder: Option<&'a PathBuf>,
    caller: &'a dyn Caller,
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
    fn of(&self, lines: &[Line]) -> Result<Vec<Step>> {
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
            LineAction::Put { files, files_from, .. } => {
                let files = self.files(files, files_from.as_deref())?;
                Some(Found::of(&target, &files)?)
            }
            _ => None,
        };
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

    /// The files of a line, with the paths of its list.
    fn files(&self, files: &PutFiles, list: Option<&Path>) -> Result<PutFiles> {
        let files = PutFiles { folder: self.folder.cloned(), ..files.clone() };
        let files_from = list.map(|list| read_list(&files.path(list), list)).transpose()?;
        Ok(PutFiles { files_from: files_from.map(Into::into), ..files })
    }

    fn step(&self, found: FoundLine<'_>) -> Result<Step> {
        let FoundLine { line, branch, expect, files } = found;
        let action = match &line.action {
            LineAction::Put { .. } => {
                let files = files.expect("a put was gathered when it was found");
                let content = files.content(self.store, self.caller, self.dry_run)?;
                // All files, whatever the branch holds: earlier steps may change it.
                Action::Put { edits: content.edits(self.store, Tree::empty())?.0, mirror: content.mirror() }
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
