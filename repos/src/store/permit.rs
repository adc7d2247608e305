//! Whether a limited handle may publish a change: each entry needs its role, on what is visible.

use specs::{CommitId, Digest, PipelineName, RepoName};

use super::needs::{Need, On, needs};
use super::{Change, Result, Store};
use crate::access::{Access, Right, Role};
use crate::base::error::RepoError;
use crate::documents::{SpecDocument, Transform, VersionDocument};

/// Who can help.
const ASK: &str = "ask an admin of the store for a token with more rights";

impl Store {
    /// Refuses a change if one of its entries needs more than this handle may do.
    ///
    /// `Refused` names the right that is missing; what is not visible is not found.
    pub fn ensure_may_publish(&self, change: &Change) -> Result<()> {
        let Some(access) = self.access().filter(|access| !access.is_unlimited()) else { return Ok(()) };
        let needs = change.entries.iter().flat_map(needs);
        needs.into_iter().try_for_each(|need| self.ensure_has(access, &need))
    }

    /// Refuses to apply a pipeline, whatever its inputs: the role is too small, or the name is not covered.
    pub fn ensure_may_apply(&self, pipeline: &PipelineName) -> Result<()> {
        let Some(access) = self.access() else { return Ok(()) };
        let repo = pipeline.output_repo();
        let need = Need { role: Role::Admin, on: On::NewRepo(repo.clone()), does: "apply pipeline" };
        self.ensure_covered(access, &need, &repo)
    }

    /// Refuses to run or try a pipeline that exists: it is not visible, or the role is too small.
    pub fn ensure_may_run(&self, pipeline: &PipelineName) -> Result<()> {
        let Some(access) = self.access() else { return Ok(()) };
        let need = Need { role: Role::Writer, on: On::Pipeline(pipeline.clone()), does: "run pipeline" };
        self.ensure_has(access, &need)
    }

    /// An error of a change that was allowed, without what is not visible.
    pub(super) fn seen_error(&self, error: RepoError) -> RepoError {
        match error {
            RepoError::StillNamed { commit, by } => {
                let by = self.without_hidden(&by).unwrap_or_else(|_| "something".to_owned());
                RepoError::StillNamed { commit, by }
            }
            error => error,
        }
    }

    fn ensure_has(&self, access: &Access, need: &Need) -> Result<()> {
        let on = |name: &dyn std::fmt::Display| {
            if access.role >= need.role {
                return Ok(());
            }
            Err(refused(access, &format!("{} `{name}`", need.does), need.role))
        };
        match &need.on {
            On::Repo(repo) => {
                self.ensure_visible(access, repo)?;
                on(repo)
            }
            On::NewRepo(repo) => self.ensure_covered(access, need, repo),
            On::Commit(commit) => {
                let repo = self.repo_of(commit)?;
                on(&repo)
            }
            On::Pipeline(pipeline) => {
                self.ensure_visible_pipeline(access, pipeline)?;
                on(pipeline)
            }
            On::PipelineWithInputs(pipeline) => {
                self.ensure_visible_pipeline(access, pipeline)?;
                on(pipeline)?;
                let row = self.whole().pipeline(pipeline)?;
                self.ensure_inputs(access, need, pipeline, &row.document)
            }
            On::Version(pipeline, document) => {
                self.ensure_covered(access, need, &pipeline.output_repo())?;
                self.ensure_inputs(access, need, pipeline, document)
            }
            On::Store(right) => self.ensure_may(*right),
            On::Engine => Err(refused_engine(access, need)),
        }
    }

    /// The error of a missing repository, unless it is visible.
    fn ensure_visible(&self, access: &Access, repo: &RepoName) -> Result<()> {
        if access.sees(repo) { Ok(()) } else { self.repo(repo).map(drop) }
    }

    fn ensure_visible_pipeline(&self, access: &Access, pipeline: &PipelineName) -> Result<()> {
        if access.sees_pipeline(pipeline) { Ok(()) } else { self.pipeline(pipeline).map(drop) }
    }

    /// Refuses a name that the access does not cover, whether it exists or not.
    #[expect(clippy::unused_self, reason = "as the other checks")]
    fn ensure_covered(&self, access: &Access, need: &Need, repo: &RepoName) -> Result<()> {
        let does = format!("{} `{repo}`", need.does);
        if access.role < need.role {
            return Err(refused(access, &does, need.role));
        }
        if access.sees(repo) { Ok(()) } else { Err(not_covered(access, &does)) }
    }

    /// Refuses a pipeline that has an input which is not visible.
    fn ensure_inputs(&self, access: &Access, need: &Need, pipeline: &PipelineName, document: &Digest) -> Result<()> {
        let whole = self.whole();
        let version: VersionDocument = whole.document(document)?;
        let transform: Transform = whole.document(&version.transform)?;
        if matches!(need.on, On::Version(..)) && !transform.secrets.is_empty() {
            // Its code can show the values to anybody.
            self.ensure_may(Right::Secrets)?;
        }
        let spec: SpecDocument = whole.document(&version.spec)?;
        let hidden = spec.input_repos().into_iter().filter(|repo| !access.sees(repo)).count();
        if hidden == 0 {
            return Ok(());
        }
        let inputs = if hidden == 1 { "one of its inputs is" } else { "some of its inputs are" };
        let what = format!("the token `{}` may not {} `{pipeline}`: {inputs} not visible to it", access.who, need.does);
        Err(RepoError::Refused { what, hint: Some(ASK.to_owned()) })
    }

    /// The repository of a commit; the error of a missing commit if it is not visible.
    fn repo_of(&self, commit: &CommitId) -> Result<RepoName> {
        if !self.sees_commit(commit)? {
            let what = format!("commit {} not found", commit.short(12));
            return Err(RepoError::NotFound { what, hint: Some("pv log lists the runs".to_owned()) });
        }
        Ok(self.whole().commit(commit)?.repo)
    }
}

/// The role is too small.
fn refused(access: &Access, does: &str, role: Role) -> RepoError {
    let what = format!("the token `{}` may not {does}: it is a {}, and that needs a {role}", access.who, access.role);
    RepoError::Refused { what: what.replace("needs a admin", "needs an admin"), hint: Some(ASK.to_owned()) }
}

/// The access does not cover the name.
fn not_covered(access: &Access, does: &str) -> RepoError {
    let what = format!("the token `{}` may not {does}: it covers only `{}`", access.who, access.repos);
    RepoError::Refused { what, hint: Some(ASK.to_owned()) }
}

/// What concerns the whole store.
pub(super) fn refused_on_store(access: &Access, right: Right) -> RepoError {
    let role = right.role();
    if access.role < role {
        return refused(access, right.words(), role);
    }
    let what = format!("the token `{}` may not {}: it does not cover all repositories", access.who, right.words());
    RepoError::Refused { what, hint: Some(ASK.to_owned()) }
}

/// What only an engine does.
fn refused_engine(access: &Access, need: &Need) -> RepoError {
    let what = format!("the token `{}` may not {}: only the engine of the store does", access.who, need.does);
    RepoError::Refused { what, hint: None }
}
