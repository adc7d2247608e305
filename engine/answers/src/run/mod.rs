//! Runs: what a change caused.
//!
//! - `view` a run, and the progress of its jobs
//! - `cause` what caused a run
//! - `marks` the runs of the last days, in short
//! - `select` those that have to do with a repository or a pipeline

mod cause;
mod marks;
mod select;
mod view;

pub use cause::{CauseView, Causes, cause_words};
pub use marks::{RunMark, run_marks};
pub use repos::RunRow;
pub use repos::journal::CauseKind;
pub use select::{RunFilter, runs_where};
pub use view::{MoveView, RunState, RunView, find_run, run_view, runs, runs_before};

pub(crate) use view::rows_from;
