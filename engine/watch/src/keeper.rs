//! Runs the watches that the store keeps, each in a thread of its own, and follows what is added, paused and deleted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::in_full;
use repos::Store;
use specs::WatchName;

use crate::standing::{self, Standing, State};
use crate::trouble::Trouble;
use crate::watcher::{Batch, Seen, Watcher};

/// How often the store is asked for its watches, and a watch whether it should end.
const LOOK: Duration = Duration::from_millis(500);
/// How long a watch that cannot begin waits before it tries again.
const AGAIN: Duration = Duration::from_secs(5);
/// Most troubles in a state.
const NAMED: usize = 20;

/// A watch that runs.
struct Running {
    watch: Standing,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Runs the watches of a store until `is_over`. `report` gets what they see, from several threads.
pub fn keep(store: &Store, is_over: impl Fn() -> bool, report: impl Fn(&WatchName, &Seen) + Send + Sync + 'static) {
    let report: Report = Arc::new(report);
    let mut running: BTreeMap<WatchName, Running> = BTreeMap::new();
    let mut said = String::new();
    while !is_over() {
        match standing::list(store) {
            Ok(watches) => {
                said.clear();
                follow(store, watches, &mut running, &report);
            }
            Err(error) if said == in_full(&error) => {}
            Err(error) => {
                said = in_full(&error);
                tracing::warn!("the watches of the store are not known: {said}");
            }
        }
        std::thread::sleep(LOOK);
    }
    end(running.into_values().collect());
}

type Report = Arc<dyn Fn(&WatchName, &Seen) + Send + Sync>;

fn follow(store: &Store, watches: Vec<Standing>, running: &mut BTreeMap<WatchName, Running>, report: &Report) {
    let mut wanted: BTreeMap<WatchName, Standing> =
        watches.into_iter().filter(|watch| !watch.paused).map(|watch| (watch.name.clone(), watch)).collect();
    let over: Vec<WatchName> = running
        .iter()
        .filter(|(name, running)| wanted.get(*name) != Some(&running.watch) || running.thread.is_finished())
        .map(|(name, _)| name.clone())
        .collect();
    end(over.iter().filter_map(|name| running.remove(name)).collect());
    wanted.retain(|name, _| !running.contains_key(name));
    for (name, watch) in wanted {
        let stop = Arc::new(AtomicBool::new(false));
        let (store, kept, over, report) = (store.clone(), watch.clone(), stop.clone(), report.clone());
        let thread = std::thread::Builder::new().name(format!("watch {name}")).spawn(move || {
            run(&store, &kept, &over, &report);
        });
        match thread {
            Ok(thread) => {
                running.insert(name, Running { watch, stop, thread });
            }
            Err(error) => tracing::warn!("watch `{name}` cannot begin: {error}"),
        }
    }
}

/// Ends watches, each once a commit that it is making is whole.
fn end(running: Vec<Running>) {
    for running in &running {
        running.stop.store(true, Ordering::Relaxed);
    }
    for Running { watch, thread, .. } in running {
        if thread.join().is_err() {
            tracing::error!("watch `{}` stopped unexpectedly", watch.name);
        }
    }
}

/// Runs one watch until it is told to stop.
fn run(store: &Store, watch: &Standing, stop: &AtomicBool, report: &Report) {
    let mut state = standing::state(store, &watch.name).ok().flatten().unwrap_or_default();
    while !stop.load(Ordering::Relaxed) {
        let Err(error) = watch.plan().and_then(|plan| {
            // A watch that is paused or deleted commits nothing more from then on.
            let is_kept = || standing::find(store, &watch.name).is_ok_and(|kept| kept == *watch);
            let mut watcher = Watcher::new(store, &plan)?.while_it_may(is_kept);
            step(store, watch, &mut watcher, &mut state, stop, report);
            Ok(())
        }) else {
            continue;
        };
        // Such as a branch that was deleted.
        let trouble = Trouble { path: None, why: in_full(&error) };
        if state.troubles != [trouble.clone()] {
            report(&watch.name, &Seen::Trouble(trouble.clone()));
            (state.troubles, state.troubles_count) = (vec![trouble], 1);
            record(store, watch, &mut state);
        }
        let again = Instant::now() + AGAIN;
        while Instant::now() < again && !stop.load(Ordering::Relaxed) {
            std::thread::sleep(LOOK);
        }
    }
}

fn step(
    store: &Store,
    watch: &Standing,
    watcher: &mut Watcher<'_>,
    state: &mut State,
    stop: &AtomicBool,
    report: &Report,
) {
    // Troubles of an earlier process may be over.
    (state.troubles, state.troubles_count, state.polls) = (Vec::new(), 0, None);
    let mut recorded: Option<(State, Instant)> = None;
    while !stop.load(Ordering::Relaxed) {
        let seen = watcher.step(Instant::now() + LOOK);
        for seen in &seen {
            report(&watch.name, seen);
            match seen {
                Seen::Batch(batch) => count(store, batch, state),
                Seen::Polls(_) | Seen::Trouble(_) => {}
            }
        }
        state.polls = watcher.polls().map(ToOwned::to_owned);
        state.troubles_count = watcher.troubles_count() as u64;
        state.troubles = watcher.troubles().take(NAMED).collect();
        state.waiting = watcher.waiting() as u64;
        // `at` only says when the rest was written. The number of files that wait changes all the time.
        let is_known =
            recorded.as_ref().is_some_and(|(known, at)| known == state || at.elapsed() < LOOK && seen.is_empty());
        if !is_known {
            record(store, watch, state);
            recorded = Some((state.clone(), Instant::now()));
        }
    }
}

fn count(store: &Store, batch: &Batch, state: &mut State) {
    if let Some(outcome) = batch.outcome.as_ref().filter(|outcome| outcome.run().is_some()) {
        state.last_commit_at = Some(store.clock().now());
        state.files += outcome.summary.added + outcome.summary.modified;
    }
}

fn record(store: &Store, watch: &Standing, state: &mut State) {
    state.at = Some(store.clock().now());
    if let Err(error) = standing::record(store, &watch.name, state) {
        tracing::warn!("how watch `{}` is doing cannot be recorded: {}", watch.name, in_full(&error));
    }
}
