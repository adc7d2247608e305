//! Reads entries from bytes, trusting nothing: no entry of a hostile archive is written anywhere, and none takes more memory than a real
//! bundle.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use repos::hash::Hasher;
use repos::object::Kind;
use specs::Digest;
use zip::{CompressionMethod, ZipArchive};

use super::archive::{Archive, Compare};
use super::{CLAIM, STATEMENTS, SUMS, SUMS_SIGNATURE};
use crate::proof::verify::{LinkKind, Report, State};

/// Maximum number of entries in a bundle.
const ENTRIES: usize = 2_000_000;
/// Maximum size of one entry in bytes, except files.
const ENTRY_BYTES: u64 = 64 << 20;
/// Maximum total size of all entries in bytes, except files.
const ALL_BYTES: u64 = 1 << 30;

/// The entries of a bundle.
#[derive(Default)]
pub(super) struct Opened {
    /// Those that are not files.
    pub(super) entries: BTreeMap<String, Bytes>,
    /// Files by the digest of their content, with their sizes.
    pub(super) files: BTreeMap<Digest, u64>,
    digests: BTreeMap<String, Digest>,
}

/// Reads an archive and reports what is wrong with it. `None` if it cannot be read at all.
pub(super) fn open(path: &Path, report: &mut Report) -> Option<Opened> {
    match read(path, report) {
        Ok(opened) => Some(opened),
        Err(error) => {
            report.add(LinkKind::Bundle, "the archive", State::Damaged(format!("it cannot be read: {error}")));
            None
        }
    }
}

fn read(path: &Path, report: &mut Report) -> io::Result<Opened> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut archive = ZipArchive::new(file)?;
    if archive.len() > ENTRIES {
        return Err(io::Error::other("it has more entries than a bundle can have"));
    }
    let (mut opened, mut all, mut left) = (Opened::default(), 0, length);
    for at in 0..archive.len() {
        let mut entry = archive.by_index(at)?;
        let name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let fault = |why: &str| io::Error::other(format!("entry `{}` {why}", name.escape_debug()));
        let Some(sort) = Sort::of(&name) else { return Err(fault("is not part of a bundle")) };
        if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
            return Err(fault("is compressed or encrypted, which a bundle does not allow"));
        }
        // Without compression, non-overlapping entries together are no longer than the archive.
        let size = entry.size();
        left = left.checked_sub(size).ok_or_else(|| fault("is longer than the archive"))?;
        match sort {
            Sort::File(named) => {
                let (digest, read) = digest_of(&mut entry).map_err(|error| fault(&error.to_string()))?;
                opened.digests.insert(name.clone(), digest);
                let state = if digest == named { State::Holds } else { damaged("its bytes do not match its digest") };
                report.add(LinkKind::Bundle, format!("entry {name}"), state);
                opened.files.insert(digest, read);
            }
            Sort::Other => {
                all += size;
                if size > ENTRY_BYTES || all > ALL_BYTES {
                    return Err(fault("is longer than a bundle allows"));
                }
                let mut bytes = Vec::with_capacity(size as usize);
                entry.by_ref().take(ENTRY_BYTES).read_to_end(&mut bytes).map_err(|error| fault(&error.to_string()))?;
                opened.digests.insert(name.clone(), repos::hash::digest_of(&bytes));
                opened.entries.insert(name, bytes.into());
            }
        }
    }
    drop(archive);
    opened.check_sums(report);
    if let Some(place) = opened.first_other(path)? {
        let why = format!("byte {place} was changed");
        report.add(LinkKind::Bundle, "the archive around its entries", damaged(&why));
    }
    Ok(opened)
}

fn damaged(why: &str) -> State {
    State::Damaged(why.to_owned())
}

fn digest_of(content: &mut impl Read) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut length, mut buffer) = (Hasher::default(), 0, vec![0; 1 << 16]);
    loop {
        let read = content.read(&mut buffer)?;
        if read == 0 {
            return Ok((hasher.finish(), length));
        }
        hasher.update(&buffer[..read]);
        length += read as u64;
    }
}

/// The type of an entry, by its name.
enum Sort {
    File(Digest),
    Other,
}

impl Sort {
    fn of(name: &str) -> Option<Self> {
        let digest = |text: &str| text.parse::<Digest>().ok();
        if let Some(rest) = name.strip_prefix("objects/") {
            let (kind, name) = rest.split_once('/')?;
            digest(name)?;
            return Kind::ALL.into_iter().any(|known| known.word() == kind).then_some(Self::Other);
        }
        if let Some(name) = name.strip_prefix("files/") {
            return digest(name).map(Self::File);
        }
        if let Some(rest) = name.strip_prefix("signatures/") {
            let (commit, key) = rest.strip_suffix(".sig")?.split_once('.')?;
            return digest(commit).and(digest(key)).map(|_| Self::Other);
        }
        if let Some(rest) = name.strip_prefix("keys/") {
            return digest(rest.strip_suffix(".pem")?).map(|_| Self::Other);
        }
        let known = [CLAIM, SUMS, SUMS_SIGNATURE, STATEMENTS, "README.txt", "index.html", "trace.json"];
        known.contains(&name).then_some(Self::Other)
    }
}

impl Opened {
    /// Checks that each entry is in the list of digests with its own digest, and nothing else is listed.
    fn check_sums(&self, report: &mut Report) {
        let mut listed = BTreeMap::new();
        let sums = self.entries.get(SUMS).map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
        for line in sums.lines() {
            match line.split_once("  ").map(|(digest, name)| (digest.parse::<Digest>(), name)) {
                Some((Ok(digest), name)) => drop(listed.insert(name, digest)),
                _ => report.add(LinkKind::Bundle, SUMS, damaged("a line is malformed")),
            }
        }
        for (name, digest) in self.digests.iter().filter(|(name, _)| ![SUMS, SUMS_SIGNATURE].contains(&name.as_str())) {
            let state = match listed.remove(name.as_str()) {
                Some(expected) if expected == *digest => State::Holds,
                Some(_) => damaged("its bytes do not match SHA256SUMS"),
                None => damaged("SHA256SUMS does not list it"),
            };
            report.add(LinkKind::Bundle, format!("entry {name}"), state);
        }
        for name in listed.into_keys() {
            report.add(LinkKind::Bundle, format!("entry {name}"), damaged("it is missing"));
        }
    }

    /// The offset where the archive differs from what its entries produce.
    fn first_other(&self, path: &Path) -> io::Result<Option<u64>> {
        let mut there = ZipArchive::new(File::open(path)?)?;
        let mut archive = Archive::new(Compare::with(File::open(path)?));
        for name in self.digests.keys() {
            if let Some(bytes) = self.entries.get(name) {
                archive.add(name, bytes.len() as u64, &mut &bytes[..])?;
            } else {
                let mut file = there.by_name(name)?;
                let size = file.size();
                archive.add(name, size, &mut file)?;
            }
        }
        archive.finish()?.first_other()
    }
}
