//! Where a cluster may run a stage, and what its pods are given there. No result depends on it, so it is outside what names a datum.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a spec says about the pods of its stage, besides resources and registries.
///
/// Each field is one of the spec itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The nodes that will do, and how urgent the pods are.
    #[serde(default, rename = "scheduling_spec", skip_serializing_if = "Scheduling::is_empty")]
    pub scheduling: Scheduling,
    /// The taints of nodes that do not matter.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Toleration>,
    /// A JSON Patch (RFC 6902) of each pod, as written; its operations have the members that they need.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_patch: Option<String>,
}

/// The nodes that will do, and how urgent the pods are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduling {
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// Name of a priority class of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_class_name: Option<String>,
}

impl Scheduling {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Taints of nodes that do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toleration {
    /// The taint's key; `None`, with [`TolerationOperator::Exists`] only, for every taint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// How the taint's value is compared; `None` for the cluster's default, which is `EQUAL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The taint's effect; `None` for each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<TaintEffect>,
    /// How long a pod stays on its node when the taint is added, with [`TaintEffect::NoExecute`] only; `None` for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toleration_seconds: Option<u32>,
}

/// How the value of a taint is compared, in Pachyderm's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TolerationOperator {
    /// It may be any.
    Exists,
    /// It is equal.
    Equal,
}

impl TolerationOperator {
    /// Its name in a pod.
    pub fn of_pods(self) -> &'static str {
        match self {
            Self::Exists => "Exists",
            Self::Equal => "Equal",
        }
    }
}

/// What a taint does to pods, in Pachyderm's spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TaintEffect {
    /// It keeps new pods away.
    NoSchedule,
    /// New pods go elsewhere if they can.
    PreferNoSchedule,
    /// It also ends the pods that are there.
    NoExecute,
}

impl TaintEffect {
    /// Its name in a pod.
    pub fn of_pods(self) -> &'static str {
        match self {
            Self::NoSchedule => "NoSchedule",
            Self::PreferNoSchedule => "PreferNoSchedule",
            Self::NoExecute => "NoExecute",
        }
    }
}
