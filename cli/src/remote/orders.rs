//! What a command has its client do while it runs: write a file, send what its sources hold, get files. One order at a time.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use repos::files::{GetItem, Got};
use repos::tree::FileEntry;
use repos::{RepoError, Store};
use specs::Digest;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::objects::Objects;
use super::protocol::{
    ATTACHED_MAX, Fetch, ItemSent, Malformed, PIECE, SHARE, SentError, ToClient, ToServer, items_to_bytes,
};
use crate::invocation::{Caller, FileToWrite, GetOrder, Order, Part};

/// Most files that a client fetches at the same time.
const FETCHES: usize = 16;
/// Items in one message.
const ITEMS: usize = 4000;

/// Passes orders on and takes what the client answers.
pub(super) struct Orders {
    waiting: mpsc::Receiver<Order>,
    to: mpsc::Sender<Bytes>,
    credit: Arc<Semaphore>,
    /// As the client sees it.
    store: Store,
    objects: Objects,
    /// Memory for listings, in shares.
    memory: Arc<Semaphore>,
    now: Now,
    fetches: JoinSet<()>,
}

/// The order that is being done.
enum Now {
    Nothing,
    /// A file is sent.
    Writing {
        file: FileToWrite,
        is_announced: bool,
    },
    /// The client writes what it got.
    Written(oneshot::Sender<std::io::Result<()>>),
    /// The client is about to learn that it should send.
    ToUpload(Part, oneshot::Sender<Vec<u8>>),
    /// The client sends.
    Uploading {
        done: oneshot::Sender<Vec<u8>>,
        listing: Vec<u8>,
        shares: Vec<OwnedSemaphorePermit>,
    },
    /// The client is told what to get.
    ToGet {
        order: GetOrder,
        at: usize,
    },
    /// The client fetches these files.
    Getting {
        done: oneshot::Sender<Got>,
        files: Arc<HashMap<Digest, FileEntry>>,
    },
}

impl Orders {
    pub(super) fn new(
        waiting: mpsc::Receiver<Order>,
        to: mpsc::Sender<Bytes>,
        credit: Arc<Semaphore>,
        store: Store,
        caller: &Caller,
        memory: Arc<Semaphore>,
    ) -> Self {
        let objects = Objects::new(store.clone(), caller.access.client.clone());
        Self { waiting, to, credit, store, objects, memory, now: Now::Nothing, fetches: JoinSet::new() }
    }

    /// One step; never ends if there is nothing to do. May be dropped at any await.
    pub(super) async fn work(&mut self) {
        match &mut self.now {
            Now::Nothing => match self.waiting.recv().await {
                Some(Order::Write(file)) => self.now = Now::Writing { file, is_announced: false },
                Some(Order::Upload(part, done)) => self.now = Now::ToUpload(part, done),
                Some(Order::Get(order)) => self.now = Now::ToGet { order, at: 0 },
                None => std::future::pending().await,
            },
            Now::Writing { .. } => self.write().await,
            Now::Written(_) | Now::Getting { .. } => std::future::pending().await,
            Now::ToUpload(..) => self.announce_upload().await,
            Now::Uploading { .. } => {
                let Ok(place) = self.to.reserve().await else { return std::future::pending().await };
                place.send(self.objects.answer().await.to_bytes());
            }
            Now::ToGet { .. } => self.announce_items().await,
        }
    }

    /// Sends the next piece of a file.
    async fn write(&mut self) {
        let Ok(mut room) = self.credit.acquire_many(PIECE as u32).await else { return };
        let Ok(place) = self.to.reserve().await else { return std::future::pending().await };
        let Now::Writing { mut file, is_announced } = std::mem::replace(&mut self.now, Now::Nothing) else { return };
        if !is_announced {
            place.send(ToClient::File(file.path.clone().into_os_string()).to_bytes());
            self.now = Now::Writing { file, is_announced: true };
            return;
        }
        let mut buffer = vec![0; PIECE];
        match file.bytes.read(&mut buffer) {
            Ok(0) => {
                place.send(ToClient::FileEnd.to_bytes());
                self.now = Now::Written(file.done);
            }
            Ok(length) => {
                if let Some(used) = room.split(length) {
                    used.forget();
                }
                buffer.truncate(length);
                place.send(ToClient::FileBytes(buffer.into()).to_bytes());
                self.now = Now::Writing { file, is_announced };
            }
            // The client drops an incomplete file when the next one begins, or at the end. The command may be gone.
            Err(error) => drop(file.done.send(Err(error))),
        }
    }

    async fn announce_upload(&mut self) {
        let id = self.store.id().unwrap_or_default();
        let Ok(place) = self.to.reserve().await else { return std::future::pending().await };
        if let Now::ToUpload(part, done) = std::mem::replace(&mut self.now, Now::Nothing) {
            place.send(ToClient::Upload { store: id, part }.to_bytes());
            self.now = Now::Uploading { done, listing: Vec::new(), shares: Vec::new() };
        }
    }

    /// Sends the next items of a get, or that these were all.
    async fn announce_items(&mut self) {
        let Ok(place) = self.to.reserve().await else { return std::future::pending().await };
        let Now::ToGet { order, at } = std::mem::replace(&mut self.now, Now::Nothing) else { return };
        if at < order.items.len() {
            let end = order.items.len().min(at + ITEMS);
            let items: Vec<ItemSent> = order.items[at..end].iter().map(item_sent).collect();
            place.send(ToClient::Items(items_to_bytes(&items)).to_bytes());
            self.now = Now::ToGet { order, at: end };
            return;
        }
        place.send(ToClient::Get { force: order.force }.to_bytes());
        let files = order.items.iter().map(|item| (item.file.digest, item.file)).collect();
        self.now = Now::Getting { done: order.done, files: Arc::new(files) };
    }

    /// Handles what a client sends for the order.
    pub(super) fn hear(&mut self, message: ToServer) -> Result<(), Malformed> {
        match (std::mem::replace(&mut self.now, Now::Nothing), message) {
            // The command may be gone.
            (Now::Written(done), ToServer::Written(written)) => drop(done.send(written.map_err(SentError::into))),
            (Now::Uploading { done, mut listing, mut shares }, ToServer::Attached(bytes)) => {
                make_room(&self.memory, &mut shares, listing.len() + bytes.len()).ok_or(Malformed)?;
                listing.extend_from_slice(&bytes);
                self.now = Now::Uploading { done, listing, shares };
            }
            (Now::Uploading { done, listing, .. }, ToServer::Uploaded) => drop(done.send(listing)),
            (now @ Now::Uploading { .. }, message) => {
                self.now = now;
                self.objects.hear(message)?;
            }
            (Now::Getting { done, files }, ToServer::Fetch(fetch)) => {
                let file = *files.get(&fetch.digest).ok_or(Malformed)?;
                self.now = Now::Getting { done, files };
                self.fetch(fetch, file)?;
            }
            (Now::Getting { done, .. }, ToServer::Got { files, size_bytes, written, removed }) => {
                // The command may be gone.
                done.send(Got { files, size_bytes, written, removed }).ok();
            }
            _ => return Err(Malformed),
        }
        Ok(())
    }

    /// Sends bytes of a file, in a task of its own.
    fn fetch(&mut self, fetch: Fetch, file: FileEntry) -> Result<(), Malformed> {
        while self.fetches.try_join_next().is_some() {}
        if self.fetches.len() >= FETCHES || fetch.from > fetch.to || fetch.to > file.size {
            return Err(Malformed);
        }
        let (store, to, credit) = (self.store.clone(), self.to.clone(), self.credit.clone());
        self.fetches.spawn(async move {
            let (pieces, mut read) = mpsc::channel(2);
            let reading = tokio::task::spawn_blocking(move || read_range(&store, &file, fetch.from..fetch.to, &pieces));
            while let Some(piece) = read.recv().await {
                let Ok(room) = credit.acquire_many(Bytes::len(&piece) as u32).await else { return };
                room.forget();
                if to.send(ToClient::Fetched(fetch.id, piece).to_bytes()).await.is_err() {
                    return;
                }
            }
            let end = match reading.await {
                Ok(Ok(())) => ToClient::FetchEnd(fetch.id),
                Ok(Err(error)) => {
                    let (kind, message, hint) = (error.kind(), error.to_string(), error.hint());
                    ToClient::FetchFailed { id: fetch.id, kind, message, hint }
                }
                Err(_) => return,
            };
            to.send(end.to_bytes()).await.ok();
        });
        Ok(())
    }
}

/// Reads bytes of a file in pieces, each chunk once, until the receiver is gone.
fn read_range(
    store: &Store,
    file: &FileEntry,
    range: Range<u64>,
    pieces: &mpsc::Sender<Bytes>,
) -> Result<(), RepoError> {
    let mut reader = store.open_file(file)?;
    let unread = |source| RepoError::Io { doing: "read", path: PathBuf::new(), source };
    reader.seek(SeekFrom::Start(range.start)).map_err(|error| error.downcast::<RepoError>().unwrap_or_else(unread))?;
    let mut left = range.end - range.start;
    while let Some(mut chunk) = reader.next_chunk()?.filter(|_| left > 0) {
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        left -= chunk.len() as u64;
        while !chunk.is_empty() {
            if pieces.blocking_send(chunk.split_to(chunk.len().min(PIECE))).is_err() {
                return Ok(());
            }
        }
    }
    Ok(())
}

fn item_sent(item: &GetItem) -> ItemSent {
    let FileEntry { digest, size, executable } = item.file;
    ItemSent { path: item.path.clone(), digest, size, executable }
}

/// Gets as many shares of the memory as `bytes` need; `None` if there are none, or it is more than one client may have.
pub(super) fn make_room(memory: &Arc<Semaphore>, shares: &mut Vec<OwnedSemaphorePermit>, bytes: usize) -> Option<()> {
    if bytes > ATTACHED_MAX {
        return None;
    }
    while shares.len() * SHARE < bytes {
        shares.push(memory.clone().try_acquire_owned().ok()?);
    }
    Some(())
}
