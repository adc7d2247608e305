//! Outside tools, which `scripts/setup.sh` installs below the target folder.

use std::path::PathBuf;

/// The Python of one of its environments, such as `proof-tools`; `None` if it does not exist.
pub fn python_of(environment: &str) -> Option<PathBuf> {
    file_of(environment, "bin/python")
}

/// A file in one of its folders; `None` if it does not exist. Tests are in the target folder too.
pub fn file_of(folder: &str, file: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    test.ancestors().map(|above| above.join(folder).join(file)).find(|file| file.exists())
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
