//! Outside tools, which `scripts/setup.sh` installs below the target folder.

use std::path::PathBuf;

/// The Python of one of its environments, such as `proof-tools`; `None` if it does not exist. Tests are in the target folder too.
pub fn python_of(environment: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    test.ancestors().map(|folder| folder.join(environment).join("bin/python")).find(|python| python.exists())
}

/// Reports that something is not tested here.
///
/// # Panics
/// With `CI`, where nothing may be skipped.
#[expect(clippy::print_stderr, reason = "for whoever runs the tests")]
pub fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI leaves nothing out: {why}");
    eprintln!("SKIPPED: {why}");
}
