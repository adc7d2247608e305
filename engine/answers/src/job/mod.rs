//! Jobs: one in short, live or ended, and all about one.
//!
//! - `view`    a job in short
//! - `details` all about one job, with the datums that failed and those at work

mod details;
mod view;

pub use details::{JobDetails, job_details};
pub use engine::live::{JobState, job_id};
pub use view::{JobView, job_view};
