//! Tests planning against a brute-force model: every nesting, every change.

mod model;
mod properties;
mod world;
