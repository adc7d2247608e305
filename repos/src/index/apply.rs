//! What each journal entry changes in the index, and when it is refused.
//!
//! The same code accepts new changes and replays old ones, so a rebuilt index equals the original. `rules` enforces here what commands
//! enforce: for new changes, and for records written to the journal without a command.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use specs::{BranchName, CommitId, Digest, PipelineName, RepoName, RunId};

use super::rows::{
    BranchRow, CommitRow, EndedRow, JobRow, KeyRow, MoveRow, Moved, PipelineRow, RepoRow, RunRow, Stop, TagRow, encode,
};
use super::rules::{self, Context, Namer};
use super::{View, keys, rows};
use crate::base::error::RepoError;
use crate::base::pruned::{PruneWhy, Pruned};
use crate::base::time::Timestamp;
use crate::journal::{Cause, CauseKind, Entry, JobSeed, Move, Position, Record, RepoKind, SealedState};
use crate::keys::replacement;

/// Names of the counters and facts under [`keys::meta`].
pub(crate) mod meta {
    /// The index's layout.
    pub(crate) const VERSION: &str = "version";
    /// The journal position that the index has caught up to.
    pub(crate) const POSITION: &str = "position";
    /// The store's id.
    pub(crate) const STORE: &str = "store";
    /// The default branch set when the store was created.
    pub(crate) const DEFAULT_BRANCH: &str = "default_branch";
    /// Number of runs.
    pub(crate) const RUNS: &str = "runs";
    /// Number of changes to pipelines.
    pub(crate) const GRAPH: &str = "graph";
    /// Number of garbage collections.
    pub(crate) const EPOCH: &str = "epoch";
    /// Progress of the history index.
    pub(crate) const HISTORY: &str = "history";
    /// The number of the next pack.
    pub(crate) const NEXT_PACK: &str = "next_pack";
    /// The number of the first signed record.
    pub(crate) const SIGNED_FROM: &str = "signed_from";
    /// The journal position up to which record signatures are checked.
    pub(crate) const CHECKED: &str = "checked";
}

pub(crate) fn read<T: DeserializeOwned>(view: &View<'_>, key: &[u8]) -> Result<Option<T>, RepoError> {
    view.get(key)?.map(|bytes| rows::read(key, &bytes)).transpose()
}

fn counter(view: &View<'_>, name: &str) -> Result<u64, RepoError> {
    Ok(read(view, &keys::meta(name))?.unwrap_or(0))
}

fn count_up(view: &mut View<'_>, name: &str) -> Result<u64, RepoError> {
    let next = counter(view, name)? + 1;
    view.put(keys::meta(name), encode(&next));
    Ok(next)
}

/// Applies all entries of a record; after an error the view is unusable and the index unchanged.
pub(crate) fn apply(view: &mut View<'_>, record: &Record) -> Result<(), RepoError> {
    let before: Position = read(view, &keys::meta(meta::POSITION))?.unwrap_or_default();
    let of = Context { record, number: before.records + 1 };
    if of.is_strict() && view.get(&keys::meta(meta::SIGNED_FROM))?.is_none() {
        view.put(keys::meta(meta::SIGNED_FROM), encode(&of.number));
    }
    record.entries.iter().try_for_each(|entry| apply_entry(view, entry, &of))
}

/// The error for a record in the journal that [`apply`] refuses: it is damage, reported with the record's number.
pub(crate) fn cannot_have_happened(record: u64, error: RepoError) -> RepoError {
    match error {
        error @ (RepoError::Index(_) | RepoError::Io { .. } | RepoError::DamagedJournal { .. }) => error,
        error => RepoError::DamagedJournal { record, why: format!("it contradicts earlier records: {error}") },
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind of entry")]
fn apply_entry(view: &mut View<'_>, entry: &Entry, of: &Context<'_>) -> Result<(), RepoError> {
    let at = of.at();
    match entry {
        Entry::Init { store, default_branch } => {
            if view.get(&keys::meta(meta::STORE))?.is_some() {
                return Err(RepoError::Exists { what: "a store with this journal".to_owned() });
            }
            view.put(keys::meta(meta::STORE), encode(store));
            view.put(keys::meta(meta::DEFAULT_BRANCH), encode(default_branch));
        }
        Entry::RepoCreate { repo, repo_kind } => {
            if view.get(&keys::repo(repo))?.is_some() {
                return Err(RepoError::Exists { what: format!("repository `{repo}`") });
            }
            view.put(keys::repo(repo), encode(&RepoRow { kind: *repo_kind, created_at: at }));
        }
        Entry::RepoDelete { repo } => {
            let row = repo_row(view, repo)?;
            if row.kind == RepoKind::Output && of.is_strict() {
                let what = format!("repository `{repo}` can only be deleted with its pipeline");
                return Err(RepoError::Conflict { what, hint: None });
            }
            delete_repo(view, repo, row, of)?;
        }
        Entry::BranchDelete { repo, branch } => {
            let row = branch_row(view, repo, branch)?.ok_or_else(|| RepoError::BranchNotFound {
                repo: repo.clone(),
                branch: branch.clone(),
                similar: None,
            })?;
            if let Some(commit) = row.commit {
                touch(view, &commit, at)?;
            }
            view.delete(keys::branch(repo, branch.as_str()));
            view.delete_prefix(&keys::heads(repo, branch.as_str()))?;
            note_end(view, repo, branch.as_str(), of)?;
        }
        Entry::TagCreate { repo, tag, commit, document } => {
            repo_row(view, repo)?;
            ensure_free(view, repo, tag.as_str())?;
            ensure_not_pruned(view, commit)?;
            touch(view, commit, at)?;
            let row = TagRow { commit: *commit, document: *document, created_at: at };
            if of.is_strict() {
                rules::tag(view, &row, repo)?;
            }
            view.put(keys::tag(repo, tag.as_str()), encode(&row));
        }
        Entry::TagDelete { repo, tag } => {
            let key = keys::tag(repo, tag.as_str());
            let row: TagRow = read(view, &key)?.ok_or_else(|| RepoError::RevisionNotFound {
                repo: repo.clone(),
                revision: tag.to_string(),
                similar: None,
            })?;
            touch(view, &row.commit, at)?;
            view.delete(key);
        }
        Entry::Setting { key, value: Some(value) } => view.put(keys::setting(key), encode(value)),
        Entry::Setting { key, value: None } => view.delete(keys::setting(key)),
        Entry::PipelineApply { pipeline, version, document } => {
            if of.is_strict() {
                let newest: Option<PipelineRow> = read(view, &keys::pipeline(pipeline))?;
                rules::version(view, pipeline, *version, document, newest.map(|row| row.version))?;
            }
            let row = PipelineRow { version: *version, document: *document, applied_at: at, stops: Vec::new() };
            apply_version(view, pipeline, row)?;
        }
        Entry::PipelineTry { pipeline, version, document } => {
            if of.is_strict() {
                rules::version(view, pipeline, *version, document, None)?;
            }
            let row = PipelineRow { version: *version, document: *document, applied_at: at, stops: Vec::new() };
            view.put(keys::version(pipeline, *version), encode(&row));
        }
        Entry::PipelineDelete { pipeline } => delete_pipeline(view, pipeline, of)?,
        Entry::PipelineStop { pipeline } => stop_or_start(view, pipeline, true)?,
        Entry::PipelineStart { pipeline } => stop_or_start(view, pipeline, false)?,
        Entry::Gc { removed } => {
            count_up(view, meta::EPOCH)?;
            for pack in removed {
                view.put(keys::removed_pack(pack), Vec::new());
            }
        }
        Entry::Run { run, cause, moves, jobs } => apply_run(view, *run, cause, moves, jobs, of)?,
        Entry::Job { pipeline, run, state, commit, document, moved } => {
            let job = seal(view, pipeline, run, *state, at)?;
            let job = JobRow { commit: *commit, document: *document, ..job };
            view.put(keys::job(job.order, pipeline), encode(&job));
            let by = Namer::Job(run);
            if let Some(moved) = moved {
                rules::job_repo(pipeline, moved)?;
                if of.is_strict() {
                    rules::job_moves(view, &job, *state, *commit, moved)?;
                }
                move_branch(view, moved, job.order, by, of)?;
            } else if let Some(commit) = commit {
                name_commit(view, commit, &pipeline.output_repo(), job.order, by, of)?;
            }
        }
        Entry::Key { public_key, previous, signature } => {
            let (previous, signature, after) = (*previous, *signature, counter(view, meta::RUNS)?);
            let (public_key, replaced_at, replaced_in) = (public_key.clone(), None, None);
            let row = KeyRow { public_key, previous, signature, at, after, replaced_at, replaced_in, vouched: false };
            add_key(view, row, of)?;
        }
        Entry::KeyTrust { key } => trust_key(view, key, of)?,
        Entry::CommitPrune { commits, why, committer } => {
            prune(view, commits, &Pruned { at, why: *why, by: committer.clone() })?;
        }
        Entry::CommitDelete { commit, committer } => {
            let pruned = Pruned { at, why: PruneWhy::Deleted, by: committer.clone() };
            prune(view, std::slice::from_ref(commit), &pruned)?;
        }
    }
    Ok(())
}

/// Adds a key. It is fine if the key exists: several processes may notice at once that it is missing.
///
/// The first key of a store is trusted; a later one counts if a key that counts signed the replacement.
fn add_key(view: &mut View<'_>, mut row: KeyRow, of: &Context<'_>) -> Result<(), RepoError> {
    let key = keys::signing_key(&row.public_key.fingerprint());
    if view.get(&key)?.is_some() {
        return Ok(());
    }
    if let Some(previous) = row.previous {
        let at = keys::signing_key(&previous);
        let replaced: KeyRow = read(view, &at)?.filter(|row: &KeyRow| row.replaced_at.is_none()).ok_or_else(|| {
            let what = "the key was already replaced by another one".to_owned();
            RepoError::Conflict { what, hint: Some("pv key show".to_owned()) }
        })?;
        let store: String = read(view, &keys::meta(meta::STORE))?.unwrap_or_default();
        let message = replacement(&store, &previous, &row.public_key);
        if !row.signature.is_some_and(|signature| replaced.public_key.has_signed(&message, &signature)) {
            let what = format!("key {} did not sign its replacement", previous.short(12));
            return Err(RepoError::Conflict { what, hint: None });
        }
        row.vouched = replaced.vouched;
        let (replaced_at, replaced_in) = (Some(row.at), Some(of.number));
        view.put(at, encode(&KeyRow { replaced_at, replaced_in, ..replaced }));
    } else {
        row.vouched = view.rows(&keys::signing_keys())?.is_empty();
    }
    view.put(key, encode(&row));
    Ok(())
}

/// Trusts a key from now on, if the record is signed by a key that counts; otherwise the record changes nothing and is itself in doubt.
fn trust_key(view: &mut View<'_>, key: &Digest, of: &Context<'_>) -> Result<(), RepoError> {
    let at = keys::signing_key(key);
    let row: KeyRow = read(view, &at)?.ok_or_else(|| RepoError::NotFound {
        what: format!("key {} is not in the journal", key.short(12)),
        hint: Some("pv key show".to_owned()),
    })?;
    if rules::is_vouched_for(view, of)? {
        view.put(at, encode(&KeyRow { vouched: true, ..row }));
    }
    Ok(())
}

/// Adds a version to a pipeline; a stopped pipeline stays stopped.
fn apply_version(view: &mut View<'_>, pipeline: &PipelineName, mut row: PipelineRow) -> Result<(), RepoError> {
    view.put(keys::version(pipeline, row.version), encode(&row));
    let present: Option<PipelineRow> = read(view, &keys::pipeline(pipeline))?;
    row.stops = present.map_or(Vec::new(), |present| present.stops);
    view.put(keys::pipeline(pipeline), encode(&row));
    count_up(view, meta::GRAPH)?;
    Ok(())
}

/// Stops a pipeline after the latest run, or starts it.
fn stop_or_start(view: &mut View<'_>, pipeline: &PipelineName, stop: bool) -> Result<(), RepoError> {
    let key = keys::pipeline(pipeline);
    let mut row: PipelineRow =
        read(view, &key)?.ok_or_else(|| RepoError::PipelineNotFound { pipeline: pipeline.clone(), similar: None })?;
    let runs = counter(view, meta::RUNS)?;
    match row.stops.last_mut().filter(|stop| stop.until.is_none()) {
        None if stop => row.stops.push(Stop { after: runs, until: None }),
        Some(open) if !stop => open.until = Some(runs),
        is_stopped => {
            let state = if is_stopped.is_some() { "is already stopped" } else { "is not stopped" };
            return Err(RepoError::Conflict { what: format!("pipeline `{pipeline}` {state}"), hint: None });
        }
    }
    view.put(key, encode(&row));
    count_up(view, meta::GRAPH)?;
    Ok(())
}

/// Deletes a repository with its branches and tags; where they were is kept.
fn delete_repo(view: &mut View<'_>, repo: &RepoName, row: RepoRow, of: &Context<'_>) -> Result<(), RepoError> {
    for commit in pointed_to(view, repo)?.into_values() {
        touch(view, &commit, of.at())?;
    }
    let branches = keys::branches(repo);
    for key in view.rows(&branches)?.into_keys() {
        note_end(view, repo, &String::from_utf8_lossy(&key[branches.len()..]), of)?;
    }
    view.put(keys::ended_repo(repo, of.number), encode(&ended(view, row, of)?));
    view.delete(keys::repo(repo));
    view.delete_prefix(&branches)?;
    view.delete_prefix(&keys::tags(repo))?;
    view.delete_prefix(&keys::heads_of_repo(repo))
}

/// Notes that a branch is no longer there: from the next run on.
fn note_end(view: &mut View<'_>, repo: &RepoName, branch: &str, of: &Context<'_>) -> Result<(), RepoError> {
    let key = keys::branch_move(repo, branch, of.number, next_run(view)?);
    view.put(key, encode(&MoveRow { at: of.at(), now: Moved::Gone }));
    Ok(())
}

/// What was deleted, as it was in the end.
fn ended<T>(view: &View<'_>, last: T, of: &Context<'_>) -> Result<EndedRow<T>, RepoError> {
    Ok(EndedRow { last, at: of.at(), order: next_run(view)? })
}

/// The order of the run that comes next.
fn next_run(view: &View<'_>) -> Result<u64, RepoError> {
    Ok(counter(view, meta::RUNS)? + 1)
}

/// Deletes a pipeline; its output repository becomes a user repository.
fn delete_pipeline(view: &mut View<'_>, pipeline: &PipelineName, of: &Context<'_>) -> Result<(), RepoError> {
    if let Some(row) = read::<PipelineRow>(view, &keys::pipeline(pipeline))? {
        view.put(keys::ended_pipeline(pipeline, of.number), encode(&ended(view, row, of)?));
    }
    view.delete(keys::pipeline(pipeline));
    count_up(view, meta::GRAPH)?;
    if let Some(row) = read::<RepoRow>(view, &keys::repo(&pipeline.output_repo()))? {
        let row = RepoRow { kind: crate::journal::RepoKind::User, ..row };
        view.put(keys::repo(&pipeline.output_repo()), encode(&row));
    }
    Ok(())
}

fn repo_row(view: &View<'_>, repo: &RepoName) -> Result<RepoRow, RepoError> {
    read(view, &keys::repo(repo))?.ok_or_else(|| RepoError::RepoNotFound { repo: repo.clone(), similar: None })
}

fn branch_row(view: &View<'_>, repo: &RepoName, branch: &BranchName) -> Result<Option<BranchRow>, RepoError> {
    read(view, &keys::branch(repo, branch.as_str()))
}

/// Branches and tags of a repository share one name space.
fn ensure_free(view: &View<'_>, repo: &RepoName, name: &str) -> Result<(), RepoError> {
    for (what, key) in [("branch", keys::branch(repo, name)), ("tag", keys::tag(repo, name))] {
        if view.get(&key)?.is_some() {
            return Err(RepoError::Exists { what: format!("{what} `{name}` of repository `{repo}`") });
        }
    }
    Ok(())
}

fn commit_row(view: &View<'_>, commit: &CommitId) -> Result<Option<CommitRow>, RepoError> {
    read(view, &keys::commit(commit))
}

fn name_commit(
    view: &mut View<'_>,
    commit: &CommitId,
    repo: &RepoName,
    order: u64,
    by: Namer<'_>,
    of: &Context<'_>,
) -> Result<(), RepoError> {
    let at = of.at();
    // A branch that moves to an older commit does not change which run that commit belongs to.
    let row = if let Some(row) = commit_row(view, commit)? {
        CommitRow { named_at: at, ..row }
    } else {
        if let Some(said) = view.said(commit)? {
            rules::is_of(&said, commit, repo)?;
            if of.is_strict() {
                rules::new_commit(view, &said, commit, repo, by)?;
            }
        }
        view.put(keys::waiting(order, commit), Vec::new());
        CommitRow { repo: repo.clone(), order, named_at: at, pruned: None }
    };
    view.put(keys::commit(commit), encode(&row));
    Ok(())
}

/// Notes that the journal names a commit again.
fn touch(view: &mut View<'_>, commit: &CommitId, at: Timestamp) -> Result<(), RepoError> {
    if let Some(row) = commit_row(view, commit)? {
        view.put(keys::commit(commit), encode(&CommitRow { named_at: at, ..row }));
    }
    Ok(())
}

/// The commits that branches and tags of a repository point to, by `branch NAME` and `tag NAME`.
fn pointed_to(view: &View<'_>, repo: &RepoName) -> Result<BTreeMap<String, CommitId>, RepoError> {
    let name = |key: &[u8], prefix: &[u8]| String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
    let mut commits = BTreeMap::new();
    let prefix = keys::branches(repo);
    for (key, value) in view.rows(&prefix)? {
        let commit = rows::read::<BranchRow>(&key, &value)?.commit;
        commits.extend(commit.map(|commit| (format!("branch `{repo}@{}`", name(&key, &prefix)), commit)));
    }
    let prefix = keys::tags(repo);
    for (key, value) in view.rows(&prefix)? {
        let commit = rows::read::<TagRow>(&key, &value)?.commit;
        commits.insert(format!("tag `{repo}@{}`", name(&key, &prefix)), commit);
    }
    Ok(commits)
}

/// A branch or tag never points to a commit whose files are given up.
fn ensure_not_pruned(view: &View<'_>, commit: &CommitId) -> Result<(), RepoError> {
    match commit_row(view, commit)? {
        Some(CommitRow { repo, pruned: Some(pruned), .. }) => {
            Err(RepoError::PrunedCommit { place: format!("{repo}@{}", commit.short(12)), pruned })
        }
        _ => Ok(()),
    }
}

/// Gives up the files of commits. If one of them became a head or was tagged meanwhile, another change came first.
fn prune(view: &mut View<'_>, commits: &[CommitId], pruned: &Pruned) -> Result<(), RepoError> {
    let mut named: BTreeMap<RepoName, BTreeMap<CommitId, String>> = BTreeMap::new();
    for commit in commits {
        let row = commit_row(view, commit)?.ok_or_else(|| RepoError::NotFound {
            what: format!("commit {} not found", commit.short(12)),
            hint: None,
        })?;
        if !named.contains_key(&row.repo) {
            let pointed_to = pointed_to(view, &row.repo)?.into_iter().map(|(by, commit)| (commit, by)).collect();
            named.insert(row.repo.clone(), pointed_to);
        }
        if let Some(by) = named[&row.repo].get(commit) {
            return Err(RepoError::StillNamed { commit: *commit, by: by.clone() });
        }
        // The strongest reason wins; of equal reasons, the first.
        if row.pruned.as_ref().is_none_or(|before| before.why < pruned.why) {
            view.put(keys::commit(commit), encode(&CommitRow { pruned: Some(pruned.clone()), ..row }));
        }
    }
    Ok(())
}

fn move_branch(
    view: &mut View<'_>,
    moved: &Move,
    order: u64,
    by: Namer<'_>,
    of: &Context<'_>,
) -> Result<(), RepoError> {
    let (Move { repo, branch, from, to }, at) = (moved, of.at());
    repo_row(view, repo)?;
    match branch_row(view, repo, branch)? {
        Some(row) if row.commit != *from => {
            return Err(RepoError::BranchMoved {
                repo: repo.clone(),
                branch: branch.clone(),
                expected: *from,
                actual: row.commit,
            });
        }
        Some(_) => {}
        None if from.is_some() => {
            return Err(RepoError::BranchMoved {
                repo: repo.clone(),
                branch: branch.clone(),
                expected: *from,
                actual: None,
            });
        }
        None => ensure_free(view, repo, branch.as_str())?,
    }
    view.put(keys::branch(repo, branch.as_str()), encode(&BranchRow { commit: *to, moved_at: at }));
    view.put(keys::head(repo, branch.as_str(), order), encode(to));
    let key = keys::branch_move(repo, branch.as_str(), of.number, order);
    view.put(key, encode(&MoveRow { at, now: Moved::To(*to) }));
    if let Some(from) = from {
        touch(view, from, at)?;
    }
    if let Some(to) = to {
        ensure_not_pruned(view, to)?;
        if let Some(said) = view.said(to)? {
            rules::head(&said, to, repo)?;
        }
        name_commit(view, to, repo, order, by, of)?;
    }
    Ok(())
}

fn apply_run(
    view: &mut View<'_>,
    run: RunId,
    cause: &Cause,
    moves: &[Move],
    jobs: &[JobSeed],
    of: &Context<'_>,
) -> Result<(), RepoError> {
    let at = of.at();
    if view.get(&keys::run_order(&run))?.is_some() {
        return Err(RepoError::Exists { what: format!("run {}", run.short(8)) });
    }
    if of.is_strict() {
        rules::moves_of(view, cause, moves)?;
    }
    let order = count_up(view, meta::RUNS)?;
    for moved in moves {
        move_branch(view, moved, order, Namer::Run(&run, cause.kind), of)?;
    }
    for seed in jobs {
        let job = JobRow {
            pipeline: seed.pipeline.clone(),
            run,
            order,
            version: seed.version,
            sealed: None,
            commit: None,
            document: None,
            created_at: at,
            sealed_at: None,
        };
        view.put(keys::job(order, &seed.pipeline), encode(&job));
        // A trial is separate: it is not the pipeline's newest job, and only the process that created it runs it.
        if cause.kind != CauseKind::Try {
            view.put(keys::pipeline_job(&seed.pipeline, order), Vec::new());
            view.put(keys::open_job(order, &seed.pipeline), Vec::new());
        }
    }
    let row = RunRow { run, order, cause: cause.clone(), moves: moves.to_vec(), jobs: jobs.to_vec(), created_at: at };
    view.put(keys::run(order), encode(&row));
    view.put(keys::run_order(&run), encode(&order));
    Ok(())
}

/// Seals a job and removes it from the list of open jobs; a job can be sealed only once.
fn seal(
    view: &mut View<'_>,
    pipeline: &PipelineName,
    run: &RunId,
    state: SealedState,
    at: Timestamp,
) -> Result<JobRow, RepoError> {
    let order: u64 =
        read(view, &keys::run_order(run))?.ok_or_else(|| RepoError::RunNotFound { run: run.to_string() })?;
    let job: JobRow = read(view, &keys::job(order, pipeline))?.ok_or_else(|| RepoError::NotFound {
        what: format!("job `{pipeline}@{}` not found", run.short(8)),
        hint: None,
    })?;
    if job.sealed.is_some() {
        return Err(RepoError::JobEnded { pipeline: pipeline.clone(), run: *run });
    }
    view.delete(keys::open_job(order, pipeline));
    Ok(JobRow { sealed: Some(state), sealed_at: Some(at), ..job })
}
