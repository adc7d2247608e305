//! The `pv` binary from outside: one file a command.
#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod branch;
mod config;
mod datum;
mod diff;
mod errors;
mod find;
mod flow;
mod fsck;
mod get;
mod init;
mod job;
mod log;
mod ls;
mod output;
mod pipeline;
mod put;
mod repo;
mod rework;
mod round_trip;
mod show;
mod status;
mod tag;
mod trace;
