//! Problems between specs: two pipelines with one name, and pipelines that wait for each other.

use std::collections::{BTreeMap, BTreeSet};

use super::Parsed;
use super::limits::MAX_CIRCLES;
use super::read::Document;
use super::types::PipelineSpec;
use crate::diagnostics::{Diagnostic, Severity};
use crate::names::{BranchName, PipelineName};

/// How to avoid a loop: such an input is read, but starts no jobs.
pub const LOOP_HINT: &str = "add `propagation_spec: {never: true}` next to the trigger, or read another repository";

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
    let loops = find_loops(&all, None).into_iter().filter_map(|members| {
        let (parsed, place) = at(&members)?;
        Some(parsed.error(place, loop_in_words(&members), Some(LOOP_HINT.to_owned())))
    });
    errors.chain(loops).collect()
}

/// Pipelines in a cycle, as text, with the first repeated at the end.
pub fn in_words(members: &[PipelineName]) -> String {
    let names: Vec<_> = members.iter().chain(&members[..1]).map(|name| format!("`{name}`")).collect();
    names.join(" → ")
}

/// Describes a loop.
pub fn loop_in_words(members: &[PipelineName]) -> String {
    format!("pipelines start each other forever through a trigger: {}", in_words(members))
}

/// Pipelines that would wait for each other if `specs` were all pipelines: each cycle once, with all members named in the order of data
/// flow; at most 100 cycles.
///
/// A pipeline that reads another branch of an output repository than the one written there does not wait for it. A spec without a branch
/// means `default_branch`; while that is `None`, a named branch counts as different. Inputs with a trigger do not wait.
pub fn find_cycles(specs: &[&PipelineSpec], default_branch: Option<&BranchName>) -> Vec<Vec<PipelineName>> {
    circles(specs, &Graph::new(specs, default_branch, false))
}

/// Pipelines that each cause a later run of themselves through other pipelines and at least one trigger; otherwise like [`find_cycles`].
pub fn find_loops(specs: &[&PipelineSpec], default_branch: Option<&BranchName>) -> Vec<Vec<PipelineName>> {
    let cycles = find_cycles(specs, default_branch);
    let mut loops = circles(specs, &Graph::new(specs, default_branch, true));
    loops.retain(|members| {
        let members: BTreeSet<_> = members.iter().collect();
        !cycles.iter().any(|cycle| cycle.iter().all(|name| members.contains(name)))
    });
    loops
}

fn circles(specs: &[&PipelineSpec], graph: &Graph) -> Vec<Vec<PipelineName>> {
    let names = |path: Vec<usize>| path.into_iter().map(|index| specs[index].name.clone()).collect();
    graph.circles().into_iter().map(names).collect()
}

/// Strongly connected components of the specs: two are in one component if each reaches the other.
struct Knots {
    /// The component of each spec.
    of: Vec<usize>,
    /// Whether it is part of a cycle.
    has_circle: Vec<bool>,
}

/// For each spec, the indices of the specs that read its output.
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
                // A trigger does not start anything if propagation is off.
                let is_counted = leaf.trigger.is_none() || (with_triggers && !leaf.propagation_never);
                if is_counted && watched.or(leaf.branch.as_ref()).or(default_branch) == written {
                    readers[writer].push(reader);
                }
            }
        }
        Self(readers)
    }

    /// Cycles that together contain every spec that is part of one, at most 100.
    fn circles(&self) -> Vec<Vec<usize>> {
        let mut circles = Vec::new();
        let mut reported = BTreeSet::new();
        let knots = self.knots();
        // Search only from specs on a cycle: without cycles there is nothing to do.
        for start in (0..self.0.len()).filter(|start| knots.has_circle[*start]) {
            if circles.len() == MAX_CIRCLES {
                break;
            }
            if let (false, Some(path)) = (reported.contains(&start), self.path_back_to(start, &knots.of)) {
                reported.extend(path.iter().copied());
                circles.push(path);
            }
        }
        circles
    }

    /// The strongly connected components, in time linear in the size of the graph (Kosaraju's algorithm).
    fn knots(&self) -> Knots {
        let mut writers = vec![Vec::new(); self.0.len()];
        for (writer, readers) in self.0.iter().enumerate() {
            for &reader in readers {
                writers[reader].push(writer);
            }
        }
        let mut order = Vec::with_capacity(self.0.len());
        let mut seen = vec![false; self.0.len()];
        for start in 0..self.0.len() {
            walk(&self.0, start, &mut seen, |left| order.push(left));
        }
        let mut of = vec![0; self.0.len()];
        let mut sizes = Vec::new();
        seen.fill(false);
        for &start in order.iter().rev() {
            let (knot, mut size) = (sizes.len(), 0);
            walk(&writers, start, &mut seen, |left| {
                of[left] = knot;
                size += 1;
            });
            sizes.push(size);
        }
        let has_circle = (0..self.0.len()).map(|at| sizes[of[at]] > 1 || self.0[at].contains(&at)).collect();
        Knots { of, has_circle }
    }

    /// The shortest path from `start` along its readers back to it, `start` first. It stays within the component of `start`.
    fn path_back_to(&self, start: usize, knots: &[usize]) -> Option<Vec<usize>> {
        let mut came_from = vec![None; self.0.len()];
        let mut queue = std::collections::VecDeque::from([start]);
        while let Some(at) = queue.pop_front() {
            for &reader in self.0[at].iter().filter(|reader| knots[**reader] == knots[start]) {
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

/// Depth-first search from `start` over nodes not `seen` yet; calls `leave` for each node after everything reachable from it.
fn walk(next: &[Vec<usize>], start: usize, seen: &mut [bool], mut leave: impl FnMut(usize)) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut path = vec![(start, 0)];
    while let Some((at, tried)) = path.last_mut() {
        if let Some(&other) = next[*at].get(*tried) {
            *tried += 1;
            if !std::mem::replace(&mut seen[other], true) {
                path.push((other, 0));
            }
        } else {
            leave(*at);
            path.pop();
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A graph with this many specs and these edges.
    pub(in crate::spec) struct Small(Graph);

    pub(in crate::spec) fn graph(size: usize, edges: &[(usize, usize)]) -> Small {
        let mut readers = vec![Vec::new(); size];
        for (writer, reader) in edges {
            readers[*writer].push(*reader);
        }
        Small(Graph(readers))
    }

    impl Small {
        pub(in crate::spec) fn circles_by_knots(&self) -> Vec<Vec<usize>> {
            self.0.circles()
        }

        /// Searches from every spec, as if all were in one component.
        pub(in crate::spec) fn circles_from_each(&self) -> Vec<Vec<usize>> {
            let mut circles: Vec<Vec<usize>> = Vec::new();
            for start in 0..self.0.0.len() {
                let is_reported = circles.iter().any(|circle| circle.contains(&start));
                circles.extend(self.0.path_back_to(start, &vec![0; self.0.0.len()]).filter(|_| !is_reported));
            }
            circles
        }
    }
}
