//! The bytes of a file for a library that reads them from another thread: it asks, and the thread that has the file answers.

use std::collections::HashMap;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

use super::wire::{PageHeader, page_header};
use crate::content::Watched;

/// Bytes in which the header of a page is looked for: first the usual ones; a header with long statistics is longer.
const HEADER_BYTES: [u64; 2] = [8 << 10, 1 << 20];

/// Some bytes that are wanted.
#[derive(Debug)]
pub(super) struct Ask {
    start: u64,
    length: usize,
    answer: mpsc::SyncSender<io::Result<Vec<u8>>>,
}

/// Answers until no one is left who asks.
pub(super) fn serve(side: &mut Watched<'_>, asked: mpsc::Receiver<Ask>) {
    for ask in asked {
        let bytes = read(side, ask.start, ask.length);
        // Who asked may be gone.
        let _ = ask.answer.send(bytes);
    }
}

fn read(side: &mut Watched<'_>, start: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    side.seek(SeekFrom::Start(start))?;
    side.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// How many bytes may still be unpacked for one answer, and why no more are.
#[derive(Debug)]
pub(super) struct Ration {
    all: u64,
    left: Mutex<u64>,
    refused: Mutex<Option<String>>,
}

impl Ration {
    pub(super) fn of(bytes: u64) -> Self {
        Self { all: bytes, left: Mutex::new(bytes), refused: Mutex::default() }
    }

    /// Takes some of it.
    pub(super) fn take(&self, bytes: u64) -> Result<()> {
        let mut left = self.left.lock().expect("no panic under this lock");
        let Some(rest) = left.checked_sub(bytes) else {
            let all = self.all;
            return Err(self.refuse(format!("too much: more than {all} bytes would be unpacked for these rows")));
        };
        *left = rest;
        Ok(())
    }

    /// An error that the library only passes on: its reason is told instead of the library's.
    pub(super) fn refuse(&self, why: String) -> ParquetError {
        let error = ParquetError::General(why.clone());
        self.refused.lock().expect("no panic under this lock").get_or_insert(why);
        error
    }

    /// Why something was refused.
    pub(super) fn refused(&self) -> Option<String> {
        self.refused.lock().expect("no panic under this lock").clone()
    }
}

/// Where all columns get their bytes.
#[derive(Debug, Clone)]
pub(super) struct Tap {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) size_bytes: u64,
    pub(super) ration: Arc<Ration>,
}

impl Tap {
    fn read(&self, start: u64, length: u64) -> Result<Bytes> {
        let cut_off = || ParquetError::General(format!("{length} bytes at {start} lie outside of the file"));
        if start.checked_add(length).is_none_or(|end| end > self.size_bytes) {
            return Err(cut_off());
        }
        self.ration.take(length)?;
        let (answer, answered) = mpsc::sync_channel(1);
        // If no one answers, `answered` says so.
        let _ = self.asks.send(Ask { start, length: length as usize, answer });
        let bytes = answered.recv().map_err(|_| cut_off())??;
        Ok(bytes.into())
    }
}

/// The pages of one column.
#[derive(Debug)]
pub(super) struct Source {
    tap: Tap,
    /// Whether pages are packed in a form that may unpack to more than they say.
    is_gzip: bool,
    /// The headers that were read, by the place where their pages begin.
    headers: Mutex<HashMap<u64, PageHeader>>,
}

impl Source {
    pub(super) fn new(tap: Tap, is_gzip: bool) -> Self {
        Self { tap, is_gzip, headers: Mutex::default() }
    }

    fn header_of_page_at(&self, start: u64) -> Option<PageHeader> {
        self.headers.lock().expect("no panic under this lock").get(&start).copied()
    }

    /// Checks that a page does not unpack to more than it says: the library would take it all.
    fn check_unpacked(&self, packed: &[u8], header: PageHeader) -> Result<()> {
        let packed = packed.get(header.levels as usize..).unwrap_or_default();
        let mut unpacked = MultiGzDecoder::new(packed).take(header.unpacked.saturating_add(1));
        match io::copy(&mut unpacked, &mut io::sink()) {
            Ok(length) if length > header.unpacked => {
                Err(self.tap.ration.refuse("malformed Parquet: a page unpacks to more than it says".to_owned()))
            }
            // What is broken, the library says.
            _ => Ok(()),
        }
    }
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.tap.size_bytes
    }
}

impl ChunkReader for Source {
    type T = Cursor<Bytes>;

    /// The bytes at the header of a page. The library also asks at the page itself when it knows the header, and then reads nothing; behind an
    /// empty page the next header is at the same place.
    fn get_read(&self, start: u64) -> Result<Self::T> {
        let mut bytes = Bytes::new();
        if self.header_of_page_at(start).is_some_and(|header| header.packed > 0) {
            return Ok(Cursor::new(bytes));
        }
        let rest = self.tap.size_bytes.saturating_sub(start);
        for most in HEADER_BYTES {
            bytes = self.tap.read(start, most.min(rest))?;
            if let Some(header) = page_header(&bytes) {
                let mut headers = self.headers.lock().expect("no panic under this lock");
                headers.insert(start.saturating_add(header.length), header);
                break;
            }
        }
        Ok(Cursor::new(bytes))
    }

    /// A page, as it is packed.
    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let header = self.header_of_page_at(start);
        let header = header.ok_or_else(|| ParquetError::General(format!("no page starts at byte {start}")))?;
        self.tap.ration.take(header.unpacked)?;
        let bytes = self.tap.read(start, length as u64)?;
        if self.is_gzip {
            self.check_unpacked(&bytes, header)?;
        }
        Ok(bytes)
    }
}
