//! Writes entries to an archive: the same entries always give the same bytes.

use std::io::{self, Read, Seek, Write};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// Writes an archive, entry by entry in the given order.
pub(super) struct Archive<W: Write + Seek>(ZipWriter<W>);

impl<W: Write + Seek> Archive<W> {
    pub(super) fn new(into: W) -> Self {
        Self(ZipWriter::new(into))
    }

    /// Adds an entry of `length` bytes.
    pub(super) fn add(&mut self, name: &str, length: u64, content: &mut dyn Read) -> io::Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .last_modified_time(DateTime::default())
            .unix_permissions(0o644)
            .large_file(length >= u64::from(u32::MAX));
        self.0.start_file(name, options)?;
        io::copy(content, &mut self.0).map(drop)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        Ok(self.0.finish()?)
    }
}

/// A writer that compares what is written with an existing file.
pub(super) struct Compare<R> {
    there: R,
    position: u64,
    length: u64,
    /// Offsets of differing bytes: few, because headers are written twice; otherwise it stops early.
    others: std::collections::BTreeSet<u64>,
}

/// More differences than this mean a different archive.
const OTHERS: usize = 100_000;

impl<R: Read + Seek> Compare<R> {
    pub(super) fn with(there: R) -> Self {
        Self { there, position: 0, length: 0, others: std::collections::BTreeSet::new() }
    }

    /// Offset of the first differing byte; `None` if all bytes are equal.
    pub(super) fn first_other(mut self) -> io::Result<Option<u64>> {
        let there = self.there.seek(io::SeekFrom::End(0))?;
        let cut = (there != self.length).then(|| there.min(self.length));
        Ok(self.others.first().copied().or(cut))
    }
}

impl<R: Read + Seek> Write for Compare<R> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.there.seek(io::SeekFrom::Start(self.position))?;
        let mut there = Vec::with_capacity(bytes.len());
        self.there.by_ref().take(bytes.len() as u64).read_to_end(&mut there)?;
        for (at, byte) in bytes.iter().enumerate() {
            let place = self.position + at as u64;
            if there.get(at) == Some(byte) {
                self.others.remove(&place);
            } else if self.others.len() < OTHERS {
                self.others.insert(place);
            } else {
                return Err(io::Error::other("the archive differs from the one that was read"));
            }
        }
        self.position += bytes.len() as u64;
        self.length = self.length.max(self.position);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<R: Read + Seek> Seek for Compare<R> {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let moved = |from: u64, by: i64| from.checked_add_signed(by).ok_or(io::ErrorKind::InvalidInput);
        self.position = match to {
            io::SeekFrom::Start(position) => position,
            io::SeekFrom::End(by) => moved(self.length, by)?,
            io::SeekFrom::Current(by) => moved(self.position, by)?,
        };
        Ok(self.position)
    }
}
