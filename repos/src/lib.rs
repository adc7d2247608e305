//! repos

pub mod tree;
