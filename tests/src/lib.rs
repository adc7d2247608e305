//! What end-to-end tests of the `pv` binary need: a place of their own, and output without what differs from run to run.
//!
//! - `crates` whether each crate uses what it declares
//! - `doors` what the command line may name of what is stored
//! - `env` a temporary folder with a store, and calls of `pv` in it
//! - `filters` ids, times and paths become words
//! - `hints` what `pv` tells people to type
//! - `licences` whether each crate may be used
//! - `map` whether the files that a document names are there
//! - `numpy` a Python that reckons independently
//! - `pty` a real terminal
//! - `rooms` whether the modules of a crate keep to their order
//! - `s3` a server that speaks S3
//! - `tools` outside tools
//! - `strategies` values for property tests

pub mod crates;
pub mod doors;
pub mod env;
mod filters;
pub mod hints;
pub mod licences;
pub mod map;
pub mod numpy;
pub mod pty;
pub mod rooms;
pub mod s3;
pub mod strategies;
pub mod tools;

pub use env::TestEnv;

/// A [`TestEnv`] with a store, for the `pv` that belongs to the test.
#[macro_export]
macro_rules! test_env {
    () => {
        $crate::TestEnv::with_store(env!("CARGO_BIN_EXE_pv"))
    };
}
