//! Numbered messages over links that may break: nothing is lost, and nothing comes twice.
//!
//! A message is cut into pieces, numbered for each stream. The sender keeps a piece until the other side's reader has taken it, which also
//! bounds what waits there. After a new link each side says what it has received, and the other sends the rest again.
//!
//! ```text
//! frame   kind u8 · stream u64 · number u64 · bytes      (little-endian)
//! kind    Alive | Taken: all before `number` | Piece, with bits for the first and the last of a message
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::link::Link;

/// How long the other side may be silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);
/// After this time without anything to say, a sign of life is sent.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// Bytes of a stream that were sent but not taken; beyond it the sender waits.
pub(super) const WINDOW: usize = 4 << 20;
/// Maximum size of a piece in bytes.
const PIECE: usize = 512 << 10;
/// Bytes that the other side may have sent at most: small messages are sent without waiting.
const ARRIVED_MAX: usize = 2 * WINDOW;

const ALIVE: u8 = 0;
const TAKEN: u8 = 1;
const PIECE_BIT: u8 = 4;
const FIRST_BIT: u8 = 8;
const LAST_BIT: u8 = 16;

/// The stream for the worker as a whole.
const CONTROL: u64 = 0;

/// What one side has received: the number of the next piece of each stream.
pub(super) type Have = BTreeMap<u64, u64>;

/// Which side this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Begins streams.
    Engine,
    /// Accepts streams.
    Worker,
}

impl Side {
    /// Maximum size of a message to this side. A worker gets tasks with all their paths; an engine gets nothing large.
    fn message_max(self) -> usize {
        match self {
            Self::Engine => 4 << 20,
            Self::Worker => 256 << 20,
        }
    }
}

/// All streams between one worker and its engine, whatever link carries them now.
#[derive(Debug)]
pub(super) struct Streams {
    side: Side,
    state: Mutex<State>,
    /// Something may be sent, or the link was replaced.
    wake: Notify,
    /// The other side began a stream, or everything is over.
    begun: Notify,
    /// Everything that was sent was taken.
    flushed: Notify,
}

#[derive(Debug)]
struct State {
    streams: BTreeMap<u64, Stream>,
    /// Streams with something to send.
    ready: VecDeque<u64>,
    /// Pieces of streams that have ended here, which still count as taken.
    strays: BTreeMap<u64, u64>,
    /// The stream begun last.
    last: u64,
    newcomers: VecDeque<u64>,
    /// Number of the link in use.
    link: u64,
    heard: Instant,
    over: Option<String>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Pieces that the other side has not taken; the first one's number is `first`.
    kept: VecDeque<(u8, Bytes)>,
    kept_bytes: usize,
    first: u64,
    /// Number of the next piece to send over this link.
    unsent: u64,
    arrived: VecDeque<(u8, Bytes)>,
    arrived_bytes: usize,
    /// Number of the next piece to arrive.
    expected: u64,
    /// Number of the next piece to be taken, and up to which the other side knows.
    taken: u64,
    told: u64,
    is_ready: bool,
    /// Whether this side no longer reads or writes.
    is_ended: bool,
    /// A piece arrived, or there may be room for another.
    changed: Arc<Notify>,
}

/// What to send next.
enum Turn {
    Send(Bytes),
    Nothing,
    Over(String),
}

impl Streams {
    /// The streams of one worker, and this side's end of the stream for the worker as a whole.
    pub(super) fn new(side: Side) -> (Arc<Self>, End) {
        let state = State {
            streams: BTreeMap::from([(CONTROL, Stream::default())]),
            ready: VecDeque::new(),
            strays: BTreeMap::new(),
            last: CONTROL,
            newcomers: VecDeque::new(),
            link: 0,
            heard: Instant::now(),
            over: None,
        };
        let streams = Arc::new(Self {
            side,
            state: Mutex::new(state),
            wake: Notify::new(),
            begun: Notify::new(),
            flushed: Notify::new(),
        });
        let control = End::new(streams.clone(), CONTROL);
        (streams, control)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Begins a stream with its first message.
    pub(super) fn begin(self: &Arc<Self>, first: &impl Serialize) -> Result<End, String> {
        let pieces = pieces(first, &[]);
        let id = {
            let mut state = self.state();
            if let Some(why) = &state.over {
                return Err(why.clone());
            }
            state.last += 1;
            let id = state.last;
            state.streams.insert(id, Stream::default());
            for piece in pieces {
                state.push(id, piece);
            }
            id
        };
        self.wake.notify_waiters();
        Ok(End::new(self.clone(), id))
    }

    /// The next stream that the other side begins; `None` once everything is over.
    pub(super) async fn accept(self: &Arc<Self>) -> Option<End> {
        loop {
            let mut begun = pin!(self.begun.notified());
            begun.as_mut().enable();
            let (newcomer, is_over) = {
                let mut state = self.state();
                (state.newcomers.pop_front(), state.over.is_some())
            };
            if newcomer.is_some() || is_over {
                return newcomer.map(|id| End::new(self.clone(), id));
            }
            begun.await;
        }
    }

    /// Ends everything: readers get what has arrived, and then `why`.
    pub(super) fn give_up(&self, why: &str) {
        {
            let mut state = self.state();
            state.over.get_or_insert_with(|| why.to_owned());
            state.streams.values().for_each(|stream| stream.changed.notify_waiters());
        }
        self.wake.notify_waiters();
        self.begun.notify_waiters();
        self.flushed.notify_waiters();
    }

    /// Why everything is over, if it is.
    pub(super) fn over(&self) -> Option<String> {
        self.state().over.clone()
    }

    /// When something was heard of the other side.
    pub(super) fn heard(&self) -> Instant {
        self.state().heard
    }

    /// What has arrived here.
    pub(super) fn have(&self) -> Have {
        self.state().streams.iter().map(|(id, stream)| (*id, stream.expected)).collect()
    }

    /// Waits until the other side has taken everything, or everything is over.
    pub(super) async fn flushed(&self) {
        loop {
            let mut flushed = pin!(self.flushed.notified());
            flushed.as_mut().enable();
            {
                let state = self.state();
                if state.over.is_some() || state.streams.values().all(|stream| stream.kept.is_empty()) {
                    return;
                }
            }
            flushed.await;
        }
    }

    /// Prepares a new link to another side that has this much; ends the link before it. Returns the link's number for [`Self::carry`].
    pub(super) fn attach(&self, have: &Have) -> u64 {
        let mut state = self.state();
        state.link += 1;
        state.heard = Instant::now();
        for (id, stream) in &mut state.streams {
            let end = stream.first + stream.kept.len() as u64;
            stream.unsent = have.get(id).copied().unwrap_or_default().clamp(stream.first, end);
            stream.told = 0;
            stream.is_ready = true;
        }
        // In this order, so that the other side meets new streams in order.
        state.ready = state.streams.keys().copied().collect();
        let number = state.link;
        drop(state);
        self.wake.notify_waiters();
        number
    }

    /// Sends and receives over a link until it ends; returns why.
    pub(super) async fn carry(&self, link: Link, number: u64) -> String {
        let Link { to, mut from } = link;
        let sending = async {
            loop {
                let mut woken = pin!(self.wake.notified());
                woken.as_mut().enable();
                let frame = match self.turn(number) {
                    Turn::Over(why) => return why,
                    Turn::Send(frame) => frame,
                    Turn::Nothing => tokio::select! {
                        () = woken => continue,
                        () = sleep(SIGN_OF_LIFE) => frame(ALIVE, 0, 0, &[]),
                    },
                };
                if to.send(frame).await.is_err() {
                    return ended();
                }
            }
        };
        let receiving = async {
            loop {
                match timeout(PATIENCE, from.recv()).await {
                    Ok(Some(frame)) => {
                        if let Err(why) = self.receive(number, frame) {
                            self.give_up(why);
                            return why.to_owned();
                        }
                    }
                    Ok(None) => return ended(),
                    Err(_) => return format!("nothing was heard for {} s", PATIENCE.as_secs()),
                }
            }
        };
        tokio::select! {
            why = sending => why,
            why = receiving => why,
        }
    }

    fn turn(&self, link: u64) -> Turn {
        let mut state = self.state();
        if let Some(why) = &state.over {
            return Turn::Over(why.clone());
        }
        if link != state.link {
            return Turn::Over("another connection replaced it".to_owned());
        }
        if let Some((id, next)) = state.strays.pop_first() {
            return Turn::Send(frame(TAKEN, id, next, &[]));
        }
        state.next_frame().map_or(Turn::Nothing, Turn::Send)
    }

    /// Takes a frame from a link; an error is a breach of these rules.
    fn receive(&self, link: u64, mut bytes: Bytes) -> Result<(), &'static str> {
        const HEAD: usize = 1 + 8 + 8;
        if bytes.len() < HEAD {
            return Err("it sent a message that is too short");
        }
        let (kind, id, number) = (bytes.get_u8(), bytes.get_u64_le(), bytes.get_u64_le());
        let mut state = self.state();
        if link != state.link {
            return Ok(());
        }
        state.heard = Instant::now();
        match kind {
            ALIVE => {}
            TAKEN => {
                state.taken(id, number)?;
                if state.streams.values().all(|stream| stream.kept.is_empty()) {
                    self.flushed.notify_waiters();
                }
            }
            piece if piece & PIECE_BIT != 0 => {
                if bytes.len() > PIECE {
                    return Err("it sent a message that is too long");
                }
                if bytes.is_empty() {
                    return Err("it sent an empty message");
                }
                self.arrived(&mut state, id, number, (piece, bytes))?;
            }
            _ => return Err("it sent a message of an unknown kind"),
        }
        Ok(())
    }

    fn arrived(&self, state: &mut State, id: u64, number: u64, piece: (u8, Bytes)) -> Result<(), &'static str> {
        if !state.streams.contains_key(&id) {
            if id <= state.last {
                state.strays.insert(id, number + 1);
                self.wake.notify_waiters();
                return Ok(());
            }
            if self.side == Side::Engine {
                return Err("it began a stream by itself");
            }
            state.last = id;
            state.streams.insert(id, Stream::default());
            state.newcomers.push_back(id);
            self.begun.notify_waiters();
        }
        let stream = state.streams.get_mut(&id).expect("it was inserted just now");
        if number < stream.expected {
            return Ok(());
        }
        if number > stream.expected {
            return Err("a message is missing");
        }
        stream.expected += 1;
        if stream.is_ended {
            stream.taken = stream.expected;
            state.ready(id);
            self.wake.notify_waiters();
            return Ok(());
        }
        stream.arrived_bytes += weight(&piece);
        stream.arrived.push_back(piece);
        stream.changed.notify_waiters();
        if stream.arrived_bytes > ARRIVED_MAX { Err("it sent more than was taken") } else { Ok(()) }
    }
}

/// What a piece that waits takes of memory.
fn weight(piece: &(u8, Bytes)) -> usize {
    piece.1.len() + 64
}

fn ended() -> String {
    "the connection ended".to_owned()
}

impl State {
    fn push(&mut self, id: u64, piece: (u8, Bytes)) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.kept_bytes += piece.1.len();
        stream.kept.push_back(piece);
        self.ready(id);
    }

    fn ready(&mut self, id: u64) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !std::mem::replace(&mut stream.is_ready, true)
        {
            self.ready.push_back(id);
        }
    }

    /// The next frame; streams take turns.
    fn next_frame(&mut self) -> Option<Bytes> {
        while let Some(id) = self.ready.pop_front() {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_ready = false;
            if stream.told < stream.taken {
                stream.told = stream.taken;
                let told = frame(TAKEN, id, stream.told, &[]);
                self.ready(id);
                return Some(told);
            }
            if let Some((kind, bytes)) = stream.kept.get((stream.unsent - stream.first) as usize) {
                let piece = frame(*kind, id, stream.unsent, bytes);
                stream.unsent += 1;
                self.ready(id);
                return Some(piece);
            }
            self.forget_if_done(id);
        }
        None
    }

    /// The other side has taken all pieces before `next`.
    fn taken(&mut self, id: u64, next: u64) -> Result<(), &'static str> {
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(()) };
        if next > stream.first + stream.kept.len() as u64 {
            return Err("it took what was never sent");
        }
        while stream.first < next {
            let (_, bytes) = stream.kept.pop_front().expect("it is not beyond the last");
            stream.kept_bytes -= bytes.len();
            stream.first += 1;
        }
        stream.unsent = stream.unsent.max(stream.first);
        stream.changed.notify_waiters();
        self.forget_if_done(id);
        Ok(())
    }

    fn forget_if_done(&mut self, id: u64) {
        if self.streams.get(&id).is_some_and(|s| s.is_ended && s.kept.is_empty() && s.told == s.taken) {
            self.streams.remove(&id);
        }
    }
}

fn frame(kind: u8, stream: u64, number: u64, bytes: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(17 + bytes.len());
    frame.put_u8(kind);
    frame.put_u64_le(stream);
    frame.put_u64_le(number);
    frame.put_slice(bytes);
    frame.freeze()
}

/// The pieces of a message: `head` in `postcard`, and then `tail` as it is.
fn pieces(head: &impl Serialize, tail: &[u8]) -> Vec<(u8, Bytes)> {
    let mut message = postcard::to_stdvec(head).expect("plain values have an encoding");
    message.extend_from_slice(tail);
    let message = Bytes::from(message);
    let count = message.len().div_ceil(PIECE).max(1);
    let piece = |number: usize| {
        let first = if number == 0 { FIRST_BIT } else { 0 };
        let last = if number + 1 == count { LAST_BIT } else { 0 };
        (PIECE_BIT | first | last, message.slice(number * PIECE..message.len().min((number + 1) * PIECE)))
    };
    (0..count).map(piece).collect()
}

/// This side's end of one stream. Dropped, it ends the stream for this side; what was sent still arrives.
#[derive(Debug)]
pub(super) struct End {
    streams: Arc<Streams>,
    id: u64,
    changed: Arc<Notify>,
    /// The pieces of a message that is not complete.
    partial: Mutex<BytesMut>,
}

impl End {
    fn new(streams: Arc<Streams>, id: u64) -> Self {
        let changed = streams.state().streams.get(&id).map(|stream| stream.changed.clone()).unwrap_or_default();
        Self { streams, id, changed, partial: Mutex::default() }
    }

    /// Sends a message; waits while the other side has not taken what came before. A message of which only a part was sent is dropped by the
    /// other side when the next one comes.
    pub(super) async fn send(&self, head: &impl Serialize, tail: &[u8]) -> Result<(), String> {
        for piece in pieces(head, tail) {
            self.room().await?;
            self.streams.state().push(self.id, piece);
            self.streams.wake.notify_waiters();
        }
        Ok(())
    }

    /// Sends a small message without waiting.
    pub(super) fn push(&self, head: &impl Serialize) {
        let mut state = self.streams.state();
        for piece in pieces(head, &[]) {
            state.push(self.id, piece);
        }
        drop(state);
        self.streams.wake.notify_waiters();
    }

    /// Whether a message could be sent without waiting.
    pub(super) fn has_room(&self) -> bool {
        self.streams.state().streams.get(&self.id).is_some_and(|stream| stream.kept_bytes < WINDOW)
    }

    async fn room(&self) -> Result<(), String> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(why) = &self.streams.state().over {
                return Err(why.clone());
            }
            if self.has_room() {
                return Ok(());
            }
            changed.await;
        }
    }

    /// The next message, and the bytes after its head; an error once everything is over. Safe to drop and call again.
    pub(super) async fn next<M: DeserializeOwned>(&self) -> Result<(M, Bytes), String> {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            while let Some((kind, bytes)) = self.take() {
                if let Some(message) = self.assemble(kind, bytes)? {
                    let (head, tail) =
                        postcard::take_from_bytes(&message).map_err(|_| "it sent a message that cannot be read")?;
                    let tail = message.len() - tail.len();
                    return Ok((head, message.slice(tail..)));
                }
            }
            if let Some(why) = &self.streams.state().over {
                return Err(why.clone());
            }
            changed.await;
        }
    }

    fn take(&self) -> Option<(u8, Bytes)> {
        let mut state = self.streams.state();
        let stream = state.streams.get_mut(&self.id)?;
        let piece = stream.arrived.pop_front()?;
        stream.arrived_bytes -= weight(&piece);
        stream.taken += 1;
        state.ready(self.id);
        drop(state);
        self.streams.wake.notify_waiters();
        Some(piece)
    }

    /// The message that ends with this piece.
    fn assemble(&self, kind: u8, bytes: Bytes) -> Result<Option<Bytes>, String> {
        let (is_first, is_last) = (kind & FIRST_BIT != 0, kind & LAST_BIT != 0);
        let mut partial = self.partial.lock().expect("no panic under this lock");
        if is_first {
            partial.clear();
            if is_last {
                return Ok(Some(bytes));
            }
        }
        partial.extend_from_slice(&bytes);
        if partial.len() > self.streams.side.message_max() {
            return Err("it sent a message that is too long".to_owned());
        }
        Ok(is_last.then(|| std::mem::take(&mut *partial).freeze()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.streams.state();
        if let Some(stream) = state.streams.get_mut(&self.id) {
            stream.is_ended = true;
            stream.arrived.clear();
            stream.arrived_bytes = 0;
            stream.taken = stream.expected;
            state.ready(self.id);
        }
        drop(state);
        self.streams.wake.notify_waiters();
    }
}
