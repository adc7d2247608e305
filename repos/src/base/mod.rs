//! What all rooms stand on. Its modules, from ground to roof:
//!
//! ```text
//! hash        SHA-256
//! time        points in time, and the clock that tells them
//! random      random numbers
//! kind        the kinds of objects, and the classes of packs that they go to
//! pack_name   the names of packs
//! pruned      that files are given up, and why
//! tree_error  what trees find wrong
//! error       what can go wrong in a store, with its kind and a hint
//! progress    how work that takes long tells how far it is
//! faults      where tests have a write fail
//! stop        points at which tests end the process
//! watch       where tests see what reaches the disk
//! durable     what has to reach the disk
//! parallel    the same with many things, on all cores
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
