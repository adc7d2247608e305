//! What users do to a store: each accepted change that can cause jobs is one run.

use std::collections::BTreeSet;

use repos::documents::{Commit, CommitKind, TagDocument};
use repos::files::{self, ChangeSummary, Edits};
use repos::journal::{Cause, CauseKind, Entry, Move, RepoKind};
use repos::tree::Tree;
use repos::{Change, RepoError, Store};
use specs::{BranchName, CommitId, PipelineName, RepoName, RunId, TagName};

use crate::error::{EngineError, Result};
use crate::graph::{Graph, users_in_words};
use crate::run::{Actor, cause, new_run, retry_on_conflict};
use crate::triggers;

/// A commit to make.
#[derive(Debug, Clone)]
pub struct NewCommit<'a> {
    /// The repository.
    pub repo: &'a RepoName,
    /// The branch. The default branch is created if it does not exist, but no other.
    pub branch: &'a BranchName,
    /// The head that the change is for; a different one is a conflict. `None` for any head.
    pub expect: Option<CommitId>,
    /// Who makes it.
    pub by: &'a Actor,
    /// The author's message.
    pub message: &'a str,
}

/// The result of a change of files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Committed {
    /// Nothing differs, so there is no commit.
    Unchanged {
        /// The head of the branch.
        head: Option<CommitId>,
    },
    /// A commit was made.
    Made {
        /// The commit.
        commit: CommitId,
        /// Its run.
        run: RunId,
        /// Its parent.
        parent: Option<CommitId>,
    },
}

/// Refuses a name that is a tag, not a branch.
pub fn ensure_not_tag(store: &Store, repo: &RepoName, branch: &BranchName) -> Result<()> {
    if store.find_branch(repo, branch)?.is_some() || store.find_tag(repo, branch.as_str())?.is_none() {
        return Ok(());
    }
    Err(is_a_tag(repo, branch))
}

fn is_a_tag(repo: &RepoName, branch: &BranchName) -> EngineError {
    let what = format!("`{branch}` is a tag of repository `{repo}`, not a branch; a tag never moves");
    EngineError::Conflict { what, hint: Some(format!("pv branch list {repo} lists its branches")) }
}

/// A change with one run: `moves`, and the jobs that follow from them.
pub fn run_change(store: &Store, run: RunId, cause: Cause, moves: Vec<Move>) -> Result<Change> {
    let graph = Graph::whole(store)?;
    let entries = run_entries(store, &graph, run, cause, moves, &BTreeSet::new())?;
    Ok(Change { entries, graph: Some(graph.number) })
}

/// The entries of a run with `moves` and the jobs that follow from them and from `changed` pipelines, and of the runs of triggers that it
/// fires.
pub(crate) fn run_entries(
    store: &Store,
    graph: &Graph,
    run: RunId,
    cause: Cause,
    moves: Vec<Move>,
    changed: &BTreeSet<PipelineName>,
) -> Result<Vec<Entry>> {
    // What follows from a change does not depend on what its author sees.
    let whole = store.whole();
    let jobs = graph.jobs_after(&whole, &moves, changed)?;
    let triggered = triggers::runs_after(&whole, graph, &moves, &cause)?;
    let mut entries = vec![Entry::Run { run, cause, moves, jobs }];
    entries.extend(triggered);
    Ok(entries)
}

/// Refuses a repository to which only a pipeline or a cron input may commit.
pub fn ensure_not_output(store: &Store, repo: &RepoName) -> Result<()> {
    match store.repo(repo)?.kind {
        RepoKind::User => Ok(()),
        RepoKind::Output => Err(EngineError::OutputRepo { repo: repo.clone() }),
        RepoKind::Cron => Err(EngineError::Conflict {
            what: format!("`{repo}` contains the ticks of a cron input: only ticks are committed to it"),
            hint: Some("pv pipeline tick PIPELINE adds a tick".to_owned()),
        }),
    }
}

/// Makes a commit with the files that `change` computes from the head's files; retries if another change came first.
pub fn commit(
    store: &Store,
    new: &NewCommit<'_>,
    change: impl FnMut(Tree) -> Result<Edits, RepoError>,
) -> Result<(Committed, ChangeSummary)> {
    commit_in_run(store, new_run(), new, change)
}

/// Like [`commit`], as a run with this id. If there is one already, the change was made before: then this only returns its commit, so a
/// client that lost the answer may ask again.
pub fn commit_in_run(
    store: &Store,
    run: RunId,
    new: &NewCommit<'_>,
    mut change: impl FnMut(Tree) -> Result<Edits, RepoError>,
) -> Result<(Committed, ChangeSummary)> {
    let _turn = store.turn(new.repo, new.branch);
    retry_on_conflict(store, || {
        if let Some(made) = made_by(store, run, new)? {
            let summary = summary_of(store, &made)?;
            return Ok((made, summary));
        }
        commit_once(store, run, new, &mut change)
    })
}

/// The commit that a run made on this branch, if there is such a run.
fn made_by(store: &Store, run: RunId, new: &NewCommit<'_>) -> Result<Option<Committed>> {
    let Some(order) = store.run_order(&run)? else { return Ok(None) };
    let moves = store.run_at(order)?.map(|row| row.moves).unwrap_or_default();
    let made = moves.into_iter().find(|moved| moved.repo == *new.repo && moved.branch == *new.branch);
    let other = || EngineError::Conflict {
        what: format!("run {} made another change", run.short(8)),
        hint: Some("use a new key for each change".to_owned()),
    };
    let Move { from: parent, to, .. } = made.ok_or_else(other)?;
    Ok(Some(Committed::Made { commit: to.ok_or_else(other)?, run, parent }))
}

/// What a commit changed, as far as its files say: how much was given unchanged or new to the store is not recorded.
fn summary_of(store: &Store, made: &Committed) -> Result<ChangeSummary> {
    let mut summary = ChangeSummary::default();
    let Committed::Made { commit, .. } = made else { return Ok(summary) };
    for change in files::changes_of(store, &store.commit(commit)?, None)? {
        let change = change?;
        match (change.old, change.new) {
            (None, _) => summary.added += 1,
            (Some(_), Some(_)) => summary.modified += 1,
            (Some(_), None) => summary.removed += 1,
        }
        summary.size_bytes += change.new.map_or(0, |file| file.size);
    }
    Ok(summary)
}

fn commit_once(
    store: &Store,
    run: RunId,
    new: &NewCommit<'_>,
    change: &mut impl FnMut(Tree) -> Result<Edits, RepoError>,
) -> Result<(Committed, ChangeSummary)> {
    let head = head_to_commit_to(store, new.repo, new.branch)?;
    ensure_expected_head(new.repo, new.branch, new.expect, head)?;
    let base = head.map(|id| store.commit(&id)).transpose()?.map_or(Tree::empty(), |commit| Tree::at(commit.tree));
    let edits = change(base)?;
    let (tree, summary) = files::apply(store, base, &edits)?;
    if tree == base {
        // Usually nothing was written; otherwise missing content was restored, and must stay.
        store.finish_packs()?;
        return Ok((Committed::Unchanged { head }, summary));
    }
    let mut commit = user_commit(store, run, (new.repo, new.branch), new.by, tree);
    commit.parents.extend(head);
    new.message.clone_into(&mut commit.message);
    (commit.sources, commit.origins) = (edits.sources, edits.origins);
    // Frees up to a million paths before the packs are finished and indexed.
    drop(edits.files);
    let commit = store.put_commit(&commit)?;
    let moves = vec![Move { repo: new.repo.clone(), branch: new.branch.clone(), from: head, to: Some(commit) }];
    let refs = vec![format!("{}@{}", new.repo, new.branch)];
    store.publish(&run_change(store, run, cause(store, CauseKind::Commit, new.by, refs), moves)?)?;
    Ok((Committed::Made { commit, run, parent: head }, summary))
}

/// A user's commit without parents, message and sources.
pub fn user_commit(
    store: &Store,
    run: RunId,
    (repo, branch): (&RepoName, &BranchName),
    by: &Actor,
    tree: Tree,
) -> Commit {
    Commit {
        repo: repo.clone(),
        branch: branch.clone(),
        parents: Vec::new(),
        tree: tree.root(),
        lineage: None,
        datums: None,
        run,
        kind: CommitKind::User,
        author: by.author.clone(),
        committer: by.committer.clone(),
        message: String::new(),
        created_at: store.clock().now(),
        provenance: Vec::new(),
        sources: Vec::new(),
        origins: Vec::new(),
        pipeline: None,
        job: None,
        error: None,
        journal: None,
    }
}

/// The head of a branch that may get a commit: in a user's repository, not a tag, and existing unless it is the default branch. Refuses a
/// branch that a trigger moves.
pub fn head_to_commit_to(store: &Store, repo: &RepoName, branch: &BranchName) -> Result<Option<CommitId>> {
    let head = branch_to_commit_to(store, repo, branch)?;
    if branch.as_str().contains("-trigger-") {
        ensure_not_output_branch(store, &*Graph::whole(store)?, repo, branch)?;
    }
    Ok(head)
}

/// The same checks, except for triggers, by name alone: for an early check before any work.
pub(crate) fn branch_to_commit_to(store: &Store, repo: &RepoName, branch: &BranchName) -> Result<Option<CommitId>> {
    ensure_not_output(store, repo)?;
    if store.find_tag(repo, branch.as_str())?.is_some() {
        return Err(is_a_tag(repo, branch));
    }
    match store.branch(repo, branch) {
        Ok(row) => Ok(row.commit),
        Err(RepoError::BranchNotFound { .. }) if store.default_branch()? == *branch => Ok(None),
        Err(RepoError::BranchNotFound { similar, .. }) => {
            Err(EngineError::NoBranchToPut { repo: repo.clone(), branch: branch.clone(), similar })
        }
        Err(error) => Err(error.into()),
    }
}

/// Refuses a head other than the one that the change is for.
pub(crate) fn ensure_expected_head(
    repo: &RepoName,
    branch: &BranchName,
    expected: Option<CommitId>,
    actual: Option<CommitId>,
) -> Result<()> {
    match expected {
        Some(_) if actual != expected => {
            Err(EngineError::NotExpected { repo: repo.clone(), branch: branch.clone(), expected, actual })
        }
        _ => Ok(()),
    }
}

/// Creates an empty user repository.
pub fn create_repo(store: &Store, repo: &RepoName) -> Result<()> {
    let entry = Entry::RepoCreate { repo: repo.clone(), repo_kind: RepoKind::User };
    Ok(store.publish(&Change::of(vec![entry]))?)
}

/// Refuses a repository that can only be deleted with its pipeline.
pub fn ensure_can_delete_repo(store: &Store, repo: &RepoName) -> Result<()> {
    match store.repo(repo)?.kind {
        RepoKind::User | RepoKind::Cron => Ok(()),
        RepoKind::Output => Err(EngineError::OutputRepo { repo: repo.clone() }),
    }
}

/// Deletes a repository that no pipeline reads, other than a pipeline's output.
pub fn delete_repo(store: &Store, repo: &RepoName) -> Result<()> {
    ensure_can_delete_repo(store, repo)?;
    retry_on_conflict(store, || {
        store.repo(repo)?;
        let graph = Graph::whole(store)?;
        let readers =
            graph.pipelines.values().filter(|pipeline| pipeline.input_branches().iter().any(|(read, _)| read == repo));
        let readers = users_in_words(store, readers.map(|pipeline| pipeline.name()), "reads it");
        if !readers.is_empty() {
            return Err(EngineError::InUse { what: format!("repository `{repo}`"), by: readers.join(", ") });
        }
        let entry = Entry::RepoDelete { repo: repo.clone() };
        Ok(store.publish(&Change { entries: vec![entry], graph: Some(graph.number) })?)
    })
}

/// Where a new branch starts by default: at the head of the default branch, or empty.
pub fn default_head(store: &Store, repo: &RepoName) -> Result<Option<CommitId>> {
    Ok(store.find_branch(repo, &store.default_branch()?)?.and_then(|row| row.commit))
}

/// Creates a branch, at a commit of the repository or empty. A commit on it can cause jobs, so this is a run.
pub fn create_branch(
    store: &Store,
    repo: &RepoName,
    branch: &BranchName,
    at: Option<CommitId>,
    by: &Actor,
) -> Result<RunId> {
    store.repo(repo)?;
    if store.find_branch(repo, branch)?.is_some() {
        return Err(RepoError::Exists { what: format!("branch `{branch}` of repository `{repo}`") }.into());
    }
    move_to(store, repo, branch, None, at, by)
}

/// Moves a branch to another commit of its repository.
pub fn move_branch(store: &Store, repo: &RepoName, branch: &BranchName, to: CommitId, by: &Actor) -> Result<RunId> {
    let from = store.branch(repo, branch)?.commit;
    move_to(store, repo, branch, from, Some(to), by)
}

fn move_to(
    store: &Store,
    repo: &RepoName,
    branch: &BranchName,
    from: Option<CommitId>,
    to: Option<CommitId>,
    by: &Actor,
) -> Result<RunId> {
    if let Some(to) = to {
        ensure_can_be_head(repo, &to, &store.commit(&to)?)?;
    }
    let run = new_run();
    retry_on_conflict(store, || {
        ensure_not_output_branch(store, &*Graph::whole(store)?, repo, branch)?;
        // If the branch itself moved meanwhile, the caller must know; the move must not be overridden.
        let actual = store.find_branch(repo, branch)?.and_then(|row| row.commit);
        if actual != from {
            return Err(EngineError::NotExpected {
                repo: repo.clone(),
                branch: branch.clone(),
                expected: from,
                actual,
            });
        }
        let moved = Move { repo: repo.clone(), branch: branch.clone(), from, to };
        let cause = cause(store, CauseKind::Move, by, vec![format!("{repo}@{branch}")]);
        store.publish(&run_change(store, run, cause, vec![moved])?)?;
        Ok(run)
    })
}

/// Refuses a commit that a branch of `repo` may not point to.
pub(crate) fn ensure_can_be_head(repo: &RepoName, id: &CommitId, commit: &Commit) -> Result<()> {
    if commit.repo != *repo {
        return Err(EngineError::Usage {
            what: format!("commit {} belongs to repository `{}`, not to `{repo}`", id.short(12), commit.repo),
            hint: None,
        });
    }
    if commit.error.is_some() {
        return Err(EngineError::Conflict {
            what: format!("commit {} belongs to a failed job; a branch cannot point to it", id.short(12)),
            hint: None,
        });
    }
    Ok(())
}

/// Refuses to move a branch that only the engine moves.
pub(crate) fn ensure_not_output_branch(
    store: &Store,
    graph: &Graph,
    repo: &RepoName,
    branch: &BranchName,
) -> Result<()> {
    let branch_of = (repo.clone(), branch.clone());
    if let Some(fed) = graph.pipelines.values().find(|pipeline| pipeline.is_fed_by(&branch_of)) {
        if !store.sees_pipeline(fed.name()) {
            let what = format!("only the trigger of a pipeline that is not visible to you moves `{repo}@{branch}`");
            return Err(EngineError::Conflict { what, hint: Some(format!("pv branch list {repo}")) });
        }
        let what = format!("only the trigger of pipeline `{}` moves `{repo}@{branch}`", fed.name());
        return Err(EngineError::Conflict { what, hint: Some(format!("pv pipeline show {}", fed.name())) });
    }
    let Some(writer) = graph.writer(&branch_of) else { return Ok(()) };
    Err(EngineError::OutputBranch { pipeline: writer.name().clone(), repo: repo.clone(), branch: branch.clone() })
}

/// Deletes a branch that no pipeline reads or writes. Its commits stay.
pub fn delete_branch(store: &Store, repo: &RepoName, branch: &BranchName) -> Result<()> {
    store.branch(repo, branch)?;
    retry_on_conflict(store, || {
        let graph = Graph::whole(store)?;
        let this = (repo.clone(), branch.clone());
        let mut users = users_in_words(store, graph.writer(&this).map(|pipeline| pipeline.name()), "writes it");
        let readers = graph.pipelines.values().filter(|pipeline| pipeline.needs(&this));
        users.extend(users_in_words(store, readers.map(|pipeline| pipeline.name()), "reads it"));
        if !users.is_empty() {
            return Err(EngineError::InUse { what: format!("branch `{repo}@{branch}`"), by: users.join(", ") });
        }
        let entry = Entry::BranchDelete { repo: repo.clone(), branch: branch.clone() };
        Ok(store.publish(&Change { entries: vec![entry], graph: Some(graph.number) })?)
    })
}

/// Creates a tag: a name that never moves. `Usage` for a commit of another repository.
pub fn create_tag(
    store: &Store,
    repo: &RepoName,
    tag: &TagName,
    commit: CommitId,
    by: &Actor,
    message: &str,
) -> Result<()> {
    let of = store.commit(&commit)?.repo;
    if of != *repo {
        let what = format!("commit {} is in repository `{of}`, not in `{repo}`", commit.short(12));
        return Err(EngineError::usage(what, format!("pv tag create {of}@{tag}")));
    }
    let document = store.put_document(&TagDocument { author: by.author.clone(), message: message.to_owned() })?;
    let entry = Entry::TagCreate { repo: repo.clone(), tag: tag.clone(), commit, document: Some(document) };
    Ok(store.publish(&Change::of(vec![entry]))?)
}

/// Deletes a tag. Its commit stays.
pub fn delete_tag(store: &Store, repo: &RepoName, tag: &TagName) -> Result<()> {
    store.repo(repo)?;
    Ok(store.publish(&Change::of(vec![Entry::TagDelete { repo: repo.clone(), tag: tag.clone() }]))?)
}
