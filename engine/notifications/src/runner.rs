//! Runs the notifications of a store, each as a task of its own, so that a dead target holds up no other. Lives in `pv serve`.

use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use repos::{RepoError, Store, Timestamp};
use specs::NotificationName;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::backoff;
use crate::desk::{Desk, Step};
use crate::folder::Folder;
use crate::message::{Message, Outcome};
use crate::sender::Sender;
use crate::target::Target;

/// How often the end of the journal is looked at: a comparison of numbers in memory.
const LOOK: Duration = Duration::from_millis(100);
/// How often the folder of notifications is looked at, for those that were created, deleted, paused, or asked for again.
const FOLDER: Duration = Duration::from_secs(1);
/// How often the states that rules are about are compared.
const LEVELS: Duration = Duration::from_secs(10);
/// The wait after an error of the store or its disk.
const AFTER_ERROR: Duration = Duration::from_secs(5);
/// How long a notification may take to note what it has sent, when the process ends.
const TO_END: Duration = Duration::from_secs(5);

/// Carries messages to targets.
pub trait Carrier: Send + Sync + 'static {
    /// Sends a message once; what became of it is the outcome.
    fn send<'a>(
        &'a self,
        target: &'a Target,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>;
}

impl Carrier for Sender {
    fn send<'a>(
        &'a self,
        target: &'a Target,
        message: &'a Message,
    ) -> Pin<Box<dyn Future<Output = Outcome> + Send + 'a>> {
        Box::pin(Self::send(self, target, message))
    }
}

/// Runs all notifications of a store until `stop` becomes true, or its sender is gone.
pub async fn run(store: Store, carrier: Arc<dyn Carrier>, mut stop: watch::Receiver<bool>) {
    let folder = Folder::of(&store);
    let mut tasks: BTreeMap<NotificationName, JoinHandle<()>> = BTreeMap::new();
    while !is_over(&stop) {
        match folder.names() {
            Ok(names) => {
                for name in names {
                    // A task ends when its notification is deleted; another one may have the name by then.
                    if tasks.get(&name).is_none_or(JoinHandle::is_finished) {
                        let task = attend(store.clone(), name.clone(), carrier.clone(), stop.clone());
                        tasks.insert(name, tokio::spawn(task));
                    }
                }
            }
            Err(error) => tracing::warn!("the notifications cannot be listed: {error}"),
        }
        tasks.retain(|_, task| !task.is_finished());
        pause(FOLDER, &mut stop).await;
    }
    for (_, task) in tasks {
        timeout(2 * TO_END, task).await.ok();
    }
}

/// What a turn at a desk came to.
enum Turn {
    Gone,
    Send(Box<Message>),
    Wait(Option<Timestamp>),
}

/// Attends to one notification until it is deleted, or the process ends.
async fn attend(store: Store, name: NotificationName, carrier: Arc<dyn Carrier>, mut stop: watch::Receiver<bool>) {
    let opened = {
        let (store, name) = (store.clone(), name.clone());
        blocking(move || Ok(Folder::of(&store).find(&name)?.map(|definition| Desk::new(&store, definition)))).await
    };
    let mut desk = match opened {
        Ok(Some(desk)) => desk,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!("notification `{name}` cannot be read: {error}");
            pause(AFTER_ERROR, &mut stop).await;
            return;
        }
    };
    let mut levels_at = Instant::now();
    while !is_over(&stop) {
        let is_due = levels_at <= Instant::now();
        if is_due {
            levels_at = Instant::now() + LEVELS;
        }
        let records = store.position().records;
        let (back, done) = at_desk(desk, move |desk| turn(desk, is_due)).await;
        let Some(back) = back else {
            tracing::error!("notification `{name}` stopped unexpectedly");
            return;
        };
        desk = back;
        match done {
            Ok(Turn::Gone) => return,
            Ok(Turn::Send(message)) => match deliver(desk, &message, &*carrier, &mut stop).await {
                Some(back) => desk = back,
                None => return,
            },
            Ok(Turn::Wait(until)) => wait(&store, records, until, &mut stop).await,
            Err(error) => {
                tracing::warn!("notification `{name}` waits: {error}");
                pause(AFTER_ERROR, &mut stop).await;
            }
        }
    }
}

/// Looks at what is new, and says what to do next.
fn turn(desk: &mut Desk, compares_levels: bool) -> engine::Result<Turn> {
    if !desk.renew()? {
        return Ok(Turn::Gone);
    }
    if compares_levels {
        desk.compare_levels()?;
    }
    // What is to be sent does not wait until all of a long journal was looked at.
    let is_more = desk.look()?;
    Ok(match desk.next()? {
        Step::Send(message) => Turn::Send(message),
        Step::Wait(_) if is_more => Turn::Wait(Some(Timestamp::from_micros(0))),
        Step::Wait(until) => Turn::Wait(until),
    })
}

/// Sends a message and notes what came of it. Nothing else is sent before that is noted.
async fn deliver(
    desk: Desk,
    message: &Message,
    carrier: &dyn Carrier,
    stop: &mut watch::Receiver<bool>,
) -> Option<Desk> {
    repos::stop_at("notify.before_send");
    let target = desk.target().clone();
    let outcome = {
        let mut sending = pin!(carrier.send(&target, message));
        tokio::select! {
            outcome = &mut sending => outcome,
            // It may have arrived already: better once more than never.
            () = stopped(stop) => timeout(TO_END, sending).await.ok()?,
        }
    };
    repos::stop_at("notify.after_send");
    let (mut desk, id) = (desk, message.id.clone());
    loop {
        let (id, outcome) = (id.clone(), outcome.clone());
        let note = move |desk: &mut Desk| -> engine::Result<()> {
            let again = |tries, since, now, asked| backoff::next(tries, since, now, asked, random());
            Ok(desk.note(&id, &outcome, again)?)
        };
        let (back, noted) = at_desk(desk, note).await;
        desk = back?;
        let Err(error) = noted else { return Some(desk) };
        tracing::warn!("what came of message {} cannot be noted yet: {error}", message.id);
        pause(AFTER_ERROR, stop).await;
        if is_over(stop) {
            return None;
        }
    }
}

/// Works at a desk on a thread where waiting for a disk holds up nobody. Without the desk after a panic.
async fn at_desk<T: Send + 'static>(
    desk: Desk,
    work: impl FnOnce(&mut Desk) -> engine::Result<T> + Send + 'static,
) -> (Option<Desk>, engine::Result<T>) {
    let work = move || {
        let mut desk = desk;
        let done = work(&mut desk);
        (desk, done)
    };
    match tokio::task::spawn_blocking(work).await {
        Ok((desk, done)) => (Some(desk), done),
        Err(error) => (None, Err(engine::EngineError::Stopped(error.to_string()))),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, RepoError> + Send + 'static,
) -> engine::Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => Ok(done?),
        Err(error) => Err(engine::EngineError::Stopped(error.to_string())),
    }
}

/// Waits for a time, for more records than these, or until the folder is to be looked at again.
async fn wait(store: &Store, records: u64, until: Option<Timestamp>, stop: &mut watch::Receiver<bool>) {
    let end = Instant::now() + FOLDER;
    while Instant::now() < end && !is_over(stop) {
        if store.position().records != records || until.is_some_and(|until| until <= store.clock().now()) {
            return;
        }
        pause(LOOK, stop).await;
    }
}

/// Waits, unless the process ends.
async fn pause(time: Duration, stop: &mut watch::Receiver<bool>) {
    timeout(time, stopped(stop)).await.ok();
}

/// Waits until the process ends.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    stop.wait_for(|stops| *stops).await.ok();
}

/// Whether the process ends.
fn is_over(stop: &watch::Receiver<bool>) -> bool {
    *stop.borrow() || stop.has_changed().is_err()
}

/// A number from 0 to 1.
fn random() -> f64 {
    let [a, b, c, d, ..] = repos::random_bytes();
    f64::from(u32::from_be_bytes([a, b, c, d])) / f64::from(u32::MAX)
}
