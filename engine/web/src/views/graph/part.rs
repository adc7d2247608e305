//! Which nodes are shown, and which are lit.

use std::collections::BTreeSet;

use answers::graph::{GraphView, What};
use answers::pipeline::PipelineState;

use super::query::Query;
use super::{MANY, web};

/// Who reads whom, by positions.
#[derive(Debug)]
pub(super) struct Web {
    pub(super) inputs: Vec<Vec<usize>>,
    pub(super) readers: Vec<Vec<usize>>,
}

impl Web {
    pub(super) fn of(inputs: Vec<Vec<usize>>) -> Self {
        let mut readers = vec![Vec::new(); inputs.len()];
        for (node, read) in inputs.iter().enumerate() {
            for input in read {
                readers[*input].push(node);
            }
        }
        Self { inputs, readers }
    }

    /// Nodes and what is at most so many steps of inputs above them and of readers below.
    pub(super) fn around(&self, nodes: &BTreeSet<usize>, up: usize, down: usize) -> BTreeSet<usize> {
        let mut all = nodes.clone();
        for (next, steps) in [(&self.inputs, up), (&self.readers, down)] {
            let mut edge: Vec<usize> = nodes.iter().copied().collect();
            let mut found = nodes.clone();
            for _ in 0..steps {
                edge = edge.iter().flat_map(|node| &next[*node]).copied().filter(|node| found.insert(*node)).collect();
                if edge.is_empty() {
                    break;
                }
            }
            all.extend(found);
        }
        all
    }
}

/// The lit path: a node with all that it depends on, and all that depends on it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) above: BTreeSet<usize>,
    pub(super) below: BTreeSet<usize>,
}

impl Path {
    fn of(web: &Web, node: usize) -> Self {
        let one = BTreeSet::from([node]);
        Self { above: web.around(&one, usize::MAX, 0), below: web.around(&one, 0, usize::MAX) }
    }

    pub(super) fn has(&self, node: usize) -> bool {
        self.above.contains(&node) || self.below.contains(&node)
    }

    /// Whether an edge is part of it.
    pub(super) fn has_edge(&self, from: usize, to: usize) -> bool {
        self.above.contains(&to) || self.below.contains(&from)
    }
}

/// Why only a part is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// All is shown.
    All,
    /// What fails, runs or waits, and what is around it.
    Attention,
    /// The same, but nothing does: the pipelines that ran last.
    Last,
    /// A node and what is around it.
    Focus,
    /// The path of the selected node.
    OnlyPath,
}

/// What is shown of the graph.
#[derive(Debug)]
pub(super) struct Part {
    /// The positions of the nodes that are shown, rising.
    pub(super) shown: Vec<usize>,
    pub(super) why: Why,
    /// The selected node, and its path.
    pub(super) selected: Option<(usize, Path)>,
    pub(super) web: Web,
}

impl Part {
    /// What the address asks for; an unknown name if it has one.
    pub(super) fn of(graph: &GraphView, query: &Query) -> Result<Self, String> {
        let web = web(graph);
        let named = |name: &str| graph.nodes.iter().position(|node| node.name() == name).ok_or_else(|| name.to_owned());
        let selected = query.path().map(named).transpose()?;
        let selected = selected.map(|node| (node, Path::of(&web, node)));
        let all = || (0..graph.nodes.len()).collect();
        let (up, down) = (query.up(), query.down());
        let (shown, why): (BTreeSet<usize>, Why) = match (query.focus(), &selected) {
            (_, Some((_, path))) if query.is_only_path() => {
                (path.above.union(&path.below).copied().collect(), Why::OnlyPath)
            }
            (Some(name), _) => (web.around(&BTreeSet::from([named(name)?]), up, down), Why::Focus),
            _ if query.is_all() || graph.nodes.len() <= MANY => (all(), Why::All),
            _ => {
                let (seeds, why) = seeds(graph);
                (web.around(&seeds, up, down), why)
            }
        };
        Ok(Self { shown: shown.into_iter().collect(), why, selected, web })
    }

    /// At most so many nodes: all, or what needs attention first.
    pub(super) fn few(graph: &GraphView, most: usize) -> Self {
        let web = web(graph);
        let mut shown: BTreeSet<usize> = (0..graph.nodes.len()).collect();
        let mut why = Why::All;
        if shown.len() > most {
            let (seeds, because) = seeds(graph);
            (shown, why) = (BTreeSet::new(), because);
            let mut seeds: Vec<usize> = seeds.into_iter().collect();
            seeds.sort_by_key(|node| urgency(graph.nodes[*node].state()));
            for seed in seeds {
                let more = web.around(&BTreeSet::from([seed]), 1, 1);
                if shown.union(&more).count() <= most {
                    shown.extend(more);
                } else if shown.len() < most {
                    shown.insert(seed);
                }
            }
        }
        Self { shown: shown.into_iter().collect(), why, selected: None, web }
    }
}

/// What fails is first.
pub(super) fn urgency(state: Option<PipelineState>) -> u8 {
    match state {
        Some(PipelineState::Failed) => 0,
        Some(PipelineState::Running) => 1,
        Some(PipelineState::Pending) => 2,
        Some(PipelineState::Stopped) => 3,
        Some(PipelineState::Current) => 4,
        None => 5,
    }
}

/// What fails, runs or waits; if nothing does, the pipelines of the last run, and if there was none, the first.
fn seeds(graph: &GraphView) -> (BTreeSet<usize>, Why) {
    let nodes = || graph.nodes.iter().enumerate();
    let urgent: BTreeSet<usize> = nodes().filter(|(_, node)| urgency(node.state()) <= 2).map(|(at, _)| at).collect();
    if !urgent.is_empty() {
        return (urgent, Why::Attention);
    }
    let order = |what: &What| match what {
        What::Pipeline { newest, .. } => newest.as_ref().map(|job| job.order),
        What::Repo { .. } => None,
    };
    let last = nodes().filter_map(|(_, node)| order(&node.what)).max();
    let of_last = |node: &What| last.is_some() && order(node) == last;
    let mut seeds: BTreeSet<usize> = nodes().filter(|(_, node)| of_last(&node.what)).map(|(at, _)| at).collect();
    if seeds.is_empty() {
        seeds.extend((0..graph.nodes.len()).take(MANY));
    }
    (seeds, Why::Last)
}
