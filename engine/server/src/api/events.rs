//! Events: what happens in the store, as it happens.

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ::repos::Store;
use ::repos::journal::{Position, Record};
use answers::event::{EventView, Happened};
use answers::job::{JobView, job_view, live_job};
use answers::logs::LogView;
use answers::named::find_job;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use engine::live::{EngineEvent, JobKey};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{JobRef, PipelineName, RepoName, RunId};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tracing::Instrument;

use super::event_logs::Followed;
use crate::app::App;
use crate::caller::Call;
use crate::events::{BATCH, Recorded};
use crate::lists::NDJSON;
use crate::operation::{Description, Operation, Part, Place, get};
use crate::parts::Query;
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![get("/events", ("listenToEvents", "Follow what happens in the store"), listen)]
}

/// How often a listener hears that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How often the progress of a job is reported.
const PROGRESS: Duration = Duration::from_millis(500);
/// Events that wait for a slow listener before it is read from the journal.
const WAITING: usize = 64;

const SSE: &str = "text/event-stream";

/// Which events are wanted.
#[derive(Debug, Deserialize, JsonSchema)]
struct Which {
    /// Start after the event with this id; 0 for all; absent: with the next one. The header `Last-Event-ID` counts more.
    #[serde(default)]
    after: Option<u64>,
    /// End after this many events.
    #[serde(default)]
    limit: Option<NonZeroU64>,
    /// Only events about this repository.
    #[serde(default)]
    repo: Option<RepoName>,
    /// Only events about this pipeline.
    #[serde(default)]
    pipeline: Option<PipelineName>,
    /// Only events of this run.
    #[serde(default)]
    run: Option<RunId>,
    /// Only events of this job.
    #[serde(default)]
    job: Option<JobRef>,
    /// Also report the progress of jobs, as events of the type `progress` without an id.
    #[serde(default)]
    progress: bool,
    /// Also tell what running jobs print, from their start in this server, as events of the type `log` without an id.
    #[serde(default)]
    logs: bool,
}

impl Which {
    /// Whether every change is wanted.
    fn is_all(&self) -> bool {
        self.job.is_none() && self.repo.is_none() && self.pipeline.is_none() && self.run.is_none()
    }

    /// The id of the only job, if one is named.
    fn only(&mut self, store: &Store) -> Result<()> {
        if let Some(job) = &self.job {
            let row = find_job(store, job)?;
            let whole = engine::live::job_id(&row.pipeline, &row.run);
            self.job =
                Some(whole.parse().map_err(|_| Problem::usage(format!("`{whole}` is not a job"), "`GET jobs`"))?);
        }
        Ok(())
    }

    fn fits_id(&self, id: impl FnOnce() -> String) -> bool {
        self.job.as_ref().is_none_or(|job| job.to_string() == id())
    }

    /// Whether a job that runs, or ran, is wanted.
    fn fits_key(&self, key: &JobKey, run: &RunId) -> bool {
        self.pipeline.as_ref().is_none_or(|pipeline| key.pipeline == *pipeline)
            && self.run.as_ref().is_none_or(|of| of == run)
            && self.repo.as_ref().is_none_or(|repo| key.pipeline.output_repo() == *repo)
            && self.fits_id(|| engine::live::job_id(&key.pipeline, run))
    }

    fn fits(&self, change: &Happened) -> bool {
        self.job.as_ref().is_none_or(|job| change.is_about_job(&job.to_string()))
            && self.repo.as_ref().is_none_or(|repo| change.is_about_repo(repo))
            && self.pipeline.as_ref().is_none_or(|pipeline| change.is_about_pipeline(pipeline))
            && self.run.as_ref().is_none_or(|run| change.is_of_run(run))
    }

    fn fits_job(&self, job: &JobView) -> bool {
        self.pipeline.as_ref().is_none_or(|pipeline| job.pipeline == *pipeline)
            && self.run.as_ref().is_none_or(|run| job.run == *run)
            && self.repo.as_ref().is_none_or(|repo| job.pipeline.output_repo() == *repo)
            && self.fits_id(|| engine::live::job_id(&job.pipeline, &job.run))
    }
}

/// Where a listener was cut off, and the form that it reads.
#[derive(Debug)]
struct Form {
    last: Option<u64>,
    is_lines: bool,
}

impl FromRequestParts<App> for Form {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        let text = |name: &HeaderName| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let last = text(&HeaderName::from_static("last-event-id")).map(str::parse).transpose();
        let wrong = |_| Problem::usage("`Last-Event-ID` is not the id of an event", "ids are numbers");
        Ok(Self {
            last: last.map_err(wrong)?,
            is_lines: text(&header::ACCEPT).is_some_and(|accept| accept.contains(NDJSON)),
        })
    }
}

/// The header that [`Form`] reads.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
struct FormHeader {
    /// The id of the last event that was received.
    #[schemars(rename = "Last-Event-ID")]
    last: Option<u64>,
}

impl Part for Form {
    fn describe(of: &mut Description<'_>) {
        of.parameters::<FormHeader>(Place::Header);
    }
}

/// A stream of events.
struct Stream(Body, &'static str);

impl IntoResponse for Stream {
    fn into_response(self) -> Response {
        let mut response = self.0.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.1));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        response
    }
}

impl Part for Stream {
    fn describe(of: &mut Description<'_>) {
        let event = of.schemas.subschema_for::<EventView>();
        of.schemas.subschema_for::<JobView>();
        of.schemas.subschema_for::<LogView>();
        let sent = schemars::json_schema!({
            "type": "object",
            "properties": {
                "id": { "type": "string", "pattern": "^[0-9]+$" },
                "event": { "type": "string" },
                "data": { "type": "string", "contentMediaType": "application/json", "contentSchema": event },
            },
            "required": ["event", "data"],
        });
        of.answers.push((StatusCode::OK, "Events, as they happen", vec![(SSE, sent), (NDJSON, event)]));
    }
}

async fn listen(call: Call, Query(mut which): Query<Which>, form: Form) -> Result<Stream> {
    let heard = call.events();
    let after = form.last.or(which.after);
    let (from, which) = call
        .ask(move |store, _| {
            which.only(store)?;
            Ok::<_, Problem>((after.map_or_else(|| Ok(store.position()), |after| store.position_after(after))?, which))
        })
        .await?;
    let (send, mut pieces) = mpsc::channel(WAITING);
    let is_lines = form.is_lines;
    let (store, followed) = (call.store(), Arc::default());
    let listener = Listener { store, call, which, is_lines, send, at: from, sent: 0, followed };
    // It runs whenever its connection takes more: a task of its own would be woken beside the connection's for each event.
    let mut running = Some(Box::pin(listener.run(heard).in_current_span()));
    let body = Body::from_stream(futures_util::stream::poll_fn(move |cx| {
        if running.as_mut().is_some_and(|running| running.as_mut().poll(cx).is_ready()) {
            running = None;
        }
        pieces.poll_recv(cx).map(|piece: Option<Bytes>| piece.map(Ok::<_, std::convert::Infallible>))
    }));
    Ok(Stream(body, if is_lines { NDJSON } else { SSE }))
}

/// One who listens.
struct Listener {
    call: Call,
    store: Store,
    which: Which,
    is_lines: bool,
    send: mpsc::Sender<Bytes>,
    /// The position after the last record that was sent or left out.
    at: Position,
    sent: u64,
    /// The jobs whose output is wanted.
    followed: Arc<Mutex<Followed>>,
}

async fn stopped(stopping: &mut watch::Receiver<bool>) {
    stopping.wait_for(|is_stopping| *is_stopping).await.ok();
}

/// The listener has gone, or has all that it wanted.
struct Over;

impl Listener {
    async fn run(mut self, mut heard: broadcast::Receiver<Recorded>) {
        let mut live = self.call.live_events();
        let mut stopping = self.call.stopping();
        let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        let mut progress = tokio::time::interval(PROGRESS);
        progress.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut changed = BTreeSet::new();
        self.meet_all();
        if self.begin().await.is_err() || self.catch_up().await.is_err() {
            return;
        }
        loop {
            let done = tokio::select! {
                () = self.send.closed() => Err(Over),
                () = stopped(&mut stopping) => Err(Over),
                record = heard.recv() => match record {
                    Ok(record) => self.hear(&record).await,
                    Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up().await,
                    Err(broadcast::error::RecvError::Closed) => Err(Over),
                },
                event = live.recv(), if self.which.progress || self.which.logs => {
                    if let Ok(event) = event {
                        changed.extend(self.notice(event));
                    }
                    Ok(())
                }
                _ = progress.tick(), if !changed.is_empty() || self.has_logs() => {
                    let jobs = std::mem::take(&mut changed);
                    match self.tell_logs().await {
                        Ok(()) => self.report(jobs).await,
                        over => over,
                    }
                }
                _ = heartbeat.tick() => self.beat().await,
            };
            if done.is_err() {
                return;
            }
        }
    }

    /// Sends the first bytes, so that the listener knows that it is connected.
    async fn begin(&mut self) -> Result<(), Over> {
        self.beat().await
    }

    async fn beat(&mut self) -> Result<(), Over> {
        let beat = if self.is_lines { "\n" } else { ":\n\n" };
        self.pass(Bytes::from_static(beat.as_bytes())).await
    }

    /// Sends something, while the token is valid.
    async fn pass(&self, piece: Bytes) -> Result<(), Over> {
        self.call.ensure_still_valid().map_err(|_| Over)?;
        self.send.send(piece).await.map_err(|_| Over)
    }

    /// A record that was passed on: the next one, or one that is known already, or one after a gap.
    async fn hear(&mut self, recorded: &Recorded) -> Result<(), Over> {
        let after = recorded.after;
        match after.records {
            number if number <= self.at.records => Ok(()),
            number if number == self.at.records + 1 && self.which.is_all() && !self.store.is_limited() => {
                self.at = after;
                let form = |record: &Record| self.form(&EventView::of(after.records, record));
                match recorded.whole(self.is_lines, form) {
                    Some(piece) => self.pass_event(piece).await,
                    None => Ok(()),
                }
            }
            number if number == self.at.records + 1 => {
                let mut record = recorded.record.clone();
                self.store.retain_seen(&mut record.entries);
                self.tell(after, &record).await
            }
            _ => self.catch_up().await,
        }
    }

    /// Reads from the journal up to its end.
    async fn catch_up(&mut self) -> Result<(), Over> {
        loop {
            let (store, from) = (self.store.clone(), self.at);
            let read = tokio::task::spawn_blocking(move || store.records_after(from, BATCH)).await;
            let records = match read {
                Ok(Ok(records)) => records,
                // The listener comes back with the last id that it has.
                Ok(Err(error)) => {
                    tracing::warn!("a listener is cut off, because the journal cannot be read: {error}");
                    return Err(Over);
                }
                Err(_) => return Err(Over),
            };
            let is_end = records.len() < BATCH;
            for (after, record) in records {
                self.tell(after, &record).await?;
            }
            if is_end {
                return Ok(());
            }
        }
    }

    async fn tell(&mut self, after: Position, record: &Record) -> Result<(), Over> {
        self.at = after;
        let mut event = EventView::of(after.records, record);
        event.changes.retain(|change| self.which.fits(change));
        match self.form(&event) {
            Some(piece) => self.pass_event(piece).await,
            None => Ok(()),
        }
    }

    /// An event as it is sent; `None` if nothing has happened.
    fn form(&self, event: &EventView) -> Option<Bytes> {
        (!event.changes.is_empty()).then(|| self.piece(Some(event.id), "change", event))
    }

    async fn pass_event(&mut self, piece: Bytes) -> Result<(), Over> {
        self.pass(piece).await?;
        self.sent += 1;
        if self.which.limit.map(NonZeroU64::get) == Some(self.sent) { Err(Over) } else { Ok(()) }
    }

    /// Follows the jobs that run already.
    fn meet_all(&self) {
        if self.which.logs {
            let engine = self.call.engine();
            engine.live().all().keys().for_each(|key| self.meet(key));
        }
    }

    fn meet(&self, key: &JobKey) {
        let engine = self.call.engine();
        let Some(job) = engine.live().job(key) else { return };
        if self.store.sees_pipeline(&key.pipeline) && self.which.fits_key(key, &job.run) {
            self.followed().meet(engine.live(), key);
        }
    }

    /// Something happened in the engine; returns a job whose progress is wanted.
    fn notice(&self, event: EngineEvent) -> Option<JobKey> {
        match event {
            EngineEvent::Changed(job) => {
                if self.which.logs {
                    self.meet(&job);
                }
                self.which.progress.then_some(job)
            }
            EngineEvent::Ended { job, run, .. } => {
                let is_wanted = self.store.sees_pipeline(&job.pipeline) && self.which.fits_key(&job, &run);
                if self.which.logs && is_wanted {
                    self.followed().end(job, run);
                }
                None
            }
            EngineEvent::Look | EngineEvent::Trouble(_) => None,
        }
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        self.followed.lock().expect("no panic under this lock")
    }

    fn has_logs(&self) -> bool {
        self.which.logs && !self.followed().is_idle()
    }

    async fn tell_logs(&mut self) -> Result<(), Over> {
        if !self.has_logs() {
            return Ok(());
        }
        let followed = self.followed.clone();
        let views = self
            .call
            .ask(move |store, _| Ok::<_, Problem>(followed.lock().expect("no panic under this lock").look(store)));
        // A busy server tells later.
        for view in views.await.unwrap_or_default() {
            self.pass(self.piece(None, "log", &view)).await?;
        }
        Ok(())
    }

    async fn report(&mut self, jobs: BTreeSet<JobKey>) -> Result<(), Over> {
        if jobs.is_empty() {
            return Ok(());
        }
        let views = self.call.ask(move |store, live| {
            let rows = jobs.iter().map(|job| store.job(job.order, &job.pipeline));
            let rows = rows.collect::<std::result::Result<Vec<_>, _>>()?;
            rows.iter()
                .flatten()
                .map(|row| job_view(store, row, live_job(Some(live), row).as_ref()))
                .collect::<engine::Result<Vec<_>>>()
        });
        for view in views.await.unwrap_or_default() {
            if self.which.fits_job(&view) {
                self.pass(self.piece(None, "progress", &view)).await?;
            }
        }
        Ok(())
    }

    fn piece(&self, id: Option<u64>, name: &str, event: &impl Serialize) -> Bytes {
        let json = serde_json::to_string(event).expect("events have a JSON form");
        let text = match id {
            _ if self.is_lines => json + "\n",
            Some(id) => format!("id: {id}\nevent: {name}\ndata: {json}\n\n"),
            None => format!("event: {name}\ndata: {json}\n\n"),
        };
        text.into()
    }
}
