//! A spec's input with numbered leaves, which all planning traverses.

use specs::FilePath;
use specs::spec::{Input, PfsInput};

use super::Datum;
use super::key::bounded;

/// A pipeline's input: a tree of combinations, and its leaves in spec order.
#[derive(Debug, Clone)]
pub struct Shape {
    pub(super) root: Node,
    pub(super) leaves: Vec<LeafShape>,
}

/// A node in the tree.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Leaf(usize),
    Cross(Vec<Node>),
    Union(Vec<Node>),
    Keyed(KeyedNode),
}

/// A join or a group.
#[derive(Debug, Clone)]
pub(super) struct KeyedNode {
    pub(super) by: By,
    pub(super) inputs: Vec<Node>,
    pub(super) first_leaf: usize,
    /// Whether it is not inside another join or group.
    pub(super) is_outermost: bool,
}

/// Which kind of key brings datums together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    Join,
    Group,
}

/// A leaf and its context.
#[derive(Debug, Clone)]
pub(super) struct LeafShape {
    pub(super) input: PfsInput,
    /// The nearest join or group above it: the key under which its matches are stored in the datums map.
    pub(super) member_by: Option<By>,
}

impl Shape {
    /// The shape of an input.
    pub fn of(input: &Input) -> Self {
        let mut leaves = Vec::new();
        let root = number(input, None, &mut leaves);
        Self { root, leaves }
    }

    /// The key of a datum: the concatenated parts of its inputs.
    pub(super) fn key_of(&self, by: By, datum: &Datum) -> String {
        bounded(datum.inputs.iter().map(|input| self.leaves[input.leaf].key(by, &input.path)).collect())
    }
}

impl LeafShape {
    /// A path's part of a key; empty if the leaf does not define one.
    fn key(&self, by: By, path: &FilePath) -> String {
        let template = match by {
            By::Join => &self.input.join_on,
            By::Group => &self.input.group_by,
        };
        let key = template.as_ref().and_then(|template| template.key(&self.input.glob, path.as_str()));
        key.unwrap_or_default()
    }

    /// The key of a path's row in the datums map; `None` for a leaf outside any join or group.
    pub(super) fn member_key(&self, path: &FilePath) -> Option<String> {
        Some(bounded(self.key(self.member_by?, path)))
    }
}

impl Node {
    /// Whether the leaf is below this node.
    pub(super) fn has_leaf(&self, leaf: usize) -> bool {
        match self {
            Self::Leaf(own) => *own == leaf,
            Self::Cross(inputs) | Self::Union(inputs) | Self::Keyed(KeyedNode { inputs, .. }) => {
                inputs.iter().any(|input| input.has_leaf(leaf))
            }
        }
    }
}

fn number(input: &Input, member_by: Option<By>, leaves: &mut Vec<LeafShape>) -> Node {
    let first_leaf = leaves.len();
    let keyed = |by, inputs| Node::Keyed(KeyedNode { by, inputs, first_leaf, is_outermost: member_by.is_none() });
    let mut members = |inputs: &[Input], by| inputs.iter().map(|input| number(input, by, leaves)).collect();
    match input {
        Input::Pfs(input) => {
            leaves.push(LeafShape { input: input.clone(), member_by });
            Node::Leaf(first_leaf)
        }
        Input::Cron(cron) => {
            leaves.push(LeafShape { input: cron.ticks.clone(), member_by });
            Node::Leaf(first_leaf)
        }
        Input::Cross(inputs) => Node::Cross(members(inputs, member_by)),
        Input::Union(inputs) => Node::Union(members(inputs, member_by)),
        Input::Join(inputs) => keyed(By::Join, members(inputs, Some(By::Join))),
        Input::Group(inputs) => keyed(By::Group, members(inputs, Some(By::Group))),
    }
}
