//! Progress reports of long work.

/// Receives the item in work, the number of items done, and the total (0 if unknown).
pub type Progress<'a> = &'a (dyn Fn(&str, u64, u64) + Sync);
