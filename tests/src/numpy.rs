//! A Python with numpy, pandas, Pillow, safetensors and `PyYAML`, which `scripts/setup.sh numpy` installs below the target folder.

use std::path::Path;
use std::process::Command;

use crate::tools::{python_of, skip};

/// Runs a program in `folder` with the folder as its argument and returns its output; skips with a message and returns `None` without such
/// a Python. With `CI` it must exist.
///
/// # Panics
/// If the program fails, or Python is missing with `CI`.
pub fn run(program: &str, folder: &Path) -> Option<String> {
    let Some(python) = python_of("numpy") else {
        skip("no numpy; scripts/setup.sh numpy installs it");
        return None;
    };
    let output = Command::new(python).args(["-c", program]).arg(folder).output().expect("python can be called");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("a program prints text"))
}
