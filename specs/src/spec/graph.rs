//! What can be wrong between specs: one name for two pipelines, and pipelines that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Parsed;
use super::read::Document;
use super::types::PipelineSpec;
use crate::diagnostics::{Diagnostic, Severity};
use crate::names::{BranchName, PipelineName};

pub(super) fn names_held_twice(documents: &[(&str, Document)]) -> Vec<Diagnostic> {
    let mut first = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for (file, document) in documents {
        let Some((name, place)) = &document.name else { continue };
        if let Some((first_file, first_place)) = first.get(name) {
            diagnostics.push(Diagnostic {
                file: (*file).to_owned(),
                place: *place,
                severity: Severity::Error,
                message: format!("pipeline `{name}` is given twice; first at {first_file}:{first_place}"),
                hint: None,
            });
        } else {
            first.insert(name, (file, place));
        }
    }
    diagnostics
}

pub(super) fn cycles(specs: &[Parsed]) -> Vec<Diagnostic> {
    let all: Vec<_> = specs.iter().map(|parsed| &parsed.spec).collect();
    let at = |members: &[PipelineName]| {
        let parsed = specs.iter().find(|parsed| parsed.spec.name == members[0])?;
        let last = members.last()?;
        let leaf = parsed.spec.input.leaves().iter().position(|leaf| leaf.repo.as_str() == last.as_str())?;
        Some((parsed, parsed.places.leaves[leaf].repo))
    };
    let errors = find_cycles(&all, None).into_iter().filter_map(|members| {
        let (parsed, place) = at(&members)?;
        Some(parsed.error(place, format!("pipelines wait for each other: {}", in_words(&members)), None))
    });
    let warnings = find_loops(&all, None).into_iter().filter_map(|members| {
        let (parsed, place) = at(&members)?;
        Some(parsed.warning(place, loop_warning(&members), None))
    });
    errors.chain(warnings).collect()
}

/// Pipelines that run in a circle, the first again at the end.
pub fn in_words(members: &[PipelineName]) -> String {
    let names: Vec<_> = members.iter().chain(&members[..1]).map(|name| format!("`{name}`")).collect();
    names.join(" → ")
}

/// What is worth knowing of a loop.
pub fn loop_warning(members: &[PipelineName]) -> String {
    format!("each makes the next one's trigger fire, for ever: {}", in_words(members))
}

/// Pipelines that would wait for each other, if `specs` were all there is: each cycle once, every member named, in the order in which data
/// flows.
///
/// A pipeline that reads another branch of an output repository than the one that is written there does not wait for it. A spec that names
/// no branch means `default_branch`; while that is `None`, a branch that is named counts as another. What a trigger takes does not wait.
pub fn find_cycles(specs: &[&PipelineSpec], default_branch: Option<&BranchName>) -> Vec<Vec<PipelineName>> {
    circles(specs, &Graph::new(specs, default_branch, false))
}

/// Pipelines each of which causes a later run of itself over the others and at least one trigger; as [`find_cycles`] finds cycles.
pub fn find_loops(specs: &[&PipelineSpec], default_branch: Option<&BranchName>) -> Vec<Vec<PipelineName>> {
    let cycles = find_cycles(specs, default_branch);
    let mut loops = circles(specs, &Graph::new(specs, default_branch, true));
    loops.retain(|members| !cycles.iter().any(|cycle| cycle.iter().all(|name| members.contains(name))));
    loops
}

fn circles(specs: &[&PipelineSpec], graph: &Graph) -> Vec<Vec<PipelineName>> {
    let mut cycles = Vec::new();
    let mut reported = BTreeSet::new();
    for start in 0..specs.len() {
        if reported.contains(&start) {
            continue;
        }
        if let Some(path) = graph.path_back_to(start) {
            reported.extend(path.iter().copied());
            cycles.push(path.into_iter().map(|index| specs[index].name.clone()).collect());
        }
    }
    cycles
}

/// For each spec the indices of those that read its output.
struct Graph(Vec<Vec<usize>>);

impl Graph {
    fn new(specs: &[&PipelineSpec], default_branch: Option<&BranchName>, with_triggers: bool) -> Self {
        let named = specs.iter().enumerate().rev().map(|(index, spec)| (spec.name.as_str(), index));
        let writers: BTreeMap<_, _> = named.collect(); // of two of one name, the first
        let mut readers = vec![Vec::new(); specs.len()];
        for (reader, spec) in specs.iter().enumerate() {
            for leaf in spec.input.leaves() {
                let Some(&writer) = writers.get(leaf.repo.as_str()) else { continue };
                let written = specs[writer].output_branch.as_ref().or(default_branch);
                let watched = leaf.trigger.as_ref().and_then(|trigger| trigger.branch.as_ref());
                let is_counted = with_triggers || leaf.trigger.is_none();
                if is_counted && watched.or(leaf.branch.as_ref()).or(default_branch) == written {
                    readers[writer].push(reader);
                }
            }
        }
        Self(readers)
    }

    /// The shortest way from `start` along its readers back to it, `start` first.
    fn path_back_to(&self, start: usize) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.0.len()];
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for &reader in &self.0[at] {
                if reader == start {
                    let mut path: Vec<_> = std::iter::successors(Some(at), |&index| came_from[index]).collect();
                    path.reverse();
                    return Some(path);
                }
                if came_from[reader].is_none() {
                    came_from[reader] = Some(at);
                    queue.push_back(reader);
                }
            }
        }
        None
    }
}
