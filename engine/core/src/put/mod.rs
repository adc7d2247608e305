//! Putting files: from what a caller names to a commit.
//!
//! 1. [`TargetBranch::of`](crate::target::TargetBranch::of) finds the branch; nothing is read for one that cannot get commits.
//! 2. [`prepare`] reads and stores content, without a lock: first what can be read only once (`streams`: addresses on the web, archives,
//!    the caller's input), then the files of this machine (`content`). Nothing of it is visible yet.
//! 3. The caller may look at what a mirror would remove ([`PreparedPut::mirror`]) and drop everything; it is garbage then.
//! 4. [`PreparedPut::commit`] turns the content into edits of the branch's head and publishes them; again from the new head when another
//!    change came first, and with the content stored once more when garbage collection was in between.
//!
//! [`preview`] does 2 without storing anything, and says what 4 would change. A transaction does 2 for each of its lines that puts files.
//! Not here: walking and reading folders (`repos::files`), how a commit is published (`changes`).

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use repos::files::{self, ChangeSummary, Edits, Gathered, LeftOut, Mirror, Pattern, PutOptions};
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{CommitId, ErrorKind, FilePath};

use crate::changes::{self, NewCommit};
use crate::error::{EngineError, Result};
use crate::run::Actor;
use crate::target::{CommitOutcome, TargetBranch};

mod content;
mod list;
mod source;
mod streams;

pub use list::sources_in;
pub use source::PutSource;

pub(crate) use content::Found;

use content::Content;
use streams::Streams;

/// Files to be committed to a branch.
#[derive(Debug, Clone)]
pub struct PutRequest {
    /// Where.
    pub target: TargetBranch,
    /// What.
    pub files: PutFiles,
    /// The head that the branch must have; `None`: any.
    pub expect: Option<CommitId>,
    /// By whom.
    pub by: Actor,
    /// Why, in the author's words.
    pub message: String,
}

/// What is put, and where in the target.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct PutFiles {
    /// The directory that gets the files; `None` for `/`.
    pub directory: Option<FilePath>,
    /// What is read; with `files_from` and no source, the folder `.`.
    pub sources: Vec<PutSource>,
    /// Where relative paths begin; `None`: the working folder of this process.
    pub folder: Option<PathBuf>,
    /// The whole path of a single file.
    pub as_path: Option<FilePath>,
    /// Puts the files inside the sources, which are tar archives, plain or compressed.
    pub untar: bool,
    /// Also removes all files below the directory that the sources lack.
    pub mirror: bool,
    /// Leaves out what matches one of these.
    pub exclude: Vec<Pattern>,
    /// Leaves out what cannot be read, that changes while it is read, or that is not a regular file.
    pub skip_unreadable: bool,
    /// Puts only these paths, relative to the one source.
    pub files_from: Option<Arc<[PathBuf]>>,
    /// Reads all files, also those that look unchanged.
    pub checksum: bool,
}

impl PutFiles {
    /// The directory that gets the files.
    pub fn directory(&self) -> FilePath {
        self.directory.clone().unwrap_or_else(FilePath::root)
    }
}

/// What a put is to stand for.
#[derive(Debug, Clone)]
pub struct MirrorOf {
    /// The directory that holds what was put, and nothing else.
    pub directory: FilePath,
    /// What was left out of the put stays.
    pub left_out: LeftOut,
}

/// Shows the files and bytes read so far, and the bytes in all (0 if unknown); called from several threads, dropped when all are read.
pub type PutProgress<'a> = Box<dyn Fn(u64, u64, u64) + Sync + 'a>;

/// Who asks for a put: gives what only the caller has, and sees how it goes.
pub trait Caller: Sync {
    /// The content of [`PutSource::Input`]; taken at most once.
    fn input(&self) -> Box<dyn Read + '_> {
        Box::new(std::io::empty())
    }

    /// The files of this machine were found; none is read yet.
    fn gathered(&self, _options: &PutOptions, _gathered: &Gathered) {}

    /// These could not be read and are left out; each with the reason.
    fn skipped(&self, _skipped: &[(PathBuf, String)]) {}

    /// Reading begins.
    fn progress(&self) -> PutProgress<'_> {
        Box::new(|_, _, _| {})
    }

    /// Whether nobody waits for the answer any more: then reading ends.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A caller without input who looks at nothing.
impl Caller for () {}

/// What a put would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutPreview {
    /// The changes of files.
    pub summary: ChangeSummary,
    /// What of the sources cannot be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Bytes of a list of files: about ten million of them.
pub const MAX_LIST_BYTES: u64 = 1 << 30;

/// Says what a put would change: reads and hashes the files of this machine, and stores nothing.
pub fn preview(store: &Store, request: &PutRequest, caller: &dyn Caller) -> Result<PutPreview> {
    let PutRequest { target, files, .. } = request;
    Streams::of(files)?.ensure_none_in_a_preview(files)?;
    let content = Found::of(target, files)?.content(store, caller, true)?;
    let base = target.files(store)?;
    let (edits, _) = content.edits(store, base)?;
    Ok(PutPreview { summary: files::preview(store, base, &edits)?, skipped: content.skipped() })
}

/// Reads and stores all that is put. Nothing is visible before [`PreparedPut::commit`].
pub fn prepare<'a>(store: &'a Store, request: &'a PutRequest, caller: &dyn Caller) -> Result<PreparedPut<'a>> {
    let PutRequest { target, files, .. } = request;
    let streams = Streams::of(files)?;
    let streamed = streams.store(store, caller)?;
    let content = if streams.is_all() { None } else { Some(Found::of(target, files)?.content(store, caller, false)?) };
    let prepared = PreparedPut { store, request, content, streamed };
    if !prepared.streamed.files.is_empty() {
        // All files, not only those that differ: none may be written twice.
        prepared.edits(Tree::empty())?;
    }
    Ok(prepared)
}

/// A put whose content is stored.
#[derive(Debug)]
pub struct PreparedPut<'a> {
    store: &'a Store,
    request: &'a PutRequest,
    /// Files of this machine; `None` when all sources are streams.
    content: Option<Content>,
    streamed: Edits,
}

impl PreparedPut<'_> {
    /// How much the put removes from the branch as it is now; `None` unless it is a mirror.
    pub fn mirror(&self) -> Result<Option<Mirror>> {
        match &self.content {
            Some(content) if self.request.files.mirror => {
                Ok(content.edits(self.store, self.request.target.files(self.store)?)?.1)
            }
            _ => Ok(None),
        }
    }

    /// Where a file comes to lie whose directory looks like a file's name, and so was probably meant as one.
    pub fn odd_place(&self) -> Option<String> {
        let PutRequest { target, files, .. } = self.request;
        let (path, name) = (files.directory.as_ref()?, files.single_file()?.file_name()?.to_str()?.to_owned());
        let is_directory =
            || target.files(self.store).is_ok_and(|tree| matches!(tree.kind_at(self.store, path), Ok(Some(_))));
        let is_odd = files.as_path.is_none() && is_alike(&name, path.name()) && !is_directory();
        is_odd.then(|| format!("{}{name}", path.as_prefix()))
    }

    /// Commits it, to the head that the branch has then; `NotExpected` if that is not the one that was expected.
    pub fn commit(mut self) -> Result<CommitOutcome> {
        let (store, request) = (self.store, self.request);
        let PutRequest { target, expect, by, message, .. } = request;
        let new = NewCommit { repo: &target.repo, branch: &target.branch, expect: *expect, by, message };
        let mut tries = 0;
        let committed = changes::commit(store, &new, |base| {
            tries += 1;
            let edits = self.edits(base)?;
            if tries == 1 || !is_any_gone(store, &edits)? {
                return Ok(edits);
            }
            self.store_again()?;
            self.edits(base)
        });
        let (committed, summary) = committed.map_err(|error| hint_at_name(error, store, request))?;
        if let Some(content) = &self.content {
            content.remember(store);
        }
        let skipped = self.content.as_ref().map(Content::skipped).unwrap_or_default();
        Ok(CommitOutcome { target: target.clone(), committed, summary, skipped })
    }

    /// All that the put changes of a tree.
    fn edits(&self, base: Tree) -> Result<Edits, RepoError> {
        let mut edits = match &self.content {
            Some(content) => content.edits(self.store, base)?.0,
            None => Edits::default(),
        };
        streams::join(&mut edits, self.streamed.clone())?;
        Ok(edits)
    }

    /// Stores the content once more, when garbage collection took some of it.
    fn store_again(&mut self) -> Result<(), RepoError> {
        if !self.streamed.files.is_empty() {
            return Err(content::read_only_once("a stream"));
        }
        if let Some(content) = &mut self.content {
            content.store_again(self.store)?;
        }
        Ok(())
    }
}

/// Whether garbage collection took content since it was looked for.
fn is_any_gone(store: &Store, edits: &Edits) -> Result<bool, RepoError> {
    for file in edits.files.values().flatten() {
        if !store.has_content(&file.digest)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether two names have the same extension.
fn is_alike(one: &str, other: &str) -> bool {
    let extension = |name: &str| std::path::Path::new(name).extension().map(std::ffi::OsStr::to_ascii_lowercase);
    extension(one).is_some() && extension(one) == extension(other)
}

/// A target that is a file is most likely meant as the new file's name.
fn hint_at_name(error: EngineError, store: &Store, request: &PutRequest) -> EngineError {
    let PutRequest { target, files, .. } = request;
    let (Some(path), Some(source)) = (&files.directory, files.single_file()) else { return error };
    let is_file = || target.files(store).is_ok_and(|tree| tree.file(store, path).is_ok_and(|file| file.is_some()));
    if error.kind() != ErrorKind::Usage || !is_file() {
        return error;
    }
    error.hinted(format!("to choose the name: pv put {} {} --as {path}", target.named(), source.display()))
}
