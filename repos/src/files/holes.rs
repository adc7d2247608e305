//! Writes a new file with holes in place of blocks of zeros: sparse files stay sparse.

use std::fs::File;
use std::io::{self, Write};

use crate::base::durable::Eager;

/// The allocation unit of file systems, or a multiple of it.
const BLOCK: usize = 4096;

/// A new file, written from its beginning.
pub(super) struct Holes<'a> {
    file: Eager<'a>,
    length: u64,
    ends_with_hole: bool,
}

impl<'a> Holes<'a> {
    /// `file` must be empty.
    pub(super) fn new(file: &'a mut File) -> Self {
        Self { file: Eager::new(file), length: 0, ends_with_hole: false }
    }

    /// Extends the file to its full length if it ends with a hole.
    pub(super) fn finish(self) -> io::Result<()> {
        if self.ends_with_hole { self.file.set_length(self.length) } else { Ok(()) }
    }

    fn put(&mut self, bytes: &[u8], is_hole: bool) -> io::Result<()> {
        if is_hole {
            self.file.skip(bytes.len() as u64)?;
        } else {
            self.file.write_all(bytes)?;
        }
        self.length += bytes.len() as u64;
        self.ends_with_hole = is_hole;
        Ok(())
    }
}

impl Write for Holes<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let to_block = BLOCK - (self.length % BLOCK as u64) as usize;
        let (first, rest) = bytes.split_at(to_block.min(bytes.len()));
        let mut run = 0..0;
        let mut is_hole = false;
        for block in std::iter::once(first).chain(rest.chunks(BLOCK)).filter(|block| !block.is_empty()) {
            let is_zero = block.iter().all(|byte| *byte == 0);
            if is_zero != is_hole && !run.is_empty() {
                self.put(&bytes[run.clone()], is_hole)?;
                run.start = run.end;
            }
            is_hole = is_zero;
            run.end += block.len();
        }
        if !run.is_empty() {
            self.put(&bytes[run], is_hole)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use proptest::prelude::*;

    use super::*;

    fn written(pieces: &[Vec<u8>]) -> (Vec<u8>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = File::create(&path).unwrap();
        let mut holes = Holes::new(&mut file);
        for piece in pieces {
            holes.write_all(piece).unwrap();
        }
        holes.finish().unwrap();
        (std::fs::read(&path).unwrap(), std::fs::metadata(&path).unwrap().blocks() * 512)
    }

    #[test]
    fn zeros_take_no_room() {
        let pieces = [vec![0; 1 << 20], b"data".to_vec(), vec![0; (1 << 20) + 5]];
        let (bytes, on_disk) = written(&pieces);
        assert!(bytes == pieces.concat());
        assert!(on_disk <= 64 << 10, "{on_disk} bytes");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn every_byte_comes_back(pieces in proptest::collection::vec((0_u8..3, 0_usize..9_000), 0..8)) {
            let pieces: Vec<Vec<u8>> = pieces.into_iter().map(|(byte, length)| vec![byte; length]).collect();
            prop_assert!(written(&pieces).0 == pieces.concat());
        }
    }
}
