//! What end-to-end tests of the `pv` binary need: a place of their own, and output without what differs from run to run.
//!
//! - `browser` a real browser
//! - `crates` whether each crate uses what it declares
//! - `doors` what the command line may name of what is stored
//! - `env` a temporary folder with a store, and calls of `pv` in it
//! - `filters` ids, times and paths become words
//! - `hints` what `pv` tells people to type
//! - `licences` whether each crate may be used
//! - `map` whether the files that a document names are there
//! - `numpy` a Python that reckons independently
//! - `only_here` the tests that cannot go through a server
//! - `pty` a real terminal
//! - `receivers` who notifications are sent to
//! - `rooms` whether the modules of a crate keep to their order
//! - `s3` a server that speaks S3
//! - `served` calls of `pv` through a server
//! - `tools` outside tools
//! - `strategies` values for property tests
//!
//! Variables scale the long tests: `PV_CASES`, `PV_KILLS` (with `PV_SEED`, `PV_CLIENTS`), `PV_COMMITS`, `PV_BURST`, `PV_DAMAGES`, `PV_FORGERIES`, `PV_GC_SECONDS`,
//! `PV_LOG_BYTES`, `PV_OUTPUT_FILES`, `PV_LOOKS` with `PV_LOOK_SECONDS` (looks while owners come and go), `PV_BOUND_SECONDS` (how long an
//! owner may take to end). `PV_TEST_BINARY` is the server under load. `PV_SCREENSHOTS` is
//! the folder for pictures of the page. `PV_TEST_SERVER=1` has each call of `pv` go through a server. `PV_PARSE_ONLY` ends a command after its arguments were parsed.
//!
//! Tools of others check ours: `moto` is the S3 server; numpy, pandas and Pillow compute what `pv diff` prints; `in-toto-attestation`,
//! `securesystemslib`, `openssl`, `sha256sum` and `unzip` check what pv signs, `signed_note` and `tlog_tiles` its checkpoints;
//! `standardwebhooks` and `aiosmtpd` receive its notifications; Chromium opens its page, and `axe-core` looks for what shuts people out.

pub mod browser;
pub mod crates;
pub mod doors;
pub mod env;
mod filters;
pub mod hints;
pub mod licences;
pub mod map;
pub mod numpy;
pub mod only_here;
pub mod pty;
pub mod receivers;
pub mod rooms;
pub mod s3;
pub mod served;
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
