//! Folders whose files are committed by themselves, as they arrive.
//!
//! A [`Watcher`] looks at a folder of this machine and commits what has settled there to a branch. What the kernel tells of changes is only
//! a hint for when to look; a look is the truth, and so is the branch: each batch is compared with its head, so that a restart, a kill or a
//! second watcher neither loses nor doubles anything.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! plan      what to watch, where to, and what to do with files that are committed
//! settle    which files have settled: pure
//! writers   which files somebody has open for writing
//! world     the time, and who writes
//! hints     what the kernel tells of changes
//! trouble   what does not work, each said once
//! folder    looks at the folder
//! branch    the branch that gets the files, wherever its store is
//! far       the two sides of a watch whose store is on another machine
//! after     moves or deletes files that are committed
//! watcher   all of it together, a step at a time
//! standing  watches that the store keeps, and how they are doing
//! keeper    runs the watches that the store keeps
//! ```
//! Not here: reading and storing files (`repos::files`), how a commit is published (`engine::changes`), text for people (`cli`).

mod after;
mod branch;
pub mod far;
mod folder;
mod hints;
mod keeper;
mod plan;
mod settle;
pub mod standing;
mod trouble;
mod watcher;
mod world;
mod writers;

pub use branch::{Branch, NewBatch, Taken};
pub use keeper::keep;
pub use plan::{After, Plan, PlanError, TEMPORARY, Template, name_of};
pub use trouble::Trouble;
pub use watcher::{Batch, Seen, Watcher};
