//! Reads input files for a sandbox.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use repos::Store;
use repos::store::FileReader;
use repos::tree::FileEntry;
use specs::Digest;

use crate::blocking::blocking;
use sandbox::{ExecError, FileSource, InputFile};

/// Reads inputs from the store. A file is requested piece by piece, in order, so the reader of the last file stays open.
#[derive(Debug)]
pub(crate) struct StoreSource {
    store: Store,
    open: Mutex<Option<Reading>>,
}

#[derive(Debug)]
struct Reading {
    digest: Digest,
    offset: u64,
    reader: FileReader,
    /// The part of the last chunk that was not requested yet.
    rest: Bytes,
}

impl StoreSource {
    pub(crate) fn new(store: Store) -> Self {
        Self { store, open: Mutex::new(None) }
    }

    fn read_next(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, repos::RepoError> {
        let mut open = self.open.lock().expect("no panic under this lock");
        let mut reading = match open.take().filter(|reading| reading.digest == file.digest && reading.offset == offset)
        {
            Some(reading) => reading,
            None => self.start(file, offset)?,
        };
        while reading.rest.is_empty() {
            match reading.reader.next_chunk()? {
                Some(chunk) => reading.rest = chunk,
                None => return Ok(Bytes::new()),
            }
        }
        let piece = reading.rest.split_to(reading.rest.len().min(max));
        reading.offset += piece.len() as u64;
        *open = Some(reading);
        Ok(piece)
    }

    fn start(&self, file: &InputFile, offset: u64) -> Result<Reading, repos::RepoError> {
        let entry = FileEntry { digest: file.digest, size: file.size_bytes, executable: file.executable };
        let mut reader = self.store.open_file(&entry)?;
        let mut skip = offset;
        let mut rest = Bytes::new();
        while skip > 0 {
            let Some(mut chunk) = reader.next_chunk()? else { break };
            let passed = skip.min(chunk.len() as u64);
            rest = chunk.split_off(passed as usize);
            skip -= passed;
        }
        Ok(Reading { digest: file.digest, offset, reader, rest })
    }
}

#[async_trait]
impl FileSource for StoreSource {
    async fn read(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError> {
        blocking(|| self.read_next(file, offset, max)).map_err(|source| ExecError::Caller {
            action: "read an input file",
            kind: source.kind(),
            source: source.into(),
        })
    }
}
