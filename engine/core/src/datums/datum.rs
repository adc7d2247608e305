//! A datum before its recipe is known: a key and a list of matches.

use specs::FilePath;

use super::{DatumKey, Match};

/// What one matched path contributes to a datum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputMatch {
    /// The number of the leaf in the spec.
    pub leaf: usize,
    /// The path that its glob matched.
    pub path: FilePath,
    /// What is at this path.
    pub matched: Match,
    /// The key of the join or group that the leaf is in; of several, that of the outermost one.
    pub key: Option<String>,
}

/// The files that one execution of user code sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Datum {
    /// Its key in the datums map.
    pub(crate) key: DatumKey,
    /// In spec order; within a group, those of one leaf by path.
    pub(crate) inputs: Vec<InputMatch>,
}
