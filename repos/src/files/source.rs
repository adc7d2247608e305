//! Where the content of files comes from that are written to this machine: a store here, or one elsewhere.

use std::io::{Read, Write};
use std::ops::Range;

use specs::Digest;

use crate::base::error::RepoError;
use crate::base::hash::Hasher;
use crate::base::kind::Kind;
use crate::store::{Result, Store};
use crate::tree::FileEntry;

/// How often a file is asked for again after a cut, if no byte arrived since the last time.
const TRIES: u32 = 3;
/// Number of bytes read at a time.
const PIECE: usize = 256 << 10;

/// Gives the content of files. Called from several threads.
pub trait ContentSource: Sync {
    /// Writes a file's content, and verifies it as a whole: after an error nothing written can be trusted.
    fn copy(&self, file: &FileEntry, into: &mut dyn Write) -> Result<()>;
}

impl ContentSource for Store {
    fn copy(&self, file: &FileEntry, mut into: &mut dyn Write) -> Result<()> {
        self.copy_to(file, &mut into)
    }
}

/// A store elsewhere, as one client reads from it.
pub trait Download: Sync {
    /// These bytes of the file with this digest, as a stream; never empty.
    fn open(&self, digest: &Digest, range: Range<u64>) -> Result<Box<dyn Read + '_>>;
}

/// The files of a store elsewhere. If a stream is cut, the rest is asked for, as long as something arrives.
pub(super) struct Elsewhere<'a>(pub(super) &'a dyn Download);

impl ContentSource for Elsewhere<'_> {
    fn copy(&self, file: &FileEntry, into: &mut dyn Write) -> Result<()> {
        let mut whole = Hasher::default();
        let (mut at, mut vain) = (0, 0);
        while at < file.size {
            let before = at;
            let read = self.copy_rest(file, &mut at, &mut whole, into);
            vain = if at == before { vain + 1 } else { 0 };
            match read {
                Ok(()) => {}
                Err(Failed::Read(_)) if at > before || vain < TRIES => {}
                Err(Failed::Read(error) | Failed::Write(error)) => return Err(error),
            }
        }
        if whole.finish() == file.digest {
            return Ok(());
        }
        let why = "the bytes that arrived do not match it".to_owned();
        Err(RepoError::DamagedObject { kind: Kind::Chunk, digest: file.digest, why })
    }
}

/// Which side failed.
enum Failed {
    Read(RepoError),
    Write(RepoError),
}

impl Elsewhere<'_> {
    /// Copies from offset `at` on, and advances it.
    fn copy_rest(
        &self,
        file: &FileEntry,
        at: &mut u64,
        whole: &mut Hasher,
        into: &mut dyn Write,
    ) -> std::result::Result<(), Failed> {
        let opened = self.0.open(&file.digest, *at..file.size).map_err(Failed::Read)?;
        let mut stream = opened.take(file.size - *at);
        let mut buffer = vec![0; PIECE];
        while *at < file.size {
            let length = match stream.read(&mut buffer) {
                Ok(0) => return Err(Failed::Read(cut(file, std::io::ErrorKind::UnexpectedEof.into()))),
                Ok(length) => length,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Failed::Read(cut(file, error))),
            };
            into.write_all(&buffer[..length]).map_err(|error| Failed::Write(unwritten(error)))?;
            whole.update(&buffer[..length]);
            *at += length as u64;
        }
        Ok(())
    }
}

/// An error of a store that passed through `Read` keeps its type.
fn cut(file: &FileEntry, error: std::io::Error) -> RepoError {
    error.downcast::<RepoError>().unwrap_or_else(|source| RepoError::Io {
        doing: "receive",
        path: file.digest.to_string().into(),
        source,
    })
}

fn unwritten(source: std::io::Error) -> RepoError {
    RepoError::Io { doing: "write", path: std::path::PathBuf::new(), source }
}
