//! Reads, hashes and stores gathered files on all cores, in a store on this machine or, through an [`Outbox`], in one elsewhere. Needs no
//! lock; stored content counts only once a commit names it.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use specs::{Digest, FilePath};

use super::gather::{special, why_unreadable};
use super::gathered::{ContentSource, Extent, Gathered, PutSource};
use super::ignore::LeftOut;
use super::listing::Differing;
use super::outbox::Outbox;
use super::stamp::Stamp;
use super::stat_cache::{Reader, StatPlace, Writer};
use super::{Edits, space};
use crate::base::error::{IoContext, RepoError};
use crate::base::hash::{Hasher, digest_of};
use crate::base::parallel;
use crate::base::stop::stop_at;
use crate::store::{ContentSink, Result, Store, Stored, put_bytes_into, put_into};
use crate::tree::{FileEntry, Tree};

/// Single files of at least this size are added to the stat cache: reading a smaller one is cheaper than a lookup.
const REMEMBERED_BYTES: u64 = 4 << 20;

/// How to upload.
#[derive(Clone, Copy)]
pub struct UploadOptions<'a> {
    /// A tree whose files the store certainly has, such as that of the target branch.
    pub base: Tree,
    /// Takes the digest of a file unchanged since an earlier put from the stat cache, without reading it.
    pub trust_stat: bool,
    /// Only reads and hashes; nothing is stored.
    pub dry_run: bool,
    /// Leaves out files that cannot be read or change while they are read, and reports them instead of failing.
    pub skip_unreadable: bool,
    /// Called with the files and bytes done so far, from several threads.
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// How to upload to a store elsewhere.
#[derive(Clone, Copy)]
pub struct SendOptions<'a> {
    /// Takes the digest of a file unchanged since an earlier put to that store from here, without reading it.
    pub known: Option<&'a StatPlace>,
    /// Only reads and hashes; nothing is sent.
    pub dry_run: bool,
    /// As in [`UploadOptions`].
    pub skip_unreadable: bool,
    /// As in [`UploadOptions`].
    pub progress: &'a (dyn Fn(u64, u64) + Sync),
}

/// The result of an upload.
#[derive(Debug)]
pub struct Uploaded {
    /// The stored entry of each gathered file, in the same order; `None` if it was left out.
    pub files: Vec<Option<FileEntry>>,
    /// What was left out, and why; sorted.
    pub skipped: Vec<(PathBuf, String)>,
    /// Number of bytes that are new to the store.
    pub new_bytes: u64,
    /// Number of files read.
    pub read: u64,
    /// Files that changed after they were gathered, sorted.
    changed: Vec<usize>,
}

impl Uploaded {
    /// The edits that add these files at their target paths.
    pub fn into_edits(self, gathered: &Gathered) -> Edits {
        let files = self.files.into_iter().enumerate();
        let files = files.filter_map(|(at, file)| Some((gathered.path(at), Some(file?)))).collect();
        Edits { files, new_bytes: self.new_bytes, ..Edits::default() }
    }

    /// Like [`Self::into_edits`], but files that `base` already has are only counted.
    pub fn edits(&self, store: &Store, base: Tree, gathered: &Gathered) -> Result<Edits> {
        let mut differing = Differing::new(store, base, self.new_bytes)?;
        let mut key = Vec::new();
        let stored = self.files.iter().enumerate().filter_map(|(at, file)| Some((at, file.as_ref()?)));
        for (at, file) in stored {
            gathered.key(at, &mut key);
            differing.add(&key, *file, || gathered.path(at))?;
        }
        Ok(differing.into_edits())
    }

    /// Leaves out the files that changed after they were gathered, even if they were read as a whole; returns their paths.
    pub fn leave_out_changed(&mut self, gathered: &Gathered) -> Vec<FilePath> {
        let changed = std::mem::take(&mut self.changed);
        for at in &changed {
            self.files[*at] = None;
        }
        changed.into_iter().map(|at| gathered.path(at)).collect()
    }

    /// Everything left out of the sources, including what could not be read.
    pub fn left_out(&self, gathered: &Gathered) -> LeftOut {
        gathered.left_out.with_skipped(self.skipped.iter().flat_map(|(path, _)| gathered.targets(path)))
    }

    /// Saves the digests for the next put of the same sources. Call it after the commit: it only saves time.
    pub fn remember(&self, store: &Store, gathered: &Gathered) {
        match StatPlace::of(store) {
            Ok(place) => self.remember_at(&place, gathered),
            Err(error) => tracing::warn!("the next put reads all files again: {error}"),
        }
    }

    /// Like [`Self::remember`], for a store elsewhere.
    pub fn remember_at(&self, place: &StatPlace, gathered: &Gathered) {
        if self.read > 0
            && let Err(error) = self.write_stat_cache(place, gathered)
        {
            tracing::warn!("the next put reads all files again: {error}");
        }
    }

    fn write_stat_cache(&self, place: &StatPlace, gathered: &Gathered) -> std::io::Result<()> {
        let is_large = |at: usize| gathered.stamp(at).size_bytes >= REMEMBERED_BYTES;
        let mut writers: Vec<Option<Writer>> = gathered.roots().iter().map(|_| None).collect();
        let mut relative = Vec::new();
        let mut trust = gathered.trust();
        let stored = self.files.iter().enumerate().filter_map(|(at, file)| Some((at, file.as_ref()?)));
        for (at, file) in stored {
            let root = gathered.root(at);
            let source = match &gathered.roots()[root].source {
                PutSource::Directory(source, Extent::Whole) => source,
                PutSource::File(source) if is_large(at) => source,
                _ => continue,
            };
            if gathered.is_trusted(at, &mut trust) && self.changed.binary_search(&at).is_err() {
                let writer = match &mut writers[root] {
                    Some(writer) => writer,
                    none => none.insert(Writer::create(place, source)?),
                };
                gathered.relative(at, &mut relative);
                writer.add(&relative, gathered.stamp(at), &file.digest)?;
            }
        }
        writers.into_iter().flatten().try_for_each(Writer::finish)
    }
}

/// Stores the content of all gathered files. `progress` is called with the files and bytes done so far, from several threads.
///
/// `ChangedWhileRead` if a file was written to meanwhile; `BadSources` names all files that cannot be opened.
pub fn upload(store: &Store, gathered: &Gathered, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Uploaded> {
    let options =
        UploadOptions { base: Tree::empty(), trust_stat: false, dry_run: false, skip_unreadable: false, progress };
    upload_with(store, gathered, &options)
}

/// Like [`upload`], with options. `NoSpace` if the content to read certainly does not fit.
pub fn upload_with(store: &Store, gathered: &Gathered, options: &UploadOptions<'_>) -> Result<Uploaded> {
    let &UploadOptions { base, trust_stat, dry_run, skip_unreadable, progress } = options;
    let place = if trust_stat { Some(StatPlace::of(store)?) } else { None };
    let files = known(store, gathered, place.as_ref(), Some((store, base)))?;
    if !dry_run {
        space::ensure_space(store, gathered, |at| files[at].is_none())?;
    }
    read_all(store, gathered, files, Reading { dry_run, skip_unreadable, progress })
}

/// Sends the content of all gathered files to a store elsewhere, as far as it is missing there. Needs no store on this machine.
///
/// Errors as in [`upload`], and those of the [`ObjectSink`](super::ObjectSink).
pub fn send(outbox: &Outbox<'_>, gathered: &Gathered, options: &SendOptions<'_>) -> Result<Uploaded> {
    let &SendOptions { known: place, dry_run, skip_unreadable, progress } = options;
    let files = known(outbox, gathered, place, None)?;
    let before = outbox.sent_bytes();
    let uploaded = read_all(outbox, gathered, files, Reading { dry_run, skip_unreadable, progress })?;
    if dry_run {
        return Ok(uploaded);
    }
    outbox.finish()?;
    Ok(Uploaded { new_bytes: outbox.sent_bytes() - before, ..uploaded })
}

/// Reads the files whose entry is not known.
fn read_all(
    to: &dyn ContentSink,
    gathered: &Gathered,
    mut files: Vec<Option<FileEntry>>,
    how: Reading<'_>,
) -> Result<Uploaded> {
    let known = files.iter().flatten();
    let known_bytes = known.clone().map(|file| file.size).sum();
    let unknown = files.iter().filter(|file| file.is_none()).count();
    let is_read: Vec<bool> = if how.dry_run { files.iter().map(Option::is_none).collect() } else { Vec::new() };
    let job = Upload {
        to,
        gathered,
        how,
        bad: Mutex::default(),
        changed: Mutex::default(),
        spoilt: AtomicBool::new(false),
        files: AtomicU64::new((files.len() - unknown) as u64),
        bytes: AtomicU64::new(known_bytes),
        new_bytes: AtomicU64::new(0),
    };
    let slots = files.iter_mut().enumerate().filter(|(_, file)| file.is_none()).map(Ok);
    parallel::each(parallel::threads(unknown), slots, Vec::new, |buffer, _, (at, file)| {
        *file = job.take(buffer, at)?;
        Ok(())
    })?;
    let mut bad = job.bad.into_inner().unwrap_or_default();
    bad.sort_unstable();
    if !bad.is_empty() && !how.skip_unreadable {
        return Err(RepoError::BadSources(bad));
    }
    stop_at("put.after_upload");
    let mut changed = job.changed.into_inner().unwrap_or_default();
    changed.sort_unstable();
    let new_bytes = if how.dry_run {
        let read = files.iter().zip(is_read).filter(|(_, is_read)| *is_read);
        would_be_new(to, read.filter_map(|(file, _)| file.as_ref()))?
    } else {
        job.new_bytes.into_inner()
    };
    Ok(Uploaded { files, skipped: bad, new_bytes, read: unknown as u64, changed })
}

/// Bytes of these files whose content is not there.
fn would_be_new<'f>(to: &dyn ContentSink, files: impl Iterator<Item = &'f FileEntry>) -> Result<u64> {
    let (digests, sizes): (Vec<_>, Vec<_>) = files.map(|file| (file.digest, file.size)).unzip();
    let absent = to.absent(&digests)?;
    Ok(sizes.iter().zip(absent).filter(|(_, absent)| *absent).map(|(size, _)| size).sum())
}

/// The entries that the stat cache at `place` has for the files; only content that is there counts. `base`: a store with a tree whose files
/// it certainly has.
fn known(
    to: &dyn ContentSink,
    gathered: &Gathered,
    place: Option<&StatPlace>,
    base: Option<(&Store, Tree)>,
) -> Result<Vec<Option<FileEntry>>> {
    let mut files = vec![None; gathered.len()];
    let Some(place) = place else { return Ok(files) };
    let mut readers: Vec<Option<Reader>> = gathered
        .roots()
        .iter()
        .map(|root| match &root.source {
            PutSource::Stdin => None,
            PutSource::File(source) | PutSource::Directory(source, _) => Reader::open(place, source),
        })
        .collect();
    if readers.iter().all(Option::is_none) {
        return Ok(files);
    }
    let mut doubtful = Vec::new();
    let mut cursor = base.map(|(store, tree)| tree.cursor(store)).transpose()?;
    let (mut relative, mut key) = (Vec::new(), Vec::new());
    for (at, file) in files.iter_mut().enumerate() {
        let Some(reader) = &mut readers[gathered.root(at)] else { continue };
        gathered.relative(at, &mut relative);
        let stamp = gathered.stamp(at);
        if let Some((_, digest)) = reader.find(&relative).filter(|(before, _)| before == stamp) {
            gathered.key(at, &mut key);
            // The store certainly has the files of a branch; anything else may have been collected as garbage since.
            let there = cursor.as_mut().map(|cursor| cursor.get(&key)).transpose()?.flatten();
            if there.is_none_or(|there| there.digest != *digest) {
                doubtful.push((at, *digest));
            }
            *file = Some(FileEntry { digest: *digest, size: stamp.size_bytes, executable: stamp.is_executable() });
        }
    }
    let digests: Vec<Digest> = doubtful.iter().map(|(_, digest)| *digest).collect();
    for ((at, _), absent) in doubtful.into_iter().zip(to.absent(&digests)?) {
        if absent {
            files[at] = None;
        }
    }
    Ok(files)
}

/// How files are read.
#[derive(Clone, Copy)]
struct Reading<'a> {
    dry_run: bool,
    skip_unreadable: bool,
    progress: &'a (dyn Fn(u64, u64) + Sync),
}

struct Upload<'a> {
    to: &'a dyn ContentSink,
    gathered: &'a Gathered,
    how: Reading<'a>,
    bad: Mutex<Vec<(PathBuf, String)>>,
    changed: Mutex<Vec<usize>>,
    /// Set at the first bad source: after that, files are only opened, to report all bad ones.
    spoilt: AtomicBool,
    files: AtomicU64,
    bytes: AtomicU64,
    new_bytes: AtomicU64,
}

impl Upload<'_> {
    /// `None` once a source is bad. Each thread passes its own `buffer`, so that a small file needs no allocation.
    fn take(&self, buffer: &mut Vec<u8>, at: usize) -> Result<Option<FileEntry>> {
        let taken = match self.gathered.content(at) {
            ContentSource::Stdin => {
                let stored = self.keep_all(std::io::stdin().lock(), at).doing("read", Path::new("standard input"))?;
                Some((stored, false))
            }
            ContentSource::File(path) => match self.open(&path)? {
                Some(file) if !self.spoilt.load(Ordering::Relaxed) => self.read(&path, file, at, buffer)?,
                _ => None,
            },
        };
        let Some((stored, executable)) = taken else { return Ok(None) };
        self.new_bytes.fetch_add(stored.new_bytes, Ordering::Relaxed);
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.bytes.fetch_add(stored.size_bytes, Ordering::Relaxed) + stored.size_bytes;
        (self.how.progress)(files, bytes);
        Ok(Some(FileEntry { digest: stored.digest, size: stored.size_bytes, executable }))
    }

    /// Opens a source; a failure is recorded for an error that names all.
    fn open(&self, path: &Path) -> Result<Option<File>> {
        // Non-blocking: what was a file may be a pipe by now.
        let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
        match std::fs::OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if is_short_of_files(&error) => Err(error).doing("open", path),
            Err(error) => {
                self.refuse(path, why_unreadable(&error));
                Ok(None)
            }
        }
    }

    fn refuse(&self, path: &Path, why: String) {
        self.spoilt.store(!self.how.skip_unreadable, Ordering::Relaxed);
        self.bad.lock().expect("no panic under this lock").push((path.to_owned(), why));
    }

    /// Reads a file, and whether it is executable. The stamp afterwards shows whether anyone wrote to it meanwhile.
    fn read(&self, path: &Path, mut file: File, at: usize, buffer: &mut Vec<u8>) -> Result<Option<(Stored, bool)>> {
        let expected = self.gathered.stamp(at);
        if expected.size_bytes < Store::ONE_CHUNK_BYTES {
            let size = expected.size_bytes as usize;
            // One byte more than the size: most files are read in one call, and growth is noticed.
            if buffer.len() <= size {
                buffer.resize((size + 1).next_power_of_two(), 0);
            }
            let read = read_full(&mut file, &mut buffer[..=size]);
            if read.is_ok_and(|length| length == size) && stamp_of(&file, path)? == *expected {
                return Ok(Some((self.keep(&buffer[..size])?, expected.is_executable())));
            }
        }
        self.read_carefully(path, file, at)
    }

    /// Reads a large file, or one that changed after it was gathered.
    fn read_carefully(&self, path: &Path, mut file: File, at: usize) -> Result<Option<(Stored, bool)>> {
        let before = stamp_of(&file, path)?;
        if let Some(why) = special(before.mode) {
            self.refuse(path, why.to_owned());
            return Ok(None);
        }
        file.rewind().doing("read", path)?;
        let stored = match self.keep_all(&mut file, at).map_err(|error| unwrap_error(error, path)) {
            Ok(stored) => stored,
            Err(RepoError::Io { doing: "read", source, .. }) if self.how.skip_unreadable => {
                self.refuse(path, why_unreadable(&source));
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        let after = stamp_of(&file, path)?;
        let bytes = |stamp: &Stamp| (stamp.size_bytes, stamp.modified);
        if bytes(&before) != bytes(&after) || stored.size_bytes != after.size_bytes {
            if self.how.skip_unreadable {
                self.refuse(path, "changed while it was read".to_owned());
                return Ok(None);
            }
            return Err(RepoError::ChangedWhileRead { path: path.to_owned() });
        }
        if after != *self.gathered.stamp(at) {
            self.changed.lock().expect("no panic under this lock").push(at);
        }
        Ok(Some((stored, before.is_executable())))
    }

    /// Stores content that is in memory.
    fn keep(&self, bytes: &[u8]) -> Result<Stored> {
        if self.how.dry_run {
            return Ok(Stored { digest: digest_of(bytes), size_bytes: bytes.len() as u64, new_bytes: 0 });
        }
        put_bytes_into(self.to, bytes)
    }

    /// Stores everything that `source` yields, as the file of this number.
    fn keep_all(&self, mut source: impl Read, at: usize) -> std::io::Result<Stored> {
        if !self.how.dry_run {
            return put_into(self.to, Some(&self.gathered.path(at)), source);
        }
        let mut hasher = Hasher::default();
        let size_bytes = std::io::copy(&mut source, &mut HashOnly(&mut hasher))?;
        Ok(Stored { digest: hasher.finish(), size_bytes, new_bytes: 0 })
    }
}

/// A writer that only computes the digest.
struct HashOnly<'a>(&'a mut Hasher);

impl std::io::Write for HashOnly<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn stamp_of(file: &File, path: &Path) -> Result<Stamp> {
    rustix::fs::fstat(file).map(|stat| Stamp::of(&stat)).map_err(Into::into).doing("read", path)
}

/// A limit of this process says nothing about the source.
fn is_short_of_files(error: &std::io::Error) -> bool {
    let limits = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE, rustix::io::Errno::NOMEM];
    limits.iter().any(|limit| error.raw_os_error() == Some(limit.raw_os_error()))
}

/// Restores an error of the store that passed through `Read` as an I/O error.
fn unwrap_error(error: std::io::Error, path: &Path) -> RepoError {
    error.downcast::<RepoError>().unwrap_or_else(|source| RepoError::Io {
        doing: "read",
        path: path.to_owned(),
        source,
    })
}

/// Reads until `buffer` is full or the file ends; returns the number of bytes. A regular file that returns less than requested has ended.
fn read_full(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match file.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(read) => {
                length += read;
                if length + 1 == buffer.len() {
                    break;
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}
