//! Putting files: from the named sources to a commit.
//!
//! 1. [`TargetBranch::of`](crate::target::TargetBranch::of) resolves the branch; nothing is read if it cannot get commits.
//! 2. [`prepare`] reads and stores content without a lock: first what can be read only once (`streams`: web addresses, archives, the
//!    caller's input), then local files (`content`). Nothing of it is visible yet.
//! 3. The caller may check what a mirror would remove ([`PreparedPut::mirror`]) and drop everything; then it is garbage.
//! 4. [`PreparedPut::commit`] turns the content into edits of the branch's head and publishes them; it retries from the new head if
//!    another change came first, and stores the content again if garbage collection removed some.
//!
//! If the sources are on another machine than the store, step 2 has two halves (`sent`): [`upload`] there, [`prepare_listed`] here.
//!
//! [`preview`] does step 2 without storing anything, and returns what step 4 would change. A transaction does step 2 for each of its puts.
//! Not here: walking and reading folders (`repos::files`), how a commit is published (`changes`).

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use repos::files::{self, ChangeSummary, Edits, Gathered, LeftOut, Mirror, Pattern, PutOptions};
use repos::store::Sender;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{CommitId, ErrorKind, FilePath};

use crate::changes::{self, NewCommit};
use crate::error::{EngineError, Result};
use crate::run::Actor;
use crate::target::{CommitOutcome, TargetBranch};

mod content;
mod list;
mod sent;
mod source;
mod streams;

pub use list::sources_in;
pub use sent::{PutListing, Upload, UploadedPut, prepare_listed, preview_listed, upload};
pub use source::PutSource;

pub(crate) use content::Found;
pub(crate) use sent::{edits_of, listing_of, release};

use content::PutContent;
use streams::Streams;

/// A request to commit files to a branch.
#[derive(Debug, Clone)]
pub struct PutRequest {
    /// The branch.
    pub target: TargetBranch,
    /// The files.
    pub files: PutFiles,
    /// The expected head of the branch; `None`: any.
    pub expect: Option<CommitId>,
    /// Who makes the change.
    pub by: Actor,
    /// The author's message.
    pub message: String,
}

/// The files to put, and their place in the target.
#[derive(Debug, Clone, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct PutFiles {
    /// The directory that gets the files; `None` for `/`.
    pub directory: Option<FilePath>,
    /// What is read; with `files_from` and without sources, the folder `.`.
    pub sources: Vec<PutSource>,
    /// The base of relative paths; `None`: the working folder of this process.
    pub folder: Option<PathBuf>,
    /// The full path of a single file.
    pub as_path: Option<FilePath>,
    /// The sources are tar archives, plain or compressed: puts the files inside them.
    pub untar: bool,
    /// Also removes all files below the directory that the sources lack.
    pub mirror: bool,
    /// Leaves out paths that match one of these.
    pub exclude: Vec<Pattern>,
    /// Leaves out files that are unreadable, that change while they are read, or that are not regular.
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

/// What a mirroring put replaces.
#[derive(Debug, Clone)]
pub struct MirrorOf {
    /// The directory, which afterwards contains only what was put.
    pub directory: FilePath,
    /// What was left out of the put, which stays.
    pub left_out: LeftOut,
}

/// Reports the files and bytes read so far, and the total bytes (0 if unknown); called from several threads, dropped when all are read.
pub type PutProgress<'a> = Box<dyn Fn(u64, u64, u64) + Sync + 'a>;

/// The caller of a put: provides its input, and observes the progress.
pub trait Caller: Sync {
    /// The content of [`PutSource::Input`]; taken at most once.
    fn input(&self) -> Box<dyn Read + '_> {
        Box::new(std::io::empty())
    }

    /// The local files were found, and are not read yet.
    fn gathered(&self, _options: &PutOptions, _gathered: &Gathered) {}

    /// These files could not be read and are left out, with the reasons.
    fn skipped(&self, _skipped: &[(PathBuf, String)]) {}

    /// Reading begins.
    fn progress(&self) -> PutProgress<'_> {
        Box::new(|_, _, _| {})
    }

    /// Whether the caller does not wait any more: then reading ends.
    fn is_gone(&self) -> bool {
        false
    }
}

/// A caller without input that observes nothing.
impl Caller for () {}

/// What a put would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutPreview {
    /// The changes of files.
    pub summary: ChangeSummary,
    /// The sources that cannot be read, and why.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Most bytes of a list of files: about ten million entries.
pub const MAX_LIST_BYTES: u64 = 1 << 30;

/// Returns what a put would change: reads and hashes local files, and stores nothing.
pub fn preview(store: &Store, request: &PutRequest, caller: &dyn Caller) -> Result<PutPreview> {
    let PutRequest { target, files, .. } = request;
    Streams::of(files)?.ensure_none_in_a_preview(files)?;
    let base = target.files(store)?;
    let content = Found::of(target.named(), base, files)?.content(store, caller, true)?;
    let (edits, _) = content.edits(store, base)?;
    Ok(PutPreview { summary: files::preview(store, base, &edits)?, skipped: content.skipped() })
}

/// Reads and stores everything to put. Nothing is visible before [`PreparedPut::commit`].
pub fn prepare<'a>(store: &'a Store, request: &'a PutRequest, caller: &dyn Caller) -> Result<PreparedPut<'a>> {
    let PutRequest { target, files, .. } = request;
    let streams = Streams::of(files)?;
    let streamed = streams.store(store, caller)?;
    let content = if streams.is_all() {
        None
    } else {
        let found = Found::of(target.named(), target.files(store)?, files)?;
        Some(found.content(store, caller, false)?)
    };
    let single_file = files.single_file().map(ToOwned::to_owned);
    let prepared = PreparedPut { store, request, content, streamed, single_file, from: None };
    prepared.ensure_no_path_twice()?;
    Ok(prepared)
}

/// A put whose content is stored.
#[derive(Debug)]
pub struct PreparedPut<'a> {
    store: &'a Store,
    request: &'a PutRequest,
    /// Content of local files; `None` if all sources are streams.
    content: Option<PutContent>,
    streamed: Edits,
    /// The single source, if it is a file; as the caller wrote it.
    single_file: Option<PathBuf>,
    /// The client that sent the content; `None` if it was read here.
    from: Option<Sender<'a>>,
}

impl PreparedPut<'_> {
    /// How much the put removes from the branch's current head; `None` unless it is a mirror.
    pub fn mirror(&self) -> Result<Option<Mirror>> {
        match &self.content {
            Some(content) if self.request.files.mirror => {
                Ok(content.edits(self.store, self.request.target.files(self.store)?)?.1)
            }
            _ => Ok(None),
        }
    }

    /// The path of a file whose directory looks like a file name, and so was probably meant as one.
    pub fn odd_place(&self) -> Option<String> {
        let PutRequest { target, files, .. } = self.request;
        let (path, name) = (files.directory.as_ref()?, self.single_file.as_ref()?.file_name()?.to_str()?.to_owned());
        let is_directory =
            || target.files(self.store).is_ok_and(|tree| matches!(tree.kind_at(self.store, path), Ok(Some(_))));
        let is_odd = files.as_path.is_none() && is_alike(&name, path.name()) && !is_directory();
        is_odd.then(|| format!("{}{name}", path.as_prefix()))
    }

    /// Commits to the current head of the branch; `NotExpected` if that is not the expected one.
    pub fn commit(mut self) -> Result<CommitOutcome> {
        let (store, request) = (self.store, self.request);
        let PutRequest { target, expect, by, message, .. } = request;
        let new = NewCommit { repo: &target.repo, branch: &target.branch, expect: *expect, by, message };
        let mut tries = 0;
        let committed = changes::commit(store, &new, |base| {
            tries += 1;
            let edits = self.edits(base)?;
            if let Some(from) = &self.from {
                // At every try: another head may lack files that this one has.
                sent::ensure_sent(store, from, &edits)?;
                return Ok(edits);
            }
            if tries == 1 || !is_any_gone(store, &edits)? {
                return Ok(edits);
            }
            self.store_again()?;
            self.edits(base)
        });
        let (committed, summary) = committed.map_err(|error| self.hint_at_name(error))?;
        if let Some(content) = &self.content {
            content.remember(store);
        }
        if let Some(from) = &self.from {
            let content = self.content.iter().flat_map(PutContent::entries);
            sent::release(store, from, content.chain(self.streamed.files.values().flatten().copied()));
        }
        Ok(CommitOutcome { target: target.clone(), committed, summary, skipped: self.skipped() })
    }

    /// The sources that could not be read, and why.
    fn skipped(&self) -> Vec<(PathBuf, String)> {
        self.content.as_ref().map(PutContent::skipped).unwrap_or_default()
    }

    /// Checks all files, not only those that differ: none may be written twice.
    fn ensure_no_path_twice(&self) -> Result<()> {
        if !self.streamed.files.is_empty() {
            self.edits(Tree::empty())?;
        }
        Ok(())
    }

    /// All changes that the put makes to a tree.
    fn edits(&self, base: Tree) -> Result<Edits, RepoError> {
        let mut edits = match &self.content {
            Some(content) => content.edits(self.store, base)?.0,
            None => Edits::default(),
        };
        streams::join(&mut edits, self.streamed.clone())?;
        Ok(edits)
    }

    /// If the target directory is an existing file, it was probably meant as the new file's name: adds that hint.
    fn hint_at_name(&self, error: EngineError) -> EngineError {
        let (store, PutRequest { target, files, .. }) = (self.store, self.request);
        let (Some(path), Some(source)) = (&files.directory, &self.single_file) else { return error };
        let is_file = || target.files(store).is_ok_and(|tree| tree.file(store, path).is_ok_and(|file| file.is_some()));
        if error.kind() != ErrorKind::Usage || !is_file() {
            return error;
        }
        error.hinted(format!("to choose the name: pv put {} {} --as {path}", target.named(), source.display()))
    }

    /// Stores the content again after garbage collection removed some of it.
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

/// Whether garbage collection removed content since it was looked up.
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
