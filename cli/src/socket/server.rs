//! Answering for the store that this process owns.

use std::fs::{File, Permissions};
use std::io::Read;
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use engine::Engine;
use repos::{RepoError, Store};

use super::protocol::{Answer, Request, receive_request, send_answer, send_taken};
use super::short_path;
use crate::app::{self, Place};
use crate::context::{Cancel, Environment, Outside};

/// Answers on a store's socket until it is dropped; commands at work are let finish.
#[derive(Debug)]
pub(crate) struct Serving {
    path: PathBuf,
    folder: File,
    over: Arc<AtomicBool>,
    listening: Option<JoinHandle<()>>,
}

/// Begins to answer for the engine's store, which this process owns.
pub(crate) fn serve(engine: &Arc<Engine>) -> std::io::Result<Serving> {
    let folder = File::open(engine.store().folder())?;
    let path = short_path(&folder);
    // Whoever owned the store before is gone: this process has the lock.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    let over = Arc::new(AtomicBool::new(false));
    let listening = std::thread::Builder::new().name("socket".to_owned()).spawn({
        let (engine, over) = (engine.clone(), over.clone());
        move || listen(&listener, &engine, &over)
    })?;
    Ok(Serving { path, folder, over, listening: Some(listening) })
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // One last connection wakes the listener; then the name goes, so that others find nobody.
        UnixStream::connect(short_path(&self.folder)).ok();
        std::fs::remove_file(&self.path).ok();
        if let Some(listening) = self.listening.take() {
            listening.join().ok();
        }
    }
}

fn listen(listener: &UnixListener, engine: &Arc<Engine>, over: &AtomicBool) {
    std::thread::scope(|scope| {
        for stream in listener.incoming() {
            if over.load(Ordering::Relaxed) {
                break;
            }
            match stream {
                Ok(stream) => {
                    scope.spawn(move || answer(&stream, engine));
                }
                // Out of descriptors, say: others are being closed meanwhile.
                Err(_) => std::thread::sleep(std::time::Duration::from_millis(10)),
            }
        }
    });
}

fn answer(stream: &UnixStream, engine: &Arc<Engine>) {
    let Some(uid) = peer(stream) else { return };
    if send_taken(stream).is_err() {
        return;
    }
    let Ok((request, streams)) = receive_request(stream) else { return };
    let answer = match (request, streams) {
        (Request::Publish { change, relied }, _) => match engine.store().publish_for_other(&change, &relied) {
            Ok(()) => Answer::Published,
            Err(RepoError::Unsure { why, .. }) => Answer::Unsure(why),
            Err(error) => Answer::Error {
                kind: error.kind(),
                message: error.to_string(),
                hint: error.hint(),
                race: Store::is_race(&error),
                collected: Store::is_collected(&error),
            },
        },
        (Request::Command { argv, cwd, env }, Some(streams)) => {
            let _operation = engine.store().operation();
            let cancel = Cancel::default();
            let outside =
                Outside { streams, cwd, env: Environment::new(env), uid, cancel: cancel.clone(), is_handed_over: true };
            std::thread::scope(|scope| {
                scope.spawn(|| cancel_at_end(stream, &cancel));
                let ended = app::run(outside, &argv, Place::Owner(engine.clone()));
                engine.look_again();
                send_answer(stream, &ended.map_or(Answer::GoOn, Answer::Exit)).ok();
                stream.shutdown(Shutdown::Both).ok();
            });
            return;
        }
        (Request::Command { .. }, None) => return,
    };
    engine.look_again();
    send_answer(stream, &answer).ok();
}

/// The user at the other end, if this process answers to that user: its own, and root.
fn peer(stream: &UnixStream) -> Option<u32> {
    let uid = rustix::net::sockopt::socket_peercred(stream).ok()?.uid;
    (uid == rustix::process::getuid() || uid.is_root()).then(|| uid.as_raw())
}

/// Nothing more is sent after the request, so whatever ends this read ends the connection.
fn cancel_at_end(mut stream: &UnixStream, cancel: &Cancel) {
    while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
    cancel.ask();
}
