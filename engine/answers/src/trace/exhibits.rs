//! The content of files in a trace, and who vouches for its commits: what a page needs besides the trace itself.
//!
//! Everything is bounded: pictures are small, texts are cut, and of many files only the first are shown, starting with the requested one
//! and its nearest sources. What is not shown is counted, or says why.

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

/// Maximum number of pictures on a page.
const PICTURES: usize = 24;
/// Their maximum total size in bytes.
const PICTURE_BYTES: usize = 4 << 20;
/// Maximum number of other files shown.
const OTHERS: usize = 40;
/// Maximum size in bytes of a file that is read to be shown.
const READ: u64 = 64 << 20;
/// Maximum number of commits whose signers are reported.
const COMMITS: usize = 200;
const BOUNDS: Bounds = Bounds { text_bytes: 8 << 10, picture_side: 640, tensors: 20 };

/// The content of files in a trace, and who vouches for its commits.
#[derive(Debug, Default)]
pub struct Exhibits {
    /// The content of files, each once, in page order.
    pub(super) shown: Vec<Exhibit>,
    /// Number of further files in the trace.
    pub(super) left_out: usize,
    /// The signatures of the commits in the trace.
    pub(super) signed: Vec<SignedCommit>,
    /// Number of further commits.
    pub(super) commits_left_out: usize,
    /// Certificates of the requested commit, newest last.
    pub(super) certificates: Vec<(Digest, Certificate)>,
}

/// A file and its content.
#[derive(Debug)]
pub(super) struct Exhibit {
    /// Where the file is; of several places with the same content, the one nearest to users.
    pub(super) place: (RepoName, CommitId, FilePath),
    pub(super) digest: Digest,
    pub(super) size_bytes: u64,
    pub(super) shown: Shown,
}

/// A commit and its signature.
#[derive(Debug)]
pub(super) struct SignedCommit {
    pub(super) repo: RepoName,
    pub(super) commit: CommitId,
    /// A description of its signature.
    pub(super) words: String,
    pub(super) is_good: bool,
}

/// Collects what a page about a trace shows.
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

/// The commit to report for a file.
fn commit_of(file: &FileNode) -> CommitId {
    if let Origin::Source(source) = &file.origin { source.commit } else { file.commit }
}

/// The files of a trace, each content once: the requested one, then those of users, then those made by stages. For equal content the user's
/// file wins.
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
                // A stack: the first input must be pushed last.
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
    // For a text, its beginning is enough.
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

/// Adds the signatures of each commit in a trace.
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

/// Describes a commit's signatures: a valid one takes precedence.
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
