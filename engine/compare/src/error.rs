//! What can go wrong: a failed read, which is an error; and a file that does not fit its kind, which is a finding.

use std::fmt::Display;

/// Why a comparison could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// A side could not be read.
    #[error("cannot read the file")]
    Read(#[source] std::io::Error),
}

/// Why a file cannot be compared as its kind: it is malformed, or too large for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfit(pub(crate) String);

/// A result, or why the file does not fit its kind.
pub(crate) type Fit<T> = Result<T, Unfit>;

impl Unfit {
    /// The file does not follow the format of its kind.
    pub(crate) fn malformed(kind: &str, why: impl Display) -> Self {
        Self(format!("malformed {kind}: {why}"))
    }

    /// It has too many values.
    pub(crate) fn too_many_values(most: usize) -> Self {
        Self(format!("too much: it has more than {most} values"))
    }

    /// Its lists and mappings are nested too deep.
    pub(crate) fn too_deep() -> Self {
        Self("too much: it is nested too deep".to_owned())
    }

    /// The same, naming the side.
    pub(crate) fn on(self, side: &str) -> Self {
        Self(format!("the {side} side is {}", self.0))
    }
}

impl From<std::io::Error> for Unfit {
    fn from(error: std::io::Error) -> Self {
        Self(error.to_string())
    }
}
