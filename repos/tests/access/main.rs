//! Who may see and do what: tokens, the audit log, what a limited handle sees, and what it may change.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;

mod entries;
mod seen;
mod tokens;

use repos::access::{Access, RepoGlobs, Role};

/// What `ci` may do.
fn access(role: Role, globs: &[&str]) -> Access {
    Access { who: "ci".to_owned(), role, repos: RepoGlobs::parse(globs).unwrap(), client: "ci".to_owned() }
}
