//! Where the bytes of objects lie. Its modules, from ground to roof:
//!
//! ```text
//! place     a prefix of an object store, where packs and journal can be kept
//! manifest  how one file is cut into chunks
//! packs     the few large files in which all objects lie
//! ```

pub mod manifest;
pub mod packs;
pub mod place;
