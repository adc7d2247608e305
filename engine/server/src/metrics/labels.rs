//! By what things are counted.

use engine::Phase;
use prometheus_client::encoding::EncodeLabelSet;

/// Jobs by pipeline and end; datums by pipeline and end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfOutcome {
    pub(crate) pipeline: String,
    pub(crate) outcome: &'static str,
}

/// Jobs by pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfPipeline {
    pub(crate) pipeline: String,
}

/// Requests by operation and class of status.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRequest {
    operation: &'static str,
    status: &'static str,
}

impl OfRequest {
    pub(crate) fn new(operation: &'static str, status: u16) -> Self {
        let status = match status {
            ..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            500.. => "5xx",
        };
        Self { operation, status }
    }
}

/// Open jobs by state.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfState {
    pub(crate) state: &'static str,
}

/// Phases of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfPhase {
    phase: &'static str,
}

impl OfPhase {
    pub(crate) fn of(phase: Phase) -> Self {
        let phase = match phase {
            Phase::Running => "running",
            Phase::Draining => "draining",
            Phase::Interrupted => "interrupted",
            Phase::Ended => "ended",
        };
        Self { phase }
    }
}
