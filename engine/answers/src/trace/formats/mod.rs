//! Formats for passing a trace on: pure functions from a trace to text.
//!
//! - `html`: one page for people without `pv`: what is claimed, what happened, every digest, what is missing, how to check
//! - `evidence`: the parts of that page with pictures, texts, signatures and certificates
//! - `graph`: a trace as nodes and arrows, each once; `dot` and `mermaid` write it
//! - `story`: what happened, step by step, each before what depends on it
//! - `words`: times, sizes and names, as all formats write them
//!
//! Names and messages are arbitrary user text: each format escapes them, and writes out characters that could deceive the reader.

mod dot;
mod evidence;
mod graph;
mod html;
mod mermaid;
mod story;
mod words;

#[cfg(test)]
mod tests;

pub use dot::dot;
pub use graph::{About, Arrow, Graph, Node, Sort};
pub use html::{html, html_in, page, page_in_utc};
pub use mermaid::mermaid;
pub use story::{Story, StoryStep, shown_commit};
pub use words::command;
