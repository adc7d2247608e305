//! Repositories and branches that only the engine writes, for a pipeline's input: cron ticks, and trigger branches.

use std::collections::BTreeSet;

use repos::journal::RepoKind;
use specs::spec::{LeafPlaces, Parsed, PfsInput};
use specs::{BranchName, RepoName};

use super::checks::{Findings, Scope};
use crate::error::Result;
use crate::graph::{Graph, trigger_branch};

/// Whether a cron input of a spec ticks in a repository.
pub(super) fn ticks_in(parsed: &Parsed, repo: &RepoName) -> bool {
    parsed.spec.input.crons().iter().any(|cron| cron.ticks.repo == *repo)
}

/// Names of tick repositories and trigger branches that are in use or invalid.
pub(super) fn diagnose(
    scope: &Scope,
    graph: &Graph,
    specs: &[Parsed],
    parsed: &Parsed,
    findings: &mut Findings,
) -> Result<()> {
    let crons = parsed.spec.input.crons();
    let mut own = BTreeSet::new();
    for (at, (leaf, places)) in parsed.spec.input.leaves().into_iter().zip(&parsed.places.leaves).enumerate() {
        if crons.iter().any(|cron| std::ptr::eq(&raw const cron.ticks, leaf)) {
            let twice = !own.insert(&leaf.repo);
            ticks(scope, graph, specs, (parsed, leaf, places, twice), findings)?;
        }
        if leaf.trigger.is_some() {
            trigger(scope, graph, specs, (parsed, leaf, places, at + 1), findings)?;
        }
    }
    Ok(())
}

/// A cron input needs its own repository.
fn ticks(
    scope: &Scope,
    graph: &Graph,
    specs: &[Parsed],
    (parsed, leaf, places, twice): (&Parsed, &PfsInput, &LeafPlaces, bool),
    findings: &mut Findings,
) -> Result<()> {
    let (repo, name) = (&leaf.repo, &parsed.spec.name);
    let hint = || Some("set `repo` in the `cron` input to another repository".to_owned());
    let others = specs.iter().filter(|other| other.spec.name != *name);
    let other = others.clone().find(|other| ticks_in(other, repo)).map(|other| &other.spec.name);
    let given = |name: &specs::PipelineName| specs.iter().any(|parsed| parsed.spec.name == *name);
    let present = graph.pipelines.values().filter(|pipeline| !given(pipeline.name()));
    let mut present =
        present.filter(|pipeline| pipeline.spec.input.crons().iter().any(|cron| cron.ticks.repo == *repo));
    let other = other.or_else(|| present.next().map(|pipeline| pipeline.name()));
    if twice || other.is_some() {
        let by = other.map_or("another input".to_owned(), |other| format!("pipeline `{other}`"));
        let message = format!(
            "input `{}`: `{repo}` already contains the ticks of {by}; each cron input needs its own repository",
            leaf.name
        );
        findings.diagnostics.push(parsed.error(places.repo, message, hint()));
    } else if specs.iter().any(|other| other.spec.name.output_repo() == *repo) {
        let message = format!("input `{}`: `{repo}` is the output of pipeline `{repo}`", leaf.name);
        findings.diagnostics.push(parsed.error(places.repo, message, hint()));
    } else if scope.store.has_repo(repo)? && scope.store.repo(repo)?.kind != RepoKind::Cron {
        let message =
            format!("input `{}` would commit ticks to `{repo}`, which is not a repository of ticks", leaf.name);
        findings.taken.push(parsed.error(places.repo, message, hint()));
    }
    Ok(())
}

/// A trigger needs the branch with its name, and a condition that can make it fire.
fn trigger(
    scope: &Scope,
    graph: &Graph,
    specs: &[Parsed],
    (parsed, leaf, places, number): (&Parsed, &PfsInput, &LeafPlaces, usize),
    findings: &mut Findings,
) -> Result<()> {
    let (repo, name) = (&leaf.repo, &parsed.spec.name);
    let place = places.branch.unwrap_or(places.repo);
    let branch = match trigger_branch(name, number) {
        Ok(branch) => branch,
        Err(error) => {
            let message = format!("input `{}`: the name of its trigger is not a legal branch name: {error}", leaf.name);
            let hint = Some("give the pipeline a shorter name".to_owned());
            findings.diagnostics.push(parsed.error(parsed.places.name, message, hint));
            return Ok(());
        }
    };
    let of_present =
        graph.pipelines.get(name).is_some_and(|present| present.is_fed_by(&(repo.clone(), branch.clone())));
    if !of_present && scope.store.has_repo(repo)? {
        let is_branch = scope.store.find_branch(repo, &branch)?.is_some();
        if is_branch || scope.store.find_tag(repo, branch.as_str())?.is_some() {
            let what = if is_branch { "branch" } else { "tag" };
            let message = format!(
                "input `{}`: its trigger would move `{repo}@{branch}`, but a {what} of that name exists",
                leaf.name
            );
            findings.taken.push(parsed.error(place, message, Some(format!("pv {what} delete {repo}@{branch}"))));
        }
    }
    let default = &scope.settings.default_branch;
    if follows_itself(graph, specs, repo, &branch, default) {
        let message = format!(
            "input `{}`: its trigger follows itself, directly or through other triggers, so it never fires",
            leaf.name
        );
        let hint = format!(
            "write `trigger: {{branch: BRANCH}}` with a branch of `{repo}` that people or a pipeline commit to"
        );
        findings.diagnostics.push(parsed.error(place, message, Some(hint)));
    }
    Ok(())
}

/// Whether a trigger's branch is, through any number of triggers, what the trigger itself watches.
fn follows_itself(graph: &Graph, specs: &[Parsed], repo: &RepoName, branch: &BranchName, default: &BranchName) -> bool {
    let given = specs.iter().flat_map(|parsed| watched(&parsed.spec, repo, default));
    let is_given = |name: &specs::PipelineName| specs.iter().any(|parsed| parsed.spec.name == *name);
    let present = graph.pipelines.values().filter(|pipeline| !is_given(pipeline.name()));
    let present = present.flat_map(|pipeline| watched(&pipeline.spec, repo, &pipeline.version.default_branch));
    let all: Vec<(BranchName, BranchName)> = given.chain(present).collect();
    let mut seen = BTreeSet::new();
    let mut at = branch;
    while let Some((_, source)) = all.iter().find(|(moved, _)| moved == at).filter(|_| seen.insert(at)) {
        if source == branch {
            return true;
        }
        at = source;
    }
    false
}

/// The branches in a repository that the triggers of a spec move, each with the branch that it watches.
fn watched(spec: &specs::PipelineSpec, repo: &RepoName, default: &BranchName) -> Vec<(BranchName, BranchName)> {
    let leaves = spec.input.leaves().into_iter().enumerate().filter(|(_, leaf)| leaf.repo == *repo);
    let pair = |(at, leaf): (usize, &PfsInput)| {
        let trigger = leaf.trigger.as_ref()?;
        let source = trigger.branch.as_ref().or(leaf.branch.as_ref()).unwrap_or(default);
        Some((trigger_branch(&spec.name, at + 1).ok()?, source.clone()))
    };
    leaves.filter_map(pair).collect()
}
