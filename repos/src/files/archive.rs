//! Stores the files of a tar archive from a stream, here or elsewhere, without unpacking it to disk first.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;

use specs::{Digest, FilePath, PathError};
use tar::{Archive, EntryType};

use super::Edits;
use crate::base::error::RepoError;
use crate::base::hash::Hasher;
use crate::store::{ContentSink, Result, put_into};
use crate::tree::FileEntry;

/// The first bytes of compressed archives, and their formats.
const COMPRESSED: [(&[u8], Compression); 4] = [
    (&[0x1f, 0x8b], Compression::Gzip),
    (&[0x28, 0xb5, 0x2f, 0xfd], Compression::Zstd),
    (b"BZh", Compression::Unread("bzip2")),
    (&[0xfd, b'7', b'z', b'X', b'Z'], Compression::Unread("xz")),
];
/// Maximum length of a chain of links.
const MOST_HOPS: usize = 40;
/// Size of a tar block in bytes.
const BLOCK: usize = 512;
/// Maximum number of entries named in an error.
const NAMED: usize = 100;

#[derive(Clone, Copy)]
enum Compression {
    Gzip,
    Zstd,
    /// Not supported; the program that decompresses it.
    Unread(&'static str),
}

/// The content of an archive.
#[derive(Debug)]
pub struct Unpacked {
    /// Its files, below the given directory.
    pub edits: Edits,
    /// SHA-256 of the archive's own bytes.
    pub digest: Digest,
    /// Size of the archive in bytes.
    pub size_bytes: u64,
}

/// Stores the files of a tar archive, plain or compressed with gzip or zstd; messages call it `name`. Each file is placed below `directory`
/// under its path in the archive.
///
/// A link to a file in the archive becomes a copy of that file; directories exist only through their files. All illegal paths are reported
/// together, and so are all entries that are not files. If two entries have the same path, the later one wins, as in `tar`.
pub fn unpack(to: &dyn ContentSink, source: impl Read, directory: &FilePath, name: &str) -> Result<Unpacked> {
    let mut whole = BufReader::new(Whole { source, hasher: Hasher::default(), bytes: 0 });
    let head = whole.fill_buf().map_err(|error| unreadable(name, error))?;
    let compression = COMPRESSED.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, compression)| *compression);
    let mut unpacking = Unpacking::new(to, directory, name);
    match compression {
        None => unpacking.read(&mut whole)?,
        Some(Compression::Gzip) => unpacking.read(&mut flate2::bufread::MultiGzDecoder::new(&mut whole))?,
        Some(Compression::Zstd) => {
            let decoder = zstd::stream::read::Decoder::with_buffer(&mut whole);
            unpacking.read(&mut decoder.map_err(|error| unreadable(name, error))?)?;
        }
        Some(Compression::Unread(program)) => {
            let what = format!("`{name}` is compressed with {program}, which pv does not read");
            let hint = Some(format!("{program} -dc ARCHIVE | pv put REF --untar -"));
            return Err(RepoError::Usage { what, hint });
        }
    }
    let edits = unpacking.finish()?;
    // Bytes after the archive are part of its digest, and a process writing to our pipe can finish normally.
    io::copy(&mut whole, &mut io::sink()).map_err(|error| unreadable(name, error))?;
    let Whole { hasher, bytes, .. } = whole.into_inner();
    Ok(Unpacked { edits, digest: hasher.finish(), size_bytes: bytes })
}

fn unreadable(name: &str, error: io::Error) -> RepoError {
    match error.downcast::<RepoError>() {
        Ok(error) => error,
        Err(error) => {
            RepoError::BadSources(vec![(PathBuf::from(name), format!("the archive cannot be read: {error}"))])
        }
    }
}

/// Hashes everything read through it.
struct Whole<R> {
    source: R,
    hasher: Hasher,
    bytes: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.bytes += read as u64;
        Ok(read)
    }
}

/// Remembers the last block read: a complete archive ends with zeros, a truncated one does not.
struct Ending<R> {
    source: R,
    last: Vec<u8>,
}

impl<R: Read> Read for Ending<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        let new = &buffer[..read];
        if new.len() >= BLOCK {
            self.last = new[new.len() - BLOCK..].to_vec();
        } else {
            self.last.extend_from_slice(new);
            let surplus = self.last.len().saturating_sub(BLOCK);
            self.last.drain(..surplus);
        }
        Ok(read)
    }
}

struct Unpacking<'a> {
    to: &'a dyn ContentSink,
    directory: &'a FilePath,
    name: &'a str,
    /// By path in the archive.
    files: BTreeMap<String, FileEntry>,
    /// Links by their path, with the path they point to.
    links: BTreeMap<String, String>,
    new_bytes: u64,
    illegal: Vec<PathError>,
    refused: Vec<(PathBuf, String)>,
}

impl<'a> Unpacking<'a> {
    fn new(to: &'a dyn ContentSink, directory: &'a FilePath, name: &'a str) -> Self {
        let (files, links) = (BTreeMap::new(), BTreeMap::new());
        Self { to, directory, name, files, links, new_bytes: 0, illegal: Vec::new(), refused: Vec::new() }
    }

    fn read(&mut self, source: &mut impl Read) -> Result<()> {
        let mut ending = Ending { source, last: Vec::new() };
        for entry in Archive::new(&mut ending).entries().map_err(|error| unreadable(self.name, error))? {
            self.entry(entry.map_err(|error| unreadable(self.name, error))?)?;
        }
        if ending.last.len() < BLOCK || ending.last.iter().any(|byte| *byte != 0) {
            let why = "the archive has no end: it is truncated, or not a tar archive".to_owned();
            return Err(RepoError::BadSources(vec![(PathBuf::from(self.name), why)]));
        }
        // Compressed data ends with a checksum, which is verified on reading the end.
        io::copy(&mut ending, &mut io::sink()).map_err(|error| unreadable(self.name, error))?;
        Ok(())
    }

    fn entry(&mut self, mut entry: tar::Entry<'_, impl Read>) -> Result<()> {
        let kind = entry.header().entry_type();
        let is_file = matches!(kind, EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse);
        let Ok(written) = String::from_utf8(entry.path_bytes().into_owned()) else {
            let text = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            self.illegal.push(PathError { text, why: "it is not UTF-8" });
            return Ok(());
        };
        let path = plain(&written);
        match kind {
            EntryType::Directory | EntryType::XGlobalHeader => {}
            _ if is_file && !written.ends_with('/') => {
                let is_executable = entry.header().mode().is_ok_and(|mode| mode & 0o111 != 0);
                let target = self.directory.join(&path).ok();
                let stored =
                    put_into(self.to, target.as_ref(), &mut entry).map_err(|error| unreadable(self.name, error))?;
                self.new_bytes += stored.new_bytes;
                let file = FileEntry { digest: stored.digest, size: stored.size_bytes, executable: is_executable };
                self.links.remove(&path);
                self.files.insert(path, file);
            }
            _ if is_file => {} // how tar of old writes a directory
            EntryType::Link | EntryType::Symlink => {
                let target = entry.link_name_bytes().map(|target| String::from_utf8_lossy(&target).into_owned());
                let target = target.unwrap_or_default();
                let leads_to = if kind == EntryType::Link { Some(plain(&target)) } else { beside(&path, &target) };
                match leads_to {
                    Some(leads_to) => {
                        self.files.remove(&path);
                        self.links.insert(path, leads_to);
                    }
                    None => self.refuse(written, format!("a link to `{target}`, outside the archive")),
                }
            }
            _ => self.refuse(written, "not a file, directory or link".to_owned()),
        }
        Ok(())
    }

    fn refuse(&mut self, path: String, why: String) {
        if self.refused.len() < NAMED {
            self.refused.push((PathBuf::from(path), why));
        }
    }

    /// The file that a link points to.
    fn resolve(&self, link: &str) -> Option<FileEntry> {
        let mut at = link;
        for _ in 0..MOST_HOPS {
            match self.links.get(at) {
                Some(next) => at = next,
                None => return self.files.get(at).copied(),
            }
        }
        None
    }

    fn finish(mut self) -> Result<Edits> {
        let mut files = self.files.clone();
        for (link, target) in self.links.clone() {
            match self.resolve(&link) {
                Some(file) => drop(files.insert(link, file)),
                None => self.refuse(link, format!("a link to `{target}`, which is not a file in the archive")),
            }
        }
        let mut edits = Edits { new_bytes: self.new_bytes, ..Edits::default() };
        for (path, file) in files {
            match self.directory.join(&path).and_then(|path| path.check_new().map(|()| path)) {
                Ok(path) => drop(edits.files.insert(path, Some(file))),
                Err(error) => self.illegal.push(error),
            }
        }
        if !self.illegal.is_empty() {
            return Err(RepoError::IllegalPaths(self.illegal));
        }
        if !self.refused.is_empty() {
            return Err(RepoError::BadSources(self.refused));
        }
        Ok(edits)
    }
}

/// A path of an archive as a relative path of a commit: `./a//b/` becomes `a/b`. `..` parts are kept, and refused later.
fn plain(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    parts.join("/")
}

/// The target of a symbolic link at `path`; `None` if it is outside the archive.
fn beside(path: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match part {
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_the_archive() {
        assert_eq!([plain("./a//b/"), plain("/etc/x"), plain("../x")], ["a/b", "etc/x", "../x"]);
        assert_eq!(beside("a/b/link", "../c").as_deref(), Some("a/c"));
        assert_eq!(beside("a/link", "./c").as_deref(), Some("a/c"));
        assert_eq!((beside("link", "../c"), beside("a/link", "/etc/passwd")), (None, None));
    }
}
