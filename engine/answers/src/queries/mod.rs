//! Queries: what a store knows of jobs, datums and pipelines, as plain data with the names that programs rely on.
//!
//! - `job`       a job, live or ended
//! - `datum`     the datums of a job; nothing is kept twice
//! - `details`   all about one datum or job, with what it read and wrote
//! - `cause`     why a run came about
//! - `known`     where the datums of a job are known from, whether it has ended or not
//! - `find`      references to jobs and datums, resolved
//! - `ids`       ids of every sort by their first digits, and the files they stand for
//! - `pipeline`  a pipeline: how far it is, and what it is made of
//! - `versions`  the versions that it had
//!
//! Not here: where bytes came from (`trace`), what would run (`preview`), printing (`cli`).

mod cause;
mod datum;
mod details;
mod find;
mod ids;
mod job;
mod known;
mod pipeline;
mod versions;

pub use engine::apply::differences;
pub use engine::live::{JobState, job_id};

pub use cause::CauseView;
pub use datum::{
    DatumFilter, DatumInput, DatumState, DatumView, Datums, TryView, datum_view, datums, datums_at_work, paths_of,
    running_datums,
};
pub use details::{DatumDetails, JobDetails, OutputView, datum_details, job_details, last_words};
pub use find::{FoundDatum, find_datum, find_datums_of_input, find_job, find_jobs};
pub use ids::{Files, Named, VersionOf, files_of, find_files, find_id, find_version};
pub use job::{JobView, job_view};
pub(crate) use known::Known;
pub use known::{provenance_of, results_of};
pub use pipeline::{PipelineDetails, PipelineState, PipelineView, newest_of_version, pipeline_details, pipeline_view};
pub use versions::{VersionDetails, VersionView, pipeline_versions, version_details};
