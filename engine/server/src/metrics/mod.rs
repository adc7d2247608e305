//! What the server counts and measures, for Prometheus and its like.
//!
//! - `labels`: by what things are counted
//! - `tally`: jobs and datums, counted from the journal
//!
//! Labels are pipelines that exist, operations of the API and fixed words: never a run, job, datum, path or token, of which there is no
//! bound. Counts begin with the process. Jobs are counted from the journal's records, not from events, which a slow listener may miss.
//! Everything else is read when it is asked for; only the size of the packs is measured once a minute ([`Metrics::measure_store`]), because
//! it may need another machine.

use std::sync::Mutex;
use std::time::Duration;

use engine::live::LiveState;
use engine::{Engine, Phase};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use repos::Store;

use crate::traces::Traces;

mod labels;
mod tally;

use labels::{OfPhase, OfRequest, OfState};
use tally::Tally;

/// The media type of the text.
pub(crate) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Bounds of requests and commits in seconds.
const SHORT: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// Bounds of jobs, and of what they wait for, in seconds.
const LONG: [f64; 10] = [0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 86400.0];

/// Histograms by labels.
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

fn short() -> Histogram {
    Histogram::new(SHORT)
}

fn long() -> Histogram {
    Histogram::new(LONG)
}

/// What goes over the network.
#[derive(Debug, Clone, Default)]
pub(crate) struct Traffic {
    /// Open connections.
    pub(crate) connections: Gauge,
    /// Bytes from clients.
    pub(crate) received: Counter,
    /// Bytes to clients.
    pub(crate) sent: Counter,
}

/// Everything that is counted and measured.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    tally: Mutex<Tally>,
    traffic: Traffic,
    requests: Histograms<OfRequest>,
    wrong_tokens: Counter,
    new_bytes: Counter,
    measured: Measured,
}

/// What is set when the text is made.
#[derive(Debug, Default)]
struct Measured {
    jobs_open: Family<OfState, Gauge>,
    datums_running: Gauge,
    store_bytes: Gauge,
    disk_free_bytes: Gauge,
    journal_records: Gauge,
    journal_bytes: Gauge,
    phase: Family<OfPhase, Gauge>,
}

impl Measured {
    fn register(&self, registry: &mut Registry) {
        registry.register("jobs_open", "Jobs that have not ended", self.jobs_open.clone());
        registry.register("datums_running", "Datums that are being executed", self.datums_running.clone());
        let help = "Size of the packs, measured once a minute";
        registry.register_with_unit("store", help, Unit::Bytes, self.store_bytes.clone());
        let help = "Free space on the disk of the store";
        registry.register_with_unit("disk_free", help, Unit::Bytes, self.disk_free_bytes.clone());
        registry.register("journal_records", "Records of the journal", self.journal_records.clone());
        registry.register_with_unit("journal", "Size of the journal", Unit::Bytes, self.journal_bytes.clone());
        registry.register("engine_phase", "1 for the phase of the engine, 0 for the others", self.phase.clone());
    }
}

impl Metrics {
    /// For a store, counting from now on. `traces`: those that are sent, if any are.
    pub(crate) fn new(store: &Store, traces: Option<&Traces>) -> Self {
        let mut registry = Registry::with_prefix("pv");
        registry.register("build", "The version of pv", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        let (tally, measured) = (Tally::new(store, &mut registry), Measured::default());
        measured.register(&mut registry);
        let commits = short();
        let help = "Time to publish a change once its data is written: to make it durable and record it";
        registry.register_with_unit("commit", help, Unit::Seconds, commits.clone());
        store.watch_publishing(move |took| commits.observe(took.as_secs_f64()));
        let (traffic, requests) = (Traffic::default(), Histograms::new_with_constructor(short as fn() -> Histogram));
        let help = "Time from the head of a request to the head of its answer";
        registry.register_with_unit("http_request", help, Unit::Seconds, requests.clone());
        registry.register("connections_open", "Open connections", traffic.connections.clone());
        registry.register_with_unit("received", "Bytes from clients", Unit::Bytes, traffic.received.clone());
        registry.register_with_unit("sent", "Bytes to clients", Unit::Bytes, traffic.sent.clone());
        let (wrong_tokens, new_bytes) = <(Counter, Counter)>::default();
        registry.register("wrong_tokens", "Requests with an unknown, revoked or expired token", wrong_tokens.clone());
        registry.register_with_unit("new", "Bytes of new objects, as stored", Unit::Bytes, new_bytes.clone());
        let dropped = traces.map(|traces| traces.dropped().clone()).unwrap_or_default();
        registry.register("spans_dropped", "Spans of traces that no collector took", dropped);
        Self { registry, tally: tally.into(), traffic, requests, wrong_tokens, new_bytes, measured }
    }

    /// What goes over the network.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Counts an answered request. `operation`: one of the API, or a fixed word.
    pub(crate) fn answered(&self, operation: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&OfRequest::new(operation, status)).observe(took.as_secs_f64());
    }

    /// Counts a request with a wrong token.
    pub(crate) fn wrong_token(&self) {
        self.wrong_tokens.inc();
    }

    /// Counts the jobs that have ended since the last call.
    pub(crate) fn catch_up(&self, store: &Store) -> repos::store::Result<()> {
        self.tally.lock().expect("no panic under this lock").catch_up(store)
    }

    /// Measures the packs.
    pub(crate) fn measure_store(&self, store: &Store) -> repos::store::Result<()> {
        self.measured.store_bytes.set(signed(store.packed_bytes()?));
        Ok(())
    }

    /// Everything, in the text form of `OpenMetrics`.
    pub(crate) fn text(&self, engine: &Engine) -> repos::store::Result<String> {
        let store = engine.store();
        self.catch_up(store)?;
        self.tally.lock().expect("no panic under this lock").keep_existing(store)?;
        self.measure(engine)?;
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a text takes everything");
        Ok(text)
    }

    fn measure(&self, engine: &Engine) -> repos::store::Result<()> {
        let (store, measured) = (engine.store(), &self.measured);
        let states = engine.live().states();
        let count = |wanted: LiveState| states.iter().filter(|(state, _)| *state == wanted).count();
        let begun = [("running", LiveState::Running), ("finishing", LiveState::Finishing)];
        let mut waiting = store.open_jobs_count()?;
        for (word, state) in begun {
            measured.jobs_open.get_or_create(&OfState { state: word }).set(signed(count(state) as u64));
            waiting = waiting.saturating_sub(count(state) as u64);
        }
        measured.jobs_open.get_or_create(&OfState { state: "waiting" }).set(signed(waiting));
        measured.datums_running.set(signed(states.iter().map(|(_, running)| *running as u64).sum()));
        if let Some(free) = engine.free_bytes() {
            measured.disk_free_bytes.set(signed(free));
        }
        let end = store.position();
        measured.journal_records.set(signed(end.records));
        measured.journal_bytes.set(signed(end.bytes));
        for phase in [Phase::Running, Phase::Draining, Phase::Interrupted, Phase::Ended] {
            let is_now = i64::from(engine.phase() == phase);
            measured.phase.get_or_create(&OfPhase::of(phase)).set(is_now);
        }
        // The store counts; only what is new since the last time is added.
        self.new_bytes.inc_by(store.new_bytes().saturating_sub(self.new_bytes.get()));
        Ok(())
    }
}

/// A number as gauges have it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
