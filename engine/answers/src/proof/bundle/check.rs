//! Checks whether a bundle's claim is true.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use bytes::Bytes;
use repos::RepoError;
use repos::documents::SignatureDocument;
use repos::hash::digest_of;
use repos::keys::{PublicKey, Signature};
use repos::object::Kind;
use repos::tree::FileEntry;
use specs::{CommitId, Digest, FilePath};

use super::open::{Opened, open};
use super::{CLAIM, Claim, STATEMENTS, SUMS, SUMS_SIGNATURE};
use crate::proof::Envelope;
use crate::proof::verify::evidence::{Evidence, Key, TrustedKey};
use crate::proof::verify::walk::Walk;
use crate::proof::verify::{LinkKind, Report, State};
use engine::Result;

/// Checks a bundle against these keys, without a store; returns its claim as text, and the report. Without keys it only checks that
/// everything is consistent, not who signed it.
///
/// Fails only if the file does not exist.
pub fn verify_bundle(path: &Path, keys: &[TrustedKey]) -> Result<(String, Report)> {
    if let Err(source) = std::fs::metadata(path) {
        return Err(RepoError::Io { doing: "open", path: path.to_owned(), source }.into());
    }
    let mut report = Report::default();
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let Some(opened) = open(path, &mut report) else { return Ok((name, report)) };
    let claim = opened.entries.get(CLAIM).and_then(|bytes| serde_json::from_slice::<Claim>(bytes).ok());
    let Some(claim) = claim.filter(|claim| claim.format == 1) else {
        let why = "it is missing, or was made by a newer pv";
        report.add(LinkKind::Bundle, CLAIM, State::Damaged(why.to_owned()));
        return Ok((name, report));
    };
    let subject = match &claim.paths[..] {
        [path] => format!("{}@{}:{path}", claim.repo, claim.commit.short(12)),
        [] => format!("{}@{}", claim.repo, claim.commit.short(12)),
        paths => format!("{}@{}, {} files", claim.repo, claim.commit.short(12), paths.len()),
    };
    let trust = Trust::of(&opened, &claim, keys, &mut report);
    let evidence = BundleEvidence::new(opened, &claim, trust, &mut report);
    let mut walk = Walk::new(&evidence);
    walk.report = report;
    walk.claimed(&claim)?;
    let (mut report, met) = (std::mem::take(&mut walk.report), std::mem::take(&mut walk.met));
    drop(walk);
    evidence.check_statements(&met, &mut report);
    Ok((subject, report))
}

impl Walk<'_> {
    fn claimed(&mut self, claim: &Claim) -> Result<()> {
        if claim.paths.is_empty() {
            self.commit_in_full(claim.commit)?;
        }
        for path in &claim.paths {
            self.file(claim.commit, path)?;
        }
        self.finish();
        Ok(())
    }
}

/// Which keys count.
struct Trust {
    /// All keys of the bundle by fingerprint.
    keys: HashMap<Digest, PublicKey>,
    /// The given keys; all keys if one of them vouches for the whole bundle. `None` if none were given.
    trusted: Option<Vec<Digest>>,
    /// Whether a given key vouches for the whole bundle.
    for_all: bool,
}

impl Trust {
    fn of(opened: &Opened, claim: &Claim, given: &[TrustedKey], report: &mut Report) -> Self {
        let mut keys = HashMap::new();
        for given in given {
            if let TrustedKey::Key(key) = given {
                keys.insert(key.fingerprint(), key.clone());
            }
        }
        for (name, bytes) in opened.entries.range("keys/".to_owned().."keys0".to_owned()) {
            let key = std::str::from_utf8(bytes).ok().and_then(|pem| PublicKey::from_pem(pem).ok());
            match key.filter(|key| *name == format!("keys/{}.pem", key.fingerprint())) {
                Some(key) => drop(keys.insert(key.fingerprint(), key)),
                None => report.add(LinkKind::Bundle, format!("entry {name}"), damaged("it does not match its name")),
            }
        }
        let mut trusted: Vec<Digest> = given.iter().map(TrustedKey::fingerprint).collect();
        let empty = Bytes::new();
        let part = |name: &str| opened.entries.get(name).unwrap_or(&empty);
        let signature = Signature::from_bytes(part(SUMS_SIGNATURE)).ok();
        let fits = keys.get(&claim.key).zip(signature).is_some_and(|(key, sign)| key.has_signed(part(SUMS), &sign));
        let for_all = fits && trusted.contains(&claim.key);
        let subject = format!("the whole bundle by key {}", claim.key.short(12));
        let state = if !fits {
            State::Fails(format!("{SUMS_SIGNATURE} does not match {SUMS}"))
        } else if given.is_empty() {
            report.unchecked_signers += 1;
            State::Holds
        } else if for_all {
            // Its holder also vouches for the list of keys.
            trusted = keys.keys().copied().collect();
            State::Holds
        } else {
            State::Fails("this is not the key that was given".to_owned())
        };
        report.add(LinkKind::Signature, subject, state);
        Self { keys, trusted: (!given.is_empty()).then_some(trusted), for_all }
    }

    fn key(&self, fingerprint: &Digest) -> Key {
        match (self.keys.get(fingerprint), &self.trusted) {
            (None, _) => Key::Refused("its key is not in the bundle".to_owned()),
            (Some(key), None) => Key::Unchecked(key.clone()),
            (Some(key), Some(trusted)) if trusted.contains(fingerprint) => Key::Known(key.clone()),
            _ => Key::Refused("its key is not the one that was given".to_owned()),
        }
    }
}

fn damaged(why: &str) -> State {
    State::Damaged(why.to_owned())
}

/// A bundle's entries.
struct BundleEvidence {
    objects: BTreeMap<(Kind, Digest), Bytes>,
    files: BTreeMap<Digest, u64>,
    statements: Bytes,
    signatures: HashMap<CommitId, Vec<Digest>>,
    introduced: HashMap<(CommitId, FilePath), CommitId>,
    unsigned: HashMap<CommitId, String>,
    code: Vec<Digest>,
    trust: Trust,
}

impl BundleEvidence {
    fn new(opened: Opened, claim: &Claim, trust: Trust, report: &mut Report) -> Self {
        let mut objects = BTreeMap::new();
        let mut signatures: HashMap<CommitId, Vec<Digest>> = HashMap::new();
        for (name, bytes) in &opened.entries {
            let Some((word, named)) = name.strip_prefix("objects/").and_then(|rest| rest.split_once('/')) else {
                continue;
            };
            let kind = Kind::ALL.into_iter().find(|kind| kind.word() == word).expect("no other entry is opened");
            let digest = digest_of(bytes);
            if named.parse() != Ok(digest) {
                report.add(LinkKind::Bundle, format!("entry {name}"), damaged("its bytes do not match its name"));
                continue;
            }
            if kind == Kind::Signature
                && let Ok(document) = serde_json::from_slice::<SignatureDocument>(bytes)
            {
                signatures.entry(document.commit).or_default().push(digest);
                let alone = opened.entries.get(&format!("signatures/{}.{}.sig", document.commit, document.key));
                if alone.is_none_or(|alone| **alone != document.signature.as_bytes()[..]) {
                    let why = "the signature differs from the one in its own file";
                    report.add(LinkKind::Bundle, format!("entry {name}"), damaged(why));
                }
            }
            objects.insert((kind, digest), bytes.clone());
        }
        Self {
            objects,
            signatures,
            files: opened.files,
            statements: opened.entries.get(STATEMENTS).cloned().unwrap_or_default(),
            introduced: claim.introduced.iter().map(|it| ((it.at, it.path.clone()), it.by)).collect(),
            unsigned: claim.unsigned.iter().map(|it| (it.commit, it.why.clone())).collect(),
            code: claim.code.iter().map(|code| code.tree).collect(),
            trust,
        }
    }

    /// Checks the signed statements: each must be signed by a key that counts, about a commit that the claim depends on.
    fn check_statements(&self, met: &[CommitId], report: &mut Report) {
        let text = String::from_utf8_lossy(&self.statements).into_owned();
        for (number, line) in (1..).zip(text.lines()) {
            let subject = format!("{STATEMENTS} line {number}");
            let state = match serde_json::from_str::<Envelope>(line) {
                Err(error) => State::Fails(format!("it is not an envelope: {error}")),
                Ok(envelope) => self.statement(&envelope, met).map_or_else(State::Fails, |()| State::Holds),
            };
            report.add(LinkKind::Statement, subject, state);
        }
    }

    fn statement(&self, envelope: &Envelope, met: &[CommitId]) -> Result<(), String> {
        let keys = envelope.signatures.iter().filter_map(|one| one.keyid.parse::<Digest>().ok());
        let counts = keys.map(|key| self.trust.key(&key)).any(|key| match key {
            Key::Known(key) | Key::Unchecked(key) => envelope.is_signed_by(&key),
            Key::Refused(_) => false,
        });
        if !counts {
            return Err("it is not signed by a trusted key".to_owned());
        }
        let payload = envelope.payload().and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
        let named =
            payload.as_ref().and_then(|it| it["subject"][0]["digest"]["sha256"].as_str()?.parse::<Digest>().ok());
        match named {
            Some(digest) if met.contains(&CommitId::new(digest)) => Ok(()),
            _ => Err("it is not about a commit in the provenance of the claim".to_owned()),
        }
    }
}

impl Evidence for BundleEvidence {
    fn object(&self, kind: Kind, digest: &Digest) -> Result<Bytes, RepoError> {
        self.objects.get(&(kind, *digest)).cloned().ok_or(RepoError::MissingObject { kind, digest: *digest })
    }

    fn content(&self, file: &FileEntry, _: &CommitId) -> Result<Result<(), String>, RepoError> {
        Ok(match self.files.get(&file.digest) {
            None => Err("its content is not in the bundle".to_owned()),
            Some(size) if *size == file.size => Ok(()),
            Some(_) => {
                let why = "its size differs from its tree".to_owned();
                return Err(RepoError::DamagedObject { kind: Kind::Chunk, digest: file.digest, why });
            }
        })
    }

    fn log(&self, log: &Digest, _: &CommitId) -> Result<Result<(), String>, RepoError> {
        Ok(self.objects.get(&(Kind::Log, *log)).map(drop).ok_or_else(|| "it is not in the bundle".to_owned()))
    }

    fn signatures(&self, commit: &CommitId) -> Result<Vec<Digest>, RepoError> {
        Ok(self.signatures.get(commit).cloned().unwrap_or_default())
    }

    fn key(&self, fingerprint: &Digest) -> Result<Key, RepoError> {
        Ok(self.trust.key(fingerprint))
    }

    fn may_be_unsigned(&self, commit: &CommitId) -> Result<Option<String>, RepoError> {
        Ok(self.unsigned.get(commit).cloned())
    }

    fn is_vouched_for(&self) -> bool {
        self.trust.for_all
    }

    fn wants_signer(&self) -> bool {
        self.trust.trusted.is_some()
    }

    fn code_left_out(&self, tree: &Digest) -> Option<String> {
        (!self.code.contains(tree)).then(|| "it is not in the bundle".to_owned())
    }

    fn code_file(&self, file: &FileEntry, commit: &CommitId) -> Result<Result<(), String>, RepoError> {
        // The bundle claims to contain it.
        let missing = |_| RepoError::MissingObject { kind: Kind::Chunk, digest: file.digest };
        self.content(file, commit)?.map_err(missing).map(Ok)
    }

    fn introduced(&self, at: &CommitId, path: &FilePath) -> Result<CommitId, RepoError> {
        let found = self.introduced.get(&(*at, path.clone()));
        found.copied().ok_or(RepoError::MissingObject { kind: Kind::Commit, digest: at.digest() })
    }
}
