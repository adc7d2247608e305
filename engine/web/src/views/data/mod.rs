//! Repositories, branches, commits and their files.
//!
//! - `repos` all repositories; `repo` one of them, now or as it was; `branch` a history; `commit` a document
//! - `files` a path of a commit: `directory` its entries, `file` one file, `preview` what it holds, `history` how it came to be
//! - `upload` the form for new files, `changes` the forms for other changes
//! - `shared` pieces of these
//!
//! What these views show of a commit is pinned to its id, so an address stays true.

mod branch;
mod changes;
mod commit;
mod directory;
mod file;
mod files;
mod history;
mod preview;
mod repo;
mod repos;
mod shared;
mod upload;

pub use branch::branch;
pub use commit::commit;
pub use files::files;
pub use repo::repo;
pub use repos::repos;
pub(super) use shared::pinned;
