//! What of an answer is not visible to the one who asks.
//!
//! A limited handle of a store (`Store::seen_by`) hides what its access does not cover. An answer that leads there has a *named gap*: it
//! says how much is not visible, in a field `not_visible`, but no name, id or size of it.

use std::collections::BTreeSet;

use engine::graph::Pipeline;
use engine::{EngineError, Result};
use repos::documents::{Recipe, ResultDocument};
use repos::{JobRow, RepoError, Store};
use specs::{CommitId, DatumId, Digest, PipelineName};

/// Whether nothing is hidden: then the field is left out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
pub(crate) fn is_none(count: &u64) -> bool {
    *count == 0
}

/// A gap in words: `2 inputs are not visible to you`.
pub fn gap_in_words(count: u64, what: &str) -> String {
    match (count, what.split_once(' ')) {
        (1, _) => format!("1 {what} is not visible to you"),
        // Of several words the first is the noun, unless the last is.
        (_, Some((noun, rest))) if rest.starts_with("that ") => {
            format!("{count} {noun}s {rest} are not visible to you")
        }
        _ => format!("{count} {what}s are not visible to you"),
    }
}

/// Which inputs of a version of a pipeline are visible, by name.
#[derive(Debug, Clone)]
pub(crate) struct InputSight(Option<BTreeSet<String>>);

impl InputSight {
    /// Those of a version, as a limited handle or any other reads it.
    pub(crate) fn of(store: &Store, pipeline: &Pipeline) -> Self {
        if !store.is_limited() {
            return Self(None);
        }
        let leaves = pipeline.spec.input.leaves();
        let (seen, hidden): (Vec<_>, Vec<_>) = leaves.into_iter().partition(|leaf| store.sees(&leaf.repo));
        // Inputs of a union may share a name: of such, nobody can tell whose path it is.
        let is_shared = |name: &String| hidden.iter().any(|leaf| leaf.name == *name);
        Self(Some(seen.into_iter().map(|leaf| leaf.name.clone()).filter(|name| !is_shared(name)).collect()))
    }

    /// None of them.
    pub(crate) fn nothing() -> Self {
        Self(Some(BTreeSet::new()))
    }

    /// Those of the version that a job ran.
    pub(crate) fn of_job(store: &Store, job: &JobRow) -> Result<Self> {
        Self::of_version(store, &job.pipeline, job.version)
    }

    /// Those of the version for which a result was executed. None are visible if that is somebody else's.
    pub(crate) fn of_result(store: &Store, result: &ResultDocument) -> Result<Self> {
        Self::of_version(store, &result.pipeline, result.version)
    }

    fn of_version(store: &Store, pipeline: &PipelineName, version: u32) -> Result<Self> {
        if !store.is_limited() {
            return Ok(Self(None));
        }
        if store.pipeline_version(pipeline, version)?.is_none() {
            return Ok(Self::nothing());
        }
        Ok(Self::of(store, &Pipeline::load_version(store, pipeline, version)?))
    }

    /// Whether an input is visible.
    pub(crate) fn sees(&self, input: &str) -> bool {
        self.0.as_ref().is_none_or(|seen| seen.contains(input))
    }
}

/// Refuses what needs everything that a commit depends on, if some of that is not visible.
pub(crate) fn ensure_sees_ancestry(store: &Store, commit: CommitId, what: &str) -> Result<()> {
    if !store.is_limited() {
        return Ok(());
    }
    let whole = store.whole();
    let (mut open, mut seen, mut hidden) = (vec![commit], BTreeSet::from([commit]), 0);
    while let Some(id) = open.pop() {
        let commit = whole.commit(&id)?;
        hidden += u64::from(!store.sees(&commit.repo));
        let below = commit.provenance.iter().map(|origin| origin.commit).chain(commit.parents.iter().copied());
        let below = below.chain(commit.sources.iter().map(|source| source.commit));
        open.extend(below.filter(|id| seen.insert(*id)));
    }
    if hidden == 0 { Ok(()) } else { Err(refused(what, hidden)) }
}

/// The error for something that would need what is not visible.
pub(crate) fn refused(what: &str, hidden: u64) -> EngineError {
    EngineError::Store(RepoError::Refused {
        what: format!("{what}: {}", gap_in_words(hidden, "commit that it depends on")),
        hint: Some("ask an admin of the store for a token with more rights".to_owned()),
    })
}

/// A recipe with its visible inputs, and how many are not.
pub(crate) fn recipe(store: &Store, sight: &InputSight, datum: &DatumId) -> Result<(Recipe, u64)> {
    Ok(store.recipe(datum, |input| sight.sees(input))?)
}

/// The recipe of a result, and how many of all its inputs are not visible: also of those outside the recipe.
pub(crate) fn recipe_of(store: &Store, sight: &InputSight, digest: &Digest, datum: &DatumId) -> Result<(Recipe, u64)> {
    let (recipe, hidden) = recipe(store, sight, datum)?;
    Ok((recipe, hidden + store.hidden_references(digest)?))
}
