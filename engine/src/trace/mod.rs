//! Trace: from one file to everything that it rests on, and forward to everything that rests on it.
//!
//! - `back`    the datum that wrote a file, what that datum read, who wrote that, down to the commits of people
//! - `forward` every datum that read a file, also those that wrote nothing, and so on downstream
//! - `nodes`   what both find, as data: how it is printed is the caller's business
//!
//! Backward costs O(depth · log n): each step is a look-up in a commit's lineage map. Forward costs as much for each datum that it finds. What is gone, such as pruned content, is a *gap* and
//! is named; without gaps a trace is complete.

mod back;
mod forward;
mod nodes;

pub use back::trace;
pub use forward::{ForwardOptions, forward};
pub use nodes::{
    DatumNode, FileNode, Forward, ForwardPlace, InputNode, Made, Mention, Origin, Reader, SourceNode, Trace,
};
