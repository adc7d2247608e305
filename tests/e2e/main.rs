//! The `pv` binary from outside: one file a command.

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
