//! Input branches that do not exist: those that the apply creates, empty, and `master` where `main` is meant.

use std::collections::{BTreeMap, BTreeSet};

use repos::journal::Move;
use repos::{RepoError, Store};
use specs::spec::{LeafPlaces, Parsed, PfsInput};
use specs::{BranchName, Diagnostic, PipelineName, RepoName};

use super::checks::Scope;
use crate::error::Result;
use crate::graph::{BranchOf, Graph, Pipeline};

/// Maximum number of places listed for one misunderstanding.
const PLACES: usize = 20;

/// An input whose branch does not exist; its repository does, or will.
pub(super) struct Missing<'a> {
    pub(super) parsed: &'a Parsed,
    pub(super) leaf: &'a PfsInput,
    pub(super) places: &'a LeafPlaces,
    /// The branch that is read, or that its trigger watches.
    pub(super) branch: BranchName,
    /// The branch that a pipeline writes in this repository; `None` for a user repository.
    pub(super) written: Option<BranchName>,
}

impl Missing<'_> {
    fn error(&self, message: String, hint: Option<String>) -> Diagnostic {
        self.parsed.error(self.places.branch.unwrap_or(self.places.repo), message, hint)
    }

    fn warning(&self, message: String, hint: Option<String>) -> Diagnostic {
        self.parsed.warning(self.places.branch.unwrap_or(self.places.repo), message, hint)
    }

    /// Whether the input names one of the two usual default branches while the store uses the other.
    fn is_other_default(&self, default: &BranchName, other: &str) -> bool {
        match self.written.as_ref() {
            None => self.branch.as_str() == other,
            Some(written) if written == default => self.branch.as_str() == other,
            Some(written) => self.branch == *default && written.as_str() == other,
        }
    }
}

/// The diagnostics for inputs whose branches do not exist.
pub(super) fn diagnose(scope: &Scope, missing: Vec<Missing<'_>>) -> Result<Vec<Diagnostic>> {
    let default = &scope.settings.default_branch;
    let other = match default.as_str() {
        "main" => Some("master"),
        "master" => Some("main"),
        _ => None,
    };
    let is_other = |one: &Missing<'_>| other.is_some_and(|other| one.is_other_default(default, other));
    let (mistaken, made): (Vec<_>, Vec<_>) = missing.into_iter().partition(is_other);
    let mut found = Vec::new();
    if let Some((other, (first, more))) = other.zip(mistaken.split_first()) {
        found.push(other_default(scope, first, more, other)?);
    }
    let mut said = BTreeSet::new();
    for one in &made {
        if said.insert((one.leaf.repo.clone(), one.branch.clone())) {
            found.push(is_made(&scope.store, one)?);
        }
    }
    Ok(found)
}

/// One diagnostic for all inputs that mean the default branch but name another.
fn other_default(scope: &Scope, first: &Missing<'_>, more: &[Missing<'_>], other: &str) -> Result<Diagnostic> {
    let default = &scope.settings.default_branch;
    let mistaken = || std::iter::once(first).chain(more);
    let place = |one: &Missing<'_>| format!("{}:{}", one.parsed.file, one.places.branch.unwrap_or(one.places.repo));
    let mut message = format!(
        "input `{}`: the specs use `{other}`, but the default branch of this store is `{default}`",
        first.leaf.name
    );
    if !more.is_empty() {
        let listed: Vec<String> = more.iter().take(PLACES).map(place).collect();
        let rest = more.len().saturating_sub(PLACES);
        let rest = if rest > 0 { format!(" and {rest} more places") } else { String::new() };
        message += &format!("; also at {}{rest}", listed.join(", "));
    }
    // A pipeline's output can never get to the other branch; users can still commit to it.
    let is_error = mistaken().any(|one| one.written.is_some());
    let mut hint = format!("pv config set default_branch {other}");
    let read: BTreeSet<&RepoName> = mistaken().filter(|one| one.written.is_none()).map(|one| &one.leaf.repo).collect();
    // A refused apply creates no branch, a successful one does.
    let verb = if is_error { "create" } else { "move" };
    for repo in read {
        if scope.store.find_branch(repo, default)?.is_some_and(|row| row.commit.is_some()) {
            hint += &format!(" && pv branch {verb} {repo}@{other} {repo}@{default}");
        }
    }
    Ok(if is_error { first.error(message, Some(hint)) } else { first.warning(message, Some(hint)) })
}

/// The diagnostic for a branch that the apply creates, with how to fill it.
fn is_made(store: &Store, one: &Missing<'_>) -> Result<Diagnostic> {
    let (repo, branch, name) = (&one.leaf.repo, &one.branch, &one.leaf.name);
    if store.has_repo(repo)? && store.find_tag(repo, branch.as_str())?.is_some() {
        let message = format!("input `{name}`: `{branch}` is a tag of repository `{repo}`, not a branch");
        let hint =
            format!("write `branch: {branch}-branch`, after: pv branch create {repo}@{branch}-branch {repo}@{branch}");
        return Ok(one.error(message, Some(hint)));
    }
    if is_of_trigger(branch) {
        let message =
            format!("input `{name}`: repository `{repo}` has no branch `{branch}` yet; its trigger will create it");
        return Ok(one.warning(message, None));
    }
    let mut names: Vec<String> = one.written.iter().map(ToString::to_string).collect();
    if store.has_repo(repo)? {
        names.extend(store.branches(repo)?.into_iter().map(|(name, _)| name.to_string()));
    }
    let near = specs::nearest(branch.as_str(), names.iter().map(String::as_str));
    let (message, way) = match &one.written {
        Some(written) => (
            format!("input `{name}`: pipeline `{repo}` writes `{written}`; branch `{branch}` is created empty"),
            format!("pv branch move {repo}@{branch} {repo}@{written}  moves it to that commit"),
        ),
        None => (
            format!("input `{name}`: repository `{repo}` has no branch `{branch}` yet; it is created empty"),
            format!("pv put {repo}@{branch} FILE  commits to it"),
        ),
    };
    let hint = near.map_or(way, |near| format!("did you mean `{near}`?"));
    Ok(one.warning(message, Some(hint)))
}

/// The branches that `changed` pipelines read, or whose triggers watch, and that nothing else creates: each is created, empty.
///
/// Except the default branch of a user repository, which the first commit creates.
pub(super) fn needed(
    store: &Store,
    graph: &Graph,
    changed: &BTreeSet<PipelineName>,
    moves: &[Move],
) -> Result<Vec<Move>, RepoError> {
    let made: BTreeSet<(&RepoName, &BranchName)> = moves.iter().map(|moved| (&moved.repo, &moved.branch)).collect();
    let mut needed: BTreeMap<BranchOf, Move> = BTreeMap::new();
    for pipeline in changed.iter().map(|name| &graph.pipelines[name]) {
        for (repo, branch) in sources(pipeline) {
            let is_output = graph.pipelines.contains_key(&repo.as_pipeline());
            let is_first_commits = !is_output && branch == pipeline.version.default_branch;
            if made.contains(&(&repo, &branch)) || is_first_commits || is_of_trigger(&branch) {
                continue;
            }
            let is_there = store.has_repo(&repo)?
                && (store.find_branch(&repo, &branch)?.is_some() || store.find_tag(&repo, branch.as_str())?.is_some());
            if !is_there && (is_output || store.has_repo(&repo)?) {
                let of = (repo.clone(), branch.clone());
                needed.insert(of, Move { repo, branch, from: None, to: None });
            }
        }
    }
    Ok(needed.into_values().collect())
}

/// Whether only the apply of another pipeline may create a branch with this name.
fn is_of_trigger(branch: &BranchName) -> bool {
    branch.as_str().contains("-trigger-")
}

/// The branches whose commits a pipeline reads, directly or through a trigger.
fn sources(pipeline: &Pipeline) -> BTreeSet<BranchOf> {
    let mut sources: BTreeSet<BranchOf> = pipeline.triggers().into_iter().map(|trigger| trigger.source).collect();
    let leaves = pipeline.spec.input.leaves().into_iter().filter(|leaf| leaf.trigger.is_none());
    sources.extend(leaves.map(|leaf| pipeline.input_branch(leaf)));
    sources
}
