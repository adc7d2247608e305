//! Requests whose files are on another machine than the store: the result is that of a request on one machine.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Mutex;

use bytes::Bytes;
use repos::files::{ListedFile, ObjectSink, StatPlace};
use repos::store::Sender;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{Digest, ErrorKind, FilePath, Reference};

use super::setting::Setting;
use engine::EngineError;
use engine::apply::{SpecFolder, SpecListing, SpecSources, upload_specs};
use engine::put::{
    self, Caller, PutFiles, PutListing, PutRequest, PutSource, Upload, prepare, prepare_listed, preview_listed, upload,
};
use engine::target::{CommitOutcome, TargetBranch};
use engine::transaction::{self, TransactionRequest, lines_in};
use engine::trial::{EphemeralTrial, upload_mount};

pub(super) const ANNA: Sender<'static> = Sender { name: "anna", sees: None };

/// A store elsewhere.
pub(super) struct Far<'a> {
    store: &'a Store,
    arrived: Mutex<Vec<Digest>>,
}

impl<'a> Far<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self { store, arrived: Mutex::default() }
    }
}

impl ObjectSink for Far<'_> {
    fn missing(&self, digests: &[Digest], _: &[FilePath]) -> Result<Vec<Digest>, RepoError> {
        self.store.missing(&ANNA, digests, &[])
    }

    fn send(&self, chunks: &[(Digest, &[u8])]) -> Result<(), RepoError> {
        let chunks: Vec<_> = chunks.iter().map(|(digest, bytes)| (*digest, Bytes::copy_from_slice(bytes))).collect();
        self.arrived.lock().unwrap().extend(chunks.iter().map(|(digest, _)| digest));
        self.store.receive(&ANNA, &chunks)
    }

    fn compose(&self, file: &Digest, chunks: &[(Digest, u32)], _: &[FilePath]) -> Result<(), RepoError> {
        self.store.compose(&ANNA, *file, chunks, &[]).map(drop)
    }
}

/// The listings of specs on this machine, as the store elsewhere takes them.
pub(super) fn listed(store: &Store, text: &str, folder: &Path) -> SpecSources {
    let set = specs::parse_specs(&[("p.yml".to_owned(), text.to_owned())]);
    let here = [("p.yml".to_owned(), folder.into())].into();
    let listings = upload_specs(&set, &here, &Far::new(store)).unwrap();
    let there = |(file, listing): (String, SpecListing)| {
        let listing = SpecListing::decode(&listing.encode()).unwrap();
        (file, SpecFolder::listed(store, listing, &ANNA).unwrap())
    };
    listings.into_iter().map(there).collect()
}

struct Sends(Vec<u8>);

impl Caller for Sends {
    fn input(&self) -> Box<dyn Read + '_> {
        Box::new(self.0.as_slice())
    }
}

fn noise(length: usize, mut state: u64) -> Vec<u8> {
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Two stores with the same files: one gets puts of this machine, the other through a listing.
struct Both {
    here: Setting,
    there: Setting,
    folder: tempfile::TempDir,
}

impl Both {
    fn new() -> Self {
        let both = Self { here: Setting::new(), there: Setting::new(), folder: tempfile::tempdir().unwrap() };
        both.here.repo("images");
        both.there.repo("images");
        both
    }

    fn write(&self, at: &str, bytes: impl AsRef<[u8]>) -> &Self {
        let at = self.folder.path().join(at);
        std::fs::create_dir_all(at.parent().unwrap()).unwrap();
        std::fs::write(at, bytes).unwrap();
        self
    }

    fn files(&self, sources: &[&str]) -> PutFiles {
        let sources = sources.iter().map(|source| PutSource::parse(source.as_ref()).unwrap()).collect();
        PutFiles { sources, folder: Some(self.folder.path().to_owned()), ..PutFiles::default() }
    }

    /// Puts both ways; outcome, tree, preview and mirror are equal.
    fn put(&self, reference: &str, files: &PutFiles, caller: &dyn Caller) -> CommitOutcome {
        let [here, there] = [&self.here, &self.there].map(|s| PutRequest {
            target: TargetBranch::of(&s.store, &reference.parse().unwrap()).unwrap(),
            files: files.clone(),
            expect: None,
            by: s.by.clone(),
            message: "new".to_owned(),
        });
        let far = Far::new(&self.there.store);
        // The store's side knows the target alone.
        let target = PutFiles {
            directory: files.directory.clone(),
            as_path: files.as_path.clone(),
            mirror: files.mirror,
            ..PutFiles::default()
        };
        let there = PutRequest { files: target, ..there };
        let named: Reference = reference.parse().unwrap();
        let send = |dry_run| {
            let uploaded = upload(&named, files, &Upload { to: &far, known: None, dry_run }, caller)?;
            PutListing::decode(&uploaded.listing().encode())
        };
        match (put::preview(&self.here.store, &here, caller), send(true)) {
            (Ok(preview), Ok(listing)) => {
                assert_eq!(preview_listed(&self.there.store, &there, listing, ANNA).unwrap(), preview);
                assert!(far.arrived.lock().unwrap().is_empty(), "a preview sends nothing");
            }
            (here, there) => assert_eq!(here.unwrap_err().to_string(), there.unwrap_err().to_string()),
        }
        let one = prepare(&self.here.store, &here, caller).unwrap();
        let other = prepare_listed(&self.there.store, &there, send(false).unwrap(), ANNA).unwrap();
        assert_eq!(one.mirror().unwrap(), other.mirror().unwrap());
        assert_eq!(one.odd_place(), other.odd_place());
        let (one, other) = (one.commit().unwrap(), other.commit().unwrap());
        assert_eq!((&one.summary, &one.skipped), (&other.summary, &other.skipped));
        assert_eq!(one.run().is_some(), other.run().is_some());
        assert_eq!(Self::tree(&self.here), Self::tree(&self.there));
        let [mine, theirs] = [(&self.here, one.head()), (&self.there, other.head())]
            .map(|(s, head)| s.store.commit(&head.unwrap()).unwrap());
        assert_eq!((mine.origins, mine.message, mine.author), (theirs.origins, theirs.message, theirs.author));
        one
    }

    fn tree(s: &Setting) -> Tree {
        Tree::at(s.store.commit(&s.head("images", "main").unwrap()).unwrap().tree)
    }
}

#[test]
fn a_put_from_another_machine_is_the_put() {
    let both = Both::new();
    both.write("d/empty", "").write("d/small", "1").write("d/sub/one", noise(256 << 10, 1));
    both.write("d/sub/many", noise(1_500_000, 2)).write("d/x.tmp", "left out").write("d/run.sh", "#!/bin/sh");
    both.write("d/.pvignore", "*.log\n").write("d/a.log", "left out too");
    let script = both.folder.path().join("d/run.sh");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    let exclude = vec!["*.tmp".parse().unwrap()];
    let files = PutFiles { exclude, ..both.files(&["d"]) };
    let put = both.put("images", &files, &());
    assert_eq!((put.summary.added, put.summary.new_bytes), (5, put.summary.size_bytes));
    let again = both.put("images", &files, &());
    assert_eq!((again.run(), again.summary.unchanged, again.summary.new_bytes), (None, 5, 0));

    // A mirror: one file changed, one gone, one new; what is left out stays.
    for s in [&both.here, &both.there] {
        s.put("images", [("/kept.log", Some("k")), ("/other", Some("o")), ("/sub/x.tmp", Some("x"))]);
    }
    std::fs::remove_file(both.folder.path().join("d/small")).unwrap();
    both.write("d/new", "new").write("d/empty", "no more");
    let mirror = PutFiles { mirror: true, ..files };
    let put = both.put("images", &mirror, &());
    assert_eq!((put.summary.added, put.summary.modified, put.summary.removed), (1, 1, 2));
    let kept = Both::tree(&both.there).file(&both.there.store, &"/kept.log".parse().unwrap());
    assert!(kept.unwrap().is_some());
}

#[test]
fn what_cannot_be_read_is_skipped_and_reported_as_by_a_put() {
    let both = Both::new();
    both.write("d/a", "1").write("d/sub/b", "2");
    symlink("/nowhere", both.folder.path().join("d/broken")).unwrap();
    symlink("sub", both.folder.path().join("d/link")).unwrap();
    let files = PutFiles { skip_unreadable: true, mirror: true, ..both.files(&["d"]) };
    for s in [&both.here, &both.there] {
        s.put("images", [("/broken", Some("before")), ("/link/x", Some("before")), ("/old", Some("before"))]);
    }
    let put = both.put("images", &files, &());
    assert_eq!((put.skipped.len(), put.summary.added, put.summary.removed), (2, 2, 1));
    let far = Far::new(&both.there.store);
    let refused =
        upload(&"images".parse().unwrap(), &both.files(&["d"]), &Upload { to: &far, known: None, dry_run: false }, &());
    assert!(matches!(refused, Err(EngineError::Store(RepoError::BadSources(_)))));
    assert!(far.arrived.lock().unwrap().is_empty());
}

#[test]
fn single_files_lists_input_and_archives_travel_too() {
    let both = Both::new();
    both.write("y.jpg", noise(700_000, 3)).write("a", "1").write("sub/b", "2").write("sub/c", "3");
    let into = |directory: &str| Some(directory.parse::<FilePath>().unwrap());
    both.put("images", &PutFiles { directory: into("/x.jpg"), ..both.files(&["y.jpg"]) }, &());
    both.put("images", &PutFiles { as_path: into("/named"), ..both.files(&["a"]) }, &());
    let files_from = Some(["sub/b".into()].into());
    both.put("images", &PutFiles { files_from, directory: into("/listed"), ..both.files(&["."]) }, &());
    let input = PutFiles { sources: vec![PutSource::Input], as_path: into("/input"), ..PutFiles::default() };
    let put = both.put("images", &input, &Sends(noise(900_000, 4)));
    assert_eq!((put.summary.added, put.summary.new_bytes), (1, 900_000));
    let mut archive = tar_of(&[("in/a", b"1".to_vec()), ("in/large", noise(800_000, 5))]);
    let untar =
        PutFiles { sources: vec![PutSource::Input], untar: true, directory: into("/tar"), ..PutFiles::default() };
    assert_eq!(both.put("images", &untar, &Sends(archive.clone())).summary.added, 2);
    // A stream and a folder in one put; an archive that is cut commits nothing.
    both.write("t.tar", &archive);
    let untar = PutFiles { untar: true, directory: into("/again"), ..both.files(&["t.tar"]) };
    both.put("images", &untar, &());
    archive.truncate(archive.len() - 1500);
    let far = Far::new(&both.there.store);
    let how = Upload { to: &far, known: None, dry_run: false };
    let input = PutFiles { sources: vec![PutSource::Input], untar: true, ..PutFiles::default() };
    assert!(upload(&"images".parse().unwrap(), &input, &how, &Sends(archive)).is_err());
}

/// A tar archive, written by hand.
fn tar_of(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (name, bytes) in files {
        let mut head = [0_u8; 512];
        head[..name.len()].copy_from_slice(name.as_bytes());
        head[100..108].copy_from_slice(b"0000644\0");
        head[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
        head[156] = b'0';
        head[257..265].copy_from_slice(b"ustar\x0000");
        head[148..156].copy_from_slice(b"        ");
        let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.extend_from_slice(&head);
        archive.extend_from_slice(bytes);
        archive.resize(archive.len().div_ceil(512) * 512, 0);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn a_listing_may_name_only_what_its_client_sent_or_may_read() {
    let both = Both::new();
    both.write("d/a", "1").write("d/b", "2");
    let s = &both.there;
    s.put("images", [("/x", Some("0"))]);
    let far = Far::new(&s.store);
    let named: Reference = "images".parse().unwrap();
    let listing = |dry_run| {
        upload(&named, &both.files(&["d"]), &Upload { to: &far, known: None, dry_run }, &()).unwrap().listing()
    };
    let request = |expect| PutRequest {
        target: TargetBranch::of(&s.store, &named).unwrap(),
        files: PutFiles::default(),
        expect,
        by: s.by.clone(),
        message: String::new(),
    };
    let before = s.store.position().records;
    let not_sent = |listing, from| {
        let request = request(None);
        let error = prepare_listed(&s.store, &request, listing, from).unwrap().commit().unwrap_err();
        assert!(
            matches!(&error, EngineError::Store(RepoError::NotSent { digests, .. }) if digests.len() == 2),
            "{error}"
        );
        assert_eq!((error.kind(), error.hint().is_some()), (ErrorKind::Conflict, true));
    };
    // Nothing was sent; and what another client sent is not this one's.
    not_sent(listing(true), ANNA);
    let nothing = |_: &specs::RepoName| false;
    let sent = listing(false);
    not_sent(sent.clone(), Sender { name: "bert", sees: Some(&nothing) });
    let expects = request(Some(s.put("images", [("/x", Some("1"))])));
    s.put("images", [("/x", Some("2"))]);
    let late = prepare_listed(&s.store, &expects, sent.clone(), ANNA).unwrap().commit().unwrap_err();
    assert!(matches!(late, EngineError::NotExpected { .. }));
    assert_eq!((s.files("images").len(), s.store.position().records), (1, before + 2));
    // Two prepared on one head are two commits.
    let any = request(None);
    let [one, other] = [sent.clone(), sent].map(|sent| prepare_listed(&s.store, &any, sent, ANNA).unwrap());
    assert!(one.commit().unwrap().run().is_some());
    assert!(other.commit().unwrap().run().is_none(), "nothing is left to change");
    assert_eq!(s.files("images").len(), 3);
    assert_eq!(PutListing::decode(b"").unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(PutListing::decode(&[9, 0]).unwrap_err().kind(), ErrorKind::Usage);
    assert_eq!(PutListing::decode(&[1, 1, 200]).unwrap_err().kind(), ErrorKind::Usage);
}

#[test]
fn files_that_were_put_before_are_known_by_the_client_alone() {
    let both = Both::new();
    both.write("d/a", "1").write("d/b", "2");
    let cache = tempfile::tempdir().unwrap();
    let place = StatPlace::in_cache(cache.path(), &both.there.store.id().unwrap());
    let far = Far::new(&both.there.store);
    let how = Upload { to: &far, known: Some(&place), dry_run: false };
    let put = upload(&"images".parse().unwrap(), &both.files(&["d"]), &how, &()).unwrap();
    put.remember(&place);
    assert_eq!(put.listing().len(), 2);
    let again = upload(&"images".parse().unwrap(), &both.files(&["d"]), &how, &()).unwrap();
    assert_eq!((again.listing().len(), again.listing().new_bytes()), (2, 0));
    assert!(!both.there.store.folder().join("stat").exists(), "the store's own cache is for files of its machine");
}

#[test]
fn a_transaction_from_another_machine_is_the_transaction() {
    let both = Both::new();
    both.write("d/a", "1").write("d/b", noise(600_000, 6)).write("list", "d/a\n").write("t/a", "other");
    let lines = "{\"put\": \"images:/d\", \"from\": \"d\"}\n\
                 {\"put\": \"images:/d\", \"from\": \"t\", \"mirror\": true}\n\
                 {\"cp\": \"images:/d/a\", \"to\": \"rules:/a\"}\n";
    let request = |s: &Setting, folder: Option<&Path>| TransactionRequest {
        lines: lines_in("lines", lines).unwrap(),
        folder: folder.map(ToOwned::to_owned),
        by: s.by.clone(),
        message: "together".to_owned(),
    };
    for s in [&both.here, &both.there] {
        s.repo("rules");
        s.put("images", [("/d/old", Some("0")), ("/x", Some("0"))]);
    }
    let here = request(&both.here, Some(both.folder.path()));
    let there = request(&both.there, None);
    let far = Far::new(&both.there.store);
    let send = |dry_run| transaction::upload(&here, &Upload { to: &far, known: None, dry_run }, &()).unwrap();
    let summaries = |outcome: transaction::Outcome| {
        let drastic = outcome.drastic;
        (outcome.branches.into_iter().map(|branch| branch.summary).collect::<Vec<_>>(), drastic)
    };
    let preview = transaction::preview(&both.here.store, &here, &()).unwrap();
    let listings = send(true);
    assert_eq!(
        summaries(preview),
        summaries(transaction::preview_listed(&both.there.store, &there, &listings, ANNA).unwrap())
    );
    let not_sent = transaction::prepare_listed(&both.there.store, &there, &listings, ANNA);
    assert!(matches!(not_sent.err(), Some(EngineError::Store(RepoError::NotSent { .. }))));
    let listings = send(false);
    let one = transaction::prepare(&both.here.store, &here, &()).unwrap();
    let other = transaction::prepare_listed(&both.there.store, &there, &listings, ANNA).unwrap();
    assert_eq!(one.drastic().unwrap(), other.drastic().unwrap());
    assert_eq!(summaries(one.publish().unwrap()), summaries(other.publish().unwrap()));
    assert_eq!(Both::tree(&both.here), Both::tree(&both.there));
    assert_eq!(both.here.files("rules"), both.there.files("rules"));
    let none = transaction::Listings::new();
    let missing = transaction::prepare_listed(&both.there.store, &there, &none, ANNA);
    assert!(matches!(missing.err(), Some(EngineError::Lines(lines)) if lines[0].0 == 1));
}

#[test]
fn a_folder_to_mount_is_laid_out_where_the_trial_runs() {
    let both = Both::new();
    both.write("src/run.sh", "echo").write("src/lib/a.py", noise(600_000, 7));
    let s = &both.there;
    let far = Far::new(&s.store);
    let listing = upload_mount((&both.folder.path().join("src"), "src".as_ref()), &far).unwrap();
    let room = tempfile::tempdir().unwrap();
    let mut trial = EphemeralTrial::default();
    trial.mount_listed(&s.store, (&listing, &ANNA), room.path(), "/code".as_ref()).unwrap();
    assert_eq!((&trial.mounts[0].from, trial.mounts[0].at.to_str()), (&room.path().to_owned(), Some("/code")));
    for file in listing.files().iter().map(ListedFile::path) {
        let [one, other] = [both.folder.path().join("src"), room.path().to_owned()]
            .map(|folder| std::fs::read(folder.join(file.as_str().trim_start_matches('/'))).unwrap());
        assert!(one == other, "{file}");
    }
    let nothing = |_: &specs::RepoName| false;
    let bert = Sender { name: "bert", sees: Some(&nothing) };
    assert!(trial.mount_listed(&s.store, (&listing, &bert), room.path(), "/code".as_ref()).is_err());
    assert!(upload_mount((&both.folder.path().join("none"), "none".as_ref()), &far).is_err());
    let names: BTreeSet<_> = listing.files().iter().map(|file| file.path().to_string()).collect();
    assert_eq!(names, ["/lib/a.py".to_owned(), "/run.sh".to_owned()].into());
}

#[test]
fn what_was_put_from_another_machine_is_collected_as_what_was_put_here() {
    let both = Both::new();
    both.write("d/a", "1").write("d/large", noise(900_000, 8));
    both.put("images", &both.files(&["d"]), &());
    let swept = [&both.here, &both.there].map(|s| {
        s.put("images", [("/d", Some("other"))]);
        let images: Reference = "images".parse().unwrap();
        let gone = engine::edit::Edit::remove(&s.store, &["images:/large".parse().unwrap()], false, None).unwrap();
        gone.commit(&s.store, &s.by, "").unwrap();
        engine::keep::Prune::of(&s.store, &images).unwrap().commit(&s.store, &s.by).unwrap();
        repos::gc::collect(&s.store, "test", false, &|_, _, _| {}).unwrap().swept.objects_removed
    });
    assert!(swept[0] > 0);
    assert_eq!(swept[0], swept[1]);
}
