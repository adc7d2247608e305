//! Sources that can be read only once: web addresses, archives, the caller's input as an archive.
//!
//! Each is streamed into the store, here or elsewhere, before the branch is read; the commit lists the addresses as `origins`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use repos::RepoError;
use repos::documents::Origin;
use repos::files::{self, Edits};
use repos::store::{ContentSink, put_into};
use repos::tree::FileEntry;
use repos::web::WebUrl;
use specs::{Digest, FilePath};

use super::{Caller, PutFiles, PutSource};
use crate::error::{EngineError, Result};

/// How many addresses are read in parallel.
const AT_ONCE: usize = 8;
const MIRROR_HINT: &str = "download the files to a folder first, then put that folder";

/// The sources of a put that are read as streams.
#[derive(Debug)]
pub(super) struct Streams {
    all: Vec<Stream>,
    /// Whether there are no other sources.
    is_all: bool,
    /// Whether the input is put as one file.
    puts_input: bool,
}

/// A source that is read as a stream.
#[derive(Debug)]
struct Stream {
    from: From,
    /// The expected digest.
    digest: Option<Digest>,
    becomes: Becomes,
}

#[derive(Debug)]
enum From {
    Web(WebUrl),
    File(PathBuf),
    Input,
}

/// What a stream becomes in the commit.
#[derive(Debug, Clone)]
enum Becomes {
    File(FilePath),
    /// The source is an archive: its files, below this directory.
    Files(FilePath),
}

impl Streams {
    /// The streams among the sources. `Usage` for options that do not apply to them.
    pub(super) fn of(files: &PutFiles) -> Result<Self> {
        files.ensure_one_input()?;
        let streams: Vec<Stream> =
            files.sources.iter().filter_map(|source| stream_of(files, source).transpose()).collect::<Result<_>>()?;
        let is_all = !streams.is_empty() && streams.len() == files.sources.len();
        let puts_input = !files.untar && files.sources.contains(&PutSource::Input);
        let streams = Self { all: streams, is_all, puts_input };
        streams.ensure_options(files)?;
        Ok(streams)
    }

    /// Whether all sources are streams.
    pub(super) fn is_all(&self) -> bool {
        self.is_all
    }

    /// Refuses options that do not apply to streams.
    fn ensure_options(&self, files: &PutFiles) -> Result<()> {
        if files.untar && files.as_path.is_some() {
            let hint = "REF:/DIR is the target of the archive's files";
            return Err(EngineError::usage("--as is the path of a single file, and --untar puts many", hint));
        }
        if self.all.is_empty() {
            return Ok(());
        }
        let others = [
            ("--mirror", files.mirror),
            ("--exclude", !files.exclude.is_empty()),
            ("--files-from", files.files_from.is_some()),
        ];
        match others.iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(is_for_files(option, files.untar)),
        }
    }

    /// Refuses sources that a preview would use up.
    pub(super) fn ensure_none_in_a_preview(&self, files: &PutFiles) -> Result<()> {
        if !self.all.is_empty() {
            return Err(is_for_files("--dry-run", files.untar));
        }
        if self.puts_input {
            return Err(EngineError::usage("--dry-run does not read standard input", "name a file"));
        }
        Ok(())
    }

    /// Reads all streams and stores their content; commits nothing.
    pub(super) fn store(&self, to: &dyn ContentSink, caller: &dyn Caller) -> Result<Edits> {
        let progress = caller.progress();
        let (files, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        let on_read = |more: u64| {
            let bytes = bytes.fetch_add(more, Ordering::Relaxed) + more;
            progress(files.load(Ordering::Relaxed), bytes, 0);
        };
        let reading = Reading { to, caller, on_read: &on_read };
        let next = AtomicUsize::new(0);
        let done: Mutex<BTreeMap<usize, Result<Edits>>> = Mutex::default();
        let work = || {
            while let Some((number, stream)) = self.take(&next) {
                let edits = reading.store(stream);
                let has_failed = edits.is_err();
                files.fetch_add(1, Ordering::Relaxed);
                done.lock().unwrap_or_else(PoisonError::into_inner).insert(number, edits);
                if has_failed {
                    next.store(self.all.len(), Ordering::Relaxed); // nothing will be committed
                }
            }
        };
        std::thread::scope(|scope| {
            let others = self.all.len().min(AT_ONCE).saturating_sub(1);
            for _ in 0..others {
                scope.spawn(work);
            }
            work();
        });
        let mut all = Edits::default();
        for edits in done.into_inner().unwrap_or_else(PoisonError::into_inner).into_values() {
            join(&mut all, edits?)?;
        }
        Ok(all)
    }

    fn take(&self, next: &AtomicUsize) -> Option<(usize, &Stream)> {
        let number = next.fetch_add(1, Ordering::Relaxed);
        Some((number, self.all.get(number)?))
    }
}

fn is_for_files(option: &str, untar: bool) -> EngineError {
    let what = if untar { "an archive" } else { "a URL" };
    EngineError::usage(format!("{option} is for local files, not for {what}"), MIRROR_HINT)
}

/// A source as a stream; `None` if it is put as a file or folder.
fn stream_of(files: &PutFiles, source: &PutSource) -> Result<Option<Stream>> {
    let (from, digest) = match source {
        PutSource::Web { url, digest } => (From::Web(url.clone()), *digest),
        PutSource::Input if files.untar => (From::Input, None),
        PutSource::Path(path) if files.untar => (From::File(files.path(path)), None),
        PutSource::Input | PutSource::Path(_) => return Ok(None),
    };
    if let From::Web(url) = &from
        && !url.is_private()
        && digest.is_none()
    {
        let private = url.origin().trim_start_matches("http").to_owned();
        let hint = format!("give the expected content with --sha256 HEX, or use https{private}");
        return Err(EngineError::usage(format!("`{url}`: content sent over http can be changed on the way"), hint));
    }
    let becomes = match (&from, &files.as_path) {
        _ if files.untar => Becomes::Files(files.directory()),
        (_, Some(path)) if files.sources.len() == 1 => Becomes::File(path.clone()),
        (_, Some(_)) => {
            let hint = "leave it out, or put one source";
            return Err(EngineError::usage("--as is the path of a single file", hint));
        }
        (From::Web(url), None) => Becomes::File(path_of(&files.directory(), url)?),
        (From::File(_) | From::Input, None) => return Ok(None),
    };
    if let Becomes::File(path) = &becomes {
        path.check_new().map_err(|error| RepoError::IllegalPaths(vec![error]))?;
    }
    Ok(Some(Stream { from, digest, becomes }))
}

/// The path in a directory for the file at an address.
fn path_of(directory: &FilePath, url: &WebUrl) -> Result<FilePath> {
    let unnamed = || EngineError::usage(format!("`{url}` does not name a file"), "--as PATH names the file");
    let name = url.name().ok_or_else(unnamed)?;
    directory.join(&name).map_err(|error| RepoError::IllegalPaths(vec![error]).into())
}

/// Merges edits; a path written by both is an error.
pub(super) fn join(all: &mut Edits, more: Edits) -> Result<(), RepoError> {
    let twice: Vec<FilePath> = more.files.keys().filter(|path| all.files.contains_key(*path)).cloned().collect();
    if !twice.is_empty() {
        return Err(RepoError::SameTarget { paths: twice });
    }
    all.files.extend(more.files);
    all.origins.extend(more.origins);
    all.new_bytes += more.new_bytes;
    Ok(())
}

/// How streams are read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    to: &'a dyn ContentSink,
    caller: &'a dyn Caller,
    /// Called with the number of bytes that were read.
    on_read: &'a (dyn Fn(u64) + Sync),
}

impl Reading<'_> {
    /// Reads one stream and stores its content.
    fn store(self, stream: &Stream) -> Result<Edits> {
        match &stream.from {
            From::Web(url) => {
                let mut edits = self.keep(stream, url.open()?, &url.to_string())?;
                let (Becomes::File(path) | Becomes::Files(path)) = &stream.becomes;
                edits.origins.push(Origin { path: path.clone(), url: url.origin() });
                Ok(edits)
            }
            From::File(path) => {
                let name = path.display().to_string();
                let file = File::open(path);
                self.keep(
                    stream,
                    file.map_err(|source| EngineError::Io { doing: format!("read `{name}`"), source })?,
                    &name,
                )
            }
            From::Input => self.keep(stream, self.caller.input(), "standard input"),
        }
    }

    fn keep(self, stream: &Stream, source: impl Read, name: &str) -> Result<Edits> {
        let source = Watched { source, reading: self };
        let (edits, digest) = match &stream.becomes {
            Becomes::File(path) => {
                let stored = put_into(self.to, Some(path), source);
                let stored = stored.map_err(|error| EngineError::of_reading(&format!("`{name}`"), error))?;
                let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: false };
                let files = [(path.clone(), Some(file))].into();
                (Edits { files, new_bytes: stored.new_bytes, ..Edits::default() }, stored.digest)
            }
            Becomes::Files(directory) => {
                let unpacked = files::unpack(self.to, source, directory, name)?;
                (unpacked.edits, unpacked.digest)
            }
        };
        match stream.digest {
            Some(expected) if expected != digest => Err(EngineError::Conflict {
                what: format!("`{name}` has unexpected content: SHA-256 {digest}, not {expected}"),
                hint: Some("check with the source of the digest which one is right".to_owned()),
            }),
            _ => Ok(edits),
        }
    }
}

/// A reader that counts bytes, and fails if the caller is gone.
struct Watched<'a, R> {
    source: R,
    reading: Reading<'a>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.reading.caller.is_gone() {
            return Err(std::io::ErrorKind::ConnectionAborted.into());
        }
        let read = self.source.read(buffer)?;
        (self.reading.on_read)(read as u64);
        Ok(read)
    }
}
