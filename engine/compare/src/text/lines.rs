//! Reads a file as lines, from any offset.

use std::io::{BufRead, BufReader, Seek, SeekFrom};

use crate::content::Watched;
use crate::error::Fit;

/// Number of bytes read at a time.
pub(super) const BLOCK: usize = 1 << 16;

/// Lines in order. A line includes its line ending.
pub(super) struct Lines<'a, 'c> {
    reader: BufReader<&'a mut Watched<'c>>,
    /// Offset of the next line.
    pub(super) at: u64,
}

/// What is known of a line that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) bytes: u64,
    /// Whether it has a line ending: the last line may have none.
    pub(super) has_end: bool,
}

impl<'a, 'c> Lines<'a, 'c> {
    /// The lines from this offset on.
    pub(super) fn from(side: &'a mut Watched<'c>, at: u64) -> Fit<Self> {
        side.seek(SeekFrom::Start(at))?;
        Ok(Self { reader: BufReader::with_capacity(BLOCK, side), at })
    }

    /// Passes the next line to `see`, in one or more parts.
    pub(super) fn next(&mut self, mut see: impl FnMut(&[u8])) -> Fit<Option<Seen>> {
        let mut seen = Seen { bytes: 0, has_end: false };
        while !seen.has_end {
            let block = self.reader.fill_buf()?;
            if block.is_empty() {
                break;
            }
            let end = memchr::memchr(b'\n', block);
            let part = &block[..end.map_or(block.len(), |end| end + 1)];
            see(part);
            seen.bytes += part.len() as u64;
            seen.has_end = end.is_some();
            let length = part.len();
            self.reader.consume(length);
        }
        self.at += seen.bytes;
        Ok((seen.bytes > 0).then_some(seen))
    }

    /// Skips this many lines.
    pub(super) fn skip(&mut self, lines: u64) -> Fit<()> {
        for _ in 0..lines {
            self.next(|_| ())?;
        }
        Ok(())
    }

    /// The next line without its ending; only the first bytes of a long line.
    pub(super) fn take(&mut self, most: usize) -> Fit<Option<(Vec<u8>, Seen)>> {
        let mut line = Vec::new();
        let seen = self.next(|part| line.extend_from_slice(&part[..part.len().min(most - line.len())]))?;
        Ok(seen.map(|seen| {
            if seen.has_end && line.len() as u64 == seen.bytes {
                line.pop();
            }
            (line, seen)
        }))
    }
}
