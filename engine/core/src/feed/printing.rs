//! What one datum prints, try by try.

use std::sync::{Mutex, MutexGuard};

use repos::documents::Try;
use repos::{RepoError, Store};
use specs::{DatumId, Digest};
use tokio::sync::watch;

use super::log::{Cut, SharedLog};

/// Bytes that are read of a log at a time, so that anyone who prints never waits long.
const PIECE_BYTES: usize = 256 << 10;

/// A datum at work, or one that has just ended, for those who follow it.
#[derive(Debug)]
pub struct Printing {
    number: u64,
    datum: DatumId,
    inner: Mutex<Inner>,
    news: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Tries that have ended, whose logs are stored.
    tries: Vec<Stored>,
    /// The log of the try after these, once it has begun.
    log: Option<SharedLog>,
    /// How many times a try was begun, also those that began again in another sandbox.
    attempts: u64,
    /// Bytes that the present attempt found in its log.
    found: u64,
    is_over: bool,
    result: Option<Digest>,
}

#[derive(Debug)]
struct Stored {
    tried: Try,
    shape: Cut,
}

/// How far somebody has read what a datum prints.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    /// Tries that were read to their end.
    tries: usize,
    /// Bytes that were read of the next.
    at: u64,
    attempts: u64,
}

/// A piece of what a datum printed.
#[derive(Debug, Clone, PartialEq)]
pub struct Printed {
    /// The datum's number in its job: two datums may have one id.
    pub number: u64,
    /// The datum.
    pub datum: DatumId,
    /// Which of its tries printed it, from 1.
    pub try_number: usize,
    /// Bytes before this piece that came too quickly to be read, or are not kept.
    pub skipped_bytes: u64,
    /// What it printed.
    pub bytes: Vec<u8>,
    /// How the try ended, when this is its last piece.
    pub end: Option<Try>,
}

impl Printing {
    pub(super) fn new(number: u64, datum: DatumId, news: watch::Sender<()>) -> Self {
        Self { number, datum, inner: Mutex::default(), news }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic under this lock")
    }

    /// Its number in its job.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The datum.
    pub fn datum(&self) -> DatumId {
        self.datum
    }

    /// All that it has printed so far, as far as it is kept.
    pub fn so_far(&self, store: &Store) -> Result<Vec<Printed>, RepoError> {
        let (stored, log) = {
            let inner = self.inner();
            let stored: Vec<_> = inner.tries.iter().map(|stored| (stored.tried.clone(), stored.shape)).collect();
            (stored, inner.log.clone())
        };
        let mut place = Place::default();
        let pieces = stored.into_iter().map(|(tried, shape)| self.last_piece(&mut place, store, tried, shape));
        let mut pieces: Vec<Printed> = pieces.collect::<Result<_, _>>()?;
        if let Some(log) = log {
            let (number, datum, try_number) = (self.number, self.datum, pieces.len() + 1);
            pieces.push(Printed { number, datum, try_number, skipped_bytes: 0, bytes: log.to_bytes(), end: None });
        }
        Ok(pieces)
    }

    /// The present try prints to `log` from now on, which may hold something already.
    pub(crate) fn prints_to(&self, log: &SharedLog) {
        let found = log.read().shape().total;
        let mut inner = self.inner();
        inner.log = Some(log.clone());
        inner.attempts += 1;
        inner.found = found;
    }

    /// Something was printed.
    pub(crate) fn tell(&self) {
        self.news.send_replace(());
    }

    /// The present try has ended, and what it printed to `log` is stored.
    pub(crate) fn stored(&self, tried: &Try, log: &SharedLog) {
        let shape = log.read().shape();
        let mut inner = self.inner();
        inner.tries.push(Stored { tried: tried.clone(), shape });
        inner.log = None;
        drop(inner);
        self.tell();
    }

    pub(super) fn end(&self, result: Option<Digest>) {
        let mut inner = self.inner();
        inner.is_over = true;
        inner.result = result;
    }

    /// The result, once there is one.
    pub(super) fn result(&self) -> Option<Digest> {
        self.inner().result
    }

    /// The next piece after a place, which moves on; `None` when there is none yet.
    pub(super) fn next(&self, place: &mut Place, store: &Store) -> Result<Option<Printed>, RepoError> {
        let inner = self.inner();
        if let Some(Stored { tried, shape }) = inner.tries.get(place.tries) {
            let (tried, shape) = (tried.clone(), *shape);
            drop(inner);
            return self.last_piece(place, store, tried, shape).map(Some);
        }
        let Some(log) = inner.log.clone() else { return Ok(None) };
        if place.attempts != inner.attempts {
            // A lost sandbox took what it printed along: the try began again from what was there before.
            place.attempts = inner.attempts;
            place.at = place.at.min(inner.found);
        }
        drop(inner);
        let (skipped_bytes, bytes) = log.read().after(place.at, PIECE_BYTES);
        if bytes.is_empty() {
            return Ok(None);
        }
        place.at += skipped_bytes + bytes.len() as u64;
        let try_number = place.tries + 1;
        Ok(Some(Printed { number: self.number, datum: self.datum, try_number, skipped_bytes, bytes, end: None }))
    }

    /// What was not read yet of a try that has ended.
    fn last_piece(&self, place: &mut Place, store: &Store, tried: Try, shape: Cut) -> Result<Printed, RepoError> {
        let stored = match &tried.log {
            Some(log) if place.at < shape.total => store.log(log)?,
            _ => bytes::Bytes::new(),
        };
        let (skipped_bytes, from) = shape.rest(place.at, stored.len());
        let try_number = place.tries + 1;
        *place = Place { tries: try_number, at: 0, attempts: place.attempts };
        let bytes = stored.slice(from.min(stored.len())..).to_vec();
        Ok(Printed { number: self.number, datum: self.datum, try_number, skipped_bytes, bytes, end: Some(tried) })
    }
}
