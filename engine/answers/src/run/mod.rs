//! Runs: what a change caused.
//!
//! - `view`  a run, and how far its jobs are
//! - `cause` why a run came about

mod cause;
mod view;

pub use cause::{CauseView, cause_words};
pub use repos::RunRow;
pub use repos::journal::CauseKind;
pub use view::{MoveView, RunState, RunView, find_run, run_view, runs};
