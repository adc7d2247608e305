//! Local files, and the caller's input as one file: reads and stores them, here or elsewhere.

use std::path::PathBuf;

use repos::files::{
    self, Edits, Gathered, LeftOut, ListedFile, Listing, Mirror, Outbox, PutOptions, SendOptions, StatPlace,
    UploadOptions, Uploaded,
};
use repos::store::{ContentSink, put_into};
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use specs::{FilePath, Reference};

use super::{Caller, MirrorOf, PutFiles};
use crate::error::{EngineError, Result};

/// The files to put, not yet read.
#[derive(Debug)]
pub(crate) struct Found {
    /// Files that the store certainly has.
    base: Tree,
    /// Whether to read all files, also those that look unchanged.
    checksum: bool,
    options: PutOptions,
    gathered: Gathered,
}

impl Found {
    /// Finds all files to put. `named`: how the caller named the branch; `base`: its files, if they are known.
    pub(crate) fn of(named: &Reference, base: Tree, files: &PutFiles) -> Result<Self> {
        let options = files.options(named);
        let gathered = files::gather(&options)?;
        Ok(Self { base, checksum: files.checksum, options, gathered })
    }

    /// Reads the files whose content is not known, and stores it unless `dry_run`.
    pub(crate) fn content(self, store: &Store, caller: &dyn Caller, dry_run: bool) -> Result<PutContent> {
        self.taken(store, caller, |found, progress| {
            let Self { base, checksum, options, gathered } = found;
            let trust_stat = !checksum;
            let how =
                UploadOptions { base: *base, trust_stat, dry_run, skip_unreadable: options.skip_unreadable, progress };
            Ok(files::upload_with(store, gathered, &how)?)
        })
    }

    /// Like [`Self::content`], for a store elsewhere; `known` has digests of files that were put there before.
    pub(crate) fn sent(
        self,
        outbox: &Outbox<'_>,
        known: Option<&StatPlace>,
        caller: &dyn Caller,
        dry_run: bool,
    ) -> Result<PutContent> {
        let mut content = self.taken(outbox, caller, |found, progress| {
            let known = known.filter(|_| !found.checksum);
            let how = SendOptions { known, dry_run, skip_unreadable: found.options.skip_unreadable, progress };
            Ok(files::send(outbox, &found.gathered, &how)?)
        })?;
        if let Held::Input(edits) = &mut content.held {
            let before = outbox.sent_bytes();
            outbox.finish()?;
            edits.new_bytes += outbox.sent_bytes() - before;
        }
        Ok(content)
    }

    /// Reads everything, and passes it on to a sink: the input as a whole, files by `upload`, which gets the progress.
    fn taken(
        self,
        to: &dyn ContentSink,
        caller: &dyn Caller,
        upload: impl FnOnce(&Self, &(dyn Fn(u64, u64) + Sync)) -> Result<Uploaded>,
    ) -> Result<PutContent> {
        if let (Some(path), true) = (&self.options.as_path, reads_input(&self.options)) {
            let held = Held::Input(store_input(to, path, caller)?);
            return Ok(PutContent { options: self.options, held });
        }
        caller.gathered(&self.options, &self.gathered);
        let (progress, total) = (caller.progress(), self.gathered.size_bytes);
        let uploaded = upload(&self, &|files, bytes| progress(files, bytes, total))?;
        drop(progress);
        caller.skipped(&uploaded.skipped);
        Ok(PutContent { options: self.options, held: Held::Files(Box::new(self.gathered), uploaded) })
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
    /// Files that another machine read and sent.
    Listed(Listing),
}

impl PutContent {
    /// What another machine uploaded.
    pub(super) fn listed(files: &PutFiles, listing: Listing) -> Self {
        let options = PutOptions { directory: files.directory.clone(), mirror: files.mirror, ..PutOptions::default() };
        Self { options, held: Held::Listed(listing) }
    }

    /// As a message: files of folders, or the input as a file of its own.
    pub(super) fn listing(&self) -> (Option<Listing>, Vec<ListedFile>, u64) {
        match &self.held {
            Held::Files(gathered, uploaded) => (Some(uploaded.listing(gathered)), Vec::new(), 0),
            Held::Listed(listing) => (Some(listing.clone()), Vec::new(), 0),
            Held::Input(edits) => {
                let files = edits.files.iter().filter_map(|(path, file)| Some(ListedFile::new(path.clone(), (*file)?)));
                (None, files.collect(), edits.new_bytes)
            }
        }
    }

    /// The entries of files that another machine sent.
    pub(super) fn entries(&self) -> impl Iterator<Item = FileEntry> {
        let files = match &self.held {
            Held::Listed(listing) => listing.files(),
            Held::Files(..) | Held::Input(_) => &[],
        };
        files.iter().map(ListedFile::entry)
    }

    /// The changes to `base`; for a mirror also how much it removes.
    pub(crate) fn edits(&self, store: &Store, base: Tree) -> Result<(Edits, Option<Mirror>), RepoError> {
        let mut edits = match &self.held {
            Held::Files(gathered, uploaded) => uploaded.edits(store, base, gathered)?,
            Held::Listed(listing) => listing.edits(store, base)?,
            Held::Input(edits) => return Ok((edits.clone(), None)),
        };
        if !self.options.mirror {
            return Ok((edits, None));
        }
        let directory = self.options.directory.clone().unwrap_or_else(FilePath::root);
        let mirror = match &self.held {
            Held::Files(gathered, _) => files::mirror_gathered(store, base, &directory, gathered, &mut edits)?,
            Held::Listed(listing) => files::mirror_listed(store, base, &directory, listing, &mut edits)?,
            Held::Input(_) => return Ok((edits, None)),
        };
        Ok((edits, Some(mirror)))
    }

    /// What a transaction needs to mirror these files once the base tree is known; `None` unless they are a mirror.
    pub(crate) fn mirror(&self) -> Result<Option<MirrorOf>> {
        let left_out = match &self.held {
            Held::Files(gathered, uploaded) => uploaded.left_out(gathered),
            Held::Listed(listing) => LeftOut::of_text(listing.left_out())
                .map_err(|error| EngineError::Usage { what: error.to_string(), hint: None })?,
            Held::Input(_) => LeftOut::default(),
        };
        let directory = self.options.directory.clone().unwrap_or_else(FilePath::root);
        Ok(self.options.mirror.then_some(MirrorOf { directory, left_out }))
    }

    /// What could not be read and was skipped, and why.
    pub(super) fn skipped(&self) -> Vec<(PathBuf, String)> {
        match &self.held {
            Held::Files(gathered, uploaded) => [gathered.skipped.as_slice(), &uploaded.skipped].concat(),
            Held::Listed(listing) => listing.skipped(),
            Held::Input(_) => Vec::new(),
        }
    }

    /// Caches the files' digests, so that the next put need not read them again.
    pub(super) fn remember(&self, store: &Store) {
        if let Held::Files(gathered, uploaded) = &self.held {
            uploaded.remember(store, gathered);
        }
    }

    /// Like [`Self::remember`], for a store elsewhere.
    pub(super) fn remember_at(&self, place: &StatPlace) {
        if let Held::Files(gathered, uploaded) = &self.held {
            uploaded.remember_at(place, gathered);
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

fn store_input(to: &dyn ContentSink, path: &FilePath, caller: &dyn Caller) -> Result<Edits> {
    let stored = put_into(to, Some(path), caller.input());
    let stored = stored.map_err(|error| EngineError::of_reading("standard input", error))?;
    let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
    let files = [(path.clone(), Some(file))].into();
    Ok(Edits { files, new_bytes: stored.new_bytes, ..Edits::default() })
}
