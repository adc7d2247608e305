//! Directories as archives: tar or zip, written while they are sent.
//!
//! The bytes follow from the tree alone: files sorted by path, times fixed, modes 644 or 755. So the same directory is the same archive, and
//! its entity tag is known before anything is read. A tar has any number of files in little memory. A zip ends with a list of its files, which
//! is kept in memory until then, so their number is limited.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use ::repos::files::{self, GetItem};
use ::repos::hash::{Hasher, digest_of};
use ::repos::store::{FileReader, Resolved};
use ::repos::tree::PathKind;
use ::repos::{RepoError, Store};
use answers::file::FileEntry;
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::FilePath;
use tokio::sync::mpsc;
use zip::write::{SimpleFileOptions, StreamWriter};
use zip::{CompressionMethod, DateTime, ZipWriter};

use super::content::{is_known, piped, stored};
use crate::operation::{Description, Part};
use crate::parts::{current, etag, immutable};
use crate::problem::{Problem, Result};

/// Most files of a zip.
const ZIP_FILES: u64 = 100_000;
/// Bytes that are sent at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ArchiveForm {
    /// A tar, not compressed.
    Tar,
    /// A zip.
    Zip,
}

impl ArchiveForm {
    /// The form that a request asks for: by its parameter, or by what it accepts first of all.
    pub(super) fn of(asked: Option<Self>, headers: &HeaderMap) -> Option<Self> {
        let accepted = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let first = accepted.split([',', ';']).next().unwrap_or_default().trim();
        asked.or_else(|| [Self::Tar, Self::Zip].into_iter().find(|form| form.media_type().eq_ignore_ascii_case(first)))
    }

    const fn media_type(self) -> &'static str {
        match self {
            Self::Tar => "application/x-tar",
            Self::Zip => "application/zip",
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Tar => "tar",
            Self::Zip => "zip",
        }
    }
}

/// A directory as an archive.
#[derive(Debug)]
pub(super) struct Archive(Response);

impl IntoResponse for Archive {
    fn into_response(self) -> Response {
        self.0
    }
}

impl Part for Archive {
    fn describe(of: &mut Description<'_>) {
        let forms = [ArchiveForm::Tar.media_type(), ArchiveForm::Zip.media_type()];
        of.gives_bytes(StatusCode::OK, "A directory as an archive", &forms);
        of.gives_nothing(StatusCode::NOT_MODIFIED, "The client has it");
    }
}

impl Archive {
    /// The directory that `at` names. `is_pinned`: this address will always have this content.
    ///
    /// `Usage` if it is a file, or has too many files for a zip.
    pub(super) fn of(
        store: &Store,
        at: &Resolved,
        form: ArchiveForm,
        is_pinned: bool,
        request: &HeaderMap,
    ) -> Result<Self> {
        let PathKind::Directory { files, .. } = files::kind_at(store, at.tree(), &at.place(), &at.path)? else {
            let problem = Problem::usage(format!("`{}` is a file", at.path), "leave `archive` out to read it");
            return Err(problem);
        };
        if form == ArchiveForm::Zip && files > ZIP_FILES {
            let detail = format!("a zip has at most {ZIP_FILES} files, and `{}` has {files}", at.path);
            return Err(Problem::usage(detail, "archive=tar has no limit"));
        }
        let id = tag(at, form);
        let mut headers = if is_pinned { immutable(&id) } else { current(&id) };
        let name = if at.path.is_root() { at.commit.repo.as_str() } else { at.path.name() };
        headers.extend(stored(&format!("{name}.{}", form.word())));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form.media_type()));
        headers.insert(header::VARY, HeaderValue::from_static("accept"));
        if is_known(request, &etag(&id)) {
            return Ok(Self((StatusCode::NOT_MODIFIED, headers).into_response()));
        }
        ensure_all_there(store, at)?;
        Ok(Self((headers, body(store.clone(), at.clone(), form)).into_response()))
    }
}

/// Names an archive: by the tree, the directory in it, and how it is written.
fn tag(at: &Resolved, form: ArchiveForm) -> specs::Digest {
    let version = env!("CARGO_PKG_VERSION");
    digest_of(format!("pv {} {version}\0{:?}\0{}", form.word(), at.commit.tree, at.path).as_bytes())
}

/// Refuses a directory of which something was given up, before anything is sent.
fn ensure_all_there(store: &Store, at: &Resolved) -> Result<(), RepoError> {
    if store.is_pruned(&at.id)?.is_none() {
        return Ok(());
    }
    for item in files::items_below(store, at.tree(), &at.path)? {
        let GetItem { path, file } = item?;
        store.ensure_not_pruned(&at.id, &at.path.join(&path).unwrap_or_else(|_| FilePath::root()), &file)?;
    }
    Ok(())
}

fn body(store: Store, at: Resolved, form: ArchiveForm) -> Body {
    piped(move |pipe| {
        let over = Rc::new(Cell::new(false));
        let sink = Sink { pipe: pipe.clone(), piece: Vec::with_capacity(PIECE_BYTES), over: over.clone() };
        let written = match form {
            ArchiveForm::Tar => write_tar(&store, &at, sink, &over),
            ArchiveForm::Zip => write_zip(&store, &at, sink, &over),
        };
        // A client that has gone needs no error.
        if pipe.is_closed() { Ok(()) } else { written }
    })
}

/// Sends what is written, in pieces.
struct Sink {
    pipe: mpsc::Sender<io::Result<Bytes>>,
    piece: Vec<u8>,
    /// Set after an error: what is written then, such as the end of an archive that is given up, goes nowhere.
    over: Rc<Cell<bool>>,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.over.get() {
            return Ok(bytes.len());
        }
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() || self.over.get() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE_BYTES));
        // An error: the client has gone.
        self.pipe.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

fn mode(file: &FileEntry) -> u32 {
    if file.executable { 0o755 } else { 0o644 }
}

fn write_tar(store: &Store, at: &Resolved, sink: Sink, over: &Cell<bool>) -> io::Result<()> {
    let mut archive = tar::Builder::new(sink);
    // The end is left out, so that readers see that the archive was cut off.
    add_to_tar(store, at, &mut archive).inspect_err(|_| over.set(true))?;
    archive.into_inner()?.flush()
}

fn add_to_tar(store: &Store, at: &Resolved, archive: &mut tar::Builder<Sink>) -> io::Result<()> {
    for item in files::items_below(store, at.tree(), &at.path).map_err(io::Error::other)? {
        let GetItem { path, file } = item.map_err(io::Error::other)?;
        let mut header = tar::Header::new_gnu();
        header.set_size(file.size);
        header.set_mode(mode(&file));
        header.set_mtime(0);
        // Longer names get an entry of their own before it.
        let reader = store.open_file(&file).map_err(io::Error::other)?;
        let mut reading = Reading { reader, whole: Hasher::default(), bytes: 0 };
        archive.append_data(&mut header, &path, &mut reading)?;
        reading.ensure_was(&file)?;
    }
    Ok(())
}

fn write_zip(store: &Store, at: &Resolved, sink: Sink, over: &Cell<bool>) -> io::Result<()> {
    let mut archive = ZipWriter::new_stream(sink);
    add_to_zip(store, at, &mut archive).inspect_err(|_| over.set(true))?;
    let stream = archive.finish()?;
    stream.into_inner().flush()
}

fn add_to_zip(store: &Store, at: &Resolved, archive: &mut ZipWriter<StreamWriter<Sink>>) -> io::Result<()> {
    for item in files::items_below(store, at.tree(), &at.path).map_err(io::Error::other)? {
        let GetItem { path, file } = item.map_err(io::Error::other)?;
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(1))
            .last_modified_time(DateTime::default())
            .unix_permissions(mode(&file))
            .large_file(file.size >= u64::from(u32::MAX));
        archive.start_file(path, options)?;
        store.copy_to(&file, archive).map_err(io::Error::other)?;
    }
    Ok(())
}

/// A file as bytes to read, which are hashed.
struct Reading {
    reader: FileReader,
    whole: Hasher,
    bytes: u64,
}

impl io::Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = io::Read::read(&mut self.reader, into)?;
        self.whole.update(&into[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

impl Reading {
    /// Its header promised this content.
    fn ensure_was(self, file: &FileEntry) -> io::Result<()> {
        if self.bytes == file.size && self.whole.finish() == file.digest {
            return Ok(());
        }
        Err(io::Error::other(format!("content {} does not match its digest", file.digest)))
    }
}
