//! Shared by commands with `--match`.

use specs::{FilePath, Glob};

use crate::error::CliError;

/// An error about a literal path; suggests `--match` if the path looks like a glob.
pub(super) fn literal(error: impl Into<CliError>, path: Option<&FilePath>) -> CliError {
    let error = error.into();
    let is_glob = |path: &&FilePath| path.as_str().contains(['*', '?', '[', '{']) && Glob::parse(path.as_str()).is_ok();
    match path.filter(is_glob) {
        Some(path) if error.misses(path.as_str()) => {
            error.hint(format!("paths are literal; to use a pattern: --match '{path}'"))
        }
        _ => error,
    }
}
