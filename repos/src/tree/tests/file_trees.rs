//! File trees: listings, kinds and clashes, compared with a scan of all paths.

use std::collections::BTreeSet;

use proptest::prelude::*;
use specs::FilePath;

use super::*;

type Files = BTreeMap<String, FileEntry>;

fn path(text: &str) -> FilePath {
    text.parse().unwrap()
}

fn tree(nodes: &MemoryNodes, files: &Files) -> Tree {
    Map::build(files.iter().map(|(path, file)| (path, *file)), &mut &*nodes).unwrap()
}

fn listing(nodes: &MemoryNodes, tree: Tree, directory: &str) -> Vec<DirEntry> {
    tree.list_directory(nodes, &path(directory)).unwrap().map(Result::unwrap).collect()
}

/// The children of `directory`, from a scan of all files.
fn scan(files: &Files, directory: &FilePath) -> Vec<DirEntry> {
    let mut children: BTreeMap<String, PathKind> = BTreeMap::new();
    for (text, file) in files {
        let file_path = path(text);
        let Some(below) = file_path.below(directory) else { continue };
        let (name, kind) = match below.split_once('/') {
            None => (below, PathKind::File(*file)),
            Some((name, _)) => (name, PathKind::Directory { files: 1, size_bytes: file.size }),
        };
        let child = children.entry(name.to_owned()).or_insert(PathKind::Directory { files: 0, size_bytes: 0 });
        match (child, kind) {
            (PathKind::Directory { files, size_bytes }, PathKind::Directory { size_bytes: size, .. }) => {
                *files += 1;
                *size_bytes += size;
            }
            (child, kind) => *child = kind,
        }
    }
    children.into_iter().map(|(name, kind)| DirEntry { name, kind }).collect()
}

fn directories(files: &Files) -> BTreeSet<FilePath> {
    let parents = files.keys().flat_map(|file| std::iter::successors(path(file).parent(), FilePath::parent));
    parents.chain([FilePath::root()]).collect()
}

/// Leaves out files that are also directories, as in every valid tree.
fn without_clashes(texts: &BTreeSet<String>) -> Files {
    let is_directory = |text: &String| texts.iter().any(|other| other.starts_with(&format!("{text}/")));
    texts
        .iter()
        .filter(|text| !is_directory(text))
        .enumerate()
        .map(|(n, text)| (text.clone(), file(n as u64)))
        .collect()
}

/// Names with bytes around `/`, so that directories come after names that start with theirs.
fn paths(most: usize) -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set("(/[ab0é][-.a0]{0,3}){1,4}", 0..most)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_has_each_child_once_in_order_of_names(texts in paths(300)) {
        let files = without_clashes(&texts);
        let nodes = MemoryNodes::default();
        let tree = tree(&nodes, &files);
        for directory in directories(&files) {
            prop_assert_eq!(listing(&nodes, tree, directory.as_str()), scan(&files, &directory));
        }
    }

    #[test]
    fn a_path_is_what_the_listing_of_its_directory_says(texts in paths(100), other in paths(10)) {
        let files = without_clashes(&texts);
        let nodes = MemoryNodes::default();
        let tree = tree(&nodes, &files);
        for text in texts.iter().chain(&other) {
            let (path, parent) = (path(text), path(text).parent().unwrap());
            let listed = scan(&files, &parent).into_iter().find(|child| child.name == path.name());
            prop_assert_eq!(tree.kind_at(&nodes, &path)?, listed.map(|child| child.kind));
            prop_assert_eq!(tree.file(&nodes, &path)?, files.get(text).copied());
        }
    }

    #[test]
    fn all_clashes_of_an_edit_are_found(old in paths(60), removed in paths(30), written in paths(12)) {
        let mut files = without_clashes(&old);
        let nodes = MemoryNodes::default();
        let old = tree(&nodes, &files);
        let removals = removed.iter().map(|path| (path, None));
        let edits: BTreeMap<_, _> = removals.chain(written.iter().map(|path| (path, Some(file(1))))).collect();
        let new = old.edit(&nodes, edits.clone(), &mut &nodes)?;
        for (path, file) in edits {
            match file {
                Some(file) => files.insert(path.clone(), file),
                None => files.remove(path),
            };
        }
        let all = directories(&files).into_iter().filter(|directory| files.contains_key(directory.as_str())).collect();
        let written: Vec<_> = written.iter().map(|text| path(text)).collect();
        prop_assert_eq!(new.clashes(&nodes, &written)?, all);
    }
}

#[test]
fn a_directory_is_listed_before_files_that_it_sorts_after_as_keys() {
    let nodes = MemoryNodes::default();
    let files = ["/a-b", "/a-b.d/x", "/a.txt", "/a/1", "/a/2", "/b"].map(|text| (text.to_owned(), file(5)));
    let tree = tree(&nodes, &files.into());
    let names: Vec<_> = listing(&nodes, tree, "/").into_iter().map(|child| child.name).collect();
    assert_eq!(names, ["a", "a-b", "a-b.d", "a.txt", "b"]);
    assert_eq!(listing(&nodes, tree, "/")[0].kind, PathKind::Directory { files: 2, size_bytes: 10 });
    assert!(listing(&nodes, tree, "/b").is_empty() && listing(&nodes, tree, "/none").is_empty());
}

#[test]
fn the_root_of_an_empty_tree_is_a_directory() {
    let nodes = MemoryNodes::default();
    let empty = Some(PathKind::Directory { files: 0, size_bytes: 0 });
    assert_eq!(Tree::empty().kind_at(&nodes, &FilePath::root()).unwrap(), empty);
    assert_eq!(Tree::empty().kind_at(&nodes, &path("/a")).unwrap(), None);
    assert!(listing(&nodes, Tree::empty(), "/").is_empty());
}

#[test]
fn a_listing_reads_little_of_what_lies_deeper() {
    let nodes = MemoryNodes::default();
    let tree = build(&nodes, &camera_images(100_000));
    nodes.take_counts();
    assert_eq!(listing(&nodes, tree, "/").len(), 50);
    let (reads, _) = nodes.take_counts();
    assert!(reads < 300, "{reads} reads for 50 directories of 2,000 files");
    let range = directory_range(&path("/cam3"));
    assert_eq!(listing(&nodes, tree, "/cam3").len(), 2000);
    let (reads, _) = nodes.take_counts();
    assert!(reads < 300, "{reads} reads for 2,000 files");
    let first = contents(&nodes, tree, range).remove(0);
    assert_eq!(path_of(&first.0).unwrap().parent(), Some(path("/cam3")));
}

#[test]
fn a_key_that_is_no_path_is_named() {
    let nodes = MemoryNodes::default();
    let tree = Map::build([(&b"/\xff"[..], file(1))], &mut &nodes).unwrap();
    let listed: Vec<_> = tree.list_directory(&nodes, &FilePath::root()).unwrap().collect();
    assert!(matches!(listed[..], [Err(TreeError::NotAPath { .. })]));
    assert!(path_of(b"/a/").is_err());
}
