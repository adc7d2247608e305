//! Answers: what a store tells when it is asked. Each question is a function, and beside it stands the type that it returns.
//! The modules, from ground to roof; each knows those before it and none behind it, which a test holds (`tests/rooms.rs`):
//!
//! ```text
//! queries  jobs, datums, pipelines, runs and ids, as plain data with the names that programs rely on
//! trace    where a file comes from, and what came of it
//! metrics  what files say in figures, beside the parameters that they came from
//! explain  why something ran, or did not
//! diff     what differs between two commits, and why
//! preview  what would run
//! trial    how what was tried compares with the present
//! proof    claims that others can check: statements, envelopes; executing again what is claimed
//! ```
//! Nothing here changes a store. Not here: what makes commits flow (`engine`), words and tables (`cli`).

pub mod diff;
pub mod explain;
pub mod metrics;
pub mod preview;
pub mod proof;
pub mod queries;
pub mod trace;
pub mod trial;
