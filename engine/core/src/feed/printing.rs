//! What one datum prints, try by try.

use std::sync::{Mutex, MutexGuard};

use repos::documents::Try;
use repos::{RepoError, Store};
use specs::{DatumId, Digest};
use tokio::sync::watch;

use super::log::{Cut, SharedLog};

/// Maximum number of bytes of a log read at a time, so that the printing datum never waits long.
const PIECE_BYTES: usize = 256 << 10;

/// A datum in progress, or one that has just ended, for its followers.
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
    /// The log of the next try, once it has begun.
    log: Option<SharedLog>,
    /// Number of attempts, including those repeated in another sandbox.
    attempts: u64,
    /// Number of bytes that were in the log when the current attempt began.
    found: u64,
    is_over: bool,
    result: Option<Digest>,
}

#[derive(Debug)]
struct Stored {
    tried: Try,
    shape: Cut,
}

/// How far a follower has read a datum's output.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReadPosition {
    /// Number of tries read to their end.
    tries: usize,
    /// Number of bytes read of the next try.
    at: u64,
    attempts: u64,
}

/// A piece of a datum's output.
#[derive(Debug, Clone, PartialEq)]
pub struct Printed {
    /// The datum's number in its job: two datums may have the same id.
    pub number: u64,
    /// The datum.
    pub datum: DatumId,
    /// Which of its tries printed it, from 1.
    pub try_number: usize,
    /// Bytes before this piece that came too quickly to be read, or are no longer kept.
    pub skipped_bytes: u64,
    /// The output.
    pub bytes: Vec<u8>,
    /// How the try ended, if this is its last piece.
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

    /// Everything printed so far, as far as it is kept.
    pub fn so_far(&self, store: &Store) -> Result<Vec<Printed>, RepoError> {
        let (stored, log) = {
            let inner = self.inner();
            let stored: Vec<_> = inner.tries.iter().map(|stored| (stored.tried.clone(), stored.shape)).collect();
            (stored, inner.log.clone())
        };
        let mut place = ReadPosition::default();
        let pieces = stored.into_iter().map(|(tried, shape)| self.last_piece(&mut place, store, tried, shape));
        let mut pieces: Vec<Printed> = pieces.collect::<Result<_, _>>()?;
        if let Some(log) = log {
            let (number, datum, try_number) = (self.number, self.datum, pieces.len() + 1);
            pieces.push(Printed { number, datum, try_number, skipped_bytes: 0, bytes: log.to_bytes(), end: None });
        }
        Ok(pieces)
    }

    /// From now on the current try prints to `log`, which may already have content.
    pub(crate) fn prints_to(&self, log: &SharedLog) {
        let found = log.read().shape().total;
        let mut inner = self.inner();
        inner.log = Some(log.clone());
        inner.attempts += 1;
        inner.found = found;
    }

    /// Notifies followers of new output.
    pub(crate) fn tell(&self) {
        self.news.send_replace(());
    }

    /// The current try has ended, and its output in `log` is stored.
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

    /// The next piece after `place`, which advances; `None` if there is none yet.
    pub(super) fn next(&self, place: &mut ReadPosition, store: &Store) -> Result<Option<Printed>, RepoError> {
        let inner = self.inner();
        if let Some(Stored { tried, shape }) = inner.tries.get(place.tries) {
            let (tried, shape) = (tried.clone(), *shape);
            drop(inner);
            return self.last_piece(place, store, tried, shape).map(Some);
        }
        let Some(log) = inner.log.clone() else { return Ok(None) };
        if place.attempts != inner.attempts {
            // The output of a lost sandbox is gone: the try began again with the log's earlier content.
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

    /// The unread rest of an ended try.
    fn last_piece(
        &self,
        place: &mut ReadPosition,
        store: &Store,
        tried: Try,
        shape: Cut,
    ) -> Result<Printed, RepoError> {
        let stored = match &tried.log {
            Some(log) if place.at < shape.total => store.log(log)?,
            _ => bytes::Bytes::new(),
        };
        let (skipped_bytes, from) = shape.rest(place.at, stored.len());
        let try_number = place.tries + 1;
        *place = ReadPosition { tries: try_number, at: 0, attempts: place.attempts };
        let bytes = stored.slice(from.min(stored.len())..).to_vec();
        Ok(Printed { number: self.number, datum: self.datum, try_number, skipped_bytes, bytes, end: Some(tried) })
    }
}
