//! Ways to hand a trace on: pure functions from what was found to text.
//!
//! - `html`    one page for people who have no `pv`: what is claimed, what happened, every digest, what is missing, how to check
//! - `evidence` the parts of that page with pictures, texts, signatures and certificates
//! - `graph`   a trace as nodes and arrows, each once; `dot` and `mermaid` write it down
//! - `story`   what happened, one step after another, each before what depends on it
//! - `words`   times, sizes and names as all of them tell these
//!
//! Names and messages are whatever somebody typed: each format escapes them, and what is there to deceive the eye is written out.

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
pub use html::{html, html_in, page};
pub use mermaid::mermaid;
pub(crate) use words::command;
