//! Names, references and pipeline specs: what the user writes, as types.
//!
//! Text is parsed once, here, at the edge; everything above works with types whose values are always legal.
//! Pure functions only: no I/O, no clock, no async.
//! Not here: what is stored (`repos`), what is executed (`engine`).

pub mod digest;
pub mod ids;
pub mod kind;
pub mod names;
pub mod path;

pub use digest::Digest;
pub use ids::{CommitId, DatumId, RunId};
pub use kind::ErrorKind;
pub use names::{BranchName, NameError, PipelineName, RepoName, TagName};
pub use path::{FilePath, PathError};
