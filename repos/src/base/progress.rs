//! How work that takes long tells how far it is.

/// Is told what the work looks at, how many it has done, and how many there are (0 when that is not known).
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);
