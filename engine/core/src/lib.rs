//! Planning, scheduling and datums: what makes commits flow through pipelines.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! error       errors
//! blocking    blocking work in async tasks
//! run         the start of every change that can cause jobs: who, why, its run
//! graph       which pipeline reads what; which jobs a change causes
//! schedule    when a schedule is due
//! triggers    branches that follow another branch when their conditions hold
//! changes     what users do to a store; each change that can cause jobs is one run
//! target      the branch that a request commits to, and the outcome
//! put         local files and streams: read, stored, committed
//! edit        stored files: removed, moved, copied, reverted
//! transaction several of these as one
//! keep        dropping commits: prune, delete
//! time        ticks of cron inputs
//! secrets     secrets for stages
//! tokens      tokens that a server accepts
//! executors   which executor a store uses
//! datums      globs and trees to units of work
//! recipe      what one datum executes
//! inputs      which commits a job reads
//! plan        what a job has to do
//! cache       results that can replace an execution
//! feed        what running jobs have done and printed so far
//! live        current activity
//! slots       how many datums run at the same time
//! phase       the phases of an engine's life
//! execution   one job, from its plan to its seal
//! scheduler   which job runs when
//! follow      the output of a job, until it has ended
//! apply       from spec files to pipeline versions
//! trial       runs with other data, specs or code, without moving branches
//! ```
//! Not here: how anything is stored (`repos`), where user code runs (`sandbox`), answers to questions about a store (`answers`), arguments
//! and printing (`cli`).

pub mod apply;
mod blocking;
pub mod cache;
pub mod changes;
pub mod datums;
pub mod edit;
mod error;
pub mod execution;
pub mod executors;
pub mod feed;
pub mod follow;
pub mod graph;
pub mod inputs;
pub mod keep;
pub mod live;
mod phase;
pub mod plan;
pub mod put;
pub mod recipe;
pub mod run;
mod schedule;
pub mod scheduler;
pub mod secrets;
mod slots;
pub mod target;
pub mod time;
pub mod tokens;
pub mod transaction;
pub mod trial;
mod triggers;

pub use blocking::blocking;
pub use error::{EngineError, Result, in_full};
pub use execution::remake;
pub use graph::{Graph, Pipeline};
pub use phase::Phase;
pub use scheduler::{Engine, Selection};
