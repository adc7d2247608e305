//! The worker's side: it joins, returns after broken links, joins anew when it was given up, and ends in order.

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::cache::Cache;
use super::link::{Dial, DialError, Link};
use super::messages::{Answer, FromWorker, Hello, Purpose, Registration, VERSION};
use super::serve::{Desk, ended, serve};
use super::streams::{PATIENCE, Side, Streams};
use crate::error::ExecError;
use crate::executor::{Executor, ExecutorInfo};

/// Pause before the engine is dialled again, doubled each time up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How long the last word may take to reach the engine.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How a worker works.
#[derive(Clone)]
pub struct WorkerOptions {
    /// Its name: 1 to 63 letters, digits, `-`, `_` and `.`; the engine adds a number if another worker has it.
    pub name: String,
    /// How many tries may run here at the same time.
    pub slots: usize,
    /// Folder for input files, kept from one try to the next; best of this worker alone.
    pub cache: PathBuf,
    /// Maximum size of the files there in bytes. Those in use do not count.
    pub cache_bytes: u64,
    /// Called with news for the person who started the worker.
    pub say: Arc<dyn Fn(WorkerNews) + Send + Sync>,
}

impl std::fmt::Debug for WorkerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerOptions").field("name", &self.name).field("slots", &self.slots).finish_non_exhaustive()
    }
}

/// What happens to a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkerNews {
    /// It has joined, or is connected again.
    Joined {
        /// Its name there: with a number if another worker has the one that it wanted.
        name: String,
    },
    /// There is no connection; it is tried again.
    Lost {
        /// What failed.
        why: String,
    },
    /// It was told to stop: it starts nothing more.
    Going,
}

/// Works for an engine until `stop` is done, or the engine refuses it for good.
///
/// After `stop`, running tries may end and be sent, for 15 s at most.
pub async fn work(
    dial: &dyn Dial,
    executor: Arc<dyn Executor>,
    options: &WorkerOptions,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), ExecError> {
    let info = executor.check().await?;
    let cache = Cache::open(&options.cache, options.cache_bytes)?;
    let (end, ending) = watch::channel(false);
    let desk = Desk { executor, cache, ending };
    let mut stop = pin!(stop);
    loop {
        let (streams, control) = Streams::new(Side::Worker);
        let has_left = AtomicBool::new(false);
        let mut carrying = pin!(carry_all(dial, options, &info, &streams, &has_left));
        let mut serving = pin!(serve_all(&streams, &desk));
        tokio::select! {
            given_up = &mut carrying => {
                given_up?;
                streams.give_up("the engine does not know this worker any more");
                // Something that is being opened may take long.
                tokio::select! {
                    () = &mut serving => {}
                    () = &mut stop => return Ok(()),
                }
            }
            () = &mut serving => {}
            () = &mut stop => {
                (options.say)(WorkerNews::Going);
                control.push(&FromWorker::Going);
                end.send_replace(true);
                let deadline = Instant::now() + PATIENCE;
                let leave = async {
                    // Whatever still runs then ends with this process.
                    timeout_at(deadline, &mut serving).await.ok();
                    control.push(&FromWorker::Gone);
                    has_left.store(true, Ordering::Relaxed);
                    timeout(LAST_WORD, streams.flushed()).await.ok();
                };
                tokio::select! {
                    () = leave => {}
                    _ = &mut carrying => {}
                }
                return Ok(());
            }
        }
    }
}

/// Serves the streams that the engine begins, until everything is over; if the worker ends, until nothing is left to do.
async fn serve_all(streams: &Arc<Streams>, desk: &Desk) {
    let (mut tasks, mut ending) = (JoinSet::new(), desk.ending.clone());
    loop {
        tokio::select! {
            stream = streams.accept() => match stream {
                Some(stream) => {
                    tasks.spawn(serve(stream, desk.clone()));
                }
                None => break,
            },
            Some(done) = tasks.join_next() => propagate(done),
            () = ended(&mut ending), if tasks.is_empty() => return,
        }
    }
    while let Some(done) = tasks.join_next().await {
        propagate(done);
    }
}

fn propagate(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// Keeps connected; ends when the worker has left, or the engine no longer knows it. An error is a refusal for good.
async fn carry_all(
    dial: &dyn Dial,
    options: &WorkerOptions,
    info: &ExecutorInfo,
    streams: &Arc<Streams>,
    has_left: &AtomicBool,
) -> Result<(), ExecError> {
    let mut session = None;
    let mut pause = FIRST_PAUSE;
    let mut said = None;
    loop {
        let why = match connect(dial, options, info, streams, session.as_deref()).await {
            Ok((link, answer)) => match answer {
                Answer::Refused { why, is_for_good: true } => return Err(ExecError::JoinRefused { why }),
                Answer::Refused { .. } if session.is_some() => return Ok(()),
                Answer::Refused { why, .. } => why,
                Answer::Welcome { name, session: given, have } => {
                    session = Some(given);
                    (pause, said) = (FIRST_PAUSE, None);
                    (options.say)(WorkerNews::Joined { name });
                    let number = streams.attach(&have);
                    streams.carry(link, number).await
                }
            },
            Err(DialError::Later(why)) => why,
            Err(DialError::Never(why)) => return Err(ExecError::JoinRefused { why }),
        };
        // Nothing can go on after a broken rule; and an engine that heard the last word hangs up.
        if streams.over().is_some() || has_left.load(Ordering::Relaxed) {
            return Ok(());
        }
        if said.as_ref() != Some(&why) {
            (options.say)(WorkerNews::Lost { why: why.clone() });
            said = Some(why);
        }
        sleep(pause.mul_f64(jitter())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Half of the pause to all of it, so that many workers do not dial at the same moment.
fn jitter() -> f64 {
    0.5 + f64::from(repos::random_bytes()[0]) / 512.0
}

/// Makes a link, introduces the worker, and waits for the answer.
async fn connect(
    dial: &dyn Dial,
    options: &WorkerOptions,
    info: &ExecutorInfo,
    streams: &Streams,
    session: Option<&str>,
) -> Result<(Link, Answer), DialError> {
    let later = |why: &str| DialError::Later(why.to_owned());
    let mut link = dial.dial().await?;
    let why = match session {
        Some(session) => Purpose::Return { session: session.to_owned(), have: streams.have() },
        None => Purpose::Register(Registration {
            name: options.name.clone(),
            info: info.clone(),
            slots: options.slots.try_into().unwrap_or(u32::MAX),
        }),
    };
    let hello = postcard::to_stdvec(&Hello { version: VERSION, why }).expect("plain values have an encoding");
    link.to.send(Bytes::from(hello)).await.map_err(|_| later("the connection ended"))?;
    let answer = timeout(PATIENCE, link.from.recv()).await.map_err(|_| later("the engine does not answer"))?;
    let answer = answer.ok_or_else(|| later("the connection ended"))?;
    let answer = postcard::from_bytes(&answer).map_err(|_| later("the engine's answer cannot be read"))?;
    Ok((link, answer))
}
