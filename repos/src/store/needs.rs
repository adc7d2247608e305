//! What each entry of a change needs: a role, and on what.

use specs::{CommitId, Digest, PipelineName, RepoName};

use crate::access::{Right, Role};
use crate::journal::{Cause, CauseKind, Entry, JobSeed, Move, RepoKind, SealedState};

/// What a part of a change needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Need {
    pub(super) role: Role,
    pub(super) on: On,
    /// What it does, before the name in `on`: `write to`.
    pub(super) does: &'static str,
}

/// What a role is needed on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum On {
    /// A repository that exists.
    Repo(RepoName),
    /// A repository that is about to exist.
    NewRepo(RepoName),
    /// The repository of a commit.
    Commit(CommitId),
    /// A pipeline, in its newest version.
    Pipeline(PipelineName),
    /// A pipeline and all its inputs.
    PipelineWithInputs(PipelineName),
    /// A pipeline and all its inputs, in the version of this document, which may be its first.
    Version(PipelineName, Digest),
    /// The whole store.
    Store(Right),
    /// The whole store, for what only its engine does.
    Engine,
}

/// What an entry needs. The match has no catch-all arm: a new kind of entry must choose.
pub(super) fn needs(entry: &Entry) -> Vec<Need> {
    let one = |role, does, on| vec![Need { role, on, does }];
    let (write, admin) = (Role::Writer, Role::Admin);
    match entry {
        Entry::Init { .. } => one(admin, "create", On::Engine),
        Entry::RepoCreate { repo, repo_kind: RepoKind::User | RepoKind::Output | RepoKind::Cron } => {
            one(admin, "create repository", On::NewRepo(repo.clone()))
        }
        Entry::RepoDelete { repo } => one(admin, "delete repository", On::Repo(repo.clone())),
        Entry::BranchDelete { repo, .. } => one(write, "delete branches of", On::Repo(repo.clone())),
        Entry::TagCreate { repo, commit, .. } => vec![
            Need { role: write, on: On::Repo(repo.clone()), does: "tag commits of" },
            Need { role: write, on: On::Commit(*commit), does: "tag commits of" },
        ],
        Entry::TagDelete { repo, .. } => one(write, "delete tags of", On::Repo(repo.clone())),
        Entry::Setting { .. } => one(admin, "", On::Store(Right::Settings)),
        Entry::PipelineApply { pipeline, document, .. } => {
            one(admin, "apply pipeline", On::Version(pipeline.clone(), *document))
        }
        Entry::PipelineTry { pipeline, document, .. } => {
            one(admin, "try other versions of pipeline", On::Version(pipeline.clone(), *document))
        }
        Entry::PipelineDelete { pipeline } => one(admin, "delete pipeline", On::PipelineWithInputs(pipeline.clone())),
        Entry::PipelineStop { pipeline } => one(admin, "stop pipeline", On::PipelineWithInputs(pipeline.clone())),
        Entry::PipelineStart { pipeline } => one(admin, "start pipeline", On::PipelineWithInputs(pipeline.clone())),
        Entry::Gc { .. } => one(admin, "", On::Store(Right::Collect)),
        Entry::Run { cause, moves, jobs, .. } => run(cause, moves, jobs),
        // A user may stop a job; only an engine ends it in any other way.
        Entry::Job { pipeline, state: SealedState::Killed, commit: None, moved: None, .. } => {
            one(write, "stop jobs of pipeline", On::Pipeline(pipeline.clone()))
        }
        Entry::Job { .. } => one(admin, "end jobs", On::Engine),
        Entry::CommitPrune { commits, .. } => {
            let need = |commit: &CommitId| Need { role: admin, on: On::Commit(*commit), does: "prune commits of" };
            commits.iter().map(need).collect()
        }
        Entry::Key { .. } | Entry::KeyTrust { .. } => one(admin, "", On::Store(Right::Keys)),
        Entry::CommitDelete { commit, .. } => one(admin, "delete commits of", On::Commit(*commit)),
    }
}

/// A run needs what moves its branches. Its jobs are consequences of that; without a move, they need the pipelines that it is about.
fn run(cause: &Cause, moves: &[Move], jobs: &[JobSeed]) -> Vec<Need> {
    let written = moves.iter().map(|one| Need { role: Role::Writer, on: On::Repo(one.repo.clone()), does: "write to" });
    let mut needs: Vec<Need> = written.collect();
    // A branch may point elsewhere only within what is visible; that it is in the same repository is checked where records take effect.
    let targets = moves.iter().filter_map(|moved| moved.to);
    needs.extend(targets.map(|to| Need { role: Role::Writer, on: On::Commit(to), does: "write to" }));
    if moves.iter().any(|moved| moved.from != moved.to) || jobs.is_empty() {
        return needs;
    }
    let does = match cause.kind {
        CauseKind::Rerun | CauseKind::Retry => "run pipeline",
        CauseKind::Try => "try pipeline",
        CauseKind::Apply | CauseKind::Rollback | CauseKind::Start => "run pipeline",
        CauseKind::Commit | CauseKind::Txn | CauseKind::Cron | CauseKind::Trigger | CauseKind::Move => "run pipeline",
    };
    let mut about: Vec<PipelineName> =
        about(cause).filter(|name| jobs.iter().any(|job| job.pipeline == *name)).collect();
    if about.is_empty() {
        // Nothing says which of the jobs are consequences: none is taken for one.
        about = jobs.iter().map(|job| job.pipeline.clone()).collect();
    }
    needs.extend(about.into_iter().map(|name| Need { role: Role::Writer, on: On::Pipeline(name), does }));
    needs
}

/// The pipelines that a cause names: `detect`, `detect:GLOB`; not the run in `@RUN`.
fn about(cause: &Cause) -> impl Iterator<Item = PipelineName> {
    cause.refs.iter().filter_map(|text| text.split([':', '@']).next()?.parse().ok())
}
