//! Collects everything that belongs to a claim: all that is read to check it, and nothing else.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use bytes::Bytes;
use repos::documents::{Commit, SignatureDocument, canonical};
use repos::object::Kind;
use repos::store::Resolved;
use repos::tree::{FileEntry, KeyRange, Tree, path_of};
use repos::{RepoError, Store};
use specs::{CommitId, Digest, FilePath};

use super::archive::Archive;
use super::{CLAIM, Claim, Code, Introduced, STATEMENTS, SUMS, SUMS_SIGNATURE, Unsigned, readme};
use crate::proof::verify::evidence::{Evidence, Key, StoreEvidence};
use crate::proof::verify::walk::Walk;
use crate::proof::verify::{State, Verdict, claim, while_others_write};
use crate::sight::ensure_sees_ancestry;
use crate::trace;
use engine::{EngineError, Result};

/// Maximum number of files traced one by one; for a larger claim the first ones.
const TOLD: usize = 1000;

/// Maximum number of files of code, and bytes, in a bundle; code of a stage that does not fit is left out completely.
const CODE_FILES: u64 = 10_000;
const CODE_BYTES: u64 = 64 << 20;

/// What a bundle contains besides documents.
#[derive(Debug, Clone, Copy)]
pub struct Contents {
    /// The content of files, and logs.
    pub data: bool,
    /// The code of the stages.
    pub code: bool,
}

/// An entry of a bundle.
#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    /// The content of a file in the store.
    File(FileEntry),
}

/// A claim with everything that belongs to it.
#[derive(Debug)]
pub struct Case {
    parts: BTreeMap<String, Part>,
    discloses: Vec<String>,
}

/// Records what is read from a store while a claim is checked.
struct Recorder {
    store: StoreEvidence,
    objects: RefCell<BTreeMap<(Kind, Digest), Bytes>>,
    contents: RefCell<BTreeMap<Digest, FileEntry>>,
    unsigned: RefCell<Vec<Unsigned>>,
    code: RefCell<Vec<Code>>,
    code_files: RefCell<BTreeMap<Digest, FileEntry>>,
    code_left_out: RefCell<Vec<Digest>>,
    /// The code being examined.
    looked_at: Cell<Option<Digest>>,
    with: Contents,
}

impl Recorder {
    fn new(store: &Store, with: Contents) -> Result<Self> {
        Ok(Self {
            store: StoreEvidence::new(store, &[])?,
            objects: RefCell::default(),
            contents: RefCell::default(),
            unsigned: RefCell::default(),
            code: RefCell::default(),
            code_files: RefCell::default(),
            code_left_out: RefCell::default(),
            looked_at: Cell::default(),
            with,
        })
    }

    /// Removes the code being examined from the bundle again; its nodes and other files there are harmless.
    fn leave_out_last_code(&self) {
        let last = self.looked_at.get();
        let mut code = self.code.borrow_mut();
        if let Some(at) = code.iter().position(|code| Some(code.tree) == last) {
            self.code_left_out.borrow_mut().push(code.remove(at).tree);
        }
    }

    /// Whether a stage's code fits into the bundle, and is then counted.
    fn takes_code(&self, tree: &Digest) -> bool {
        let Ok(totals) = Tree::at(*tree).totals(self.store.store()) else { return self.with.code }; // the walk names what is damaged
        let mut taken = self.code.borrow_mut();
        let files: u64 = taken.iter().map(|code| code.files).sum();
        let bytes: u64 = taken.iter().map(|code| code.size_bytes).sum();
        let fits =
            files.saturating_add(totals.entries) <= CODE_FILES && bytes.saturating_add(totals.weight) <= CODE_BYTES;
        if self.with.code && fits {
            taken.push(Code { tree: *tree, files: totals.entries, size_bytes: totals.weight });
        }
        self.with.code && fits
    }
}

impl Evidence for Recorder {
    fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes, RepoError> {
        let bytes = self.store.object(kind, digest)?;
        self.objects.borrow_mut().insert((kind, *digest), bytes.clone());
        Ok(bytes)
    }

    fn content(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        let there = self.store.content(file, commit)?;
        if self.with.data && there.is_ok() {
            self.contents.borrow_mut().insert(file.digest, *file);
        }
        Ok(there)
    }

    fn log(&self, log: &Digest, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        let there = self.store.log(log, commit)?;
        if self.with.data && there.is_ok() {
            self.object(Kind::Log, log)?;
        }
        Ok(there)
    }

    fn signatures(&self, commit: &CommitId) -> Result<Vec<Digest>, RepoError> {
        self.store.signatures(commit)
    }

    fn key(&self, fingerprint: &Digest) -> Result<Key, RepoError> {
        self.store.key(fingerprint)
    }

    fn may_be_unsigned(&self, commit: &CommitId) -> Result<Option<String>, RepoError> {
        let why = self.store.may_be_unsigned(commit)?;
        self.unsigned.borrow_mut().extend(why.clone().map(|why| Unsigned { commit: *commit, why }));
        Ok(why)
    }

    fn wants_signer(&self) -> bool {
        false
    }

    fn code_left_out(&self, tree: &Digest) -> Option<String> {
        self.looked_at.set(Some(*tree));
        if self.takes_code(tree) {
            return None;
        }
        self.code_left_out.borrow_mut().push(*tree);
        Some("it is not in the bundle".to_owned())
    }

    fn code_file(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        // Included whatever data was requested: it is part of the code.
        let there = self.store.content(file, commit)?;
        match &there {
            Ok(()) => drop(self.code_files.borrow_mut().insert(file.digest, *file)),
            // No longer stored: incomplete code is left out.
            Err(_) => self.leave_out_last_code(),
        }
        Ok(there)
    }

    fn introduced(&self, at: &CommitId, path: &FilePath) -> Result<CommitId, RepoError> {
        self.store.introduced(at, path)
    }
}

/// Collects everything that belongs to the claim of a file, a directory or a commit, with the requested content.
///
/// `Failed` if the claim is not proven, `Damaged` if something it depends on is damaged: such a bundle could convince nobody.
///
/// `Refused` if something that it would disclose is not visible through this handle: a bundle with a gap would prove nothing.
pub fn gather(store: &Store, at: &Resolved, with: Contents) -> Result<Case> {
    ensure_sees_ancestry(store, at.id, &format!("{} cannot be bundled", at.place()))?;
    let whole = store.whole();
    while_others_write(&whole, || gather_once(&whole, store, at, with), |_| false)
}

/// Refuses results that somebody else's job put into the cache.
fn ensure_seen(asker: &Store, recorder: &Recorder, at: &Resolved) -> Result<()> {
    let objects = recorder.objects.borrow();
    for (kind, digest) in objects.keys().filter(|(kind, _)| *kind == Kind::Result) {
        match asker.document_bytes(*kind, digest) {
            Err(RepoError::NotVisible { .. } | RepoError::Refused { .. }) => {
                return Err(EngineError::Store(RepoError::Refused {
                    what: format!(
                        "{} cannot be bundled: a job that is not visible to you made a part of it",
                        at.place()
                    ),
                    hint: Some("ask an admin of the store for a token with more rights".to_owned()),
                }));
            }
            read => read.map(drop)?,
        }
    }
    Ok(())
}

fn gather_once(store: &Store, asker: &Store, at: &Resolved, with: Contents) -> Result<Case> {
    let recorder = Recorder::new(store, with)?;
    let mut walk = Walk::new(&recorder);
    recorder.store.journal.tell(&mut walk.report);
    claim(store, &mut walk, at)?;
    walk.finish();
    ensure_proven(&walk)?;
    ensure_seen(asker, &recorder, at)?;
    let (introduced, met) = (std::mem::take(&mut walk.introduced), std::mem::take(&mut walk.met));
    let introduced = introduced.into_iter().map(|(at, path, by)| Introduced { at, path, by }).collect();
    let paths = if at.path.is_root() { Vec::new() } else { super::super::verify::paths(store, at)? };
    drop(walk);
    let key = store.public_key()?.map(|key| key.fingerprint()).ok_or_else(|| EngineError::Conflict {
        what: "there is no key here to sign the bundle".to_owned(),
        hint: Some("the next commit made here creates one".to_owned()),
    })?;
    let claim = Claim {
        format: 1,
        store: store.id()?,
        made_by: format!("pv {}", env!("CARGO_PKG_VERSION")),
        repo: at.commit.repo.clone(),
        commit: at.id,
        paths,
        introduced,
        unsigned: recorder.unsigned.take(),
        key,
        code: recorder.code.take(),
    };
    Gathering { store, claim, met, parts: BTreeMap::new() }.finish(at, recorder)
}

fn ensure_proven(walk: &Walk<'_>) -> Result<()> {
    let Some(worst) = walk.report.worst() else { return Ok(()) };
    let why = match &worst.state {
        State::Fails(why) | State::Damaged(why) | State::Noted(why) => why.as_str(),
        State::Holds => "",
    };
    let what = format!("the claim is not proven: {} {}: {why}", worst.link.word(), worst.subject);
    Err(match walk.report.verdict() {
        Verdict::Damaged => RepoError::Remote {
            kind: specs::ErrorKind::Damaged,
            message: what,
            hint: Some("pv fsck lists the damage".to_owned()),
            race: false,
            collected: false,
        }
        .into(),
        _ => EngineError::Stopped(what),
    })
}

struct Gathering<'a> {
    store: &'a Store,
    claim: Claim,
    met: Vec<CommitId>,
    parts: BTreeMap<String, Part>,
}

impl Gathering<'_> {
    fn add(&mut self, name: impl Into<String>, bytes: impl Into<Bytes>) {
        self.parts.insert(name.into(), Part::Bytes(bytes.into()));
    }

    fn finish(mut self, at: &Resolved, recorder: Recorder) -> Result<Case> {
        let (with, left_out) = (recorder.with, recorder.code_left_out.into_inner().len());
        let objects = recorder.objects.into_inner();
        let (contents, code_files) = (recorder.contents.into_inner(), recorder.code_files.into_inner());
        let discloses = self.disclosure(&objects, &contents, with, left_out)?;
        let listed = self.code_files()?;
        self.add_vouchers(&objects)?;
        for ((kind, digest), bytes) in objects {
            self.add(format!("objects/{kind}/{digest}"), bytes);
        }
        for (digest, file) in contents.into_iter().chain(code_files) {
            self.parts.insert(format!("files/{digest}"), Part::File(file));
        }
        self.add(CLAIM, canonical(&self.claim));
        self.add_stories(at)?;
        self.add("README.txt", readme::text(&self.claim, &listed));
        let mut sums = String::new();
        for (name, part) in &self.parts {
            sums += &format!("{}  {name}\n", part.digest());
        }
        let (_, signature) = self.store.sign_bytes(sums.as_bytes())?;
        self.add(SUMS_SIGNATURE, signature.as_bytes().to_vec());
        self.add(SUMS, sums);
        Ok(Case { parts: self.parts, discloses })
    }

    /// The files of the included code, one a line: digest and path.
    fn code_files(&self) -> Result<String> {
        let mut lines = String::new();
        for code in &self.claim.code {
            for entry in Tree::at(code.tree).range(self.store, KeyRange::all())? {
                let (key, file) = entry?;
                let path = path_of(&key).map_err(RepoError::from)?;
                lines += &format!("  files/{}  {path}\n", file.digest);
            }
        }
        Ok(lines)
    }

    /// Adds signatures as separate files, and the keys.
    fn add_vouchers(&mut self, objects: &BTreeMap<(Kind, Digest), Bytes>) -> Result<()> {
        let mut keys = BTreeSet::from([self.claim.key]);
        for ((_, digest), bytes) in objects.iter().filter(|((kind, _), _)| *kind == Kind::Signature) {
            let document: SignatureDocument = serde_json::from_slice(bytes).map_err(|error| {
                RepoError::DamagedObject { kind: Kind::Signature, digest: *digest, why: error.to_string() }
            })?;
            let name = format!("signatures/{}.{}.sig", document.commit, document.key);
            self.add(name, document.signature.as_bytes().to_vec());
            keys.insert(document.key);
        }
        for key in keys {
            if let Some(row) = self.store.signing_key(&key)? {
                self.add(format!("keys/{key}.pem"), row.public_key.to_pem());
            }
        }
        Ok(())
    }

    /// Adds the bundle's description, for people and for programs.
    fn add_stories(&mut self, at: &Resolved) -> Result<()> {
        let paths = match &self.claim.paths[..] {
            [] => first_paths(self.store, at)?,
            paths => paths.iter().take(TOLD).cloned().collect(),
        };
        let mut traces = Vec::new();
        let reach = trace::Reach { depth: None, all_files: true };
        for path in paths {
            traces.push(trace::trace(self.store, &Resolved { path, ..at.clone() }, reach)?);
        }
        let json: String =
            traces.iter().map(|trace| String::from_utf8_lossy(&canonical(trace)).into_owned() + "\n").collect();
        self.add("trace.json", json);
        if let [trace] = &traces[..] {
            self.add("index.html", trace::formats::html(trace));
        }
        let mut told = BTreeSet::new();
        let mut statements = String::new();
        for trace in &traces {
            for envelope in crate::proof::envelopes(self.store, trace)? {
                let line = serde_json::to_string(&envelope).expect("an envelope has a JSON form");
                if told.insert(line.clone()) {
                    statements += &(line + "\n");
                }
            }
        }
        self.add(STATEMENTS, statements);
        Ok(())
    }

    /// What recipients of the bundle learn.
    fn disclosure(
        &self,
        objects: &BTreeMap<(Kind, Digest), Bytes>,
        contents: &BTreeMap<Digest, FileEntry>,
        with: Contents,
        left_out: usize,
    ) -> Result<Vec<String>> {
        let commits = self.met.iter().map(|id| self.store.commit(id)).collect::<Result<Vec<Commit>, _>>()?;
        let authors: BTreeSet<&str> =
            commits.iter().map(|commit| commit.author.as_str()).filter(|author| !author.is_empty()).collect();
        let repos: BTreeSet<&str> = commits.iter().map(|commit| commit.repo.as_str()).collect();
        let count = |kind: Kind| objects.keys().filter(|(of, _)| *of == kind).count();
        let mut lines = vec![
            format!("{} commits of {}, with their messages", commits.len(), joined(&repos)),
            format!("their authors: {}", joined(&authors)),
            format!("specs, commands and environment of pipeline versions: {}", count(Kind::Transform)),
            "names, sizes and digests of files, and of their neighbours in a tree".to_owned(),
        ];
        let code = &self.claim.code;
        if !code.is_empty() {
            let (files, bytes) =
                code.iter().fold((0, 0), |(files, bytes), code| (files + code.files, bytes + code.size_bytes));
            lines.push(format!("the code of stages: {files} files ({bytes} bytes) (--no-code leaves it out)"));
        }
        if left_out > 0 && with.code {
            lines.push(format!("not the code of {left_out} stages: it is too large, or no longer stored"));
        }
        if with.data {
            let bytes: u64 = contents.values().map(|file| file.size).sum();
            lines.push(format!(
                "the contents of {} files ({bytes} bytes), and {} logs",
                contents.len(),
                count(Kind::Log)
            ));
        } else {
            lines.push("no contents of files, and no logs (--data adds them)".to_owned());
        }
        Ok(lines)
    }
}

fn joined(words: &BTreeSet<&str>) -> String {
    words.iter().copied().collect::<Vec<_>>().join(", ")
}

/// The first files of a commit.
fn first_paths(store: &Store, at: &Resolved) -> Result<Vec<FilePath>> {
    let files = at.tree().range(store, KeyRange::all())?.take(TOLD);
    Ok(files.map(|entry| Ok(path_of(&entry?.0)?)).collect::<Result<_, RepoError>>()?)
}

impl Part {
    fn digest(&self) -> Digest {
        match self {
            Self::Bytes(bytes) => repos::hash::digest_of(bytes),
            Self::File(file) => file.digest,
        }
    }
}

impl Case {
    /// What recipients of the bundle learn, one item a line.
    pub fn discloses(&self) -> &[String] {
        &self.discloses
    }

    /// Writes the archive; returns its number of entries.
    pub fn write(&self, store: &Store, into: &mut (impl Write + Seek)) -> Result<usize> {
        let mut archive = Archive::new(into);
        let failed = |source| RepoError::Io { doing: "write", path: "the bundle".into(), source };
        for (name, part) in &self.parts {
            match part {
                Part::Bytes(bytes) => archive.add(name, bytes.len() as u64, &mut &bytes[..]),
                Part::File(file) => archive.add(name, file.size, &mut store.open_file(file)?),
            }
            .map_err(failed)?;
        }
        archive.finish().map_err(failed)?;
        Ok(self.parts.len())
    }
}
