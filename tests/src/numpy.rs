//! A Python with numpy, pandas, Pillow, safetensors and `PyYAML`, which `scripts/setup.sh numpy` installs below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs a program in `folder` with the folder as its argument and returns what it prints; `None`, said loudly, where there is no such
/// Python. Under `CI` there has to be.
///
/// # Panics
/// When the program fails, or Python is missing under `CI`.
pub fn run(program: &str, folder: &Path) -> Option<String> {
    let Some(python) = python() else {
        skip("no numpy; scripts/setup.sh numpy installs it");
        return None;
    };
    let output = Command::new(python).args(["-c", program]).arg(folder).output().expect("python can be called");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("a program prints text"))
}

/// Below the target folder, in which this test lies too.
fn python() -> Option<PathBuf> {
    let test = std::env::current_exe().ok()?;
    test.ancestors().map(|folder| folder.join("numpy/bin/python")).find(|python| python.exists())
}

#[expect(clippy::print_stderr, reason = "for whoever runs the tests")]
fn skip(why: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI leaves nothing out: {why}");
    eprintln!("SKIPPED: {why}");
}
