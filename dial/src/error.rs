//! Why a server cannot be used.

use specs::ErrorKind;

/// Why a server cannot be used, in words: most of them are what the server says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct ServerError {
    /// Exit codes follow from this.
    pub kind: ErrorKind,
    /// What failed, with which server.
    pub what: String,
    /// The next thing to try.
    pub hint: String,
}

impl ServerError {
    pub(crate) fn new(kind: ErrorKind, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { kind, what: what.into(), hint: hint.into() }
    }

    /// A usage error, with a correct line as hint.
    pub(crate) fn usage(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, what, hint)
    }
}

/// The result of what a server is needed for.
pub(crate) type Result<T, E = ServerError> = std::result::Result<T, E>;
