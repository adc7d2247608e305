//! rm, mv, cp, revert, get, list, log, diff and find.
#![allow(clippy::unwrap_used, reason = "tests")]

mod common;

use std::os::unix::fs::{PermissionsExt, symlink};

use common::{TestStore, commit_tree, edits, entry, files_in, name, path};
use repos::RepoError;
use repos::files::{
    FileChange, GetOptions, Got, PutOptions, apply, cp, diff, find, gather, get, kind_at, list, log, mv, pair_renames,
    preview, revert, rm,
};
use repos::history::What;
use repos::tree::{Editor, PathKind, Tree};
use specs::{ErrorKind, Glob};

fn names(files: &[(String, String)]) -> Vec<&str> {
    files.iter().map(|(path, _)| path.as_str()).collect()
}

fn example() -> TestStore {
    let test = TestStore::new();
    test.set("images", &[("/a/x", Some("x")), ("/a/y", Some("y")), ("/a-b", Some("z")), ("/c", Some("c"))]);
    test
}

#[test]
fn rm_takes_files_and_only_when_asked_directories() {
    let test = example();
    let base = test.tree("images");
    let error = rm(&test.store, base, "images", &[path("/a")], false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    let error = rm(&test.store, base, "images", &[path("/a-c")], false).unwrap_err();
    assert_eq!((error.kind(), error.hint().as_deref()), (ErrorKind::NotFound, Some("did you mean `/a-b`?")));
    let error = kind_at(&test.store, base, "images", &path("/b/x")).unwrap_err();
    assert_eq!(error.hint(), None, "nothing is near");
    test.commit("images", &rm(&test.store, base, "images", &[path("/a"), path("/c")], true).unwrap());
    assert_eq!(names(&test.contents("images")), ["/a-b"]);
    test.commit("images", &rm(&test.store, test.tree("images"), "images", &[path("/")], true).unwrap());
    assert_eq!(test.tree("images"), Tree::empty());
}

#[test]
fn mv_gives_files_and_directories_new_paths() {
    let test = example();
    let base = test.tree("images");
    let refused = |from: &str, to: &str| mv(&test.store, base, "images", &path(from), &path(to)).unwrap_err().kind();
    for (from, to) in [("/a", "/a/b"), ("/a", "/a"), ("/c", "/a"), ("/a", "/c"), ("/", "/all")] {
        assert_eq!(refused(from, to), ErrorKind::Usage, "{from} {to}");
    }
    assert_eq!(refused("/none", "/x"), ErrorKind::NotFound);
    test.commit("images", &mv(&test.store, base, "images", &path("/a"), &path("/new/a")).unwrap());
    assert_eq!(names(&test.contents("images")), ["/a-b", "/c", "/new/a/x", "/new/a/y"]);
    test.commit("images", &mv(&test.store, test.tree("images"), "images", &path("/c"), &path("/a-b")).unwrap());
    assert_eq!(test.contents("images")[0], ("/a-b".to_owned(), "c".to_owned()));
    test.commit("images", &mv(&test.store, test.tree("images"), "images", &path("/new/a"), &path("/new")).unwrap());
    assert_eq!(names(&test.contents("images")), ["/a-b", "/new/x", "/new/y"]);
}

#[test]
fn cp_across_repositories_keeps_its_origin() {
    let test = example();
    test.create("other");
    let from = test.resolve("images:/a");
    let copied = cp(&test.store, &from, &name("other"), Tree::empty(), &path("/in")).unwrap();
    assert_eq!((copied.sources.len(), copied.sources[0].commit), (1, from.id));
    test.commit("other", &copied);
    assert_eq!(names(&test.contents("other")), ["/in/x", "/in/y"]);
    assert_eq!(test.resolve("other").commit.sources, copied.sources);
    let within = cp(&test.store, &from, &name("images"), from.tree(), &path("/b")).unwrap();
    assert!(within.sources.is_empty());
    test.commit("images", &within);
    assert_eq!(names(&test.contents("images")), ["/a-b", "/a/x", "/a/y", "/b/x", "/b/y", "/c"]);
    let all = test.resolve("images");
    assert_eq!(cp(&test.store, &all, &name("images"), all.tree(), &path("/b")).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn revert_takes_a_change_back_unless_its_paths_changed_since() {
    let test = example();
    test.set("images", &[("/a/x", Some("new")), ("/c", None), ("/d", Some("d"))]);
    test.set("images", &[("/later", Some("stays"))]);
    let back = revert(&test.store, &test.resolve("images@main^"), test.tree("images")).unwrap();
    test.commit("images", &back);
    let expected = [("/a-b", "z"), ("/a/x", "x"), ("/a/y", "y"), ("/c", "c"), ("/later", "stays")];
    assert_eq!(test.contents("images"), expected.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())));
    let again = revert(&test.store, &test.resolve("images@main~2"), test.tree("images")).unwrap();
    assert!(again.files.is_empty(), "it is taken back already");
    test.set("images", &[("/a/x", Some("third"))]);
    let error = revert(&test.store, &test.resolve("images@main^"), test.tree("images")).unwrap_err();
    assert!(
        matches!(&error, RepoError::RevertConflict { paths, changed: 1, .. } if *paths == [path("/a/x")]),
        "{error}"
    );
    test.set("images", &[("/c", None)]);
    test.set("images", &[("/c/below", Some("in the way"))]);
    let error = revert(&test.store, &test.resolve("images@main^"), test.tree("images")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

fn plain() -> GetOptions<'static> {
    GetOptions { since: None, matching: None, force: false, progress: &|_, _| {} }
}

#[test]
fn get_brings_files_back_and_leaves_equal_ones_alone() {
    let test = example();
    let tool = test.write("tool", "run");
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
    test.put("images", "/a", &["tool"]).unwrap();
    let out = test.work().join("deep/out");
    let from = test.resolve("images");
    let got = get(&test.store, &from, &out, plain()).unwrap();
    assert_eq!(got, Got { files: 5, size_bytes: 7, written: 5, removed: 0 });
    let back = [("a-b", "z"), ("a/tool", "run"), ("a/x", "x"), ("a/y", "y"), ("c", "c")];
    assert_eq!(files_in(&out), back.map(|(path, bytes)| (path.to_owned(), bytes.to_owned())));
    let mode = |at: &str| std::fs::metadata(out.join(at)).unwrap().permissions().mode() & 0o111;
    assert!(mode("a/tool") != 0 && mode("a/x") == 0);
    std::fs::set_permissions(out.join("a/tool"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(get(&test.store, &from, &out, plain()).unwrap().written, 0);
    assert!(mode("a/tool") != 0);
    let one = test.work().join("one");
    get(&test.store, &test.resolve("images:/a/x"), &one, plain()).unwrap();
    get(&test.store, &test.resolve("images:/a"), &one, plain()).unwrap();
    assert_eq!(names(&files_in(&one)), ["tool", "x", "y"]);
    let changed = test.work().join("changed");
    let since = Some(test.tree("images@main^"));
    get(&test.store, &from, &changed, GetOptions { since, ..plain() }).unwrap();
    assert_eq!(names(&files_in(&changed)), ["a/tool"]);
}

#[test]
fn get_writes_nothing_when_other_bytes_are_there() {
    let test = example();
    let from = test.resolve("images");
    let out = test.work().join("out");
    test.write("out/c", "mine");
    let error = get(&test.store, &from, &out, plain()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(names(&files_in(&out)), ["c"]);
    get(&test.store, &from, &out, GetOptions { force: true, ..plain() }).unwrap();
    assert_eq!(files_in(&out)[3], ("c".to_owned(), "c".to_owned()));
}

#[test]
fn get_never_writes_through_a_link_and_changes_files_and_directories_only_by_force() {
    let test = example();
    let from = test.resolve("images");
    let force = GetOptions { force: true, ..plain() };
    test.write("elsewhere/x", "secret");
    let out = test.work().join("out");
    std::fs::create_dir(&out).unwrap();
    symlink(test.work().join("elsewhere"), out.join("a")).unwrap();
    let error = get(&test.store, &from, &out, force).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().ends_with("/out/a` is a link"), "{error}");
    std::fs::remove_file(out.join("a")).unwrap();
    symlink(test.work().join("elsewhere/x"), out.join("c")).unwrap();
    assert_eq!(get(&test.store, &from, &out, plain()).unwrap_err().kind(), ErrorKind::Conflict);
    get(&test.store, &from, &out, force).unwrap();
    assert!(!out.join("c").is_symlink(), "the link itself was replaced");
    assert_eq!(std::fs::read_to_string(test.work().join("elsewhere/x")).unwrap(), "secret");
    let other = test.work().join("other");
    std::fs::create_dir_all(other.join("c")).unwrap();
    test.write("other/a", "a file where a directory goes");
    let error = get(&test.store, &from, &other, plain()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
    assert_eq!(names(&files_in(&other)), ["a"], "nothing was changed");
    get(&test.store, &from, &other, force).unwrap();
    assert_eq!(names(&files_in(&other)), ["a-b", "a/x", "a/y", "c"]);
}

#[test]
fn lists_show_a_directory_or_all_below_it() {
    let test = example();
    let listed = |reference: &str, recursive: bool| -> Vec<String> {
        let lines = list(&test.store, &test.resolve(reference), recursive).unwrap().map(Result::unwrap);
        let word =
            |kind| if let PathKind::Directory { files, .. } = kind { format!("/ {files}") } else { String::new() };
        lines.map(|line| format!("{}{}", line.path, word(line.kind))).collect()
    };
    assert_eq!(listed("images", false), ["/a/ 2", "/a-b", "/c"]);
    assert_eq!(listed("images:/a", false), ["/a/x", "/a/y"]);
    assert_eq!(listed("images", true), ["/a-b", "/a/x", "/a/y", "/c"]);
    assert_eq!(listed("images:/a/x", true), ["/a/x"]);
    assert!(list(&test.store, &test.resolve("images:/aa"), true).is_err());
}

#[test]
fn log_follows_parents_and_selects_by_path() {
    let test = example();
    let second = test.set("images", &[("/a/x", Some("2"))]);
    test.set("images", &[("/c", Some("3"))]);
    let ids = |reference: &str| -> Vec<_> {
        log(&test.store, &test.resolve(reference)).unwrap().map(|logged| logged.unwrap().id).collect()
    };
    assert_eq!(ids("images").len(), 3);
    assert_eq!(ids("images:/a/x"), [second, ids("images")[2]]);
    assert_eq!(ids("images:/a").len(), 2);
    assert_eq!(ids("images:/a/y").len(), 1);
    assert_eq!(ids("images@main^").first(), Some(&second));
}

#[test]
fn diff_tells_changes_below_a_path_and_pairs_renames() {
    let test = example();
    let old = test.tree("images");
    test.commit("images", &mv(&test.store, old, "images", &path("/a"), &path("/b")).unwrap());
    test.set("images", &[("/c", Some("cc")), ("/d", Some("d"))]);
    let new = test.tree("images");
    let all: Vec<FileChange> = diff(&test.store, old, new, None).unwrap().map(Result::unwrap).collect();
    let paths = |changes: &[FileChange]| changes.iter().map(|change| change.path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&all), ["/a/x", "/a/y", "/b/x", "/b/y", "/c", "/d"]);
    let below = |at: &str| {
        let changes = diff(&test.store, old, new, Some(&path(at))).unwrap();
        paths(&changes.map(Result::unwrap).collect::<Vec<_>>())
    };
    assert_eq!(
        (below("/a"), below("/c"), below("/a-b")),
        (vec!["/a/x".into(), "/a/y".into()], vec!["/c".into()], vec![])
    );
    let (renamed, rest) = pair_renames(all);
    let renamed: Vec<_> = renamed.iter().map(|pair| format!("{} {}", pair.from, pair.to)).collect();
    assert_eq!((renamed, paths(&rest)), (vec!["/a/x /b/x".into(), "/a/y /b/y".into()], vec!["/c".into(), "/d".into()]));
}

#[test]
fn find_knows_the_first_and_last_commit_with_bytes_or_a_name() {
    let test = example();
    let first = test.resolve("images").id;
    let second = test.set("images", &[("/d", Some("x"))]);
    test.set("images", &[("/a/x", Some("other"))]);
    let last = test.set("images", &[("/e", Some("e"))]);
    test.create("other");
    let elsewhere = test.commit("other", &edits(&test.store, &[("/copy", Some("x"))]));
    let found = find(&test.store, &What::Bytes(repos::hash::digest_of(b"x"))).unwrap();
    let found: Vec<_> = found.iter().map(|hit| (hit.path.as_str(), hit.first, hit.last, hit.at_head)).collect();
    let expected = [("/a/x", first, second, false), ("/d", second, last, true), ("/copy", elsewhere, elsewhere, true)];
    assert_eq!(found, expected);
    let found = find(&test.store, &What::Path(Glob::parse("/a/*").unwrap())).unwrap();
    let found: Vec<_> = found.iter().map(|hit| (hit.path.as_str(), hit.first, hit.last, hit.file.size)).collect();
    assert_eq!(found, [("/a/x", first, last, 5), ("/a/y", first, last, 1)]);
}

/// A commit with `/d/<long>` and `/d/a`, as older versions allowed; today such a commit is refused.
fn with_a_part_that_no_file_system_can_name() -> (TestStore, String) {
    let test = TestStore::new();
    let long = "w".repeat(300);
    let mut sink = &test.store;
    let mut editor = Editor::new(Tree::empty(), &test.store, &mut sink).unwrap();
    editor.set(b"/d/a", &entry(&test.store, b"a")).unwrap();
    editor.set(format!("/d/{long}").as_bytes(), &entry(&test.store, b"w")).unwrap();
    let tree = editor.finish().unwrap();
    commit_tree(&test.store, &name("images"), tree);
    (test, long)
}

#[test]
fn a_path_that_no_file_system_can_name_is_read_and_given_a_shorter_one() {
    let (test, long) = with_a_part_that_no_file_system_can_name();
    assert_eq!(test.contents("images")[1], (format!("/d/{long}"), "w".to_owned()));
    let kind = kind_at(&test.store, test.tree("images"), "images", &path(&format!("/d/{long}"))).unwrap();
    assert!(matches!(kind, PathKind::File(file) if file.size == 1));
    let into = test.work().join("got");
    let options = GetOptions { since: None, matching: None, force: false, progress: &|_, _| {} };
    for reference in ["images:/d", &format!("images:/d/{long}")] {
        let error = get(&test.store, &test.resolve(reference), &into, options).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        assert!(error.to_string().contains(&format!("`{long}` cannot be a file")), "{error}");
    }
    let base = test.tree("images");
    test.commit("images", &mv(&test.store, base, "images", &path(&format!("/d/{long}")), &path("/d/short")).unwrap());
    assert_eq!(names(&test.contents("images")), ["/d/a", "/d/short"]);
}

#[test]
fn no_door_lets_a_path_in_that_no_file_system_can_name() {
    let (test, long) = with_a_part_that_no_file_system_can_name();
    let base = test.tree("images");
    let to = path(&format!("/{long}"));
    let refused = |edits: repos::files::Edits| {
        for error in [apply(&test.store, base, &edits).unwrap_err(), preview(&test.store, base, &edits).unwrap_err()] {
            assert!(matches!(&error, RepoError::IllegalPaths(paths) if paths.len() == 1), "{error}");
            assert!(error.kind() == ErrorKind::Usage && error.to_string().contains("longer than 255 bytes"), "{error}");
        }
    };
    refused(edits(&test.store, &[(to.as_str(), Some("x"))]));
    refused(edits(&test.store, &[(&format!("/{long}/x"), Some("x"))]));
    refused(mv(&test.store, base, "images", &path("/d/a"), &to).unwrap());
    refused(mv(&test.store, base, "images", &path("/d"), &path("/e")).unwrap());
    refused(cp(&test.store, &test.resolve("images:/d/a"), &name("images"), base, &to).unwrap());
    test.write("f", "x");
    for (directory, as_path) in [(None, Some(to.clone())), (Some(to.clone()), None)] {
        let options = PutOptions { directory, as_path, sources: vec![test.work().join("f")], ..PutOptions::default() };
        assert!(matches!(gather(&options), Err(RepoError::IllegalPaths(_))));
    }
    apply(&test.store, base, &edits(&test.store, &[("/d/a", Some("other"))])).unwrap();
    apply(&test.store, base, &rm(&test.store, base, "images", &[path("/d")], true).unwrap()).unwrap();
}
