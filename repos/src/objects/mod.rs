//! Storage of object bytes. Its modules, from ground to roof:
//!
//! ```text
//! place     a prefix of an object store that can hold packs and journal
//! manifest  how one file is cut into chunks
//! packs     the few large files that contain all objects
//! ```

pub mod manifest;
pub mod packs;
pub mod place;
