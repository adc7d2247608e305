//! Checks that each crate uses what it declares, and that each dependency has a reason.
//!
//! The compiler checks the reverse: that what is used is declared.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::rooms::words_of;

/// A dependency of a crate: its name, and whether tests alone may use it.
struct Declared {
    name: String,
    for_tests: bool,
}

/// All faults in the workspace at `root`, one per line: dependencies that their crate does not use, or only in tests, and entries of the
/// workspace's list that no crate uses or that give no reason.
///
/// # Panics
/// If a file cannot be read.
pub fn faults(root: &Path) -> Vec<String> {
    let manifest = read(&root.join("Cargo.toml"));
    let (mut faults, mut taken) = (Vec::new(), BTreeSet::new());
    for member in members(root, &manifest) {
        let name = member.display().to_string();
        let text = read(&root.join(&member).join("Cargo.toml"));
        let (code, tests) = words(root, &member, &text);
        for Declared { name: dependency, for_tests } in dependencies(&text) {
            let word = dependency.replace('-', "_");
            if for_tests && !tests.contains(&word) && !code.contains(&word) {
                faults.push(format!("{name}: no test uses `{dependency}`"));
            } else if !for_tests && !code.contains(&word) {
                faults.push(format!("{name}: no code uses `{dependency}`"));
            }
            taken.insert(dependency);
        }
    }
    let lines = section(&manifest, "workspace.dependencies").filter(|line| line.contains(" = "));
    for line in lines.filter(|line| !line.contains("path = ")) {
        let name = line.split(" = ").next().unwrap_or_default();
        if !taken.contains(name) {
            faults.push(format!("no crate takes `{name}`"));
        }
        if !line.contains(" # ") {
            faults.push(format!("`{name}` gives no reason"));
        }
    }
    faults
}

/// The folders of the crates.
fn members(root: &Path, manifest: &str) -> Vec<PathBuf> {
    let list =
        manifest.split_once("members = [").and_then(|(_, rest)| rest.split_once(']')).expect("a list of members").0;
    let names = list.split(',').map(|name| name.trim().trim_matches('"')).filter(|name| !name.is_empty());
    let folders = names.flat_map(|name| match name.strip_suffix("/*") {
        None => vec![PathBuf::from(name)],
        Some(folder) => {
            let below = fs::read_dir(root.join(folder)).expect("a folder of crates");
            below.map(|entry| Path::new(folder).join(entry.expect("an entry of a folder").file_name())).collect()
        }
    });
    folders.filter(|folder| root.join(folder).join("Cargo.toml").exists()).collect()
}

/// The lines of a section of a manifest.
fn section<'a>(manifest: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("[{name}]");
    let lines = manifest.lines().skip_while(move |line| *line != head).skip(1);
    lines.take_while(|line| !line.starts_with('['))
}

fn dependencies(manifest: &str) -> Vec<Declared> {
    let of = |name: &str, for_tests| {
        let lines = section(manifest, name).filter(|line| line.contains(" = ") && !line.starts_with('#'));
        let names = lines.filter_map(|line| line.split([' ', '.']).next());
        names.map(|name| Declared { name: name.to_owned(), for_tests }).collect::<Vec<_>>()
    };
    of("dependencies", false).into_iter().chain(of("dev-dependencies", true)).collect()
}

/// The words in a crate's code, and those in its tests.
fn words(root: &Path, member: &Path, manifest: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut code, mut tests) = (BTreeSet::new(), BTreeSet::new());
    let src = root.join(member).join("src");
    for file in sources(&src) {
        let text = read(&file);
        let below = file.strip_prefix(&src).unwrap_or(&file);
        let is_test = below.components().any(|part| ["tests", "tests.rs"].iter().any(|name| part.as_os_str() == *name));
        let (own, of_tests) = text.split_once("#[cfg(test)]\nmod ").filter(|_| !is_test).unwrap_or(if is_test {
            ("", text.as_str())
        } else {
            (text.as_str(), "")
        });
        code.extend(words_of(own));
        tests.extend(words_of(of_tests));
    }
    let elsewhere =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"../")).filter_map(|line| line.split('/').next());
    let folders =
        elsewhere.map(|folder| root.join(member).join("..").join(folder)).chain([root.join(member).join("tests")]);
    for file in folders.flat_map(|folder| sources(&folder)) {
        tests.extend(words_of(&read(&file)));
    }
    (code, tests)
}

/// The Rust files at and below a folder, if it exists.
pub(crate) fn sources(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("an entry of a folder").path());
    paths
        .flat_map(|path| {
            if path.is_dir() {
                sources(&path)
            } else {
                vec![path].into_iter().filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
            }
        })
        .collect()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crate_uses_what_it_declares_and_each_has_its_reason() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert_eq!(faults(root), Vec::<String>::new());
    }

    #[test]
    fn what_is_declared_in_vain_or_for_tests_alone_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let root = "[workspace]\nmembers = [\"one\"]\n[workspace.dependencies]\none = { path = \"one\" }\na-b = \"1\" # used\nc = \"1\" # in a comment\nd = \"1\" # by tests\ne = \"1\"\nf = \"1\" # used in tests\n";
        write("Cargo.toml", root);
        write(
            "one/Cargo.toml",
            "[dependencies]\na-b.workspace = true\nc = { workspace = true }\nd.workspace = true\n\n[dev-dependencies]\nf.workspace = true\n",
        );
        write("one/src/lib.rs", "// c\nuse a_b::X;\n#[cfg(test)]\nmod tests { use d::Y; use f::Z; }\n");
        assert_eq!(
            faults(folder.path()),
            ["one: no code uses `c`", "one: no code uses `d`", "no crate takes `e`", "`e` gives no reason"]
        );
    }
}
