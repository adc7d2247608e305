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
//! aside      tries: other data, specs or code in place of the current, moving nothing
//! proof      whether a claim is true, and what convinces others of it
//! explain    why something ran, or did not        outlook  what would run
//! diff       what differs between two commits, and why
//! metrics    what files say in figures, beside the parameters that they came from
//! proof      claims that others can check: statements, envelopes
//! secrets    what stages are told in confidence
//! executors  which executor a store uses
//! ```
//! Not here: how anything is stored (`repos`), where user code runs (`sandbox`), arguments and printing (`cli`).

pub mod apply;
pub mod aside;
mod cache;
pub mod changes;
pub mod datums;
pub mod diff;
mod error;
mod execution;
pub mod executors;
pub mod explain;
pub mod feed;
pub mod generations;
pub mod graph;
pub mod keep;
pub mod live;
pub mod metrics;
pub mod outlook;
pub mod plan;
pub mod proof;
pub mod queries;
pub mod recipe;
pub mod scheduler;
pub mod secrets;
#[cfg(test)]
mod tests;
pub mod time;
pub mod trace;
pub mod transaction;
mod turns;

pub use error::{EngineError, Result};
pub use execution::remake;
pub use graph::{Graph, Pipeline};
pub use scheduler::{Engine, Selection};
