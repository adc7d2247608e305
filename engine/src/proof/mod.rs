//! Whether a claim is true: that a file of a commit came about as its store says.
//!
//! A claim is a chain of links, each checked by itself: a file's bytes and its place in the commit's tree, the commit and who signed it,
//! the result that wrote the file, the recipe of that result, its log; then the same for every file that the recipe names, down to what
//! people committed. Every document is named by the digest of its bytes, so nothing but the links between them has to be believed, and
//! the signatures say who does.
//!
//! - `evidence` where documents come from: a store, past its caches, or a bundle
//! - `links`    what was checked, and what it adds up to
//! - `walk`     goes through a claim, link by link
//! - `claim`    which claims there are: a file, a commit, all heads
//!
//! Not here: whether all of a store is sound (`repos::fsck`).

mod claim;
mod evidence;
mod links;
mod walk;

pub use claim::verify;
pub use links::{Link, LinkKind, Report, State, Verdict};
