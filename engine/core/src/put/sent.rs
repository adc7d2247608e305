//! The two halves of a put whose sources are on another machine than the store.
//!
//! There, [`upload`] reads everything and sends the content that the store lacks; its result is a [`PutListing`], a message. Here,
//! [`prepare_listed`] takes it in place of the sources: what follows, mirror, commit and report, is that of any put.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use repos::documents::Origin;
use repos::files::{self, Edits, ListedFile, Listing, ObjectSink, Outbox, StatPlace};
use repos::store::Sender;
use repos::tree::{FileEntry, Tree};
use repos::{RepoError, Store};
use serde::{Deserialize, Serialize};
use specs::{FilePath, Reference};

use super::content::{Found, PutContent};
use super::streams::{Streams, join};
use super::{Caller, MirrorOf, PreparedPut, PutFiles, PutPreview, PutRequest};
use crate::error::{EngineError, Result};

/// The format of [`PutListing::encode`].
const FORMAT: u8 = 1;

/// How the machine that has the sources reaches the store.
#[derive(Clone, Copy)]
pub struct Upload<'a> {
    /// The store.
    pub to: &'a dyn ObjectSink,
    /// Digests of files that were put there before.
    pub known: Option<&'a StatPlace>,
    /// Only reads and hashes; nothing is sent.
    pub dry_run: bool,
}

impl std::fmt::Debug for Upload<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upload").field("known", &self.known).field("dry_run", &self.dry_run).finish_non_exhaustive()
    }
}

/// What was uploaded for a put, as a message to the store's half.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutListing {
    /// Files and folders; `None` if all sources are streams.
    files: Option<Listing>,
    /// Files that came from streams, sorted.
    streamed: Vec<ListedFile>,
    /// Where they came from: path and address.
    origins: Vec<(FilePath, String)>,
    /// Number of bytes that were sent for them.
    streamed_bytes: u64,
    /// The single source, if it is a file; as the caller wrote it.
    single_file: Option<Vec<u8>>,
}

impl PutListing {
    /// The message in bytes: a number for the format, then `postcard`.
    pub fn encode(&self) -> Vec<u8> {
        let bytes = postcard::to_extend(self, vec![FORMAT]);
        bytes.expect("memory has room for it, and it has no other way to fail")
    }

    /// From bytes that another machine sent. `Usage` unless they are a sound message.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let listing: Self = match bytes.split_first() {
            Some((&FORMAT, rest)) => postcard::from_bytes(rest).map_err(|error| unreadable(&error.to_string()))?,
            Some((format, _)) => return Err(unreadable(&format!("its format {format} is not known here"))),
            None => return Err(unreadable("it is empty")),
        };
        listing.files.iter().try_for_each(Listing::ensure_sound)?;
        Ok(listing)
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.as_ref().map_or(0, |listing| listing.files().len()) + self.streamed.len()
    }

    /// Whether there are no files.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of bytes that were sent.
    pub fn new_bytes(&self) -> u64 {
        self.files.as_ref().map_or(0, Listing::new_bytes) + self.streamed_bytes
    }

    /// The entries of all files.
    pub fn entries(&self) -> impl Iterator<Item = FileEntry> {
        let files = self.files.iter().flat_map(repos::files::Listing::files);
        files.chain(&self.streamed).map(ListedFile::entry)
    }

    fn streamed(&self) -> Result<Edits> {
        let mut edits = Edits { new_bytes: self.streamed_bytes, ..Edits::default() };
        for file in &self.streamed {
            let one = Edits { files: [(file.path().clone(), Some(file.entry()))].into(), ..Edits::default() };
            join(&mut edits, one)?;
        }
        let origin = |(path, url): &(FilePath, String)| Origin { path: path.clone(), url: url.clone() };
        edits.origins = self.origins.iter().map(origin).collect();
        Ok(edits)
    }
}

fn unreadable(why: &str) -> EngineError {
    EngineError::usage(
        format!("the list of uploaded files cannot be read: {why}"),
        "use the same version of pv on both sides",
    )
}

/// A put whose content was sent.
#[derive(Debug)]
pub struct UploadedPut {
    content: Option<PutContent>,
    streamed: Edits,
    single_file: Option<PathBuf>,
}

impl UploadedPut {
    /// Caches the files' digests, so that the next put to the same store need not read them again. Call it after the commit.
    pub fn remember(&self, place: &StatPlace) {
        if let Some(content) = &self.content {
            content.remember_at(place);
        }
    }

    /// What was uploaded, for the store's half.
    pub fn listing(&self) -> PutListing {
        let (files, input, input_bytes) = self.content.as_ref().map_or((None, Vec::new(), 0), PutContent::listing);
        let streamed =
            self.streamed.files.iter().filter_map(|(path, file)| Some(ListedFile::new(path.clone(), (*file)?)));
        PutListing {
            files,
            streamed: streamed.chain(input).collect(),
            origins: self.streamed.origins.iter().map(|origin| (origin.path.clone(), origin.url.clone())).collect(),
            streamed_bytes: self.streamed.new_bytes + input_bytes,
            single_file: self.single_file.as_ref().map(|path| path.as_os_str().as_bytes().to_vec()),
        }
    }
}

/// Reads, cuts and hashes everything that a put names, in one pass and bounded memory, and sends the content that the store lacks. Needs no
/// store on this machine. `named`: the branch as the caller wrote it, for messages.
///
/// Errors as in [`super::prepare`], and those of the sink; repeated, it sends only what is still missing.
pub fn upload(named: &Reference, files: &PutFiles, how: &Upload<'_>, caller: &dyn Caller) -> Result<UploadedPut> {
    let streams = Streams::of(files)?;
    if how.dry_run {
        streams.ensure_none_in_a_preview(files)?;
    }
    let outbox = Outbox::new(how.to);
    let mut streamed = streams.store(&outbox, caller)?;
    if !streamed.files.is_empty() {
        outbox.finish()?;
        streamed.new_bytes = outbox.sent_bytes();
    }
    let content = if streams.is_all() {
        None
    } else {
        let found = Found::of(&Reference { path: None, ..named.clone() }, Tree::empty(), files)?;
        Some(found.sent(&outbox, how.known, caller, how.dry_run)?)
    };
    Ok(UploadedPut { content, streamed, single_file: files.single_file().map(ToOwned::to_owned) })
}

/// Takes what [`upload`] sent from another machine. Nothing is visible before [`PreparedPut::commit`]. Of the request's files only the target
/// counts: directory, `as_path`, `mirror`; no path of the other machine is opened here.
///
/// `NotSent` at the commit if the listing names content that is missing, or that `from` neither sent nor may read.
pub fn prepare_listed<'a>(
    store: &'a Store,
    request: &'a PutRequest,
    listing: PutListing,
    from: Sender<'a>,
) -> Result<PreparedPut<'a>> {
    let prepared = listed(store, request, listing, from)?;
    prepared.ensure_no_path_twice()?;
    Ok(prepared)
}

/// Returns what a put of uploaded files would change; their content need not be here.
pub fn preview_listed(
    store: &Store,
    request: &PutRequest,
    listing: PutListing,
    from: Sender<'_>,
) -> Result<PutPreview> {
    let base = request.target.files(store)?;
    let prepared = listed(store, request, listing, from)?;
    let edits = prepared.edits(base)?;
    Ok(PutPreview { summary: files::preview(store, base, &edits)?, skipped: prepared.skipped() })
}

fn listed<'a>(
    store: &'a Store,
    request: &'a PutRequest,
    listing: PutListing,
    from: Sender<'a>,
) -> Result<PreparedPut<'a>> {
    let streamed = listing.streamed()?;
    let single_file = listing.single_file.map(|path| PathBuf::from(OsString::from_vec(path)));
    let content = listing.files.map(|files| PutContent::listed(&request.files, files));
    Ok(PreparedPut { store, request, content, streamed, single_file, from: Some(from) })
}

/// The listing of a line of a transaction, whose sources are files and folders or the input.
pub(crate) fn listing_of(content: &PutContent) -> PutListing {
    let (files, streamed, streamed_bytes) = content.listing();
    PutListing { files, streamed, streamed_bytes, ..PutListing::default() }
}

/// The edits of a listing, for a transaction, and what its mirror needs.
pub(crate) fn edits_of(
    store: &Store,
    files: &PutFiles,
    listing: &PutListing,
    from: &Sender<'_>,
    dry_run: bool,
) -> Result<(Edits, Option<MirrorOf>)> {
    let mut edits = Edits::default();
    let mut mirror = None;
    if let Some(listing) = &listing.files {
        let content = PutContent::listed(files, listing.clone());
        edits = content.edits(store, Tree::empty())?.0;
        mirror = content.mirror()?;
    }
    join(&mut edits, listing.streamed()?)?;
    if !dry_run {
        ensure_sent(store, from, &edits)?;
    }
    Ok((edits, mirror))
}

/// Lets garbage collection treat committed content as any other; a failure only means that it stays a little longer.
pub(crate) fn release(store: &Store, from: &Sender<'_>, files: impl Iterator<Item = FileEntry>) {
    let files: Vec<FileEntry> = files.collect();
    if let Err(error) = store.release_sent(from, &files) {
        tracing::warn!("what was sent is kept a little longer than necessary: {error}");
    }
}

/// Refuses edits with content that the client may not name.
pub(super) fn ensure_sent(store: &Store, from: &Sender<'_>, edits: &Edits) -> Result<(), RepoError> {
    store.ensure_may_name(from, edits.files.values().flatten())
}
