//! Trace: from a file back to its provenance, and forward to everything derived from it.
//!
//! - `back`: the datum that wrote a file, what that datum read, who wrote that, and so on down to users' commits
//! - `inputs`: within that, what a datum read: files, directories, groups
//! - `same`: which input a file equals, if a datum linked or copied it
//! - `exhibits`: the content of files in a trace: pictures, texts, tensors; and who vouches for its commits
//! - `forward`: every datum that read a file, or one of a directory or commit, including those that wrote nothing, and so on downstream
//! - `nodes`: the result of both, as data
//! - `formats`: a trace as a page, or as a graph for other programs; the caller draws the tree on a terminal
//!
//! Backward costs O(depth · log n): each step is a lookup in a commit's lineage map. Forward costs the same for each datum it finds. A
//! matched directory or group is one input: up to 64 files are all followed, of more only the first 10, unless all are requested.
//! Missing data, such as pruned content, is a *gap*, and what was left out is *cut*; both are reported, and a trace without them is
//! complete.

mod back;
mod exhibits;
pub mod formats;
mod forward;
mod inputs;
mod nodes;
mod same;
mod sums;

pub(crate) use back::{CommitPath, brought};
pub use back::{Reach, trace};
pub use exhibits::{Exhibits, exhibits};
pub use forward::{ForwardOptions, forward};
pub(crate) use inputs::{matched, origins_of};
pub use nodes::{
    AtHead, BranchCommit, Brought, DatumNode, Extent, FileNode, Forward, ForwardPeriod, ForwardPlace, InputNode, Made,
    Mention, Now, Origin, Reader, SameAs, SourceNode, Start, Trace, VersionNode,
};
pub use sums::{ReadersSum, by_pipeline};
