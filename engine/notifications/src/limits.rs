//! How long an attempt may take.

use std::time::Duration;

/// Bounds of one attempt. Tests make them short.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// For a connection.
    pub connect: Duration,
    /// For an HTTP request, up to the head of the answer.
    pub attempt: Duration,
    /// For the rest of an answer that says why it failed.
    pub answer: Duration,
    /// For a mail: a server may look through it for a while before it takes it.
    pub mail: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { connect: seconds(5), attempt: seconds(15), answer: seconds(2), mail: seconds(60) }
    }
}
