//! What `cli` may use of `repos`: it asks a store through `answers` and changes it through `engine`.
//!
//! A command parses its arguments, calls, and prints. So `cli` uses errors, ids and times of `repos`, the handle of a store in one place,
//! and the items listed here with a reason, as long as neither `answers` nor `engine` has a replacement. The list may only get shorter.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::crates::sources;
use crate::rooms::paths_of;

/// What every file may use: errors, and times.
const EVERYWHERE: [&str; 2] = ["repos::RepoError", "repos::Timestamp"];

/// What some files or folders of `cli/src` may use in addition, and why.
const HERE: &[(&str, &[&str], &str)] = &[
    ("app/mod.rs", &["repos::set_stop_point"], "tests stop the process at a named point"),
    (
        "app/tests.rs",
        &["repos::Change", "repos::Publisher", "repos::Store", "repos::journal"],
        "tests hand a change over",
    ),
    ("app/remote_tests.rs", &["repos::Store", "repos::access::Access"], "tests serve clients on other machines"),
    (
        "context/",
        &["repos::OpenOptions", "repos::Store", "repos::files::StatPlace", "repos::place::Access", "repos::time"],
        "opens the store",
    ),
    ("invocation/", &["repos::access::Access", "repos::files"], "what a client on another machine may do, and gets"),
    (
        "remote/",
        &[
            "repos::Store",
            "repos::files",
            "repos::random_hex",
            "repos::store",
            "repos::tokens",
            "repos::tree::FileEntry",
        ],
        "content on its way between two machines",
    ),
    ("commands/get.rs", &["repos::files"], "files that a server gives"),
    (
        "commands/through.rs",
        &["repos::access::Access", "repos::files"],
        "what a client may do, and files that a server gives",
    ),
    ("commands/whoami.rs", &["repos::access::Access"], "who a client is"),
    ("executors.rs", &["repos::random_hex"], "a name that nobody else has"),
    (
        "known.rs",
        &["repos::Store", "repos::hash", "repos::log", "repos::random_hex"],
        "what this machine saw of stores",
    ),
    ("output/escape.rs", &["repos::random_hex"], "a mark that no text has"),
    ("socket/", &["repos::Change", "repos::Publisher", "repos::Store", "repos::packs::PackName"], "hands changes over"),
    ("commands/bundle.rs", &["repos::random_hex"], "a name that nobody else has"),
    ("commands/change.rs", &["repos::files::ChangeSummary"], "what a commit changed"),
    ("commands/fsck.rs", &["repos::fsck", "repos::packs::open_url", "repos::store::journal_at"], "repairs a store"),
    ("commands/gc.rs", &["repos::gc"], "collects garbage"),
    ("commands/init/example.rs", &["repos::files::Edits", "repos::tree::FileEntry"], "commits files"),
    ("commands/pipeline/sources.rs", &["repos::web::WebUrl"], "reads specs from the web"),
    ("commands/put.rs", &["repos::files", "repos::store::Sender"], "how files are put"),
    ("commands/watch/", &["repos::files"], "which files a watch leaves out, and content for a server"),
];

/// Types that `cli` turns into JSON by `derive(Serialize)` alone: lines that print an answer unchanged, with words for users beside
/// it. All others are listed here with a reason.
const SHAPES: &[(&str, &str)] = &[
    ("app/logging.rs", "messages of the log, not a store"),
    ("commands/init/mod.rs", "what was made"),
    ("commands/version.rs", "this program, not a store"),
    ("commands/watch/far.rs", "messages between two processes"),
    ("commands/whoami.rs", "who somebody is, not a store"),
    ("error.rs", "errors"),
    ("invocation/files.rs", "messages between two processes"),
    ("known.rs", "a file of this machine"),
    ("remote/protocol.rs", "messages between two processes"),
    ("socket/protocol.rs", "messages between two processes"),
];

/// All faults in the workspace at `root`, one per line.
///
/// # Panics
/// If a file cannot be read.
pub fn faults(root: &Path) -> Vec<String> {
    let src = root.join("cli/src");
    let (mut faults, mut used, mut shaped) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for file in sources(&src) {
        let name = file.strip_prefix(&src).unwrap_or(&file).display().to_string();
        let text = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{name}: {error}"));
        for (line, path) in paths_of(&text, "repos") {
            if EVERYWHERE.iter().any(|door| leads_to(door, &path)) {
                continue;
            }
            let door = HERE.iter().flat_map(|(place, doors, _)| doors.iter().map(move |door| (*place, *door)));
            match door.into_iter().find(|(place, door)| name.starts_with(place) && leads_to(door, &path)) {
                Some(door) => drop(used.insert(door)),
                None => faults.push(format!("cli/src/{name}:{line}: `cli` may not name `{path}`")),
            }
        }
        for shape in shapes(&text) {
            match SHAPES.iter().find(|(place, _)| name == *place) {
                Some((place, _)) => drop(shaped.insert(*place)),
                None => faults.push(format!("cli/src/{name}: `{shape}` is a JSON shape, which belongs into `answers`")),
            }
        }
    }
    for (place, doors, _) in HERE {
        let vain = doors.iter().filter(|door| !used.contains(&(*place, **door)));
        faults.extend(vain.map(|door| format!("{place} does not name `{door}` any more: remove it from the list")));
    }
    let vain = SHAPES.iter().filter(|(place, _)| !shaped.contains(place));
    faults.extend(vain.map(|(place, _)| format!("{place} has no JSON shape any more: remove it from the list")));
    faults
}

/// Whether a path is this door, or behind it.
fn leads_to(door: &str, path: &str) -> bool {
    path.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// Types that derive `Serialize` and are not just another type's form.
fn shapes(text: &str) -> Vec<String> {
    let (mut shapes, mut derives, mut is_other) = (Vec::new(), false, false);
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[derive(") {
            derives = line.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Serialize");
            is_other = false;
        } else if line == "#[serde(transparent)]" {
            is_other = true;
        } else if !line.starts_with("#[") && !line.starts_with("//") {
            let mut words =
                line.split(|c: char| !c.is_alphanumeric()).skip_while(|word| *word != "struct" && *word != "enum");
            if let Some(name) = words.nth(1).filter(|_| derives && !is_other) {
                shapes.push(name.to_owned());
            }
            derives = false;
        }
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cli_names_of_what_is_stored_only_what_the_list_has() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        assert_eq!(faults(root), Vec::<String>::new());
    }

    #[test]
    fn another_name_is_reported_with_its_place_and_a_shape_with_its_type() {
        let root = tempfile::tempdir().unwrap();
        let src = root.path().join("cli/src");
        fs::create_dir_all(&src).unwrap();
        let text = "use repos::{RepoError, Timestamp,\n tree::{Tree, Map}};\n// repos::no\nfn f() -> answers::repos::X { repos::gc() }\n\
                    #[derive(Serialize)]\nstruct A<'a> {}\n#[derive(Serialize)]\n#[serde(transparent)]\nstruct B(C);\n";
        fs::write(src.join("x.rs"), text).unwrap();
        let faults: Vec<String> = faults(root.path()).into_iter().filter(|fault| fault.contains("x.rs")).collect();
        let may_not = |line: u32, path: &str| format!("cli/src/x.rs:{line}: `cli` may not name `{path}`");
        assert_eq!(
            faults,
            [
                may_not(2, "repos::tree::Tree"),
                may_not(2, "repos::tree::Map"),
                may_not(4, "repos::gc"),
                "cli/src/x.rs: `A` is a JSON shape, which belongs into `answers`".to_owned(),
            ]
        );
    }
}
