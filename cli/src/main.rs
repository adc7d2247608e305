//! The `pv` binary.

fn main() {}
