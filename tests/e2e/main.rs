//! The `pv` binary from outside: one file a command.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

mod branch;
mod config;
mod diff;
mod errors;
mod find;
mod fsck;
mod get;
mod init;
mod log;
mod ls;
mod output;
mod put;
mod repo;
mod rework;
mod round_trip;
mod show;
mod tag;
