//! Proof: what a store claims, checked, and in forms that others can check.
//!
//! - `verify` whether a claim is true, link by link
//!
//! Not here: keys and signatures of commits (`repos::keys`), how a trace is found (`trace`).

mod verify;

pub use verify::{Link, LinkKind, Report, State, Verdict, verify};
