//! Planning, scheduling and datums: what makes commits flow through pipelines.
//!
//! ```text
//! changes    what people do to a store; each change that can cause jobs is one run
//! transaction several of these as one
//! keep       giving up commits: prune, delete
//! apply      from spec files to pipeline versions      graph  who reads what; which jobs a change causes
//! time       ticks of clocks, and triggers
//! generations which commits a job takes         plan     what it has to do
//! datums     globs and trees to units of work  recipe   what one of them executes
//! scheduler  which job runs when     turns    how many datums at a time     live     what goes on
//! feed       what jobs that run have done and printed so far
//! trial      other data, specs or code in place of the current, moving nothing
//! secrets    what stages are told in confidence
//! executors  which executor a store uses
//! ```
//! Not here: how anything is stored (`repos`), where user code runs (`sandbox`), what a store answers to questions (`answers`), arguments
//! and printing (`cli`).

pub mod apply;
pub mod cache;
pub mod changes;
pub mod datums;
mod error;
pub mod execution;
pub mod executors;
pub mod feed;
pub mod generations;
pub mod graph;
pub mod keep;
pub mod live;
pub mod plan;
pub mod recipe;
pub mod scheduler;
pub mod secrets;
pub mod time;
pub mod transaction;
pub mod trial;
mod turns;

pub use error::{EngineError, Result, in_full};
pub use execution::remake;
pub use graph::{Graph, Pipeline};
pub use scheduler::{Engine, Selection};
