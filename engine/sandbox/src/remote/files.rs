//! The files of one sandbox, as they arrive at a worker: asked for ahead, so that many small files do not wait for each other.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use specs::Digest;
use tokio::sync::{Notify, watch};

use super::cache::{Cache, Claim, Part, Pin};
use super::messages::FromWorker;
use super::streams::{End, WINDOW};
use crate::error::ExecError;
use crate::task::{FileSource, InputFile};

/// Maximum number of bytes that one message asks for.
const ASK_BYTES: u64 = 1 << 20;
/// Maximum number of files that are asked for at the same time.
const ASK_FILES: usize = 256;

/// The files that are here for the sandbox to read.
#[derive(Debug, Default)]
pub(super) struct Present {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    pins: HashMap<Digest, Pin>,
    /// The file read last.
    open: Option<(Digest, Arc<File>)>,
    /// Whether no more files come.
    is_over: bool,
}

impl Present {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    fn add(&self, digest: Digest, pin: Pin) {
        self.state().pins.insert(digest, pin);
        self.changed.notify_waiters();
    }

    /// Ends every wait for a file with an error.
    pub(super) fn end(&self) {
        self.state().is_over = true;
        self.changed.notify_waiters();
    }

    /// Waits until a file is here.
    async fn path(&self, digest: &Digest) -> Result<PathBuf, ExecError> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            {
                let state = self.state();
                if let Some(pin) = state.pins.get(digest) {
                    return Ok(pin.path());
                }
                if state.is_over {
                    return Err(ExecError::SandboxLost { why: "its files did not arrive".to_owned() });
                }
            }
            changed.await;
        }
    }

    async fn opened(&self, digest: &Digest) -> Result<Arc<File>, ExecError> {
        if let Some((known, file)) = &self.state().open
            && known == digest
        {
            return Ok(file.clone());
        }
        let path = self.path(digest).await?;
        let opened = File::open(&path).map_err(|source| ExecError::Io { action: "read", path, source })?;
        let file = Arc::new(opened);
        self.state().open = Some((*digest, file.clone()));
        Ok(file)
    }
}

#[async_trait]
impl FileSource for Present {
    async fn read(&self, file: &InputFile, offset: u64, max: usize) -> Result<Bytes, ExecError> {
        let opened = self.opened(&file.digest).await?;
        let read = blocking(move || {
            let mut bytes = vec![0; max];
            let length = opened.read_at(&mut bytes, offset)?;
            bytes.truncate(length);
            io::Result::Ok(Bytes::from(bytes))
        });
        read.await?.map_err(|source| ExecError::Io { action: "read", path: file.path.clone().into(), source })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ExecError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| ExecError::SandboxLost { why: error.to_string() })
}

/// Asks the engine for files, and takes them as they come.
#[derive(Debug)]
pub(super) struct Fetch {
    cache: Arc<Cache>,
    present: Arc<Present>,
    /// Files that nobody looked for yet.
    queue: VecDeque<InputFile>,
    /// Files that other sandboxes fetch. Only the first is looked for again, since the sandbox reads them in order.
    theirs: VecDeque<InputFile>,
    /// Whether it is worth looking again for the first of them.
    may_look: bool,
    changes: watch::Receiver<u64>,
    /// In the order in which they were asked for; all of the last one may not have been asked for yet.
    arriving: VecDeque<Arriving>,
}

#[derive(Debug)]
struct Arriving {
    digest: Digest,
    bytes: u64,
    /// Absent once nobody waits for it.
    part: Option<Part>,
    /// Bytes asked for in all, and of those the ones that did not come yet.
    asked: u64,
    due: u64,
}

impl Fetch {
    pub(super) fn new(cache: Arc<Cache>) -> Self {
        let present = Arc::default();
        let (queue, theirs, arriving) = Default::default();
        let changes = cache.changes();
        Self { cache, present, queue, theirs, may_look: false, changes, arriving }
    }

    /// What the sandbox reads.
    pub(super) fn present(&self) -> Arc<Present> {
        self.present.clone()
    }

    /// Adds files to fetch.
    pub(super) fn want(&mut self, files: &[InputFile]) {
        self.queue.extend(files.iter().filter(|file| file.laid_out_bytes() > 0).cloned());
    }

    /// Nothing of what was wanted is needed any more.
    pub(super) fn forget(&mut self) {
        self.queue.clear();
        self.theirs.clear();
        self.arriving.retain_mut(|arriving| {
            arriving.part = None;
            arriving.due > 0
        });
        let mut state = self.present.state();
        state.open = None;
        let pins = std::mem::take(&mut state.pins);
        drop(state);
        drop(pins);
    }

    /// Asks for as much as may be on its way at the same time.
    pub(super) async fn ask(&mut self, end: &End) -> Result<(), ExecError> {
        while self.arriving.iter().map(|arriving| arriving.due).sum::<u64>() + ASK_BYTES <= WINDOW as u64
            && self.arriving.len() < ASK_FILES
        {
            if let Some(last) = self.arriving.back_mut()
                && last.part.is_some()
                && last.asked < last.bytes
            {
                let length = ASK_BYTES.min(last.bytes - last.asked);
                end.push(&FromWorker::Want { digest: last.digest, offset: last.asked, length });
                last.asked += length;
                last.due += length;
                continue;
            }
            let again = if std::mem::take(&mut self.may_look) { self.theirs.pop_front() } else { None };
            let is_again = again.is_some();
            let Some(file) = again.or_else(|| self.queue.pop_front()) else { return Ok(()) };
            let is_theirs = self.look_for(&file).await?;
            if is_theirs && is_again {
                self.theirs.push_front(file);
            } else if is_theirs {
                self.theirs.push_back(file);
            } else {
                self.may_look |= is_again;
            }
        }
        Ok(())
    }

    /// Looks for a file here; has it fetched, or returns whether somebody else fetches it.
    async fn look_for(&mut self, file: &InputFile) -> Result<bool, ExecError> {
        let (digest, bytes, cache) = (file.digest, file.size_bytes, self.cache.clone());
        let is_arriving = self.arriving.iter().any(|arriving| arriving.digest == digest && arriving.part.is_some());
        if is_arriving || self.present.state().pins.contains_key(&digest) {
            return Ok(false);
        }
        match blocking(move || cache.claim(digest, bytes)).await?? {
            Claim::Here(pin) => self.present.add(digest, pin),
            Claim::Theirs => return Ok(true),
            Claim::Yours(part) => {
                self.arriving.push_back(Arriving { digest, bytes, part: Some(part), asked: 0, due: 0 });
            }
        }
        Ok(false)
    }

    /// Waits until it is worth looking again for files that others fetch.
    pub(super) async fn others(&mut self) {
        if self.theirs.is_empty() || self.changes.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
        self.may_look = true;
    }

    /// Takes the next bytes that were asked for.
    pub(super) async fn take(&mut self, bytes: Bytes) -> Result<(), ExecError> {
        while self.arriving.front().is_some_and(|first| first.due == 0 && first.part.is_none()) {
            self.arriving.pop_front();
        }
        let Some(first) = self.arriving.front_mut().filter(|first| bytes.len() as u64 <= first.due) else {
            return Err(ExecError::SandboxLost { why: "the engine sent bytes that were not asked for".to_owned() });
        };
        first.due -= bytes.len() as u64;
        let digest = first.digest;
        let Some(part) = first.part.take() else { return Ok(()) };
        match blocking(move || part.add(&bytes)).await?? {
            Ok(pin) => {
                self.arriving.pop_front();
                self.present.add(digest, pin);
            }
            Err(rest) => {
                if let Some(first) = self.arriving.front_mut() {
                    first.part = Some(rest);
                }
            }
        }
        Ok(())
    }
}
