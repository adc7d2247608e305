//! Diff: what differs between two commits, and why.
//!
//! - `content`: compares two files of the store, by their kind (`compare` does the work)
//! - `entries`: which paths differ, with renames; read lazily
//! - `folders`: which folders differ, counted at a bounded cost
//! - `flips`: one field of all records: which decisions changed
//! - `why`: the differences in the provenance of two output commits, and what ran for the newer one
//!
//! Not here: printing (`cli`), trees (`repos::tree`).

mod content;
mod directories;
mod entries;
mod flips;
mod folders;
mod listing;
mod sides;
mod why;
pub mod words;

pub use content::{Named, compare_files};
pub use directories::Directories;
pub use entries::{Change, Counts, Entries, Entry, Paged, entries, page};
pub use flips::{Decision, Flips, Move, Record, Seen, Verdict, flips};
pub use folders::{FolderDiff, folders};
pub use listing::{DiffView, RepoDiff, RunCommits, commits_of_runs, diff_of_runs, two_runs};
pub use sides::Sides;
pub use why::{Ran, SourceCause, StageCause, Why, why, why_up_to};
