//! Jobs: one in short, live or ended, all about one, and those that there are.
//!
//! - `view`     a job in short
//! - `list`     jobs of the store, of a pipeline or of a run
//! - `awaited`  the jobs that `pv wait` waits for
//! - `pace`     how fast a job is that runs in this process, what a job made
//! - `details`  all about one job, with the datums that failed and those at work
//! - `failures` why one failed, in short

mod awaited;
mod details;
mod failures;
mod list;
mod pace;
mod view;

pub use awaited::{Awaited, EndedView, Selected, awaited, awaited_jobs, ended_view, job_now};
pub use details::{JobDetails, job_details};
pub use engine::live::{JobState, LiveJob, job_id};
pub use failures::{Ended, FailedDatum, Most, failed_datums, first_cause, may_be_retried, why_ended};
pub use list::{Jobs, jobs, jobs_after};
pub use pace::{JobOutput, Pace, output_of, pace};
pub use repos::JobRow;
pub use repos::documents::JobDocument;
pub use repos::journal::SealedState;
pub use view::{JobView, document_of, job_view, job_view_among, live_job, newest_of_version, short_job};
