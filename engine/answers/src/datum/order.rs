//! The datums of a job in the order in which people look at them: failed ones first, then the slowest.
//!
//! This needs the result of each, so it is remembered: what was read of a result never changes, and neither does the order of a job that
//! has ended.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, LazyLock, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use engine::Result;
use engine::datums::DatumKey;
use engine::live::Live;
use repos::documents::{ResultDocument, ResultState};
use repos::{JobRow, Store};
use specs::{CommitId, Digest, PipelineName, RunId};

use super::known::Known;
use super::view::{DatumState, DatumView, datum_view};

/// Jobs whose order is remembered, and their datums in all; the job that was asked for is always among them.
const JOBS: usize = 16;
const DATUMS: usize = 500_000;
/// Results that one thread reads.
const A_THREAD: usize = 2_000;

/// A datum of a job, in short.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Its state in the job.
    pub state: DatumState,
    /// How long its last try took.
    pub seconds: f32,
    /// Its result.
    pub result: Digest,
    /// Its position among the keys of the job's datums.
    pub place: usize,
    /// Why it was recovered, if it was.
    recovered: Option<String>,
}

/// The datums of a job that have ended: failed ones first, then the slowest.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DatumOrder(Vec<Ranked>);

impl DatumOrder {
    /// All, or those in a state.
    pub fn of(&self, state: Option<DatumState>) -> impl Iterator<Item = &Ranked> {
        self.0.iter().filter(move |ranked| state.is_none_or(|state| state == ranked.state))
    }

    /// How many are in a state.
    pub fn count(&self, state: DatumState) -> usize {
        self.of(Some(state)).count()
    }
}

impl Ranked {
    /// All about the datum, as seen from the job.
    pub fn view(&self, store: &Store, job: &JobRow) -> Result<DatumView> {
        datum_view(store, Some(job), &self.result, self.recovered.clone())
    }

    fn rank(&self) -> u8 {
        match self.state {
            DatumState::Failed => 0,
            DatumState::Recovered => 1,
            DatumState::Cached => 3,
            _ => 2,
        }
    }
}

/// A job as far as it has come.
type Key = (RunId, PipelineName, Option<CommitId>);

/// The orders that were made last.
type Remembered = VecDeque<(Key, Arc<DatumOrder>)>;

static REMEMBERED: LazyLock<Mutex<Remembered>> = LazyLock::new(Mutex::default);

/// Jobs whose order is being made for somebody who does not wait for it.
static IN_WORK: LazyLock<Mutex<HashSet<Key>>> = LazyLock::new(Mutex::default);

/// Like [`datums_in_order`], for somebody who waits only so long: then what is remembered, if anything; the order is made nevertheless.
pub fn datums_in_order_within(
    store: &Store,
    live: &Live,
    job: &JobRow,
    patience: Duration,
) -> Result<Option<Arc<DatumOrder>>> {
    let key = key_of(job);
    let before = remembered(&key);
    if job.commit.is_some() && before.is_some() {
        return Ok(before);
    }
    if !IN_WORK.lock().expect("no panic under this lock").insert(key.clone()) {
        return Ok(before);
    }
    let (done, waiting) = mpsc::channel();
    let (store, live, job) = (store.clone(), live.clone(), job.clone());
    thread::spawn(move || {
        let order = datums_in_order(&store, Some(&live), &job);
        IN_WORK.lock().expect("no panic under this lock").remove(&key);
        // Nobody may be waiting any more.
        let _ = done.send(order);
    });
    match waiting.recv_timeout(patience) {
        Ok(order) => order.map(Some),
        Err(_) => Ok(before),
    }
}

fn key_of(job: &JobRow) -> Key {
    (job.run, job.pipeline.clone(), job.commit)
}

fn remembered(key: &Key) -> Option<Arc<DatumOrder>> {
    let remembered = REMEMBERED.lock().expect("no panic under this lock");
    remembered.iter().find(|(known, _)| known == key).map(|(_, order)| order.clone())
}

/// The datums of a job that have ended; for a running job, those so far.
pub fn datums_in_order(store: &Store, live: Option<&Live>, job: &JobRow) -> Result<Arc<DatumOrder>> {
    let key = key_of(job);
    let before = remembered(&key);
    if let Some(order) = before.as_ref().filter(|_| job.commit.is_some()) {
        return Ok(order.clone());
    }
    let order = Arc::new(read(store, live, job, before.as_deref())?);
    let mut remembered = REMEMBERED.lock().expect("no panic under this lock");
    remembered.retain(|(known, _)| *known != key);
    remembered.push_front((key, order.clone()));
    let mut sum = 0;
    remembered.retain(|(_, order)| {
        let is_first = sum == 0;
        sum += order.0.len();
        is_first || sum <= DATUMS
    });
    remembered.truncate(JOBS);
    Ok(order)
}

fn read(store: &Store, live: Option<&Live>, job: &JobRow, before: Option<&DatumOrder>) -> Result<DatumOrder> {
    let known = Known::of(store, live, job)?;
    let mut recovered = known.all_recovered(store)?;
    let entries: Vec<(Option<DatumKey>, Digest)> = known.entries(store)?.collect::<Result<_, _>>()?;
    let read_before: HashMap<Digest, &Ranked> =
        before.into_iter().flat_map(|order| &order.0).map(|ranked| (ranked.result, ranked)).collect();
    let new: Vec<Digest> =
        entries.iter().map(|(_, result)| *result).filter(|result| !read_before.contains_key(result)).collect();
    let read: HashMap<Digest, (DatumState, f32)> = read_all(store, job, &new)?;
    let mut order = Vec::with_capacity(entries.len());
    for (place, (key, result)) in entries.into_iter().enumerate() {
        let of_before = || read_before.get(&result).map(|ranked| (ranked.state, ranked.seconds));
        let Some((state, seconds)) = read.get(&result).copied().or_else(of_before) else { continue };
        let recovered = key.and_then(|key| recovered.remove(&key));
        let state = if recovered.is_some() { DatumState::Recovered } else { state };
        order.push(Ranked { state, seconds, result, place, recovered });
    }
    order.sort_by(|one, other| {
        let slower = other.seconds.total_cmp(&one.seconds);
        one.rank().cmp(&other.rank()).then(slower).then(one.place.cmp(&other.place))
    });
    Ok(DatumOrder(order))
}

/// Reads results, on several threads if there are many.
fn read_all(store: &Store, job: &JobRow, results: &[Digest]) -> Result<HashMap<Digest, (DatumState, f32)>> {
    let most = thread::available_parallelism().map_or(1, usize::from);
    let threads = results.len().div_ceil(A_THREAD).clamp(1, most);
    let read = |some: &[Digest]| some.iter().map(|result| Ok((*result, short(store, job, result)?))).collect();
    if threads == 1 {
        return read(results);
    }
    thread::scope(|scope| {
        let parts = results.chunks(results.len().div_ceil(threads)).map(|part| scope.spawn(move || read(part)));
        let mut all = HashMap::with_capacity(results.len());
        for part in parts.collect::<Vec<_>>() {
            let part: Result<HashMap<_, _>> = part.join().expect("reading does not panic");
            all.extend(part?);
        }
        Ok(all)
    })
}

/// The state of a result in a job, and how long its last try took.
fn short(store: &Store, job: &JobRow, digest: &Digest) -> Result<(DatumState, f32)> {
    let result: ResultDocument = store.document(digest)?;
    let is_own = result.run == job.run && result.pipeline == job.pipeline;
    let state = match result.state {
        ResultState::Recovered => DatumState::Recovered,
        ResultState::Failed => DatumState::Failed,
        ResultState::Success if is_own => DatumState::Success,
        ResultState::Success => DatumState::Cached,
    };
    let seconds = result.tries.last().map_or(0.0, |last| last.finished_at.seconds_since(last.started_at));
    Ok((state, seconds as f32))
}
