//! What the files of a trace show, and who vouches for its commits: what a page needs beside the trace itself.
//!
//! Everything is bounded: pictures are small, texts cut, and of many files the first are shown, the asked one and its nearest sources before
//! others. What is not shown says why, or is counted.

use std::collections::{BTreeSet, HashSet};
use std::io::Cursor;

use compare::{Bounds, CompareError, Limits, Shown, Side};
use repos::documents::Certificate;
use repos::store::Vouched;
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use specs::{CommitId, Digest, FilePath, RepoName};

use super::nodes::{FileNode, Origin, Trace};
use engine::Result;

/// Pictures on a page.
const PICTURES: usize = 24;
/// Bytes of all of them.
const PICTURE_BYTES: usize = 4 << 20;
/// Other files that are shown.
const OTHERS: usize = 40;
/// Bytes of a file that is read to be shown.
const READ: u64 = 64 << 20;
/// Commits of which it is said who signed them.
const COMMITS: usize = 200;
const BOUNDS: Bounds = Bounds { text_bytes: 8 << 10, picture_side: 640, tensors: 20 };

/// What the files of a trace show, and who vouches for its commits.
#[derive(Debug, Default)]
pub struct Exhibits {
    /// What files show, by their bytes, in the order in which a page has them.
    pub(super) shown: Vec<Exhibit>,
    /// Files of the trace that are not among them.
    pub(super) left_out: usize,
    /// By whom the commits of the trace are signed.
    pub(super) signed: Vec<SignedCommit>,
    /// Commits of which nothing is said.
    pub(super) commits_left_out: usize,
    /// Executions for proof of the commit that was asked about, the newest last.
    pub(super) certificates: Vec<(Digest, Certificate)>,
}

/// A file and what it shows.
#[derive(Debug)]
pub(super) struct Exhibit {
    /// Where the file is; of several places with its bytes the one nearest to people.
    pub(super) place: (RepoName, CommitId, FilePath),
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) shown: Shown,
}

/// A commit and by whom it is signed.
#[derive(Debug)]
pub(super) struct SignedCommit {
    pub(super) repo: RepoName,
    pub(super) commit: CommitId,
    /// What is known of its signature, in words.
    pub(super) words: String,
    pub(super) is_good: bool,
}

/// Gathers what a page about a trace shows.
pub fn exhibits(store: &Store, trace: &Trace) -> Result<Exhibits> {
    let files = files_of(&trace.file);
    let mut found = Exhibits::default();
    let (mut pictures, mut picture_bytes, mut others) = (0, 0, 0);
    for file in &files {
        let is_image = looks_like_image(&file.path);
        if (is_image && (pictures >= PICTURES || picture_bytes >= PICTURE_BYTES)) || (!is_image && others >= OTHERS) {
            found.left_out += 1;
            continue;
        }
        let shown = shown(store, file)?;
        if let Shown::Picture(picture) = &shown {
            (pictures, picture_bytes) = (pictures + 1, picture_bytes + picture.bytes.len());
        } else {
            others += 1;
        }
        found.shown.push(Exhibit {
            place: (file.repo.clone(), commit_of(file), file.path.clone()),
            digest: file.digest,
            size_bytes: file.size_bytes,
            shown,
        });
    }
    sign(store, &trace.file, &mut found)?;
    found.certificates = store.certificates(&trace.file.commit)?;
    found.certificates.retain(|(_, one)| one.path.as_ref().is_none_or(|path| *path == trace.file.path));
    found.certificates.sort_by_key(|(_, certificate)| certificate.at);
    Ok(found)
}

fn looks_like_image(path: &FilePath) -> bool {
    let endings = ["jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp", "qoi", "pgm", "ppm", "pnm", "tga"];
    let ending = path.name().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    ending.is_some_and(|ending| endings.contains(&ending.as_str()))
}

/// The commit by which a file is told.
fn commit_of(file: &FileNode) -> CommitId {
    if let Origin::Source(source) = &file.origin { source.commit } else { file.commit }
}

/// The files of a trace, each of its bytes once: the asked one, then those of people, then those that stages made. Of equal bytes the file of
/// people counts.
fn files_of(asked: &FileNode) -> Vec<&FileNode> {
    let mut open = vec![asked];
    let (mut sources, mut made) = (Vec::new(), Vec::new());
    while let Some(file) = open.pop() {
        match &file.origin {
            Origin::Source(source) => {
                sources.push(file);
                open.extend(source.copied_from.iter());
            }
            Origin::Datum(datum) => {
                made.push(file);
                // The first comes from the end first.
                open.extend(datum.inputs.iter().rev().flat_map(|input| input.files.iter().rev()));
            }
            Origin::SeenDatum(_) | Origin::Gap(_) | Origin::Cut => made.push(file),
        }
    }
    let mut seen = HashSet::new();
    let mut files: Vec<&FileNode> = vec![asked];
    seen.insert(asked.digest);
    for file in sources.into_iter().chain(made) {
        if seen.insert(file.digest) {
            files.push(file);
        }
    }
    files
}

fn shown(store: &Store, file: &FileNode) -> Result<Shown> {
    if file.size_bytes == 0 {
        return Ok(Shown::Nothing("it is empty".to_owned()));
    }
    if !store.has_content(&file.digest)? {
        return Ok(Shown::Nothing("its content is no longer stored".to_owned()));
    }
    // Of a text its beginning is enough.
    let most = if looks_like_text(&file.path) { 2 * BOUNDS.text_bytes } else { file.size_bytes };
    if most > READ {
        return Ok(Shown::Nothing("it is too large to show".to_owned()));
    }
    let entry = FileEntry { digest: file.digest, size: file.size_bytes, executable: file.executable };
    let mut content = Cursor::new(store.read_file(&entry, 0..most)?);
    let side = Side { name: file.path.name(), size_bytes: file.size_bytes, content: &mut content, pieces: Vec::new() };
    let shown = compare::show(side, &BOUNDS, &Limits::default());
    Ok(shown.map_err(|CompareError::Read(source)| RepoError::Io {
        doing: "read",
        path: file.path.as_str().into(),
        source,
    })?)
}

fn looks_like_text(path: &FilePath) -> bool {
    let endings = [".json", ".jsonl", ".yaml", ".yml", ".csv", ".tsv", ".txt", ".log", ".md"];
    endings.iter().any(|ending| path.name().ends_with(ending))
}

/// Says of each commit of a trace by whom it is signed.
fn sign(store: &Store, file: &FileNode, found: &mut Exhibits) -> Result<()> {
    let mut commits: Vec<(RepoName, CommitId)> = Vec::new();
    let mut seen = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        for commit in [file.commit, commit_of(file)] {
            if seen.insert(commit) {
                commits.push((file.repo.clone(), commit));
            }
        }
        match &file.origin {
            Origin::Source(source) => open.extend(source.copied_from.iter()),
            Origin::Datum(datum) => {
                open.extend(datum.inputs.iter().rev().flat_map(|input| input.files.iter().rev()));
            }
            Origin::SeenDatum(_) | Origin::Gap(_) | Origin::Cut => {}
        }
    }
    found.commits_left_out = commits.len().saturating_sub(COMMITS);
    for (repo, commit) in commits.into_iter().take(COMMITS) {
        let (words, is_good) = signature(store, &commit)?;
        found.signed.push(SignedCommit { repo, commit, words, is_good });
    }
    Ok(())
}

/// What is known of a commit's signatures: a good one counts before others.
fn signature(store: &Store, commit: &CommitId) -> Result<(String, bool)> {
    let signed = store.signatures(commit)?;
    let key = |key: Option<Digest>| key.map_or_else(|| "a key".to_owned(), |key| format!("key {}", key.short(16)));
    let mut words = "not signed".to_owned();
    for one in signed {
        words = match one.vouched {
            Vouched::Good => return Ok((format!("signed by {}, which this store trusts", key(one.key)), true)),
            Vouched::UnknownKey => format!("signed by {}, which is unknown to this store", key(one.key)),
            Vouched::UnvouchedKey => format!("signed by {}, which is not trusted", key(one.key)),
            Vouched::Bad => format!("the signature was not made by {}", key(one.key)),
            Vouched::Damaged(why) => format!("the signature cannot be read: {why}"),
        };
    }
    Ok((words, false))
}
