//! What a datum is before anything is known of its recipe: a key and a list of arms.

use specs::FilePath;

use super::{DatumKey, Match};

/// What one matched path contributes to a datum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputMatch {
    /// The number of the leaf in the spec.
    pub leaf: usize,
    /// The path that its glob matched.
    pub path: FilePath,
    /// What is there.
    pub matched: Match,
    /// The key of the join or group that the leaf is in; of several the outermost one's.
    pub key: Option<String>,
}

/// The files that one execution of user code sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Datum {
    /// Its place in the map of datums.
    pub(crate) key: DatumKey,
    /// In spec order; of a group those of one leaf by path.
    pub(crate) inputs: Vec<InputMatch>,
}
