//! Checks that the files that a document names exist.

use std::path::Path;

/// The paths in backticks of a document that begin with a folder of `root` and do not exist. `{a,b}` names several; a path with `<` or
/// `*` names none.
pub fn missing_paths(root: &Path, text: &str) -> Vec<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let paths = quoted.filter(|path| !path.contains(['<', '*', ' ', '\n']) && is_of(root, path));
    paths.flat_map(spelled_out).filter(|path| !root.join(path).exists()).collect()
}

/// Whether a text is a path whose first part is a folder of the workspace.
fn is_of(root: &Path, path: &str) -> bool {
    path.split_once('/')
        .is_some_and(|(first, _)| !first.is_empty() && !first.starts_with('.') && root.join(first).is_dir())
}

fn spelled_out(path: &str) -> Vec<String> {
    let braces = path.split_once('{').and_then(|(head, rest)| Some((head, rest.split_once('}')?)));
    let Some((head, (names, tail))) = braces else { return vec![path.to_owned()] };
    names.split(',').map(|name| format!("{head}{name}{tail}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_of_the_code_names_files_that_are_there() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let text = std::fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
        assert!(text.matches("`engine/").count() > 50, "the map names files at all");
        assert_eq!(missing_paths(root, &text), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_there_is_told_and_what_is_no_path_is_not() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("cli")).unwrap();
        std::fs::write(root.path().join("cli/a.rs"), "").unwrap();
        let text = "`cli/a.rs`, `cli/{a,b}.rs`, `cli/<noun>.rs`, `packs/x`, `pv run`, `cli/c.rs`";
        assert_eq!(missing_paths(root.path(), text), ["cli/b.rs", "cli/c.rs"]);
    }
}
