//! How to compare, and how the requested key was used.

use crate::limits::Limits;

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Size limits.
    pub limits: Limits,
    /// Key columns of tables; empty to detect them.
    pub key: Vec<String>,
    /// Whether to draw a picture of the differences between two images.
    pub picture: bool,
}

/// How a requested key was used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// Its columns or fields that are missing on a side: then the key was not used.
    pub lacking: Vec<String>,
    /// The existing columns or fields.
    pub columns: Vec<String>,
}
