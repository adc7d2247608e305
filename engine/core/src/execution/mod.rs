//! Execution: one job from its plan to its seal.
//!
//! - `job`: dispatches the planned datums to workers and collects their results
//! - `placement`: the limits that a spec sets, and what it asks of a cluster
//! - `worker`: stages, runs and stores one datum after another
//! - `datum`: one datum: its cache lookup, its environment, its result
//! - `seats`: the sandboxes of a worker, one of them with more memory if a datum needs it
//! - `tries`: its tries, and the error command after the last
//! - `intake`: stores what a try prints and writes
//! - `mask`: masks secrets in its output
//! - `source`: reads input files for a sandbox
//! - `output`: the job's output as edits of its base; two datums that write the same path
//! - `pool`: warm sandboxes, kept between jobs
//! - `remake`: restores a damaged output by executing its recipe again
//! - `failed`: the failed datums of an ended job, and which of them read certain files
//! - `skip`: failed datums that a retry does not execute
//! - `seal`: the commit and the journal record that end a job
//!
//! Results are written as soon as a datum ends, so that no finished datum runs again, whatever happens to the job.
//!
//! A datum that an engine executed before it died counts as processed in its job, not as cached, because it ran in this job.
//!
//! Not here: which job runs when (`scheduler`), what it has to do (`plan`).

mod datum;
mod failed;
mod intake;
mod job;
mod mask;
mod output;
mod placement;
mod pool;
mod remake;
mod seal;
mod seats;
mod skip;
mod source;
mod tries;
mod worker;

pub(crate) use datum::DatumContext;
pub(crate) use failed::failed_keys;
pub use failed::failed_results;
pub use intake::Outputs;
pub(crate) use job::{JobContext, JobSettings, Stop, datum_context, labels, run_job, work};
pub(crate) use pool::Pool;
pub use remake::{again, remake};
pub(crate) use seal::{Ended, Sealing, end_of, seal};
pub(crate) use seats::Seats;
pub use skip::{Skipped, SkippedDatum};
