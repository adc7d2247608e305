//! Checks specs against a store.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use repos::Store;
use repos::access::Right;
use repos::documents::ExecutorKind;
use repos::journal::RepoKind;
use repos::tree::Tree;
use specs::spec::{
    Input, LOOP_HINT, LeafPlaces, Parsed, PfsInput, PipelineSpec, SpecSet, find_cycles, find_loops, in_words,
    loop_in_words,
};
use specs::{BranchName, Diagnostic, PipelineName, Place, RepoName};

use super::branches::{self, Missing};
use super::clocks;
use super::globs::{self, Fit};
use super::versions::Settings;
use crate::error::{EngineError, Result};
use crate::executors::runs_on_host;
use crate::graph::Graph;

/// What specs are checked against.
pub(super) struct Scope {
    pub(super) store: Store,
    pub(super) settings: Settings,
    pub(super) kind: ExecutorKind,
}

/// All findings.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Errors and warnings.
    pub(super) diagnostics: Vec<Diagnostic>,
    /// Names that are already in use: a conflict, if nothing else is wrong.
    pub(super) taken: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn of(set: &SpecSet) -> Self {
        Self { diagnostics: set.diagnostics.clone(), taken: Vec::new() }
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.diagnostics.extend(more.diagnostics);
        self.taken.extend(more.taken);
    }

    /// Fails if anything prevents applying the specs; `files` is the number of files.
    pub(super) fn refuse(&self, files: usize) -> Result<()> {
        if self.diagnostics.iter().any(Diagnostic::is_error) {
            let mut diagnostics = [self.diagnostics.as_slice(), &self.taken].concat();
            diagnostics.sort_by(|one, other| (&one.file, one.place).cmp(&(&other.file, other.place)));
            return Err(EngineError::Specs { diagnostics, files });
        }
        let Some(first) = self.taken.first() else { return Ok(()) };
        let what: Vec<String> = self.taken.iter().map(ToString::to_string).collect();
        Err(EngineError::Conflict { what: what.join("\n"), hint: first.hint.clone() })
    }
}

/// Checks all specs together with the content of the store.
pub(super) fn diagnose(scope: &Scope, graph: &Graph, specs: &[Parsed]) -> Result<Findings> {
    let mut findings = Findings::default();
    let by_name = specs.iter().map(|parsed| (&parsed.spec.name, parsed)).collect();
    let not_found = Cell::new(0);
    let mut missing = Vec::new();
    for parsed in specs {
        names(scope, parsed, &mut findings)?;
        clocks::diagnose(scope, graph, specs, parsed, &mut findings)?;
        execution(scope, parsed, &mut findings.diagnostics);
        let crons = parsed.spec.input.crons();
        for (leaf, places) in parsed.spec.input.leaves().into_iter().zip(&parsed.places.leaves) {
            // The apply creates a cron input's repository.
            if crons.iter().any(|cron| std::ptr::eq(&raw const cron.ticks, leaf)) {
                continue;
            }
            let check =
                LeafCheck { scope, graph, specs, by_name: &by_name, not_found: &not_found, parsed, leaf, places };
            match check.diagnose()? {
                Said::Nothing => {}
                Said::Problem(problem) => findings.diagnostics.push(problem),
                Said::NoBranch(branch) => missing.push(branch),
            }
        }
    }
    findings.diagnostics.extend(for_pods(scope, specs));
    findings.diagnostics.extend(branches::diagnose(scope, missing)?);
    findings.diagnostics.extend(secrets(scope, specs)?);
    findings.diagnostics.extend(cycles(graph, specs, &scope.settings.default_branch));
    Ok(findings)
}

/// Refuses specs that conflict with `graph`, which has all pipelines, including those that are hidden from the caller.
pub(super) fn ensure_fits(scope: &Scope, graph: &Graph, specs: &[Parsed], files: usize) -> Result<()> {
    if !scope.store.is_limited() {
        return diagnose(scope, graph, specs)?.refuse(files);
    }
    diagnose(scope, &*Graph::load(&scope.store)?, specs)?.refuse(files)?;
    let whole = Scope { store: scope.store.whole(), settings: scope.settings.clone(), kind: scope.kind };
    diagnose(&whole, graph, specs)?.refuse(files).map_err(|_| EngineError::Conflict {
        what: "these pipelines conflict with others that are not visible to you".to_owned(),
        hint: Some("ask an admin of the store to apply them".to_owned()),
    })
}

/// Refuses specs that this handle may not apply, before anything is pulled or stored for them.
pub(super) fn ensure_may_apply(store: &Store, specs: &[Parsed]) -> Result<()> {
    for parsed in specs {
        store.ensure_may_apply(&parsed.spec.name)?;
        if !parsed.spec.transform.secrets.is_empty() {
            store.ensure_may(Right::Secrets)?;
        }
    }
    Ok(())
}

/// The output repository has the pipeline's name, so nothing else may use it.
fn names(scope: &Scope, parsed: &Parsed, findings: &mut Findings) -> Result<()> {
    let repo = parsed.spec.name.output_repo();
    if scope.store.has_repo(&repo)? && scope.store.repo(&repo)?.kind != RepoKind::Output {
        let message = format!("pipeline `{repo}` would write repository `{repo}`, which is not a pipeline's");
        let hint = format!("rename the pipeline, or: pv repo delete {repo}");
        findings.taken.push(parsed.error(parsed.places.name, message, Some(hint)));
    }
    Ok(())
}

/// Checks that there is something to execute, and something to execute it in.
fn execution(scope: &Scope, parsed: &Parsed, found: &mut Vec<Diagnostic>) {
    let transform = &parsed.spec.transform;
    let (name, kind, default) = (&parsed.spec.name, scope.kind, &scope.settings.default_image);
    let on_host = runs_on_host(kind, transform.image.is_some() || default.is_some());
    match (kind, &transform.image, default) {
        (ExecutorKind::Docker | ExecutorKind::Kubernetes, None, None) => {
            let hint = "set `transform.image`, or for all pipelines: pv config set default_image IMAGE".to_owned();
            found.push(parsed.error(parsed.places.transform, format!("pipeline `{name}` has no image"), Some(hint)));
        }
        (ExecutorKind::Docker | ExecutorKind::Workers | ExecutorKind::Kubernetes, None, Some(image)) => {
            let message = format!("pipeline `{name}` has no image: using `{image}` from the setting `default_image`");
            found.push(parsed.warning(parsed.places.transform, message, None));
        }
        _ if on_host && transform.cmd.is_empty() => {
            let message =
                format!("pipeline `{name}` has no `cmd`, and the {kind} executor has no image to take it from");
            found.push(parsed.error(parsed.places.cmd.unwrap_or(parsed.places.transform), message, None));
        }
        (ExecutorKind::Kubernetes, ..) if transform.cmd.is_empty() => {
            let message = format!("pipeline `{name}` has no `cmd`, and a cluster does not tell that of an image");
            found.push(parsed.error(parsed.places.cmd.unwrap_or(parsed.places.transform), message, None));
        }
        _ => {}
    }
    let limits = &parsed.spec.resource_limits;
    if on_host && (limits.cpu.is_some() || limits.memory.is_some()) {
        let message = format!("pipeline `{name}`: the process executor does not enforce `resource_limits`");
        found.push(parsed.warning(parsed.places.pipeline, message, None));
    }
}

/// Says once which fields have no effect, since the executor has no pods.
fn for_pods(scope: &Scope, specs: &[Parsed]) -> Option<Diagnostic> {
    if scope.kind == ExecutorKind::Kubernetes {
        return None;
    }
    let first = specs.iter().find(|parsed| !parsed.spec.fields_for_pods().is_empty())?;
    let fields: BTreeSet<&str> = specs.iter().flat_map(|parsed| parsed.spec.fields_for_pods()).collect();
    let fields: Vec<String> = fields.iter().map(|field| format!("`{field}`")).collect();
    let message = format!(
        "ignored: {}; the {} executor has no pods, and results do not depend on it",
        fields.join(", "),
        scope.kind
    );
    Some(first.warning(first.places.pipeline, message, None))
}

/// Something of a secret that the store lacks, with everything that needs it.
#[derive(Default)]
struct Lacking<'a> {
    places: Vec<(&'a Parsed, Place)>,
    /// The requested keys, if the secret itself is missing.
    keys: BTreeSet<&'a str>,
    hint: String,
}

/// Checks that the store has the secrets that the stages need. Anything missing is reported once, however many need it.
fn secrets(scope: &Scope, specs: &[Parsed]) -> Result<Vec<Diagnostic>> {
    let mut lacking: BTreeMap<String, Lacking<'_>> = BTreeMap::new();
    for parsed in specs {
        let uses = &parsed.spec.transform.secrets;
        let (_, missing) = crate::secrets::confide(&scope.store, uses)?;
        for one in missing {
            let entry = lacking.entry(one.what).or_default();
            entry.places.push((parsed, parsed.places.secrets[one.number]));
            entry.keys.extend(uses[one.number].key.as_deref());
            let name = &uses[one.number].name;
            let keys: Vec<String> = entry.keys.iter().map(|key| format!("{key}=FILE")).collect();
            let is_known = one.is_whole && !keys.is_empty();
            entry.hint = if is_known { format!("pv secret create {name} {}", keys.join(" ")) } else { one.hint };
        }
    }
    let found = lacking.into_iter().filter_map(|(what, Lacking { places, hint, .. })| {
        let (&(first, place), more) = places.split_first()?;
        let also: Vec<String> = more.iter().map(|(parsed, place)| format!("{}:{place}", parsed.file)).collect();
        let also = if also.is_empty() { String::new() } else { format!("; also used at {}", also.join(", ")) };
        Some(first.error(place, what + &also, Some(hint)))
    });
    Ok(found.collect())
}

/// Maximum number of missing repositories that get a suggestion: each is compared with all names.
const SUGGESTIONS: usize = 20;

/// The result of checking an input.
enum Said<'a> {
    Nothing,
    Problem(Diagnostic),
    /// Its branch does not exist, which is reported together with others.
    NoBranch(Missing<'a>),
}

impl From<Option<Diagnostic>> for Said<'_> {
    fn from(problem: Option<Diagnostic>) -> Self {
        problem.map_or(Self::Nothing, Self::Problem)
    }
}

/// One input and everything it is checked against.
struct LeafCheck<'a> {
    scope: &'a Scope,
    graph: &'a Graph,
    specs: &'a [Parsed],
    by_name: &'a BTreeMap<&'a PipelineName, &'a Parsed>,
    /// Number of repositories not found so far.
    not_found: &'a Cell<usize>,
    parsed: &'a Parsed,
    leaf: &'a PfsInput,
    places: &'a LeafPlaces,
}

impl<'a> LeafCheck<'a> {
    fn diagnose(&self) -> Result<Said<'a>> {
        let (repo, store) = (&self.leaf.repo, &self.scope.store);
        let watched = self.leaf.trigger.as_ref().and_then(|trigger| trigger.branch.as_ref());
        let branch = watched.or(self.leaf.branch.as_ref()).unwrap_or(&self.scope.settings.default_branch);
        let is_there = store.has_repo(repo)?;
        if let Some(row) = if is_there { store.find_branch(repo, branch)? } else { None } {
            let commit = row.commit.map(|id| store.commit(&id)).transpose()?;
            return Ok(self.glob(commit.map_or(Tree::empty(), |commit| Tree::at(commit.tree)))?.into());
        }
        let written = self.written(repo);
        Ok(match &written {
            Some(written) if written == branch => Said::Nothing,
            // The first put creates the default branch, so there is nothing to report.
            None if is_there && *branch == self.scope.settings.default_branch => Said::Nothing,
            None if !is_there && self.specs.iter().any(|parsed| clocks::ticks_in(parsed, repo)) => Said::Nothing,
            None if !is_there => Said::Problem(self.no_repo()?),
            _ => {
                let LeafCheck { parsed, leaf, places, .. } = *self;
                Said::NoBranch(Missing { parsed, leaf, places, branch: branch.clone(), written })
            }
        })
    }

    /// The branch that a pipeline will write in this repository after the apply.
    fn written(&self, repo: &RepoName) -> Option<BranchName> {
        let pipeline = repo.as_pipeline();
        if let Some(parsed) = self.by_name.get(&pipeline) {
            return Some(
                parsed.spec.output_branch.clone().unwrap_or_else(|| self.scope.settings.default_branch.clone()),
            );
        }
        self.graph.pipelines.get(&pipeline).map(|pipeline| pipeline.output_branch().1)
    }

    fn no_repo(&self) -> Result<Diagnostic> {
        let LeafCheck { scope, specs, leaf, not_found, .. } = self;
        let message = format!("input `{}`: repository `{}` not found", leaf.name, leaf.repo);
        not_found.set(not_found.get() + 1);
        if not_found.get() > SUGGESTIONS {
            return Ok(self.parsed.error(self.places.repo, message, None));
        }
        let mut names: Vec<String> = scope.store.repos()?.into_iter().map(|(name, _)| name.to_string()).collect();
        names.extend(specs.iter().map(|parsed| parsed.spec.name.to_string()));
        let near = specs::nearest(leaf.repo.as_str(), names.iter().map(String::as_str));
        let hint =
            near.map_or_else(|| format!("pv repo create {}", leaf.repo), |near| format!("did you mean `{near}`?"));
        Ok(self.parsed.error(self.places.repo, message, Some(hint)))
    }

    fn glob(&self, tree: Tree) -> Result<Option<Diagnostic>> {
        let Fit::Nothing { nearest } = globs::fit(&self.scope.store, tree, &self.leaf.glob)? else { return Ok(None) };
        let message =
            format!("input `{}`: glob `{}` matches no file of `{}`", self.leaf.name, self.leaf.glob, self.leaf.repo);
        let hint = nearest.map(|glob| format!("`{glob}` fits"));
        Ok(Some(self.parsed.warning(self.places.glob, message, hint)))
    }
}

/// Cycles and loops through pipelines of the store, or that only the store's default branch closes; others were found in the files.
fn cycles(graph: &Graph, specs: &[Parsed], default_branch: &BranchName) -> Vec<Diagnostic> {
    let given: Vec<&PipelineSpec> = specs.iter().map(|parsed| &parsed.spec).collect();
    let mut all: Vec<PipelineSpec> = given.iter().map(|spec| with_branches(spec, default_branch)).collect();
    let names: BTreeSet<_> = given.iter().map(|spec| &spec.name).collect();
    let others = graph.pipelines.values().filter(|pipeline| !names.contains(pipeline.name()));
    all.extend(others.map(|pipeline| with_branches(&pipeline.spec, &pipeline.version.default_branch)));
    let all: Vec<&PipelineSpec> = all.iter().collect();
    let mut found = Vec::new();
    let known = find_cycles(&given, None);
    for cycle in find_cycles(&all, None).into_iter().filter(|cycle| !known.contains(cycle)) {
        let message = format!("pipelines wait for each other: {}", in_words(&cycle));
        found.extend(place_of(&cycle, specs).map(|(parsed, place)| parsed.error(place, message, None)));
    }
    let known = find_loops(&given, None);
    for round in find_loops(&all, None).into_iter().filter(|round| !known.contains(round)) {
        let (message, hint) = (loop_in_words(&round), Some(LOOP_HINT.to_owned()));
        found.extend(place_of(&round, specs).map(|(parsed, place)| parsed.error(place, message, hint)));
    }
    found
}

/// The input of a given spec that closes a cycle.
fn place_of<'a>(circle: &[PipelineName], specs: &'a [Parsed]) -> Option<(&'a Parsed, Place)> {
    let at = circle.iter().position(|name| specs.iter().any(|parsed| parsed.spec.name == *name))?;
    let parsed = specs.iter().find(|parsed| parsed.spec.name == circle[at])?;
    let before = &circle[(at + circle.len() - 1) % circle.len()];
    let leaf = parsed.spec.input.leaves().iter().position(|leaf| leaf.repo == before.output_repo());
    Some((parsed, leaf.map_or(parsed.places.pipeline, |leaf| parsed.places.leaves[leaf].repo)))
}

/// The spec with every branch filled in.
fn with_branches(spec: &PipelineSpec, default_branch: &BranchName) -> PipelineSpec {
    fn fill(input: &mut Input, default_branch: &BranchName) {
        match input {
            Input::Pfs(leaf) => {
                leaf.branch.get_or_insert_with(|| default_branch.clone());
            }
            Input::Cross(inputs) | Input::Union(inputs) | Input::Join(inputs) | Input::Group(inputs) => {
                for input in inputs {
                    fill(input, default_branch);
                }
            }
            Input::Cron(cron) => {
                cron.ticks.branch.get_or_insert_with(|| default_branch.clone());
            }
        }
    }
    let mut spec = spec.clone();
    spec.output_branch.get_or_insert_with(|| default_branch.clone());
    fill(&mut spec.input, default_branch);
    spec
}
