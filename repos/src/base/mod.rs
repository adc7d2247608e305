//! The base of all other modules. Its modules, from ground to roof:
//!
//! ```text
//! hash        SHA-256
//! time        points in time, and the clock
//! random      random numbers
//! kind        the kinds of objects, and the classes of packs that hold them
//! pack_name   the names of packs
//! pruned      marks files as given up, with the reason
//! tree_error  errors of trees
//! error       errors of a store, with kind and hint
//! progress    progress reports of long work
//! faults      injects failing writes in tests
//! stop        points at which tests end the process
//! watch       shows tests what reaches the disk
//! durable     fsync and write-back
//! parallel    applies one function to many items on all cores
//! ```

pub(crate) mod durable;
pub(crate) mod error;
pub(crate) mod faults;
pub mod hash;
pub mod kind;
pub(crate) mod pack_name;
pub(crate) mod parallel;
pub(crate) mod progress;
pub(crate) mod pruned;
pub(crate) mod random;
pub(crate) mod stop;
pub mod time;
pub(crate) mod tree_error;
pub(crate) mod watch;
