//! Names, references and pipeline specs: what the user writes, as types.
//!
//! Text is parsed once, here at the edge; all other code works with types whose values are always valid.
//! Pure functions only: no I/O, no clock, no async.
//!
//! The modules, from ground to roof. Each uses only modules listed before it; a test checks this (`tests/rooms.rs`):
//!
//! ```text
//! words        human-readable counts
//! kind         kinds of errors: exit codes, HTTP statuses
//! diagnostics  what is wrong with a text, and where; the nearest name
//! pattern      patterns of texts, for JSON Schemas
//! digest       SHA-256 digests
//! duration     durations such as `14d`
//! as_of        points in time within a reference
//! quantity     numbers with a unit
//! path         paths of files in commits
//! glob         globs, and the keys captured by them
//! ids          ids of commits, datums and runs
//! names        names of repositories, branches, pipelines …
//! schedule     when a cron input ticks
//! reference    references to commits, files, jobs and datums
//! source       where the files of a put come from
//! spec         pipeline specs
//! ```
//! Not here: what is stored (`repos`), what is executed (`engine`).

pub mod as_of;
pub mod diagnostics;
pub mod digest;
pub mod duration;
pub mod glob;
pub mod ids;
pub mod kind;
pub mod names;
pub mod path;
pub mod pattern;
pub mod quantity;
pub mod reference;
pub mod schedule;
pub mod source;
pub mod spec;
pub mod words;

pub use as_of::AsOf;
pub use diagnostics::{Diagnostic, Place, Severity, nearest};
pub use digest::Digest;
pub use duration::{Duration, DurationError};
pub use glob::{Glob, GlobError, KeyTemplate, KeyTemplateError};
pub use ids::{CommitId, DatumId, RunId, SHORT_DIGITS};
pub use kind::ErrorKind;
pub use names::{
    BranchName, NameError, NotificationName, PipelineName, RepoName, SecretKey, SecretName, TagName, TokenName,
    WatchName,
};
pub use path::{FilePath, MAX_PART_BYTES, MAX_PATH_BYTES, PathError};
pub use quantity::{Quantity, QuantityError};
pub use reference::{
    DatumRef, IdPrefix, JobRef, Reference, ReferenceError, Revision, RevisionBase, RunRef, Target, parse_target,
};
pub use schedule::{Schedule, ScheduleError};
pub use source::Source;
pub use spec::{Input, Network, Parsed, PfsInput, PipelineSpec, SpecSet, Transform, is_shell_name, parse_specs};
