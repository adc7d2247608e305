//! Watches that a store keeps.

#![expect(clippy::unwrap_used, reason = "a test that meets what it does not expect fails")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use engine::changes;
use repos::access::{Access, RepoGlobs, Role};
use repos::store::Store;
use specs::{BranchName, ErrorKind, WatchName};
use watch::standing::{self, Standing, Wish};
use watch::{After, Template};

fn name(text: &str) -> WatchName {
    text.parse().unwrap()
}

fn standing_at(folder: PathBuf, named: &str, target: &str) -> Standing {
    Standing {
        name: name(named),
        folder,
        target: target.parse().unwrap(),
        settle: standing::settle(),
        every: None,
        batch: Some(10),
        mirror: false,
        exclude: vec!["*.log".to_owned()],
        after: After::Delete,
        message: Template::default(),
        author: "Anna".to_owned(),
        committer: "uid:1@host".to_owned(),
        created_at: "2026-01-02T03:04:05.000000Z".parse().unwrap(),
        paused: false,
    }
}

fn store(folder: &tempfile::TempDir) -> Store {
    let store = Store::init(folder.path(), BranchName::main()).unwrap();
    for repo in ["mine-a", "other"] {
        changes::create_repo(&store, &repo.parse().unwrap()).unwrap();
    }
    store
}

#[test]
fn a_watch_is_kept_paused_and_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    assert!(standing::list(&store).unwrap().is_empty());
    let watch = standing_at(folder.path().to_owned(), "hall.1", "mine-a:/raw");
    standing::add(&store, &watch).unwrap();
    assert_eq!(standing::list(&store).unwrap(), std::slice::from_ref(&watch));
    assert_eq!(standing::add(&store, &watch).unwrap_err().kind(), ErrorKind::Conflict);
    let file = store.folder().join("watches/hall.1.json");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    assert!(standing::set(&store, &watch.name, Wish::Pause).unwrap());
    assert!(!standing::set(&store, &watch.name, Wish::Pause).unwrap(), "it rests already");
    assert!(standing::find(&store, &watch.name).unwrap().paused);
    assert!(standing::set(&store, &watch.name, Wish::Resume).unwrap());
    assert_eq!(standing::find(&store, &watch.name).unwrap(), watch);
    assert_eq!(standing::delete(&store, &watch.name).unwrap(), watch);
    assert_eq!(standing::delete(&store, &watch.name).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(fs::read_dir(store.folder().join("watches")).unwrap().count(), 0, "nothing is left behind");
}

#[test]
fn a_branch_that_gets_no_commits_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    let watch = standing_at(folder.path().to_owned(), "hall", "none");
    assert_eq!(standing::add(&store, &watch).unwrap_err().kind(), ErrorKind::NotFound);
}

#[test]
fn a_limited_handle_sees_watches_of_its_repositories_and_changes_none() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(&folder);
    for (named, target) in [("mine", "mine-a"), ("other", "other")] {
        standing::add(&store, &standing_at(folder.path().to_owned(), named, target)).unwrap();
    }
    let repos = RepoGlobs::parse(&["mine-*"]).unwrap();
    let access = |role| Access { who: "ci".to_owned(), role, repos: repos.clone(), client: "ci".to_owned() };
    for role in [Role::Reader, Role::Writer, Role::Admin] {
        let limited = store.seen_by(access(role));
        let seen: Vec<String> = standing::list(&limited).unwrap().iter().map(|watch| watch.name.to_string()).collect();
        assert_eq!(seen, ["mine"]);
        assert_eq!(standing::find(&limited, &name("other")).unwrap_err().kind(), ErrorKind::NotFound);
        let new = standing_at(folder.path().to_owned(), "new", "mine-a");
        let refused = [
            standing::add(&limited, &new).unwrap_err(),
            standing::set(&limited, &name("mine"), Wish::Pause).unwrap_err(),
            standing::delete(&limited, &name("mine")).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::Refused), "{refused:?}");
    }
    assert_eq!(standing::list(&store).unwrap().len(), 2);
}
