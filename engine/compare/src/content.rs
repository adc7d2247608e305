//! The content of both sides.

use std::io::{self, Read, Seek, SeekFrom};

use crate::error::{CompareError, Fit, Unfit};

/// Bytes with random access.
pub trait Content: Read + Seek {}

impl<T: Read + Seek + ?Sized> Content for T {}

/// A part of a file, as chunked by the store: equal ids mean equal bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Piece {
    /// Identifies the bytes.
    pub id: [u8; 32],
    /// Its size in bytes.
    pub size_bytes: u64,
}

/// One side of a comparison.
pub struct Side<'a> {
    /// The file's name; its extension helps to detect the kind.
    pub name: &'a str,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its content.
    pub content: &'a mut dyn Content,
    /// Its chunks, in order; may be empty. With it, shared parts need not be read.
    pub pieces: Vec<Piece>,
}

/// A side that remembers a failed read: parsers report such an error as one of the format.
pub(crate) struct Watched<'a> {
    side: Side<'a>,
    failed: Option<io::Error>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(side: Side<'a>) -> Self {
        Self { side, failed: None }
    }

    pub(crate) fn name(&self) -> &str {
        self.side.name
    }

    pub(crate) fn size_bytes(&self) -> u64 {
        self.side.size_bytes
    }

    pub(crate) fn pieces(&self) -> &[Piece] {
        &self.side.pieces
    }

    /// The error of the last read, if it failed.
    pub(crate) fn check(&mut self) -> Result<(), CompareError> {
        self.failed.take().map_or(Ok(()), |error| Err(CompareError::Read(error)))
    }

    /// Moves back to the first byte.
    pub(crate) fn rewind(&mut self) -> Fit<&mut Self> {
        self.seek(SeekFrom::Start(0))?;
        Ok(self)
    }

    /// The first bytes, fewer if the file is shorter.
    pub(crate) fn start(&mut self, length: u64) -> Fit<Vec<u8>> {
        let mut start = Vec::new();
        self.rewind()?.take(length).read_to_end(&mut start)?;
        Ok(start)
    }

    /// The whole content, unless it is longer than `limit`.
    pub(crate) fn whole(&mut self, limit: u64, what: &str) -> Fit<Vec<u8>> {
        if self.size_bytes() > limit {
            return Err(Unfit(format!("{what} of more than {limit} bytes is not compared by content")));
        }
        self.start(limit)
    }
}

fn note<T>(failed: &mut Option<io::Error>, read: io::Result<T>) -> io::Result<T> {
    read.map_err(|error| {
        let told = io::Error::new(error.kind(), error.to_string());
        if error.kind() != io::ErrorKind::Interrupted {
            *failed = Some(error);
        }
        told
    })
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        note(&mut self.failed, self.side.content.read(into))
    }
}

impl Seek for Watched<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        // A position before the start comes from a malformed file, not from a failed read.
        let to = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => place(self.side.size_bytes, by)?,
            SeekFrom::Current(by) => {
                let at = note(&mut self.failed, self.side.content.stream_position())?;
                place(at, by)?
            }
        };
        note(&mut self.failed, self.side.content.seek(SeekFrom::Start(to)))
    }
}

fn place(from: u64, by: i64) -> io::Result<u64> {
    from.checked_add_signed(by).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "an offset before the start"))
}

/// Fills `into` as far as bytes are available.
pub(crate) fn read_full(from: &mut (impl Read + ?Sized), into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
