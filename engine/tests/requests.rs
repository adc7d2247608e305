//! Requests that change a store, made without the command line, as by a server or a folder watcher.

use std::collections::HashSet;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use repos::files::{Gathered, PutOptions};
use repos::gc::{Marks, Selection};
use repos::hash::digest_of;
use repos::object::Kind;
use repos::{RepoError, Store};
use specs::{Digest, ErrorKind, Reference};

use super::setting::Setting;
use engine::changes;
use engine::edit::Edit;
use engine::keep::Prune;
use engine::put::{self, Caller, PreparedPut, PutFiles, PutRequest, PutSource, prepare};
use engine::target::TargetBranch;
use engine::transaction::{self, TransactionRequest, lines_in};
use engine::{EngineError, Result, secrets};

/// A folder with files, and requests to put it.
struct Folder<'s> {
    s: &'s Setting,
    folder: tempfile::TempDir,
}

impl<'s> Folder<'s> {
    fn new(s: &'s Setting, files: &[(&str, &str)]) -> Self {
        let folder = Self { s, folder: tempfile::tempdir().unwrap() };
        for (name, content) in files {
            folder.write(name, content);
        }
        folder
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    /// The whole folder, named by a relative path.
    fn files(&self) -> PutFiles {
        let folder = Some(self.folder.path().to_owned());
        PutFiles { sources: vec![PutSource::parse(".".as_ref()).unwrap()], folder, ..PutFiles::default() }
    }

    fn request(&self, reference: &str) -> PutRequest {
        request(self.s, reference, self.files())
    }
}

fn target(s: &Setting, reference: &str) -> TargetBranch {
    TargetBranch::of(&s.store, &reference.parse().unwrap()).unwrap()
}

fn request(s: &Setting, reference: &str, files: PutFiles) -> PutRequest {
    let (target, by, message) = (target(s, reference), s.by.clone(), "new".to_owned());
    PutRequest { target, files, expect: None, by, message }
}

fn input(path: &str) -> PutFiles {
    PutFiles { sources: vec![PutSource::Input], as_path: Some(path.parse().unwrap()), ..PutFiles::default() }
}

/// A caller that sends bytes and counts what it observes.
#[derive(Default)]
struct Sends {
    bytes: Vec<u8>,
    inputs: AtomicU32,
    gathered: AtomicU32,
    is_gone: bool,
}

impl Caller for Sends {
    fn input(&self) -> Box<dyn Read + '_> {
        self.inputs.fetch_add(1, Ordering::Relaxed);
        Box::new(self.bytes.as_slice())
    }

    fn gathered(&self, _: &PutOptions, gathered: &Gathered) {
        self.gathered.fetch_add(gathered.len() as u32, Ordering::Relaxed);
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

/// The visible state of the store.
fn visible(s: &Setting) -> (u64, u64) {
    (s.store.position().records, s.store.runs_count().unwrap())
}

fn holds(s: &Setting, content: &[u8]) -> bool {
    s.store.has_content(&digest_of(content)).unwrap()
}

/// Stores content that no commit references, as a failed put leaves it.
fn leave(s: &Setting, content: &[u8]) {
    s.store.put_bytes(content).unwrap();
    s.store.finish_packs().unwrap();
    // From the next change on, nothing keeps it.
    s.put("images", [("/before", Some(std::str::from_utf8(&content[..1]).unwrap()))]);
    s.put("images", [("/before", None)]);
}

/// Removes an object, as a collection at the worst moment would.
fn collect(store: &Store, content: &[u8]) {
    struct Doomed(HashSet<Digest>);
    impl Marks for Doomed {
        fn is_live(&self, _: Kind, digest: &Digest) -> bool {
            !self.0.contains(digest)
        }

        fn catch_up(&mut self, _: &Store) -> Result<(), RepoError> {
            Ok(())
        }
    }
    let mut marks = Doomed([digest_of(content)].into());
    assert_eq!(store.sweep(&mut marks, &|_, _, _| {}).unwrap().objects_removed, 1);
}

#[test]
fn two_puts_prepared_on_one_head_are_two_commits() {
    let s = Setting::new();
    s.repo("images");
    let (one, other) = (Folder::new(&s, &[("a", "1")]), Folder::new(&s, &[("b", "2")]));
    let (one, other) = (one.request("images"), other.request("images"));
    let prepared: Vec<PreparedPut<'_>> =
        [&one, &other].map(|request| prepare(&s.store, request, &()).unwrap()).into_iter().collect();
    assert_eq!(s.store.runs_count().unwrap(), 0, "nothing is visible before the commit");
    let heads: Vec<_> = prepared.into_iter().map(|put| put.commit().unwrap().head().unwrap()).collect();
    assert_eq!(s.files("images").keys().collect::<Vec<_>>(), ["/a", "/b"]);
    assert_eq!(s.store.commit(&heads[1]).unwrap().parents, [heads[0]]);
}

#[test]
fn puts_at_the_same_time_all_land() {
    let s = Setting::new();
    s.repo("images");
    let folders: Vec<_> = (0..6).map(|n| Folder::new(&s, &[(&format!("f{n}"), &n.to_string())])).collect();
    std::thread::scope(|scope| {
        for folder in &folders {
            let request = folder.request("images");
            let store = s.store.clone();
            scope.spawn(move || prepare(&store, &request, &()).unwrap().commit().unwrap());
        }
    });
    assert_eq!(s.files("images").len(), 6);
}

#[test]
fn a_put_that_expects_a_head_is_refused_after_another() {
    let s = Setting::new();
    s.repo("images");
    let first = s.put("images", [("/x", Some("0"))]);
    let folder = Folder::new(&s, &[("a", "1")]);
    let request = PutRequest { expect: Some(first), ..folder.request("images") };
    let prepared = prepare(&s.store, &request, &()).unwrap();
    s.put("images", [("/y", Some("1"))]);
    assert!(matches!(prepared.commit(), Err(EngineError::NotExpected { .. })));
    assert_eq!(s.files("images").keys().collect::<Vec<_>>(), ["/x", "/y"]);
}

#[test]
fn a_preview_counts_and_stores_nothing() {
    let s = Setting::new();
    s.repo("images");
    s.put("images", [("/a", Some("0"))]);
    let folder = Folder::new(&s, &[("a", "1"), ("b", "2")]);
    let before = visible(&s);
    let summary = put::preview(&s.store, &folder.request("images"), &()).unwrap().summary;
    assert_eq!((summary.added, summary.modified), (1, 1));
    assert_eq!((visible(&s), holds(&s, b"1"), holds(&s, b"2")), (before, false, false));
    let (sends, before) = (Sends::default(), visible(&s));
    let refused = put::preview(&s.store, &request(&s, "images", input("/x")), &sends).unwrap_err();
    assert_eq!((refused.kind(), sends.inputs.into_inner(), visible(&s)), (ErrorKind::Usage, 0, before));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_gets_no_commits_is_refused_before_anything_is_read() {
    let s = Setting::new();
    s.repo("images").pipeline(super::flow::UPPER);
    let head = s.put("images", [("/a", Some("1"))]);
    let images = "images".parse().unwrap();
    changes::create_tag(&s.store, &images, &"v1".parse().unwrap(), head, &s.by, "").unwrap();
    let before = visible(&s);
    let refused = |reference: &str| {
        let error = TargetBranch::of(&s.store, &reference.parse().unwrap()).unwrap_err();
        (error.to_string(), error.kind(), error.hint().is_some())
    };
    let (conflict, missing) = (ErrorKind::Conflict, ErrorKind::NotFound);
    assert_eq!(
        refused("images@v1"),
        ("`v1` is a tag of repository `images`, not a branch; a tag never moves".into(), conflict, true)
    );
    assert_eq!(refused("images@mian"), ("branch `mian` not found in repository `images`".into(), missing, true));
    assert_eq!(
        refused("upper"),
        ("`upper` is the output of pipeline `upper`: only its jobs commit to it".into(), conflict, true)
    );
    assert_eq!(refused("images@main~1").1, ErrorKind::Usage);
    assert_eq!(visible(&s), before);
    // The same targets are refused at the commit.
    for (repo, branch) in [("images", "v1"), ("images", "mian"), ("upper", "main")] {
        let (repo, branch) = (repo.parse().unwrap(), branch.parse().unwrap());
        let reference = Reference { repo, revision: Some(specs::Revision::branch(&branch)), path: None };
        let early = TargetBranch::of(&s.store, &reference).unwrap_err().to_string();
        assert_eq!(changes::head_to_commit_to(&s.store, &reference.repo, &branch).unwrap_err().to_string(), early);
    }
}

#[test]
fn a_mirror_says_what_it_removes_before_it_does() {
    let s = Setting::new();
    s.repo("images");
    s.put("images", [("/a", Some("1")), ("/b", Some("2")), ("/c", Some("3"))]);
    let folder = Folder::new(&s, &[("a", "1")]);
    let request = request(&s, "images", PutFiles { mirror: true, ..folder.files() });
    let before = visible(&s);
    let prepared = prepare(&s.store, &request, &()).unwrap();
    let mirror = prepared.mirror().unwrap().unwrap();
    assert_eq!((mirror.removed, mirror.total_before, mirror.is_drastic()), (2, 3, true));
    drop(prepared);
    assert_eq!(visible(&s), before, "who drops it changes nothing");
    let outcome = prepare(&s.store, &request, &()).unwrap().commit().unwrap();
    assert_eq!((outcome.summary.removed, s.files("images").len()), (2, 1));
    let plain = folder.request("images");
    assert_eq!(prepare(&s.store, &plain, &()).unwrap().mirror().unwrap(), None);
}

#[test]
fn what_the_caller_sends_is_one_file_or_an_archive_and_read_once() {
    let s = Setting::new();
    s.repo("images");
    let sends = Sends { bytes: b"sent".to_vec(), ..Sends::default() };
    prepare(&s.store, &request(&s, "images", input("/x")), &sends).unwrap().commit().unwrap();
    assert_eq!((sends.inputs.into_inner(), sends.gathered.into_inner()), (1, 0));
    assert_eq!(s.files("images"), [("/x".into(), "sent".into())].into());
    let twice = PutFiles { sources: vec![PutSource::Input, PutSource::Input], ..PutFiles::default() };
    let sends = Sends::default();
    let refused = prepare(&s.store, &request(&s, "images", twice), &sends).unwrap_err();
    assert_eq!((refused.kind(), sends.inputs.into_inner()), (ErrorKind::Usage, 0));
    let archive = PutFiles { sources: vec![PutSource::Input], untar: true, ..PutFiles::default() };
    let gone = Sends { bytes: vec![0; 1024], is_gone: true, ..Sends::default() };
    let before = visible(&s);
    assert!(prepare(&s.store, &request(&s, "images", archive), &gone).is_err(), "nobody waits for it");
    assert_eq!(visible(&s), before);
}

#[test]
fn content_that_is_collected_before_the_commit_is_stored_again_if_it_can_be_read_again() {
    let s = Setting::new();
    s.repo("images");
    leave(&s, b"content of a");
    leave(&s, b"a stream's content");
    let folder = Folder::new(&s, &[("a", "content of a")]);
    let put = folder.request("images");
    let prepared = prepare(&s.store, &put, &()).unwrap();
    collect(&s.store, b"content of a");
    prepared.commit().unwrap();
    assert_eq!(s.files("images"), [("/a".into(), "content of a".into())].into());

    let sends = Sends { bytes: b"a stream's content".to_vec(), ..Sends::default() };
    let put = request(&s, "images", input("/x"));
    let prepared = prepare(&s.store, &put, &sends).unwrap();
    collect(&s.store, b"a stream's content");
    let error = prepared.commit().unwrap_err();
    assert_eq!((error.kind(), error.hint().as_deref()), (ErrorKind::Conflict, Some("repeat the command")));
    assert_eq!(s.files("images").len(), 1);
}

#[test]
fn a_target_that_is_a_file_is_probably_meant_as_the_name() {
    let s = Setting::new();
    s.repo("images");
    s.put("images", [("/x.jpg", Some("1"))]);
    let folder = Folder::new(&s, &[("y.jpg", "2")]);
    let put = |directory: &str| {
        let sources = vec![PutSource::Path("y.jpg".into())];
        request(&s, "images", PutFiles { sources, directory: Some(directory.parse().unwrap()), ..folder.files() })
    };
    let into_file = put("/x.jpg");
    let error = prepare(&s.store, &into_file, &()).unwrap().commit().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Usage);
    assert_eq!(error.hint().unwrap(), "to choose the name: pv put images y.jpg --as /x.jpg");
    let into_new = put("/z.jpg");
    assert_eq!(prepare(&s.store, &into_new, &()).unwrap().odd_place().as_deref(), Some("/z.jpg/y.jpg"));
}

#[test]
fn edits_say_what_they_did_and_refuse_what_cannot_be_meant() {
    let s = Setting::new();
    s.repo("images").repo("other");
    let first = s.put("images", [("/a", Some("1")), ("/d/b", Some("2"))]);
    let reference = |text: &str| text.parse::<Reference>().unwrap();
    let commit = |edit: Edit| edit.commit(&s.store, &s.by, "").unwrap();
    let moved = commit(Edit::rename(&s.store, &reference("images:/a"), &reference("images:/e")).unwrap());
    assert_eq!((moved.summary.added, moved.summary.removed, moved.target.place()), (1, 1, "images@main".to_owned()));
    commit(Edit::copy(&s.store, &reference("images:/d/b"), &reference("other:/b"), None).unwrap());
    assert_eq!(s.files("other"), [("/b".into(), "2".into())].into());
    let glob = specs::Glob::parse("/d/*").unwrap();
    let removed = commit(Edit::remove(&s.store, &[reference("images")], false, Some(glob)).unwrap());
    assert_eq!((removed.summary.removed, s.files("images").len()), (1, 1));
    let reverted = commit(Edit::revert(&s.store, &reference("images")).unwrap());
    let document = s.store.commit(&reverted.head().unwrap()).unwrap();
    let short = s.store.short_commit(&removed.head().unwrap()).unwrap();
    assert_eq!((document.message, s.files("images").len()), (format!("revert {short}"), 2));
    let before = visible(&s);
    let refused = [
        Edit::remove(&s.store, &[], false, None),
        Edit::remove(&s.store, &[reference("images:/e"), reference("other:/b")], false, None),
        Edit::remove(&s.store, &[reference("images")], false, None),
        Edit::rename(&s.store, &reference("images:/e"), &reference("other:/e")),
        Edit::revert(&s.store, &reference("images:/e")),
    ];
    for edit in refused {
        let error = edit.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage, "{error}");
        assert!(error.hint().is_some(), "{error}");
    }
    let same =
        commit(Edit::copy(&s.store, &reference(&format!("images@{first}:/a")), &reference("images:/e"), None).unwrap());
    assert_eq!((same.run(), same.head()), (None, reverted.head()), "nothing differs");
    assert_eq!(visible(&s), before);
}

fn together(s: &Setting, folder: PathBuf, text: &str) -> TransactionRequest {
    let (lines, by) = (lines_in("lines", text).unwrap(), s.by.clone());
    TransactionRequest { lines, folder: Some(folder), by, message: "together".to_owned() }
}

#[test]
fn a_transaction_finds_all_before_it_stores_and_stores_all_before_it_publishes() {
    let s = Setting::new();
    s.repo("images").repo("rules");
    s.put("images", [("/old", Some("0")), ("/older", Some("0"))]);
    leave(&s, b"content of a");
    let folder = Folder::new(&s, &[("a", "content of a")]);
    let at = || folder.folder.path().to_owned();
    let lines = "{\"put\": \"images\", \"from\": \".\", \"mirror\": true}\n\n\
                 {\"cp\": \"images:/a\", \"to\": \"rules:/a\"}\n\
                 {\"branch_create\": \"rules@try\", \"at\": \"rules@main\"}\n";
    let request = together(&s, at(), lines);
    let before = visible(&s);
    let preview = transaction::preview(&s.store, &request, &()).unwrap();
    assert_eq!((preview.branches.len(), preview.run, visible(&s)), (3, None, before));
    let prepared = transaction::prepare(&s.store, &request, &()).unwrap();
    let drastic = prepared.drastic().unwrap();
    assert_eq!(drastic.iter().map(|one| (one.line, one.removed)).collect::<Vec<_>>(), [(1, 2)]);
    assert_eq!(visible(&s), before);
    // Content of a line is collected: it is stored again.
    collect(&s.store, b"content of a");
    let outcome = prepared.publish().unwrap();
    assert_eq!(outcome.branches.iter().filter(|branch| branch.is_moved).count(), 3);
    assert_eq!((s.files("images").len(), s.files("rules").len()), (1, 1));

    let wrong = "{\"put\": \"images\", \"from\": \"none\"}\n{\"put\": \"images\", \"files_from\": \"none\"}\n\
                 {\"rm\": \"images@mian:/a\"}\n{\"put\": \"rules\", \"from\": \"a\"}\n";
    let (request, before) = (together(&s, at(), wrong), visible(&s));
    folder.write("a", "content of later");
    let Err(EngineError::Lines(problems)) = transaction::prepare(&s.store, &request, &()) else { panic!("problems") };
    let kinds: Vec<_> = problems.iter().map(|(line, error)| (*line, error.kind())).collect();
    assert_eq!(kinds, [(1, ErrorKind::NotFound), (2, ErrorKind::NotFound), (3, ErrorKind::NotFound)]);
    assert_eq!((visible(&s), holds(&s, b"content of later")), (before, false));
}

#[test]
fn a_tag_is_for_a_commit_of_its_repository() {
    let s = Setting::new();
    s.repo("images").repo("rules");
    let images = s.put("images", [("/a", Some("1"))]);
    let before = visible(&s);
    let (rules, tag) = ("rules".parse().unwrap(), "v1".parse().unwrap());
    let error = changes::create_tag(&s.store, &rules, &tag, images, &s.by, "").unwrap_err();
    assert_eq!((error.kind(), error.hint().as_deref()), (ErrorKind::Usage, Some("pv tag create images@v1")));
    assert_eq!(visible(&s), before);
    assert_eq!(changes::default_head(&s.store, &rules).unwrap(), None);
    assert_eq!(changes::default_head(&s.store, &"images".parse().unwrap()).unwrap(), Some(images));
}

#[test]
fn a_prune_keeps_heads_and_gives_up_what_was_selected() {
    let s = Setting::new();
    s.repo("images");
    let commits = ["1", "2", "3"].map(|content| s.put("images", [("/a", Some(content))]));
    let reference = |text: &str| text.parse::<Reference>().unwrap();
    let planned = |prune: &Prune| prune.plan(&s.store).unwrap().commits.into_keys().collect::<Vec<_>>();
    let all = Prune::of(&s.store, &reference("images")).unwrap();
    assert_eq!(planned(&all).len(), 2, "the head keeps its files");
    let some = Prune::of(&s.store, &reference("images@main")).unwrap().only(Selection::Under(commits[1]));
    assert_eq!(planned(&some), [commits[0]]);
    assert_eq!(some.commit(&s.store, &s.by).unwrap().commits.len(), 1);
    assert_eq!(planned(&all), [commits[1]], "the first gave up its files");
    let before = visible(&s);
    for (text, kind) in
        [("images:/a", ErrorKind::Usage), ("images@main~1", ErrorKind::Usage), ("images@none", ErrorKind::NotFound)]
    {
        assert_eq!(Prune::of(&s.store, &reference(text)).unwrap_err().kind(), kind, "{text}");
    }
    assert_eq!(visible(&s), before);
}

#[test]
fn a_secret_is_replaced_only_on_request_and_short_values_are_not_masked() {
    let s = Setting::new();
    let name = "login".parse().unwrap();
    let values = [("user", "me"), ("password", "correct horse battery")];
    let values = values.map(|(key, value)| (key.parse().unwrap(), value.as_bytes().to_vec())).into();
    assert!(!secrets::ensure_can_keep(&s.store, &name, false).unwrap());
    secrets::keep(&s.store, &name, &values).unwrap();
    let error = secrets::ensure_can_keep(&s.store, &name, false).unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (ErrorKind::Conflict, "secret `login` exists; nothing was changed")
    );
    assert!(secrets::ensure_can_keep(&s.store, &name, true).unwrap());
    assert_eq!(secrets::unmasked(&values).map(ToString::to_string).collect::<Vec<_>>(), ["user"]);
}
