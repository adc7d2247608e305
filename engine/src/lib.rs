//! engine

pub mod executor;
pub mod worker;
