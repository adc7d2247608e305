//! Whole runs through the engine, with scripted commands and a real store.

mod flow;
mod setting;
