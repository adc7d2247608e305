//! The engine's side: who has joined, how many tries each may run, and who is given up.

use std::collections::{BTreeMap, HashMap};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use repos::documents::ExecutorKind;
use repos::hash::digest_of;
use specs::Digest;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::link::Link;
use super::messages::{Answer, FromWorker, Hello, Purpose, Registration, VERSION};
use super::streams::{End, Have, PATIENCE, Side, Streams};
use crate::error::ExecError;
use crate::executor::ExecutorInfo;

/// Maximum length of a worker's name.
const NAME_MAX: usize = 63;
/// Maximum length of what its executor says about itself, each.
const ABOUT_MAX: usize = 256;
/// Maximum number of slots of one worker.
const SLOTS_MAX: u32 = 4096;
/// How long others are preferred to a worker that could not open a sandbox: at first, and at most.
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_mins(1);
/// Why nothing may be started at a worker: it said so, or it ended in order.
const GOING: &str = "it is going away";
const LEFT: &str = "it has left";

/// The workers that have joined an engine. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Workers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    joined: Mutex<BTreeMap<String, Arc<Worker>>>,
    /// Where those wait who want a slot of any worker with docker. One of them is told of a slot that became free, and all of them if a
    /// worker came, went or rests.
    docker: Notify,
    /// The same for workers with the process executor.
    process: Notify,
    slots: watch::Sender<usize>,
    /// The pods that may join, by the digest of their tokens.
    expected: Mutex<HashMap<Digest, Pod>>,
    /// How many pods may join at a time; none before this process listens.
    room_for_pods: watch::Sender<usize>,
    /// The certificates that pods need to trust this process, in PEM form.
    authority: OnceLock<String>,
}

/// A pod that was created by this engine and may join.
#[derive(Debug)]
struct Pod {
    name: String,
    /// Its token lets it join once; after that it may only return.
    has_joined: bool,
    /// Told when it has joined.
    arrival: Arc<Notify>,
}

/// Who a connection belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Joiner<'a> {
    /// A machine with a token of this name.
    Machine(&'a str),
    /// The pod of this name.
    Pod(&'a str),
}

impl Joiner<'_> {
    /// The name of its token; a pod has one of its own.
    fn token(&self) -> &str {
        match self {
            Self::Machine(name) | Self::Pod(name) => name,
        }
    }
}

/// What others see of a worker.
#[derive(Debug, Clone)]
pub struct WorkerState {
    /// Its name, unique among those that have joined.
    pub name: String,
    /// The name of its token.
    pub token: String,
    /// What its executor reports about itself.
    pub info: ExecutorInfo,
    /// How many tries it may run at the same time.
    pub slots: usize,
    /// How many sandboxes are open there.
    pub sandboxes: usize,
    /// Whether it ends, and nothing is started there any more.
    pub is_going: bool,
}

/// A worker that has joined.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(super) name: String,
    pub(super) streams: Arc<Streams>,
    token: String,
    session: String,
    info: ExecutorInfo,
    slots: usize,
    control: End,
    counts: Mutex<Counts>,
    /// Why nothing may be started there any more: it is going, or was lost.
    unfit: OnceLock<String>,
    /// Where those wait who want a slot of this worker, since their sandbox is there.
    freed: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    sandboxes: usize,
    /// Slots in use.
    busy: usize,
    /// Until when another worker is preferred, and how long that lasts: the last sandbox could not be opened.
    rest: Option<(Instant, Duration)>,
}

impl Worker {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().expect("no panic under this lock")
    }

    /// Why nothing may be started there any more.
    pub(super) fn unfit(&self) -> Option<&str> {
        self.unfit.get().map(String::as_str)
    }

    /// Whether it has this executor, and something may be given to it.
    fn is_fit(&self, kind: ExecutorKind) -> bool {
        self.info.kind == kind && self.unfit().is_none()
    }

    pub(super) fn lost(&self, why: impl Into<String>) -> ExecError {
        ExecError::WorkerLost { worker: self.name.clone(), why: why.into() }
    }

    pub(super) fn going(&self) -> ExecError {
        self.lost(GOING)
    }

    /// Has nothing started here any more; the first reason counts.
    fn retire(&self, why: &str) {
        self.unfit.set(why.to_owned()).ok();
        self.freed.notify_waiters();
    }

    /// Has other workers preferred for a while, each time for longer, since a sandbox could not be opened here.
    fn rest(&self) {
        let mut counts = self.counts();
        let pause = counts.rest.map_or(FIRST_REST, |(_, before)| (before * 2).min(LONGEST_REST));
        counts.rest = Some((Instant::now() + pause, pause));
    }

    /// Ends that: a sandbox was opened.
    pub(super) fn works(&self) {
        self.counts().rest = None;
    }

    /// The end of its rest, if it rests.
    fn rests_until(&self) -> Option<Instant> {
        self.counts().rest.map(|(until, _)| until).filter(|until| *until > Instant::now())
    }

    /// Whether it has a free slot and does not rest.
    fn is_ready(&self) -> bool {
        let counts = self.counts();
        counts.busy < self.slots && counts.rest.is_none_or(|(until, _)| until <= Instant::now())
    }

    /// How many more sandboxes than slots it has; mostly negative.
    fn crowd(&self) -> i64 {
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        number(self.counts().sandboxes) - number(self.slots)
    }

    fn state(&self) -> WorkerState {
        WorkerState {
            name: self.name.clone(),
            token: self.token.clone(),
            info: self.info.clone(),
            slots: self.slots,
            sandboxes: self.counts().sandboxes,
            is_going: self.unfit().is_some(),
        }
    }
}

/// A slot of a worker in use.
#[derive(Debug)]
pub(super) struct Seat {
    workers: Workers,
    worker: Arc<Worker>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.worker.counts().busy -= 1;
        // A slot is enough for one; who is told of it and gives up hands it on.
        self.worker.freed.notify_one();
        self.workers.waiting(self.worker.info.kind).notify_one();
    }
}

/// A sandbox that is open at a worker, or being opened.
#[derive(Debug)]
pub(super) struct Berth(pub(super) Arc<Worker>);

impl Drop for Berth {
    fn drop(&mut self) {
        self.0.counts().sandboxes -= 1;
    }
}

impl Workers {
    /// Nobody has joined yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Attends to one connection of a worker until it ends. `who` is the name of its token.
    ///
    /// An error says why the connection was refused, or which rule the worker broke.
    pub async fn attend(&self, link: Link, who: &str) -> Result<(), ExecError> {
        self.attend_as(link, Joiner::Machine(who)).await
    }

    /// Attends to one connection of a pod until it ends; `name` is that of [`Self::pod_with`].
    pub async fn attend_pod(&self, link: Link, name: &str) -> Result<(), ExecError> {
        self.attend_as(link, Joiner::Pod(name)).await
    }

    async fn attend_as(&self, mut link: Link, who: Joiner<'_>) -> Result<(), ExecError> {
        let Ok(Some(hello)) = timeout(PATIENCE, link.from.recv()).await else { return Ok(()) };
        let (answer, admitted) = match self.admit(&hello, who) {
            Ok((worker, have)) => {
                let (name, session) = (worker.name.clone(), worker.session.clone());
                let answer = Answer::Welcome { name, session, have: worker.streams.have() };
                (answer, Ok((worker, have)))
            }
            Err(refusal) => {
                let why = refusal.why.clone();
                (Answer::Refused { why: refusal.why, is_for_good: refusal.is_for_good }, Err(why))
            }
        };
        let answer = postcard::to_stdvec(&answer).expect("plain values have an encoding");
        let is_sent = link.to.send(Bytes::from(answer)).await.is_ok();
        let (worker, have) = admitted.map_err(|why| ExecError::JoinRefused { why })?;
        if is_sent {
            self.carry(&worker, link, &have).await;
        }
        match worker.streams.over() {
            Some(why) if why != LEFT => Err(worker.lost(why)),
            _ => Ok(()),
        }
    }

    async fn carry(&self, worker: &Arc<Worker>, link: Link, have: &Have) {
        let number = worker.streams.attach(have);
        let mut carry = pin!(worker.streams.carry(link, number));
        loop {
            tokio::select! {
                _ = &mut carry => break,
                said = worker.control.next() => match said {
                    Ok((said, _)) => self.heard(worker, &said),
                    Err(_) => break,
                },
            }
        }
        while let Some(Ok((said, _))) = worker.control.next().now_or_never() {
            self.heard(worker, &said);
        }
        if let Some(why) = worker.streams.over() {
            self.give_up(worker, &why);
        }
    }

    fn heard(&self, worker: &Arc<Worker>, said: &FromWorker) {
        match said {
            FromWorker::Going => {
                worker.retire(GOING);
                self.changed();
            }
            FromWorker::Gone => self.give_up(worker, LEFT),
            _ => self.give_up(worker, "it spoke out of turn"),
        }
    }

    fn admit(&self, hello: &[u8], who: Joiner<'_>) -> Result<(Arc<Worker>, Have), Refusal> {
        let version = postcard::take_from_bytes::<u32>(hello).map_or(0, |(version, _)| version);
        if version != VERSION {
            return Err(Refusal::for_good("it speaks another version: use the same version of pv as the engine"));
        }
        let hello: Hello =
            postcard::from_bytes(hello).map_err(|_| Refusal::for_good("its first message cannot be read"))?;
        match hello.why {
            Purpose::Register(registration) => Ok((self.register(registration, who)?, Have::new())),
            Purpose::Return { session, have } => {
                let joined = self.joined();
                let worker = joined.values().find(|worker| worker.session == session && worker.token == who.token());
                let worker = worker.ok_or_else(|| Refusal {
                    why: "the engine does not know it any more".to_owned(),
                    is_for_good: false,
                })?;
                Ok((worker.clone(), have))
            }
        }
    }

    fn register(&self, registration: Registration, who: Joiner<'_>) -> Result<Arc<Worker>, Refusal> {
        let Registration { name, info, slots } = registration;
        self.ensure_expected(&name, slots, who)?;
        let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(is_legal) {
            let why = "a name has 1 to 63 letters, digits, `-`, `_` and `.`: choose another with --name";
            return Err(Refusal::for_good(why));
        }
        let fits = match who {
            Joiner::Machine(_) => matches!(info.kind, ExecutorKind::Docker | ExecutorKind::Process),
            Joiner::Pod(_) => info.kind == ExecutorKind::Kubernetes,
        };
        if !fits {
            return Err(Refusal::for_good(&format!("its executor is {}, which does not join this way", info.kind)));
        }
        let (system, architecture) = &info.platform;
        if [&info.version, &info.host, system, architecture].iter().any(|text| text.len() > ABOUT_MAX) {
            return Err(Refusal::for_good("what it says about itself is too long"));
        }
        if slots == 0 || slots > SLOTS_MAX {
            return Err(Refusal::for_good(&format!("it has {slots} slots: choose 1 to {SLOTS_MAX} with --slots")));
        }
        let (streams, control) = Streams::new(Side::Engine);
        let mut joined = self.joined();
        let worker = Arc::new(Worker {
            name: free_name(&joined, &name),
            streams,
            token: who.token().to_owned(),
            session: repos::random_hex(),
            info,
            slots: slots as usize,
            control,
            counts: Mutex::default(),
            unfit: OnceLock::new(),
            freed: Notify::new(),
        });
        joined.insert(worker.name.clone(), worker.clone());
        drop(joined);
        if let Some(pod) = self.expected().values().find(|pod| who == Joiner::Pod(&pod.name)) {
            pod.arrival.notify_one();
        }
        self.changed();
        tokio::spawn(give_up_when_silent(self.clone(), Arc::downgrade(&worker)));
        Ok(worker)
    }

    /// A pod joins once, under its own name.
    fn ensure_expected(&self, name: &str, slots: u32, who: Joiner<'_>) -> Result<(), Refusal> {
        let Joiner::Pod(pod) = who else { return Ok(()) };
        let mut expected = self.expected();
        let known = expected.values_mut().find(|known| known.name == pod);
        let known = known.ok_or_else(|| Refusal::for_good("the pod is not needed any more"))?;
        if name != pod || slots != 1 {
            return Err(Refusal::for_good("a pod joins under its own name, with one slot"));
        }
        if std::mem::replace(&mut known.has_joined, true) {
            return Err(Refusal::for_good("this pod has joined before"));
        }
        Ok(())
    }

    fn expected(&self) -> MutexGuard<'_, HashMap<Digest, Pod>> {
        self.0.expected.lock().expect("no panic under this lock")
    }

    /// Lets a pod of this name join; returns the token by which it is known.
    pub(crate) fn expect(&self, name: &str) -> String {
        let token = repos::random_hex();
        let pod = Pod { name: name.to_owned(), has_joined: false, arrival: Arc::default() };
        self.expected().insert(digest_of(token.as_bytes()), pod);
        token
    }

    /// Lets a pod of this name join no more, and forgets it if it has joined.
    pub(crate) fn expect_no_more(&self, name: &str) {
        self.expected().retain(|_, pod| pod.name != name);
        let known = self.joined().get(name).cloned();
        if let Some(worker) = known.filter(|worker| worker.info.kind == ExecutorKind::Kubernetes) {
            self.give_up(&worker, LEFT);
        }
    }

    /// The pod with this token, if one may join with it.
    pub fn pod_with(&self, token: &str) -> Option<String> {
        self.expected().get(&digest_of(token.as_bytes())).map(|pod| pod.name.clone())
    }

    /// Lets that many pods join at a time, since this process listens now; `authority`: the certificates that they need to trust it.
    pub fn admit_pods(&self, most: usize, authority: Option<String>) {
        if let Some(authority) = authority {
            self.0.authority.set(authority).ok();
        }
        self.0.room_for_pods.send_replace(most);
    }

    /// How many pods may join at a time.
    pub(crate) fn room_for_pods(&self) -> watch::Receiver<usize> {
        self.0.room_for_pods.subscribe()
    }

    /// The certificates that pods need to trust this process; `None` for those that everyone trusts.
    pub(crate) fn authority(&self) -> Option<String> {
        self.0.authority.get().cloned()
    }

    /// Waits until the expected pod of this name has joined; for ever if none is expected.
    pub(crate) async fn arrival(&self, name: &str) -> Arc<Worker> {
        let arrival = self.expected().values().find(|pod| pod.name == name).map(|pod| pod.arrival.clone());
        loop {
            if let Some(worker) = self.joined().get(name) {
                return worker.clone();
            }
            match &arrival {
                Some(arrival) => arrival.notified().await,
                None => std::future::pending().await,
            }
        }
    }

    fn joined(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Worker>>> {
        self.0.joined.lock().expect("no panic under this lock")
    }

    /// Where those wait who want a slot of any worker with this executor.
    fn waiting(&self, kind: ExecutorKind) -> &Notify {
        if kind == ExecutorKind::Docker { &self.0.docker } else { &self.0.process }
    }

    /// Tells all who wait for a worker, and how many slots there are now.
    fn changed(&self) {
        let fit = |worker: &&Arc<Worker>| worker.unfit().is_none();
        self.0.slots.send_if_modified(|before| {
            // Counted in here, so that of two changes the later one has the last word.
            let slots = self.joined().values().filter(fit).map(|worker| worker.slots).sum();
            std::mem::replace(before, slots) != slots
        });
        self.0.docker.notify_waiters();
        self.0.process.notify_waiters();
    }

    /// Has others preferred to a worker for a while. Who waits has to know when that is over.
    pub(super) fn rest(&self, worker: &Worker) {
        worker.rest();
        self.waiting(worker.info.kind).notify_waiters();
    }

    /// Forgets a worker; its sandboxes are lost.
    pub(super) fn give_up(&self, worker: &Arc<Worker>, why: &str) {
        worker.retire(why);
        worker.streams.give_up(why);
        let mut joined = self.joined();
        if joined.get(&worker.name).is_some_and(|known| Arc::ptr_eq(known, worker)) {
            joined.remove(&worker.name);
        }
        drop(joined);
        self.changed();
    }

    /// Gives a worker up that broke a rule.
    pub(super) fn breach(&self, worker: &Arc<Worker>, why: &str) -> ExecError {
        self.give_up(worker, why);
        worker.lost(why)
    }

    /// Those that have joined, by name.
    pub fn list(&self) -> Vec<WorkerState> {
        self.joined().values().map(|worker| worker.state()).collect()
    }

    /// How many tries may run at the same time, over all workers; changes when workers come and go.
    pub fn slots(&self) -> watch::Receiver<usize> {
        self.0.slots.subscribe()
    }

    /// Whether each worker has at least as many sandboxes as slots.
    pub(super) fn is_full(&self) -> bool {
        let joined = self.joined();
        !joined.is_empty() && joined.values().all(|worker| worker.counts().sandboxes >= worker.slots)
    }

    /// The workers with this executor to which something may be given.
    pub(super) fn fit(&self, kind: ExecutorKind) -> Vec<Arc<Worker>> {
        self.joined().values().filter(|worker| worker.is_fit(kind)).cloned().collect()
    }

    /// Waits for a worker with this executor and a free slot; takes the one with the most room for another sandbox.
    pub(super) async fn berth(&self, kind: ExecutorKind) -> (Seat, Berth) {
        loop {
            let mut changed = pin!(self.waiting(kind).notified());
            changed.as_mut().enable();
            if let Some(found) = self.take_berth(kind) {
                return found;
            }
            // Who rests may have free slots, and nobody tells when the rest is over.
            let rested = self.fit(kind).iter().filter_map(|worker| worker.rests_until()).min();
            tokio::select! {
                () = changed => {}
                () = sleep_until(rested.unwrap_or_else(Instant::now)), if rested.is_some() => {}
            }
        }
    }

    fn take_berth(&self, kind: ExecutorKind) -> Option<(Seat, Berth)> {
        loop {
            let worker = self.roomiest(kind)?;
            // Another may have taken its slot just now.
            if let Some(seat) = self.take_seat(&worker) {
                worker.counts().sandboxes += 1;
                return Some((seat, Berth(worker)));
            }
        }
    }

    /// The worker with the most room for another sandbox, of those with this executor and a free slot.
    fn roomiest(&self, kind: ExecutorKind) -> Option<Arc<Worker>> {
        let joined = self.joined();
        let ready = joined.values().filter(|worker| worker.is_fit(kind) && worker.is_ready());
        ready.min_by_key(|worker| worker.crowd()).cloned()
    }

    fn take_seat(&self, worker: &Arc<Worker>) -> Option<Seat> {
        let mut counts = worker.counts();
        if counts.busy >= worker.slots {
            return None;
        }
        counts.busy += 1;
        Some(Seat { workers: self.clone(), worker: worker.clone() })
    }

    /// A slot of this worker, and a place for a sandbox.
    pub(super) async fn berth_at(&self, worker: &Arc<Worker>) -> Result<(Seat, Berth), ExecError> {
        let seat = self.seat(worker).await?;
        worker.counts().sandboxes += 1;
        Ok((seat, Berth(worker.clone())))
    }

    /// Waits for a free slot of this worker.
    pub(super) async fn seat(&self, worker: &Arc<Worker>) -> Result<Seat, ExecError> {
        loop {
            let mut freed = pin!(worker.freed.notified());
            freed.as_mut().enable();
            if let Some(why) = worker.unfit() {
                return Err(worker.lost(why));
            }
            if let Some(seat) = self.take_seat(worker) {
                return Ok(seat);
            }
            freed.await;
        }
    }
}

/// Why a worker may not join.
struct Refusal {
    why: String,
    is_for_good: bool,
}

impl Refusal {
    fn for_good(why: &str) -> Self {
        Self { why: why.to_owned(), is_for_good: true }
    }
}

/// The name itself, or with a number if another worker has it.
fn free_name(joined: &BTreeMap<String, Arc<Worker>>, name: &str) -> String {
    let numbered = (2..).map(|number: usize| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .find(|name| !joined.contains_key(name))
        .expect("there are more numbers than workers")
}

/// Gives a worker up once nothing was heard of it for too long, with or without a connection.
async fn give_up_when_silent(workers: Workers, worker: Weak<Worker>) {
    loop {
        let Some(worker) = worker.upgrade() else { return };
        if worker.streams.over().is_some() {
            return;
        }
        let until = worker.streams.heard() + PATIENCE;
        if until <= Instant::now() {
            workers.give_up(&worker, &format!("nothing was heard of it for {} s", PATIENCE.as_secs()));
            return;
        }
        drop(worker);
        sleep_until(until).await;
    }
}
