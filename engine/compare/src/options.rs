//! How to compare, and what became of what was asked for.

use crate::limits::Limits;

/// How to compare.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is too much.
    pub limits: Limits,
    /// Key columns of tables; empty to find them.
    pub key: Vec<String>,
    /// Whether to draw a picture of where two images differ.
    pub picture: bool,
}

/// What became of a key that was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyUse {
    /// Columns or fields of it that are not on both sides: then it was not used.
    pub lacking: Vec<String>,
    /// Those that there are.
    pub columns: Vec<String>,
}
