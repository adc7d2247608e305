//! What can go wrong: reading, which is an error; and files that do not fit, which is a finding.

use std::fmt::Display;

/// A comparison that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A side could not be read.
    #[error("cannot read the file")]
    Read(#[source] std::io::Error),
}

/// Why a file cannot be compared as its kind: it is malformed, or too large for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) String);

/// What fits, or why not.
pub(crate) type Fit<T> = Result<T, Unfit>;

impl Unfit {
    /// Not what its kind asks for.
    pub(crate) fn malformed(kind: &str, why: impl Display) -> Self {
        Self(format!("malformed {kind}: {why}"))
    }

    /// More values than are held.
    pub(crate) fn too_many_values(most: usize) -> Self {
        Self(format!("too much: it has more than {most} values"))
    }

    /// More lists and mappings inside each other than are followed.
    pub(crate) fn too_deep() -> Self {
        Self("too much: it is nested too deep".to_owned())
    }

    /// The same, of one side.
    pub(crate) fn on(self, side: &str) -> Self {
        Self(format!("the {side} side is {}", self.0))
    }
}

impl From<std::io::Error> for Unfit {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
