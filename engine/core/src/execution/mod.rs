//! Execution: one job from its plan to its seal.
//!
//! - `job`     dispatches the planned datums to workers and collects what they give
//! - `worker`  stages, runs and takes in one datum after another
//! - `datum`   one datum: the cache, its environment, its result
//! - `tries`   its tries, and the error command after the last
//! - `intake`  what a try prints and writes, on its way into the store
//! - `mask`    secrets in what it prints
//! - `source`  input files on their way into a sandbox
//! - `output`  the job's output as edits of its base; two datums that write one path
//! - `pool`    warm sandboxes, kept between jobs
//! - `remake`  an output that is damaged, made again by its recipe
//! - `skip`    failed datums that a retry continues without
//! - `seal`    the commit and the journal's record that end a job
//!
//! Results are written the moment a datum ends, so that no finished datum runs again, whatever happens to the job.
//! Not here: which job runs when (`scheduler`), what it has to do (`plan`).

mod datum;
mod intake;
mod job;
mod mask;
mod output;
mod pool;
mod remake;
mod seal;
mod skip;
mod source;
mod tries;
mod worker;

pub(crate) use datum::DatumContext;
pub use intake::Outputs;
pub(crate) use job::{JobContext, JobSettings, Stop, datum_context, labels, run_job, work};
pub(crate) use pool::Pool;
pub use remake::{again, remake};
pub(crate) use seal::{Ended, Sealing, end_of, seal};
pub use skip::Skipped;
pub(crate) use skip::{failed_keys, failed_results};
