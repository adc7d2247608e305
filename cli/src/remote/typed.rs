//! Standard input of a client.

use std::io::Read;
use std::sync::mpsc as threads;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::protocol::PIECE;
use crate::invocation::Invocation;

/// Standard input, which is read only when the command wants some.
pub(super) struct Typed {
    want: threads::Sender<()>,
    /// Empty at the end.
    pub(super) read: mpsc::UnboundedReceiver<Bytes>,
}

impl Typed {
    pub(super) fn new(invocation: &Invocation) -> Self {
        let (want, wanted) = threads::channel();
        let (tell, read) = mpsc::unbounded_channel();
        if let Ok(mut stdin) = invocation.streams.stdin.try_clone() {
            let work = move || {
                while wanted.recv().is_ok() {
                    let mut bytes = vec![0; PIECE];
                    // What cannot be read is at its end.
                    let length = stdin.read(&mut bytes).unwrap_or(0);
                    bytes.truncate(length);
                    if tell.send(bytes.into()).is_err() || length == 0 {
                        return;
                    }
                }
            };
            // Without the thread, the input is empty.
            std::thread::Builder::new().name("typed".to_owned()).spawn(work).ok();
        }
        Self { want, read }
    }

    pub(super) fn want(&self) {
        // After the end nothing more can be read.
        self.want.send(()).ok();
    }
}
