//! A command that runs: hands on what its client sends, and ends it when the client is gone, the server ends, or the token is revoked.

use std::fs::File;
use std::io::ErrorKind as IoKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use nix::sys::signal::Signal;
use repos::Store;
use server::Validity;
use specs::ErrorKind;
use tokio::net::unix::pipe;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use super::orders::Orders;
use super::protocol::{Malformed, OutputStream, PIECE, ToClient, ToServer, WINDOW};
use super::streams::{Output, is_true, pump};
use super::terminal;
use crate::invocation::{Caller, Cancel, Order};

/// How long commands may take to end when the server does.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long what a command wrote last may stay unread when the server ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// How often it is looked whether the client's token is still valid.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Whether a command waits for input.
#[derive(Debug, Default)]
pub(super) struct Wants {
    /// Whether the client was asked and has not answered.
    is_open: AtomicBool,
    /// Whether the input has ended.
    pub(super) has_ended: Arc<AtomicBool>,
    news: Notify,
}

impl Wants {
    pub(super) fn want(&self) {
        if !self.is_open.swap(true, Ordering::SeqCst) {
            self.news.notify_one();
        }
    }
}
/// A command that runs.
pub(super) struct Running {
    pub(super) to: mpsc::Sender<Bytes>,
    pub(super) cancel: Cancel,
    /// `None` after the end of the input.
    pub(super) input: Option<pipe::Sender>,
    /// Input that the pipe has no room for.
    pub(super) pending: Bytes,
    pub(super) outputs: Vec<Output>,
    pub(super) wants: Arc<Wants>,
    /// Whether the client's token is.
    pub(super) validity: Validity,
    pub(super) ended: oneshot::Receiver<ToClient>,
}

/// What is needed to do what a command orders.
pub(super) struct Ordered {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) store: Store,
    pub(super) caller: Caller,
    pub(super) memory: Arc<Semaphore>,
}

/// What became of a message.
enum Heard {
    Fine,
    /// The command was told to end, and does not do so by itself.
    EndNow(u8),
}

impl Running {
    /// Attends to it until it has ended and its client has taken what it wrote, or the client is gone.
    pub(super) async fn attend(
        mut self,
        ordered: Ordered,
        mut from: mpsc::Receiver<Bytes>,
        mut is_ending: watch::Receiver<bool>,
    ) {
        let credit = Arc::new(Semaphore::new(WINDOW));
        let (tell_ended, has_ended) = watch::channel(false);
        let mut pumps = JoinSet::new();
        let (mut terminal, mut closers) = (None, Vec::new());
        for Output { stream, read, is_terminal } in std::mem::take(&mut self.outputs) {
            if is_terminal {
                terminal = read.try_clone().ok();
            }
            let (close, closed) = oneshot::channel::<()>();
            closers.push((stream, Some(close)));
            let (credit, has_ended, to) = (credit.clone(), has_ended.clone(), self.to.clone());
            pumps.spawn(async move {
                tokio::select! {
                    () = pump(stream, read, &credit, has_ended, &to) => {}
                    Ok(()) = closed => {}
                }
            });
        }
        let Ordered { orders, store, caller, memory } = ordered;
        let mut orders = Orders::new(orders, self.to.clone(), credit.clone(), store, &caller, memory);
        let ending = is_ending.clone();
        let mut last = None;
        let mut deadline = None;
        let mut looks = tokio::time::interval(BETWEEN_LOOKS);
        // After the command has ended, the client still takes what it wrote.
        while last.is_none() || !pumps.is_empty() {
            tokio::select! {
                message = from.recv() => {
                    // What a command is to change has arrived: from here on it may do so.
                    if message.as_deref().is_some_and(ToServer::is_uploaded) && !self.validity.holds() {
                        return self.refuse().await;
                    }
                    let heard = message.ok_or(Malformed).and_then(|message| ToServer::of(&message)).and_then(|message| {
                        match message {
                            ToServer::Took(bytes) => took(&credit, bytes),
                            ToServer::Closed(stream) => Ok(close(&mut closers, stream)),
                            ToServer::Resize(columns, rows) => Ok(resize(terminal.as_ref(), (columns, rows))),
                            message @ (ToServer::Input(_) | ToServer::InputEnd | ToServer::Signal(_)) => self.hear(message),
                            message => orders.hear(message).map(|()| Heard::Fine),
                        }
                    });
                    match heard {
                        Ok(Heard::Fine) => {}
                        Ok(Heard::EndNow(exit_code)) => {
                            self.to.send(ToClient::Exit(exit_code).to_bytes()).await.ok();
                            return;
                        }
                        // The client is gone, or does not keep to the protocol.
                        Err(Malformed) => return self.cancel.ask(),
                    }
                }
                _ = looks.tick(), if last.is_none() => {
                    if !self.validity.holds() {
                        return self.refuse().await;
                    }
                }
                () = self.wants.news.notified(), if self.pending.is_empty() => drop(self.to.send(ToClient::Want.to_bytes()).await),
                () = has_room(self.input.as_ref()), if !self.pending.is_empty() => self.give(),
                () = orders.work() => {}
                ended = &mut self.ended, if last.is_none() => {
                    // The thread tells in any case.
                    last = Some(ended.unwrap_or(ToClient::Leaving));
                    tell_ended.send_replace(true);
                    if *ending.borrow() {
                        deadline = Some(tokio::time::Instant::now() + FAREWELL);
                    }
                }
                Some(_) = pumps.join_next(), if !pumps.is_empty() => {}
                () = is_true(&mut is_ending), if deadline.is_none() => {
                    deadline = Some(tokio::time::Instant::now() + PATIENCE);
                }
                () = until(deadline) => {
                    self.cancel.ask();
                    let message = last.filter(|last| matches!(last, ToClient::Leaving));
                    let message = message.unwrap_or_else(stopped_short);
                    self.to.send(message.to_bytes()).await.ok();
                    return;
                }
            }
        }
        if let Some(last) = last {
            self.to.send(last.to_bytes()).await.ok();
        }
    }

    /// Ends the command of a client whose token is not valid any more.
    async fn refuse(self) {
        self.cancel.ask();
        let refused = ToClient::Failed {
            kind: ErrorKind::Refused,
            message: "the token was revoked or has expired, so the command was stopped".to_owned(),
            hint: Some("ask an administrator of this store for a new token, and check the current state".to_owned()),
            nothing_done: false,
        };
        self.to.send(refused.to_bytes()).await.ok();
    }

    /// Whether the client may send input.
    fn is_wanted(&self) -> bool {
        self.pending.is_empty() && self.input.is_some() && self.wants.is_open.load(Ordering::SeqCst)
    }

    /// Handles what is for the command itself.
    fn hear(&mut self, message: ToServer) -> Result<Heard, Malformed> {
        match message {
            // The pipe usually has room for a piece, since more is wanted when it is empty.
            ToServer::Input(bytes) if bytes.len() <= PIECE && self.is_wanted() => {
                // First, since the command may read the bytes and want more before they are all written.
                self.wants.is_open.store(false, Ordering::SeqCst);
                self.pending = bytes;
                self.give();
            }
            ToServer::InputEnd if self.pending.is_empty() => {
                self.wants.has_ended.store(true, Ordering::SeqCst);
                self.input = None;
            }
            ToServer::Signal(number) => {
                let signal =
                    Signal::try_from(number).ok().filter(|signal| matches!(signal, Signal::SIGINT | Signal::SIGTERM));
                let signal = signal.ok_or(Malformed)?;
                if !self.cancel.ask_by(signal) {
                    return Ok(Heard::EndNow(128 + signal as u8));
                }
            }
            _ => return Err(Malformed),
        }
        Ok(Heard::Fine)
    }

    /// Writes pending input as far as the pipe takes it; usually all.
    fn give(&mut self) {
        match self.input.as_ref().map(|input| input.try_write(&self.pending)) {
            Some(Ok(written)) => self.pending.advance(written),
            Some(Err(error)) if error.kind() == IoKind::WouldBlock => {}
            // The command does not read any more.
            _ => self.pending.clear(),
        }
    }
}
/// Waits until a pipe has room.
async fn has_room(input: Option<&pipe::Sender>) {
    if let Some(input) = input {
        // After an error the next write fails too.
        input.writable().await.ok();
    }
}

async fn until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn stopped_short() -> ToClient {
    ToClient::Failed {
        kind: ErrorKind::Unavailable,
        message: "the server ended before this command did".to_owned(),
        hint: Some("check the current state, then repeat the command".to_owned()),
        nothing_done: false,
    }
}

/// More output may be sent. A client cannot take what was not sent.
fn took(credit: &Semaphore, bytes: u32) -> Result<Heard, Malformed> {
    let bytes = bytes as usize;
    if credit.available_permits() + bytes > WINDOW {
        return Err(Malformed);
    }
    credit.add_permits(bytes);
    Ok(Heard::Fine)
}

fn close(closers: &mut [(OutputStream, Option<oneshot::Sender<()>>)], stream: OutputStream) -> Heard {
    let of_stream = closers.iter_mut().filter(|(other, _)| *other == stream);
    for close in of_stream.filter_map(|(_, close)| close.take()) {
        // Its pump may have ended.
        close.send(()).ok();
    }
    Heard::Fine
}

fn resize(terminal: Option<&File>, size: (u16, u16)) -> Heard {
    // A terminal that cannot be resized keeps its size.
    terminal.map(|terminal| terminal::resize(terminal, size).ok());
    Heard::Fine
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::OwnedFd;

    use super::super::protocol::Terminals;
    use super::super::streams::Ends;
    use super::*;

    #[tokio::test]
    async fn a_slow_reader_gets_all_and_until_then_little_is_on_its_way() {
        let (read, mut write) = std::io::pipe().unwrap();
        let all: Vec<u8> = (0..4 * WINDOW).map(|at| at as u8).collect();
        let expected = all.clone();
        let writer = std::thread::spawn(move || write.write_all(&all));
        let (credit, (_ended, has_ended)) = (Arc::new(Semaphore::new(WINDOW)), watch::channel(false));
        let (to, mut from) = mpsc::channel(1000);
        let pumping = tokio::spawn({
            let credit = credit.clone();
            async move { pump(OutputStream::Stdout, OwnedFd::from(read).into(), &credit, has_ended, &to).await }
        });
        let mut found = Vec::new();
        while found.len() < expected.len() {
            let message = from.recv().await.unwrap();
            let ToClient::Output(_, bytes) = ToClient::of(&message).unwrap() else { panic!("output") };
            found.extend_from_slice(&bytes);
            assert!(credit.available_permits() <= WINDOW);
            took(&credit, bytes.len() as u32).ok().unwrap();
        }
        pumping.await.unwrap();
        writer.join().unwrap().unwrap();
        assert!(found == expected);
        assert!(took(&credit, u32::MAX).is_err() && took(&credit, 1).is_err(), "more than was sent");
    }
    #[tokio::test]
    async fn a_terminal_has_the_size_of_the_clients_and_changes_with_it() {
        let terminals = Terminals { stdout: true, columns: 80, rows: 24, ..Terminals::default() };
        let ends = Ends::open(terminals).unwrap();
        let size = || {
            let size = rustix::termios::tcgetwinsize(&ends.streams.stdout).unwrap();
            (size.ws_col, size.ws_row)
        };
        assert_eq!(size(), (80, 24));
        resize(Some(&ends.outputs[0].read), (40, 10));
        assert_eq!(size(), (40, 10));
    }
}
