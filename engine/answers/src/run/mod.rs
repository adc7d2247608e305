//! Runs: what a change caused.
//!
//! - `view` a run, and the progress of its jobs
//! - `cause` what caused a run

mod cause;
mod view;

pub use cause::{CauseView, cause_words};
pub use repos::RunRow;
pub use repos::journal::CauseKind;
pub use view::{MoveView, RunState, RunView, find_run, run_view, runs, runs_before};

pub(crate) use view::rows_from;
