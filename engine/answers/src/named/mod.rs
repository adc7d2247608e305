//! What words name: ids of every sort by their first digits, versions of pipelines, jobs; and the files that they stand for.
//!
//! - `ids`  ids, versions, files
//! - `jobs` references to jobs, resolved
//!
//! Not here: references to commits (`Store::resolve`), to datums (`datum`).

mod ids;
mod jobs;

pub use ids::{Files, Named, VersionOf, files_of, find_files, find_id, find_version};
pub use repos::object::Kind;
pub use repos::store::Resolved;

pub use jobs::{find_job, find_jobs};
