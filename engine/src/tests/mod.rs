//! Whole runs through the engine, with scripted commands and a real store.

mod apply;
mod faults;
mod flow;
mod garbage;
mod inputs;
mod kept;
mod queries;
mod setting;
mod transaction;
