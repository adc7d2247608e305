//! The views, one file for each kind of thing. Each is a function `(Look, path, query) → View`; the types of path and query are beside it.

#![allow(clippy::needless_pass_by_value, reason = "all views have the signature that the table of routes asks for")]

pub mod audit;
mod charts;
pub mod data;
pub mod datum;
pub mod diff;
pub mod find;
pub mod graph;
pub mod home;
mod images;
pub mod job;
pub mod keys;
pub mod log;
pub mod notifications;
pub mod operations;
pub mod pipeline;
pub mod pipelines;
pub mod run;
pub mod runs;
pub mod settings;
pub mod storage;
pub mod tokens;
pub mod trace;
pub mod watches;
mod work;

/// The result of a view.
pub type Result<T, E = engine::EngineError> = std::result::Result<T, E>;

/// A path or query without parameters.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub struct None {}
