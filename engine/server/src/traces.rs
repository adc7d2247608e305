//! Traces of runs for a collector of `OpenTelemetry`: OTLP over HTTP, as JSON.
//!
//! A trace for each run, whose id is the run's; in it a span for each job, and in that a span for each datum that the job executed, up to
//! [`DATUMS`]. A span is sent when what it is about has ended. Everything comes from the journal, so a slow collector misses nothing that
//! fits into the queue; what does not fit, or cannot be delivered, is dropped and counted. Nothing ever waits for a collector.
//!
//! Own code, since the official crates bring three times as many lines as this whole server; the encoding is one page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use answers::datum::{DatumFilter, DatumState, DatumView, datums};
use engine::Engine;
use engine::live::{EngineEvent, job_id};
use prometheus_client::metrics::counter::Counter;
use repos::documents::JobDocument;
use repos::hash::digest_of;
use repos::journal::{Entry, Position, SealedState};
use repos::{JobRow, RunRow, Store, Timestamp};
use serde_json::{Value, json};
use specs::RunId;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};

/// Most datums of a job that have a span.
const DATUMS: usize = 100;
/// Most datums of a job that are looked at.
const LOOKED_AT: usize = 1000;
/// Batches that wait for the collector.
const QUEUE: usize = 64;
/// Records that are read at once.
const BATCH: usize = 64;
/// How long a collector may take for a batch.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last batches may take when the server ends.
const TO_END: Duration = Duration::from_secs(3);
/// Runs that are remembered as sent.
const REMEMBERED: usize = 256;

/// Where traces are sent.
#[derive(Debug, Clone)]
pub struct Traces {
    url: String,
    headers: Vec<(String, String)>,
    service: String,
    /// Spans that were not delivered.
    dropped: Counter,
}

impl Traces {
    /// As the variables of `OpenTelemetry` say: `OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME` and their
    /// like. `None` if no endpoint is named, or traces are switched off.
    pub fn from_variables<'v>(get: impl Fn(&str) -> Option<&'v str>) -> Option<Self> {
        let is_off = get("OTEL_SDK_DISABLED") == Some("true") || get("OTEL_TRACES_EXPORTER") == Some("none");
        let whole = || Some(format!("{}/v1/traces", get("OTEL_EXPORTER_OTLP_ENDPOINT")?.trim_end_matches('/')));
        let url = get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").map(str::to_owned).or_else(whole);
        let headers = get("OTEL_EXPORTER_OTLP_TRACES_HEADERS").or_else(|| get("OTEL_EXPORTER_OTLP_HEADERS"));
        let pairs = headers.unwrap_or_default().split(',').filter_map(|pair| pair.split_once('='));
        Some(Self {
            url: url.filter(|_| !is_off)?,
            headers: pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect(),
            service: get("OTEL_SERVICE_NAME").unwrap_or("pv").to_owned(),
            dropped: Counter::default(),
        })
    }

    /// The number of spans that were not delivered.
    pub(crate) fn dropped(&self) -> &Counter {
        &self.dropped
    }

    /// Sends what happens from now on, until `stop` is ready; then what is left, within a bound.
    pub fn export(self, engine: Arc<Engine>, stop: impl Future<Output = ()> + Send) -> impl Future<Output = ()> + Send {
        // Before the first poll, so that "now" is the call.
        let (queue, batches) = mpsc::channel(QUEUE);
        let reader = Reader::new(engine.store(), queue, self.dropped.clone());
        let events = engine.live().listen();
        self.follow((reader, batches), engine, events, stop)
    }

    async fn follow(
        self,
        (mut reader, batches): (Reader, mpsc::Receiver<Vec<Value>>),
        engine: Arc<Engine>,
        mut events: broadcast::Receiver<EngineEvent>,
        stop: impl Future<Output = ()> + Send,
    ) {
        let sender = tokio::spawn(self.send_all(batches));
        let mut stop = std::pin::pin!(stop);
        loop {
            let is_over = tokio::select! {
                event = events.recv() => match event {
                    Ok(EngineEvent::Changed(_) | EngineEvent::Trouble(_)) => continue,
                    Ok(EngineEvent::Ended { .. } | EngineEvent::Look) | Err(RecvError::Lagged(_)) => false,
                    Err(RecvError::Closed) => true,
                },
                () = &mut stop => true,
            };
            let store = engine.store().clone();
            let read = tokio::task::spawn_blocking(move || {
                let read = reader.read(&store);
                (reader, read)
            });
            let Ok((back, read)) = read.await else { return };
            reader = back;
            if let Err(error) = read {
                tracing::warn!("a trace is incomplete: {error}");
            }
            if is_over {
                break;
            }
        }
        drop(reader);
        tokio::time::timeout(TO_END, sender).await.ok();
    }

    async fn send_all(self, mut batches: mpsc::Receiver<Vec<Value>>) {
        // The client's, which asks for one even without TLS.
        rustls::crypto::ring::default_provider().install_default().ok();
        let client = reqwest::Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none()).build();
        let mut works = true;
        while let Some(spans) = batches.recv().await {
            let count = spans.len() as u64;
            let sent = match &client {
                Ok(client) => self.send(client, spans).await,
                Err(error) => Err(error.to_string()),
            };
            if let Err(why) = &sent {
                self.dropped.inc_by(count);
                // Once, until it works again.
                if works {
                    tracing::warn!("traces are not delivered to {}: {why}", self.url);
                }
            }
            works = sent.is_ok();
        }
    }

    async fn send(&self, client: &reqwest::Client, spans: Vec<Value>) -> Result<(), String> {
        let scope = json!({ "name": "pv", "version": env!("CARGO_PKG_VERSION") });
        let resource = [text("service.name", &self.service), text("service.version", &env!("CARGO_PKG_VERSION"))];
        let body = json!({ "resourceSpans": [{
            "resource": { "attributes": resource },
            "scopeSpans": [{ "scope": scope, "spans": spans }],
        }] });
        let mut request = client.post(&self.url).header("content-type", "application/json").body(body.to_string());
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let response = request.send().await.map_err(|error| error.without_url().to_string())?;
        if response.status().is_success() { Ok(()) } else { Err(format!("it answered {}", response.status())) }
    }
}

/// Makes spans of the records of the journal.
#[derive(Debug)]
struct Reader {
    at: Position,
    queue: mpsc::Sender<Vec<Value>>,
    dropped: Counter,
    /// The last runs whose span was sent.
    sent: VecDeque<RunId>,
}

impl Reader {
    fn new(store: &Store, queue: mpsc::Sender<Vec<Value>>, dropped: Counter) -> Self {
        Self { at: store.position(), queue, dropped, sent: VecDeque::new() }
    }

    /// Queues the spans of jobs and runs that have ended since the last call.
    fn read(&mut self, store: &Store) -> engine::Result<()> {
        while store.position().records > self.at.records {
            let records = store.records_after(self.at, BATCH)?;
            let Some((end, _)) = records.last() else { return Ok(()) };
            self.at = *end;
            for entry in records.iter().flat_map(|(_, record)| &record.entries) {
                if let Entry::Job { pipeline, run, .. } = entry {
                    let run = store.run(run)?;
                    if let Some(job) = store.job(run.order, pipeline)? {
                        let mut spans = spans_of(store, &job)?;
                        spans.extend(self.ended(store, &run)?);
                        self.queue(spans);
                    }
                }
            }
        }
        Ok(())
    }

    /// The span of a run whose jobs have all ended, once.
    fn ended(&mut self, store: &Store, run: &RunRow) -> engine::Result<Option<Value>> {
        let jobs = store.jobs_of_run(run.order)?;
        if self.sent.contains(&run.run) || jobs.iter().any(|job| job.sealed.is_none()) {
            return Ok(None);
        }
        self.sent.push_back(run.run);
        if self.sent.len() > REMEMBERED {
            self.sent.pop_front();
        }
        Ok(Some(run_span(run, &jobs)))
    }

    fn queue(&self, spans: Vec<Value>) {
        let count = spans.len() as u64;
        if self.queue.try_send(spans).is_err() {
            self.dropped.inc_by(count);
        }
    }
}

fn run_span(run: &RunRow, jobs: &[JobRow]) -> Value {
    let end = jobs.iter().filter_map(|job| job.sealed_at).max().unwrap_or(run.created_at);
    let failed = jobs.iter().find(|job| job.sealed != Some(SealedState::Success));
    let attributes = vec![
        text("pv.run", &run.run),
        text("pv.cause", &run.cause.kind.word()),
        text("pv.committer", &run.cause.committer),
        number("pv.jobs", jobs.len() as u64),
    ];
    let why = failed.map(|job| format!("{} did not succeed", job.pipeline));
    span(&run.run, &id(&run.run), None, "run", (run.created_at, end), &attributes, why)
}

/// The span of a job, and those of datums that it executed.
fn spans_of(store: &Store, job: &JobRow) -> engine::Result<Vec<Value>> {
    let name = job_id(&job.pipeline, &job.run);
    let document = job.document.and_then(|digest| store.document::<JobDocument>(&digest).ok());
    let end = job.sealed_at.unwrap_or(job.created_at);
    let start = document.as_ref().and_then(|document| document.started_at);
    let mut attributes = vec![text("pv.job", &name), text("pv.pipeline", &job.pipeline)];
    attributes.push(number("pv.pipeline.version", job.version.into()));
    if let Some(document) = &document {
        let waited = start.unwrap_or(end).seconds_since(job.created_at).max(0.0);
        attributes.push(json!({ "key": "pv.wait_seconds", "value": { "doubleValue": waited } }));
        let counts = [
            ("pv.datums.total", document.datums_total),
            ("pv.datums.processed", document.datums_processed),
            ("pv.datums.cached", document.datums_cached),
            ("pv.datums.failed", document.datums_failed),
            ("pv.datums.recovered", document.datums_recovered),
        ];
        attributes.extend(counts.map(|(name, count)| number(name, count)));
    }
    let why = match job.sealed {
        Some(SealedState::Success) => None,
        _ => Some(document.and_then(|document| document.reason).unwrap_or_else(|| "it did not succeed".to_owned())),
    };
    let parent = Some(id(&job.run));
    let times = (start.unwrap_or(end), end);
    let own = span(&job.run, &id(&name), parent, &format!("job {}", job.pipeline), times, &attributes, why);
    let executed = match job.commit {
        Some(_) => datums(store, None, job, DatumFilter::default())?.take(LOOKED_AT).collect::<engine::Result<_>>()?,
        None => Vec::new(),
    };
    let executed = executed.iter().filter(|datum| datum.state != DatumState::Cached).take(DATUMS);
    Ok([own].into_iter().chain(executed.filter_map(|datum| datum_span(job, &name, datum))).collect())
}

fn datum_span(job: &JobRow, of: &str, datum: &DatumView) -> Option<Value> {
    let (start, end) = (datum.try_details.first()?.started_at, datum.finished_at?);
    let attributes =
        vec![text("pv.datum", &datum.id), text("pv.state", &datum.state), number("pv.tries", datum.tries as u64)];
    let why = (datum.state == DatumState::Failed).then(|| datum.reason.clone().unwrap_or_default());
    let key = id(&format!("{of}/{}", datum.id));
    Some(span(&job.run, &key, Some(id(&of)), "datum", (start, end), &attributes, why))
}

fn span(
    trace: &RunId,
    id: &str,
    parent: Option<String>,
    name: &str,
    (start, end): (Timestamp, Timestamp),
    attributes: &[Value],
    failed: Option<String>,
) -> Value {
    let nanos = |at: Timestamp| (i128::from(at.as_micros()) * 1000).to_string();
    let status = failed.map_or_else(|| json!({ "code": 1 }), |why| json!({ "code": 2, "message": why }));
    let mut span = json!({
        "traceId": trace.to_string(), "spanId": id, "name": name, "kind": 1,
        "startTimeUnixNano": nanos(start), "endTimeUnixNano": nanos(end),
        "attributes": attributes, "status": status,
    });
    if let Some(parent) = parent {
        span["parentSpanId"] = parent.into();
    }
    span
}

/// The id of a span: 16 hex digits of the digest of what it is about.
fn id(of: &impl ToString) -> String {
    let mut digits = digest_of(of.to_string().as_bytes()).to_string();
    digits.truncate(16);
    digits
}

fn text(name: &str, value: &impl ToString) -> Value {
    json!({ "key": name, "value": { "stringValue": value.to_string() } })
}

fn number(name: &str, value: u64) -> Value {
    json!({ "key": name, "value": { "intValue": value.to_string() } })
}
