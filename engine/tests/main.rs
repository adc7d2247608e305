//! Whole runs through the engine, with scripted commands and a real store.

#![expect(clippy::unwrap_used, reason = "tests; the lint's own exception does not reach their helpers")]

mod access;
mod apply;
mod branches;
mod chain;
mod code;
mod failures;
mod faults;
mod flow;
mod following;
mod forgeries;
mod forms;
mod garbage;
mod graphs;
mod inputs;
mod kept;
mod living;
mod memory;
mod outside;
mod owned;
mod plan;
mod queries;
mod readers;
mod requests;
mod sent;
mod setting;
mod stop;
mod time;
mod transaction;
mod trial;
mod waits;
mod workers;
