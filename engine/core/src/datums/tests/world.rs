//! Random small repositories, inputs and changes, and their stored form.

use proptest::prelude::*;
use proptest::sample::select;
use repos::tree::{FileEntry, Map, Tree};
use repos::{OpenOptions, Store};
use specs::spec::{Input, PfsInput};

use super::model::{Files, World};

pub(super) const REPOS: [&str; 3] = ["one", "two", "three"];

/// `/d` and `/d/1` clash: then the directory wins, so that a file becomes a directory and vice versa.
const PATHS: [&str; 13] =
    ["/a-1", "/a-2", "/b-1", "/b-22", "/a/1", "/a/2", "/a/b/1", "/a.x", "/b/1", "/c", "/d", "/d/1", "/12-2"];
/// Globs with their number of captures.
const GLOBS: [(&str, usize); 10] = [
    ("/", 0),
    ("/*", 0),
    ("/(*)", 1),
    ("/(*)-(*)", 2),
    ("/(*)/(*)", 2),
    ("/(**)", 1),
    ("/a(*)", 1),
    ("/(a|d)", 1),
    ("/a/(*)", 1),
    ("/**1", 0),
];

pub(super) fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = OpenOptions::default().init(folder.path(), "main".parse().unwrap()).unwrap();
    (store, folder)
}

/// The trees of an input's leaves.
pub(super) fn trees(store: &Store, input: &Input, world: &World) -> Vec<Tree> {
    let tree = |leaf: &PfsInput| {
        let files = world[leaf.repo.as_str()].iter().map(|(path, content)| {
            let digest = repos::hash::digest_of(content.as_bytes());
            (path.as_str(), FileEntry { digest, size: content.len() as u64, executable: false })
        });
        Map::build(files, &mut &*store).unwrap()
    };
    input.leaves().into_iter().map(tree).collect()
}

fn files() -> impl Strategy<Value = Files> {
    let some = proptest::collection::btree_map(select(&PATHS[..]), select(&["0", "1"][..]), 0..9);
    let some = some.prop_map(|files| {
        let has_directory = files.contains_key("/d/1");
        let kept = files.into_iter().filter(|(path, _)| !(has_directory && *path == "/d"));
        kept.map(|(path, content)| (path.to_owned(), content.to_owned())).collect()
    });
    prop_oneof![1 => Just(Files::new()), 6 => some]
}

pub(super) fn world() -> impl Strategy<Value = World> {
    (files(), files(), files()).prop_map(|(one, two, three)| {
        let named = REPOS.iter().map(|name| (*name).to_owned());
        named.zip([one, two, three]).collect()
    })
}

/// A sequence of worlds; each differs from the previous one in a few files, or in all.
pub(super) fn history(length: usize) -> impl Strategy<Value = Vec<World>> {
    let few = proptest::collection::vec((select(&REPOS[..]), select(&PATHS[..]), select(&["", "0", "1"][..])), 1..4);
    let step = prop_oneof![4 => few.prop_map(Ok), 1 => world().prop_map(Err)];
    (world(), proptest::collection::vec(step, length)).prop_map(|(first, steps)| {
        let mut worlds = vec![first];
        for step in steps {
            let mut next = worlds.last().unwrap().clone();
            match step {
                Ok(edits) => edits.into_iter().for_each(|(repo, path, content)| edit(&mut next, repo, path, content)),
                Err(other) => next = other,
            }
            worlds.push(next);
        }
        worlds
    })
}

fn edit(world: &mut World, repo: &str, path: &str, content: &str) {
    let files = world.get_mut(repo).unwrap();
    files.remove(path);
    if !content.is_empty() {
        if path == "/d/1" {
            files.remove("/d");
        } else if path == "/d" {
            files.remove("/d/1");
        }
        files.insert(path.to_owned(), content.to_owned());
    }
}

fn leaf() -> impl Strategy<Value = Input> {
    let template = |captures: usize| {
        let mut texts = vec!["1"];
        texts.extend(["$1", "${1}2"].into_iter().filter(|_| captures > 0));
        texts.extend(["$2", "$1$2"].into_iter().filter(|_| captures > 1));
        proptest::option::weighted(0.9, select(texts))
    };
    select(&GLOBS[..])
        .prop_flat_map(move |(glob, captures)| {
            let outside = proptest::bool::weighted(0.15);
            (Just(glob), select(&REPOS[..]), template(captures), template(captures), any::<bool>(), outside)
        })
        .prop_map(|(glob, repo, join_on, group_by, outer_join, reference)| {
            Input::Pfs(PfsInput {
                join_on: join_on.map(|text| text.parse().unwrap()),
                group_by: group_by.map(|text| text.parse().unwrap()),
                outer_join,
                reference,
                ..PfsInput::new(repo.parse().unwrap(), glob.parse().unwrap())
            })
        })
}

pub(super) type Kind = fn(Vec<Input>) -> Input;
pub(super) const KINDS: [Kind; 4] = [Input::Cross, Input::Union, Input::Join, Input::Group];

fn node(input: impl Strategy<Value = Input> + Clone + 'static) -> impl Strategy<Value = Input> {
    (select(&KINDS[..]), proptest::collection::vec(input, 1..4)).prop_map(|(kind, inputs)| kind(inputs))
}

/// An input with nested combinations, at most `depth` levels deep.
pub(super) fn input(depth: usize) -> BoxedStrategy<Input> {
    if depth == 0 {
        return leaf().boxed();
    }
    prop_oneof![1 => leaf(), 3 => node(input(depth - 1))].boxed()
}

/// An input of kind `outer` that contains one of kind `inner`, before or after a leaf.
pub(super) fn pair(outer: Kind, inner: Kind) -> impl Strategy<Value = Input> {
    (proptest::collection::vec(leaf(), 3..5), any::<bool>()).prop_map(move |(mut leaves, is_first)| {
        let other = leaves.pop().unwrap();
        let inner = inner(leaves);
        outer(if is_first { vec![inner, other] } else { vec![other, inner] })
    })
}
