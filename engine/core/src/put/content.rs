//! Local files, and the caller's input as one file: reads and stores them.

use std::path::PathBuf;

use repos::files::{self, Edits, Gathered, LeftOut, Mirror, PutOptions, UploadOptions, Uploaded};
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use specs::FilePath;

use super::{Caller, MirrorOf, PutFiles};
use crate::error::{EngineError, Result};
use crate::target::TargetBranch;

/// The files to put, not yet read.
#[derive(Debug)]
pub(crate) struct Found {
    target: TargetBranch,
    /// Whether to read all files, also those that look unchanged.
    checksum: bool,
    options: PutOptions,
    gathered: Gathered,
}

impl Found {
    /// Finds all files to put.
    pub(crate) fn of(target: &TargetBranch, files: &PutFiles) -> Result<Self> {
        let options = files.options(target);
        let gathered = files::gather(&options)?;
        Ok(Self { target: target.clone(), checksum: files.checksum, options, gathered })
    }

    /// Reads the files whose content is not known, and stores it unless `dry_run`.
    pub(crate) fn content(self, store: &Store, caller: &dyn Caller, dry_run: bool) -> Result<PutContent> {
        let Self { target, checksum, options, gathered } = self;
        if let (Some(path), true) = (&options.as_path, reads_input(&options)) {
            let held = Held::Input(store_input(store, path, caller)?);
            return Ok(PutContent { options, held });
        }
        caller.gathered(&options, &gathered);
        let (progress, total) = (caller.progress(), gathered.size_bytes);
        let how = UploadOptions {
            base: target.files(store)?,
            trust_stat: !checksum,
            dry_run,
            skip_unreadable: options.skip_unreadable,
            progress: &|files, bytes| progress(files, bytes, total),
        };
        let uploaded = files::upload_with(store, &gathered, &how)?;
        caller.skipped(&uploaded.skipped);
        Ok(PutContent { options, held: Held::Files(Box::new(gathered), uploaded) })
    }
}

/// The content to put, read and stored.
#[derive(Debug)]
pub(crate) struct PutContent {
    options: PutOptions,
    held: Held,
}

#[derive(Debug)]
enum Held {
    Files(Box<Gathered>, Uploaded),
    /// The input, which can be read only once.
    Input(Edits),
}

impl PutContent {
    /// The changes to `base`; for a mirror also how much it removes.
    pub(crate) fn edits(&self, store: &Store, base: Tree) -> Result<(Edits, Option<Mirror>), RepoError> {
        let (gathered, uploaded) = match &self.held {
            Held::Files(gathered, uploaded) => (gathered, uploaded),
            Held::Input(edits) => return Ok((edits.clone(), None)),
        };
        let mut edits = uploaded.edits(store, base, gathered)?;
        if !self.options.mirror {
            return Ok((edits, None));
        }
        let directory = self.options.directory.clone().unwrap_or_else(FilePath::root);
        let mirror = files::mirror_gathered(store, base, &directory, gathered, &mut edits)?;
        Ok((edits, Some(mirror)))
    }

    /// What a transaction needs to mirror these files once the base tree is known; `None` unless they are a mirror.
    pub(crate) fn mirror(&self) -> Option<MirrorOf> {
        let left_out = match &self.held {
            Held::Files(gathered, uploaded) => uploaded.left_out(gathered),
            Held::Input(_) => LeftOut::default(),
        };
        let directory = self.options.directory.clone().unwrap_or_else(FilePath::root);
        self.options.mirror.then_some(MirrorOf { directory, left_out })
    }

    /// What could not be read and was skipped, and why.
    pub(super) fn skipped(&self) -> Vec<(PathBuf, String)> {
        match &self.held {
            Held::Files(gathered, uploaded) => [gathered.skipped.as_slice(), &uploaded.skipped].concat(),
            Held::Input(_) => Vec::new(),
        }
    }

    /// Caches the files' digests, so that the next put need not read them again.
    pub(super) fn remember(&self, store: &Store) {
        if let Held::Files(gathered, uploaded) = &self.held {
            uploaded.remember(store, gathered);
        }
    }

    /// Finds, reads and stores all files again.
    pub(super) fn store_again(&mut self, store: &Store) -> Result<(), RepoError> {
        if reads_input(&self.options) {
            return Err(read_only_once("standard input"));
        }
        let gathered = files::gather(&self.options)?;
        let skip_unreadable = self.options.skip_unreadable;
        let (base, progress) = (Tree::empty(), &|_, _| {});
        let how = UploadOptions { base, trust_stat: false, dry_run: false, skip_unreadable, progress };
        let uploaded = files::upload_with(store, &gathered, &how)?;
        self.held = Held::Files(Box::new(gathered), uploaded);
        Ok(())
    }
}

/// Content that can be read only once was collected.
pub(super) fn read_only_once(source: &str) -> RepoError {
    let what = format!("garbage collection removed content that {source} also contained");
    RepoError::Conflict { what, hint: Some("repeat the command".to_owned()) }
}

fn reads_input(options: &PutOptions) -> bool {
    options.sources.iter().any(|source| source.as_os_str() == "-")
}

fn store_input(store: &Store, path: &FilePath, caller: &dyn Caller) -> Result<Edits> {
    let stored = store.put_content(caller.input());
    let stored = stored.map_err(|error| EngineError::of_reading("standard input", error))?;
    let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    let files = [(path.clone(), Some(file))].into();
    Ok(Edits { files, new_bytes: stored.new_bytes, ..Edits::default() })
}
