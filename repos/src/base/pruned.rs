//! Marks the files of a commit as given up, with the reason that errors report.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Why the files of commits are given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PruneWhy {
    /// A user asked for it.
    Asked,
    /// They are older than the setting `retention` allows.
    Retention,
    /// No branch or tag has reached them for as long as the setting `gc_grace` says.
    Expired,
    /// The commit was deleted.
    Deleted,
}

/// The files of a commit are given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// When this happened.
    pub at: Timestamp,
    /// Why.
    pub why: PruneWhy,
    /// The identity that the store authenticated.
    pub by: String,
}

impl std::fmt::Display for Pruned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, why, by } = self;
        let day = at.to_string();
        let day = day.get(..10).unwrap_or(&day);
        match why {
            PruneWhy::Asked => write!(f, "pruned on {day} by {by}"),
            PruneWhy::Retention => write!(f, "pruned on {day} by the setting `retention`"),
            PruneWhy::Expired => write!(f, "dropped on {day} by `pv gc`, because no branch or tag reached its commit"),
            PruneWhy::Deleted => write!(f, "its commit was deleted on {day} by {by}"),
        }
    }
}
