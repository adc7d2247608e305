//! Checks that each crate that pv is built from has a licence that `deny.toml` allows, and comes from crates.io.
//!
//! `cargo deny check` does the same, and fetches advisories too; this needs neither network nor another tool. Licences are SPDX
//! expressions.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

/// The source of all crates except our own.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// All faults of the crates in the workspace at `root`, one per line.
///
/// # Panics
/// If `deny.toml` cannot be read or `cargo metadata` fails.
pub fn faults(root: &Path) -> Vec<String> {
    let allowed = allowed(&std::fs::read_to_string(root.join("deny.toml")).expect("a file with the rules"));
    packages(root).iter().filter_map(|package| fault(package, &allowed)).collect()
}

/// The licences between `allow = [` and `]`: TOML strings, one per line.
fn allowed(rules: &str) -> Vec<Licensee> {
    let list =
        rules.split_once("\nallow = [").and_then(|(_, rest)| rest.split_once(']')).expect("a list of licences").0;
    let names =
        list.lines().map(|line| line.trim().trim_end_matches(',').trim_matches('"')).filter(|name| !name.is_empty());
    names.map(|name| Licensee::parse(name).expect("an SPDX licence")).collect()
}

/// The crates that a build for this machine uses, tests included.
fn packages(root: &Path) -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    cargo.args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &target]);
    let output = cargo.current_dir(root).output().expect("cargo starts");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let mut metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let Value::Array(packages) = metadata["packages"].take() else { panic!("no packages") };
    packages
}

fn fault(package: &Value, allowed: &[Licensee]) -> Option<String> {
    let name = package["name"].as_str().unwrap_or_default();
    match package["source"].as_str() {
        None => return None,
        Some(CRATES_IO) => {}
        Some(other) => return Some(format!("{name} comes from {other}")),
    }
    let Some(licence) = package["license"].as_str() else { return Some(format!("{name} names no licence")) };
    let Ok(expression) = Expression::parse_mode(licence, ParseMode::LAX) else {
        return Some(format!("{name}: `{licence}` is not an SPDX expression"));
    };
    let is_allowed = expression.evaluate(|asked| allowed.iter().any(|licensee| licensee.satisfies(asked)));
    (!is_allowed).then(|| format!("{name}: `{licence}` is not allowed"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_crate_has_a_licence_that_is_allowed() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert!(packages(root).len() > 100, "it looks at all crates");
        assert_eq!(faults(root), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_allowed_is_told() {
        let allowed = allowed("[licenses]\nallow = [\n    \"MIT\",\n    \"Apache-2.0\",\n]\n");
        let told = |licence: Value, source: &str| {
            fault(&json!({ "name": "x", "license": licence, "source": source }), &allowed)
        };
        assert_eq!(told(json!("MIT/GPL-3.0-only"), CRATES_IO), None);
        assert_eq!(told(json!("MIT AND GPL-3.0-only"), CRATES_IO).unwrap(), "x: `MIT AND GPL-3.0-only` is not allowed");
        assert_eq!(told(Value::Null, CRATES_IO).unwrap(), "x names no licence");
        assert_eq!(told(json!("mine"), CRATES_IO).unwrap(), "x: `mine` is not an SPDX expression");
        assert_eq!(told(json!("MIT"), "git+https://example.org/x").unwrap(), "x comes from git+https://example.org/x");
        assert_eq!(fault(&json!({ "name": "own", "source": null }), &allowed), None);
    }
}
