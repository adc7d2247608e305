//! What the steps make of each branch, before anything is visible.

use std::collections::{BTreeMap, BTreeSet};

use repos::documents::Source;
use repos::files::{self, ChangeSummary, Edits, diff};
use repos::store::Resolved;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{CommitId, FilePath, Reference, Revision, RevisionBase, RunId};

use super::{Action, BranchChange, Drastic, Outcome, Step, Transaction};
use crate::changes::{
    self, ensure_can_be_head, ensure_expected_head, ensure_not_output_branch, head_to_commit_to, user_commit,
};
use crate::error::{EngineError, Result};
use crate::graph::{BranchOf, Graph};
use crate::put::MirrorOf;

/// Maximum number of modified paths that a summary names.
const NAMED: usize = 10;

/// The branches after the steps so far.
#[derive(Debug)]
pub(super) struct Draft<'s> {
    store: &'s Store,
    graph: &'s Graph,
    transaction: &'s Transaction<'s>,
    run: RunId,
    branches: BTreeMap<BranchOf, Branch>,
    /// In the order in which steps name them.
    order: Vec<BranchOf>,
    /// Branches with a failed step: later steps would fail only as a consequence.
    broken: BTreeSet<BranchOf>,
    drastic: Vec<Drastic>,
}

/// A branch that steps name.
#[derive(Debug)]
struct Branch {
    /// Its commit in the store.
    from: Option<CommitId>,
    /// Whether a step creates it.
    is_created: bool,
    /// The commit on which the file changes are based.
    at: Option<CommitId>,
    /// The files of that commit.
    base: Tree,
    /// The current files.
    tree: Tree,
    sources: Vec<Source>,
    /// Counts of the files given by puts; the others are counted at the end.
    given: ChangeSummary,
    messages: Vec<String>,
    known_messages: BTreeSet<String>,
    /// The line that last changed files.
    changed_by: Option<u32>,
    /// The commit with its changes, once something named it, and the line that did.
    named: Option<(CommitId, u32)>,
    summary: ChangeSummary,
}

/// What a reference means within a transaction.
enum Meaning {
    /// A commit that the store has.
    Stored(Box<Resolved>),
    /// A branch as the earlier steps left it.
    Drafted(BranchOf),
}

impl Branch {
    fn at(store: &Store, at: Option<CommitId>) -> Result<Self> {
        let base = tree_of(store, at)?;
        Ok(Self {
            from: at,
            is_created: false,
            at,
            base,
            tree: base,
            sources: Vec::new(),
            given: ChangeSummary::default(),
            messages: Vec::new(),
            known_messages: BTreeSet::new(),
            changed_by: None,
            named: None,
            summary: ChangeSummary::default(),
        })
    }

    fn is_changed(&self) -> bool {
        self.tree != self.base
    }

    /// Its current head.
    fn head(&self) -> Option<CommitId> {
        self.named.map(|(commit, _)| commit).or(self.at)
    }
}

fn tree_of(store: &Store, commit: Option<CommitId>) -> Result<Tree> {
    Ok(commit.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree)))
}

fn place((repo, branch): &BranchOf) -> String {
    format!("{repo}@{branch}")
}

fn usage(what: String, hint: &str) -> EngineError {
    EngineError::Usage { what, hint: Some(hint.to_owned()) }
}

impl<'s> Draft<'s> {
    pub(super) fn new(store: &'s Store, graph: &'s Graph, transaction: &'s Transaction<'s>, run: RunId) -> Self {
        let (branches, order, broken, drastic) = Default::default();
        Self { store, graph, transaction, run, branches, order, broken, drastic }
    }

    /// Executes one step.
    pub(super) fn take(&mut self, step: &Step) -> Result<()> {
        if self.broken.contains(&step.branch) {
            return Ok(());
        }
        let done = self.try_take(step);
        if done.is_err() {
            self.broken.insert(step.branch.clone());
        }
        done
    }

    fn try_take(&mut self, step: &Step) -> Result<()> {
        match &step.action {
            Action::Move { to } => self.move_branch(step, to)?,
            Action::Create { at } => self.create_branch(step, at.as_ref())?,
            Action::Put { .. } | Action::Rm { .. } | Action::Mv { .. } | Action::Cp { .. } => {
                self.change_files(step)?;
            }
        }
        let branch = self.branch(&step.branch)?;
        if let Some(message) = step.message.as_ref().filter(|message| branch.known_messages.insert((*message).clone()))
        {
            branch.messages.push(message.clone());
        }
        let (from, (repo, name)) = (branch.from, &step.branch);
        ensure_expected_head(repo, name, step.expect, from)
    }

    /// The branch after the steps so far.
    fn branch(&mut self, of: &BranchOf) -> Result<&mut Branch> {
        if !self.branches.contains_key(of) {
            let head = self.store.find_branch(&of.0, &of.1)?.and_then(|row| row.commit);
            let branch = Branch::at(self.store, head)?;
            self.insert(of, branch);
        }
        Ok(self.branches.get_mut(of).expect("it is there by now"))
    }

    fn insert(&mut self, of: &BranchOf, branch: Branch) {
        self.order.push(of.clone());
        self.branches.insert(of.clone(), branch);
    }

    fn change_files(&mut self, step: &Step) -> Result<()> {
        let (repo, name) = &step.branch;
        if !self.branches.contains_key(&step.branch) {
            head_to_commit_to(self.store, repo, name)?;
        }
        crate::changes::ensure_not_output(self.store, repo)?;
        if let Some((_, line)) = self.branch(&step.branch)?.named {
            let what = format!("line {line} uses the commit that this transaction makes of `{}`", place(&step.branch));
            return Err(usage(what, "move all changes of its files before that line"));
        }
        let base = self.branch(&step.branch)?.tree;
        let edits = self.edits(step, base)?;
        let (tree, summary) = files::apply(self.store, base, &edits)?;
        let branch = self.branch(&step.branch)?;
        branch.tree = tree;
        branch.changed_by = Some(step.line);
        branch.sources.extend(edits.sources);
        branch.given.unchanged += summary.unchanged;
        branch.given.size_bytes += summary.size_bytes;
        branch.given.new_bytes += summary.new_bytes;
        Ok(())
    }

    fn edits(&mut self, step: &Step, base: Tree) -> Result<Edits> {
        let named = place(&step.branch);
        Ok(match &step.action {
            Action::Put { edits, mirror: None } => edits.clone(),
            Action::Put { edits, mirror: Some(mirror) } => self.mirrored(step, base, edits.clone(), mirror)?,
            Action::Rm { paths, recursive } => files::rm(self.store, base, &named, paths, *recursive)?,
            Action::Mv { from, to } => files::mv(self.store, base, &named, from, to)?,
            Action::Cp { from, to } => self.copy(step, from, base, to)?,
            Action::Move { .. } | Action::Create { .. } => Edits::default(),
        })
    }

    fn mirrored(&mut self, step: &Step, base: Tree, mut edits: Edits, of: &MirrorOf) -> Result<Edits> {
        let mirror = files::mirror(self.store, base, &of.directory, &of.left_out, &mut edits)?;
        if mirror.is_drastic() {
            let place = format!("{}:{}", place(&step.branch), of.directory);
            let (removed, total_before) = (mirror.removed, mirror.total_before);
            self.drastic.push(Drastic { line: step.line, place, removed, total_before });
        }
        Ok(edits)
    }

    fn copy(&mut self, step: &Step, from: &Reference, base: Tree, to: &FilePath) -> Result<Edits> {
        let path = from.path.clone().unwrap_or_else(FilePath::root);
        let repo = &step.branch.0;
        let resolved = match self.meaning(from)? {
            Meaning::Stored(resolved) => *resolved,
            Meaning::Drafted(branch) if branch.0 == *repo => {
                let tree = self.branch(&branch)?.tree;
                return Ok(files::cp_within(self.store, tree, &place(&branch), &path, base, to)?);
            }
            Meaning::Drafted(branch) => {
                let id = self.name_commit(&branch, step.line)?;
                Resolved { id, commit: self.store.commit(&id)?, path }
            }
        };
        Ok(files::cp(self.store, &resolved, repo, base, to)?)
    }

    fn move_branch(&mut self, step: &Step, to: &Reference) -> Result<()> {
        let (repo, name) = &step.branch;
        if !self.branches.contains_key(&step.branch) {
            crate::changes::ensure_not_tag(self.store, repo, name)?;
            self.store.branch(repo, name)?;
        }
        ensure_not_output_branch(self.store, self.graph, repo, name)?;
        let to = self.commit_of(step, to)?;
        let base = tree_of(self.store, Some(to))?;
        let branch = self.branch(&step.branch)?;
        if let Some(line) = branch.changed_by {
            let what = format!(
                "line {line} changed files of `{}`; moving the branch now would lose these changes",
                place(&step.branch)
            );
            return Err(usage(what, "move the branch first"));
        }
        (branch.at, branch.base, branch.tree) = (Some(to), base, base);
        Ok(())
    }

    fn create_branch(&mut self, step: &Step, at: Option<&Reference>) -> Result<()> {
        let (repo, name) = &step.branch;
        self.store.repo(repo)?;
        let is_there = self.branches.contains_key(&step.branch) || self.store.find_branch(repo, name)?.is_some();
        if is_there || self.store.find_tag(repo, name.as_str())?.is_some() {
            let what = if is_there { "branch" } else { "tag" };
            return Err(RepoError::Exists { what: format!("{what} `{name}` of repository `{repo}`") }.into());
        }
        ensure_not_output_branch(self.store, self.graph, repo, name)?;
        let at = match at {
            Some(at) => Some(self.commit_of(step, at)?),
            None => self.default_head(step)?,
        };
        let branch = Branch { from: None, is_created: true, ..Branch::at(self.store, at)? };
        self.insert(&step.branch, branch);
        Ok(())
    }

    fn default_head(&mut self, step: &Step) -> Result<Option<CommitId>> {
        let default = (step.branch.0.clone(), self.store.default_branch()?);
        match self.branches.get(&default) {
            Some(branch) if branch.is_changed() => self.name_commit(&default, step.line).map(Some),
            Some(branch) => Ok(branch.head()),
            // Reading it does not make it part of the transaction.
            None => changes::default_head(self.store, &default.0),
        }
    }

    /// The commit to which a branch of the step's repository will point.
    fn commit_of(&mut self, step: &Step, reference: &Reference) -> Result<CommitId> {
        let id = match self.meaning(reference)? {
            Meaning::Stored(resolved) => resolved.id,
            Meaning::Drafted(branch) => self.name_commit(&branch, step.line)?,
        };
        ensure_can_be_head(&step.branch.0, &id, &self.store.commit(&id)?)?;
        Ok(id)
    }

    fn meaning(&self, reference: &Reference) -> Result<Meaning> {
        let name = match &reference.revision {
            None => Some(self.store.default_branch()?),
            Some(Revision { base: RevisionBase::Word(word), .. }) => word.parse().ok(),
            Some(_) => None,
        };
        let of = name.map(|name| (reference.repo.clone(), name));
        let Some((of, branch)) = of.and_then(|of| self.branches.get(&of).map(|branch| (of, branch))) else {
            return Ok(Meaning::Stored(Box::new(self.store.resolve(reference)?)));
        };
        let back = reference.revision.as_ref().map_or(0, |revision| revision.back);
        if back == 0 {
            return Ok(Meaning::Drafted(of));
        }
        // The parent of the future commit is the commit that it is based on.
        let back = back - u32::from(branch.is_changed());
        let base = branch.at.ok_or_else(|| RepoError::NoCommit {
            reference: format!("`{reference}`"),
            why: "it had no commits before this transaction".to_owned(),
        })?;
        let revision = Revision { base: RevisionBase::Word(base.to_string()), back };
        let reference = Reference { revision: Some(revision), ..reference.clone() };
        Ok(Meaning::Stored(Box::new(self.store.resolve(&reference)?)))
    }

    /// The commit of a branch; its changes become one commit, to which no more can be added.
    fn name_commit(&mut self, of: &BranchOf, line: u32) -> Result<CommitId> {
        let Transaction { by, message, .. } = self.transaction;
        let (store, run) = (self.store, self.run);
        let branch = self.branch(of)?;
        if branch.named.is_none() && branch.is_changed() {
            let mut commit = user_commit(store, run, (&of.0, &of.1), by, branch.tree);
            commit.parents.extend(branch.at);
            commit.message =
                if branch.messages.is_empty() { (*message).to_owned() } else { branch.messages.join("\n") };
            commit.sources = std::mem::take(&mut branch.sources);
            branch.summary = summary(store, branch)?;
            branch.named = Some((store.put_commit(&commit)?, line));
        }
        branch.head().ok_or_else(|| {
            let why = "it has no commits yet".to_owned();
            RepoError::NoCommit { reference: format!("`{}`", place(of)), why }.into()
        })
    }

    /// Makes the remaining commits.
    pub(super) fn name_commits(&mut self) -> Result<()> {
        for of in self.order.clone() {
            if self.branch(&of)?.is_changed() {
                self.name_commit(&of, 0)?;
            } else {
                let branch = self.branch(&of)?;
                branch.summary = branch.given.clone();
            }
        }
        Ok(())
    }

    pub(super) fn outcome(mut self, run: Option<RunId>) -> Outcome {
        let branches = self.order.iter().filter_map(|of| {
            let branch = self.branches.remove(of)?;
            let (from, to) = (branch.from, branch.head());
            let is_moved = from != to || branch.is_created;
            Some(BranchChange { repo: of.0.clone(), branch: of.1.clone(), from, to, is_moved, summary: branch.summary })
        });
        Outcome { run, branches: branches.collect(), drastic: self.drastic }
    }
}

/// The total change of a branch's files, regardless of intermediate steps.
fn summary(store: &Store, branch: &Branch) -> Result<ChangeSummary> {
    let mut summary = branch.given.clone();
    for change in diff(store, branch.base, branch.tree, None)? {
        let change = change?;
        match (&change.old, &change.new) {
            (None, _) => summary.added += 1,
            (_, None) => summary.removed += 1,
            (Some(_), Some(_)) => {
                summary.modified += 1;
                if summary.modified_paths.len() < NAMED {
                    summary.modified_paths.push(change.path);
                }
            }
        }
    }
    Ok(summary)
}
