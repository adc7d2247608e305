//! Resolves words: all kinds of ids by their first digits, versions of pipelines, jobs; and the files that they stand for.
//!
//! - `ids` ids, versions, files
//! - `jobs` references to jobs
//!
//! Not here: references to commits (`Store::resolve`), to datums (`datum`).

use engine::EngineError;
use specs::ReferenceError;

mod ids;
mod jobs;

pub use ids::{Files, Named, VersionOf, commit_at, files_of, find_files, find_id, find_version};
pub use repos::object::Kind;
pub use repos::store::Resolved;

pub use jobs::{find_job, find_jobs, is_pipelines};

/// The error for an invalid reference.
pub(crate) fn not_a_reference(error: &ReferenceError) -> EngineError {
    EngineError::Usage { what: error.to_string(), hint: error.hint() }
}
