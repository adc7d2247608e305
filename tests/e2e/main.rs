//! The `pv` binary from outside: one file a command, then one a promise that takes several.
//!
//! - `run` `sandbox` `executors` pipelines: how they end, what they see, that executors agree
//! - `beside` `kill` what other processes and sudden ends do to a run
//! - `threat` the example as a whole
//! - `support` events to wait for, pipelines to wait in

mod beside;
mod branch;
mod config;
mod diff;
mod errors;
mod executors;
mod find;
mod fsck;
mod get;
mod init;
mod kill;
mod log;
mod ls;
mod output;
mod put;
mod repo;
mod rework;
mod round_trip;
mod run;
mod sandbox;
mod show;
mod support;
mod tag;
mod threat;
