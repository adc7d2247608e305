//! The tries of a datum: each from a clean state, until one succeeds, none is left, or the error command handles the failure.
//!
//! A memory limit may grow: a try that was killed at it is followed by one with more memory, in a sandbox of its own, and uses up no try of
//! the datum.
//!
//! If the container engine does not answer, a try waits for it up to 10 minutes, which uses up no try of the datum; then the job fails. If
//! the worker on which it runs vanishes, it begins again on another, which uses up none either; after 5 times the datum fails.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use repos::documents::Try;
use repos::{RepoError, Store, Timestamp};
use specs::DatumId;
use specs::spec::MemoryLimit;
use specs::words::exact_size;
use tokio::time::Instant;

use super::datum::DatumContext;
use super::intake::{Intake, Outputs, TakenIn};
use super::seats::{Seat, Seats};
use super::source::StoreSource;
use crate::blocking::blocking;
use crate::datums::InputMatch;
use crate::error::Result;
use crate::feed::{AtWork, Printing, SharedLog};
use crate::recipe::Prepared;
use sandbox::{Console, DatumTask, ExecError, Exit, InputFile, Outcome, Sandbox, SandboxSpec};

/// Number of lost sandboxes that a try survives; then the job fails.
const LOST_SANDBOXES: u32 = 3;
/// Number of vanished workers that a try survives; then its datum fails, which may be the reason why they vanish.
const LOST_WORKERS: u32 = 5;
/// Pause before another sandbox is requested, doubled each time up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// How often it is looked why a sandbox is not open yet.
const BETWEEN_REASONS: Duration = Duration::from_secs(1);
/// How long an executor may be unreachable before the job fails.
const OUTAGE_MAX: Duration = Duration::from_mins(10);

/// The result of a datum's tries.
#[derive(Debug)]
pub(crate) struct Tried {
    /// All tries, at least one.
    pub(crate) tries: Vec<Try>,
    /// The files of the successful try.
    pub(crate) outputs: Option<Outputs>,
    /// Whether the error command handled the failure.
    pub(crate) is_recovered: bool,
}

/// The tries of a datum, not completely stored yet.
pub(super) struct Tries {
    before: Vec<Try>,
    last: Ended,
    is_recovered: bool,
    at_work: AtWork,
}

/// A try that has ended, whose log is not stored yet.
struct Ended {
    exit_code: Option<i32>,
    /// Why it failed, if the exit code does not say it.
    reason: Option<String>,
    log: SharedLog,
    started_at: Timestamp,
    finished_at: Timestamp,
    /// How long its inputs and its output took; absent if it needed no sandbox.
    around: Option<Around>,
    /// The worker on which it ran.
    worker: Option<String>,
    /// Present if it succeeded.
    outputs: Option<TakenIn>,
    /// Whether another try could have a different outcome.
    is_worth_another: bool,
    /// The memory limit that it had, if that may grow.
    memory_bytes: Option<u64>,
    /// Whether it failed because of that limit.
    is_out_of_memory: bool,
}

/// How long a try took before its command and after it.
#[derive(Clone, Copy)]
struct Around {
    pull: Duration,
    take_in: Duration,
}

impl Ended {
    fn why(&self) -> String {
        let code = || self.exit_code.map_or_else(|| "it failed".to_owned(), |code| format!("exit code {code}"));
        self.reason.clone().unwrap_or_else(code)
    }

    fn keep(self, store: &Store, printing: &Printing) -> Result<Try, RepoError> {
        let Self { exit_code, reason, log: printed, started_at, finished_at, around, memory_bytes, worker, .. } = self;
        let log = printed.to_bytes();
        let log = if log.is_empty() { None } else { Some(blocking(|| store.put_log(&log))?) };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (pull_ms, take_in_ms) = around.map(|around| (millis(around.pull), millis(around.take_in))).unzip();
        let tried = Try { exit_code, reason, log, started_at, finished_at, pull_ms, take_in_ms, memory_bytes, worker };
        printing.stored(&tried, &printed);
        Ok(tried)
    }
}

impl Tries {
    /// Stores the log of the last try, and waits until all files are stored. The datum is in progress until its result is stored too.
    pub(super) async fn finish(self, store: &Store) -> Result<(Tried, AtWork)> {
        let Self { before: mut tries, mut last, is_recovered, at_work } = self;
        let outputs = match last.outputs.take() {
            None => None,
            Some(outputs) => {
                let begun = std::time::Instant::now();
                let outputs = outputs.finish().await?;
                if let Some(around) = &mut last.around {
                    around.take_in = around.take_in.saturating_add(begun.elapsed());
                }
                Some(outputs)
            }
        };
        tries.push(last.keep(store, at_work.printing())?);
        Ok((Tried { tries, outputs, is_recovered }, at_work))
    }
}

/// The try that a sandbox may receive meanwhile.
pub(super) type Next<'a> = Pin<Box<dyn Future<Output = Option<Arc<DatumTask>>> + Send + 'a>>;

impl DatumContext {
    /// Seats for a worker, without sandboxes.
    pub(crate) fn seats(&self) -> Seats {
        Seats::new(self.sandbox.clone())
    }

    /// Tries a datum until it succeeds or no try is left. The sandboxes are kept for the next datum.
    pub(crate) async fn try_out(&self, inputs: &[InputMatch], prepared: &Prepared, seats: &mut Seats) -> Result<Tried> {
        let task = Arc::new(blocking(|| self.task(inputs, prepared))?);
        let nothing = Box::pin(std::future::ready(None));
        let tries = self.try_task(&task, &prepared.id, seats, nothing).await?;
        Ok(tries.finish(&self.store).await?.0)
    }

    /// Like [`Self::try_out`]; while the first try runs, the sandbox receives the task from `next`.
    pub(super) async fn try_task(
        &self,
        task: &Arc<DatumTask>,
        datum: &DatumId,
        seats: &mut Seats,
        next: Next<'_>,
    ) -> Result<Tries> {
        let mut next = Some(next);
        let mut before = Vec::new();
        let at_work = self.live.begin(&self.job, *datum);
        let printing = at_work.printing();
        let mut memory_bytes = self.sandbox.resources.memory_bytes;
        let mut counted = 0;
        loop {
            let log = SharedLog::new(self.log_max);
            let seat = seats.with_memory(memory_bytes, &self.pool);
            let mut last = self.one_try(task, &log, printing, seat, &mut next).await?;
            if let Some(more) = self.more_memory(&last) {
                memory_bytes = Some(more);
            } else {
                counted += 1;
                let is_over =
                    last.outputs.is_some() || !last.is_worth_another || counted >= self.pipeline.spec.datum_tries;
                if is_over {
                    let is_recovered = last.outputs.is_none() && self.recover(task, &mut last, printing, seat).await?;
                    return Ok(Tries { before, last, is_recovered, at_work });
                }
            }
            before.push(last.keep(&self.store, printing)?);
        }
    }

    /// The memory limit for the next try, if this one failed because of its limit and that may still grow.
    fn more_memory(&self, last: &Ended) -> Option<u64> {
        let limit = last.memory_bytes.filter(|_| last.is_out_of_memory)?;
        self.memory_limit()?.after(limit)
    }

    fn memory_limit(&self) -> Option<&MemoryLimit> {
        self.pipeline.spec.resource_limits.memory.as_ref()
    }

    /// The task, the same for every try.
    pub(super) fn task(&self, inputs: &[InputMatch], prepared: &Prepared) -> Result<DatumTask, RepoError> {
        let spec = &self.pipeline.spec;
        Ok(DatumTask {
            cmd: self.cmd.clone(),
            stdin: spec.transform.stdin.clone(),
            env: self.environment(inputs, &prepared.id),
            inputs: self.recipes.files(inputs)?,
            timeout: spec.datum_timeout.map(specs::Duration::get),
            accept: spec.transform.accept_return_code.clone(),
            limits: self.limits,
            secret_files: self.confided.files.clone(),
            drops_output: false,
            console: None,
        })
    }

    /// Runs an interactive shell instead of the command, once; returns what is in `/pfs/out` at the end.
    pub(crate) async fn converse(
        &self,
        inputs: &[InputMatch],
        prepared: &Prepared,
        seats: &mut Seats,
        console: Console,
    ) -> Result<Option<Outputs>> {
        let mut task = blocking(|| self.task(inputs, prepared))?;
        task.env.push(("PS1".to_owned(), format!("{} {}$ ", self.pipeline.name(), prepared.id.short(8))));
        let shell = ["sh", "-i"].map(str::to_owned).to_vec();
        // However the last typed command ended, the output is what is there.
        let accept = (0..=255).collect();
        let task = DatumTask { cmd: shell, stdin: Vec::new(), timeout: None, accept, console: Some(console), ..task };
        let nothing = Box::pin(std::future::ready(None));
        let tries = self.try_task(&Arc::new(task), &prepared.id, seats, nothing).await?;
        Ok(tries.finish(&self.store).await?.0.outputs)
    }

    /// Runs the error command, if there is one, after the last try. It sees the same inputs and prints to the same log.
    async fn recover(
        &self,
        task: &Arc<DatumTask>,
        last: &mut Ended,
        printing: &Printing,
        seat: &mut Seat,
    ) -> Result<bool> {
        let transform = &self.pipeline.spec.transform;
        if transform.err_cmd.is_empty() {
            return Ok(false);
        }
        let task = Arc::new(DatumTask {
            cmd: transform.err_cmd.clone(),
            stdin: transform.err_stdin.clone(),
            accept: [].into(),
            drops_output: true,
            ..(**task).clone()
        });
        let ended = self.one_try(&task, &last.log, printing, seat, &mut None).await?;
        let is_recovered = ended.outputs.is_some();
        last.reason = Some(if is_recovered {
            format!("{}; `err_cmd` recovered it", last.why())
        } else {
            format!("{}; `err_cmd` failed too: {}", last.why(), ended.why())
        });
        last.log = ended.log;
        last.finished_at = ended.finished_at;
        // What came between the two commands lies within the whole time.
        last.around = last.around.zip(ended.around).map(|(last, ended)| Around { take_in: ended.take_in, ..last });
        Ok(is_recovered)
    }

    /// One try, whose log continues from `log`; a lost sandbox or worker is replaced a few times, since that is not the datum's fault.
    async fn one_try(
        &self,
        task: &Arc<DatumTask>,
        log: &SharedLog,
        printing: &Printing,
        seat: &mut Seat,
        next: &mut Option<Next<'_>>,
    ) -> Result<Ended> {
        let (mut lost, mut lost_workers) = (0, 0);
        loop {
            let done = self.attempt(task, log.fork(), printing, seat, next).await;
            // A broken sandbox is not fit for another try; closing it may fail just as the try did.
            let broken = if done.is_err() { seat.sandbox.take() } else { None };
            let has_begun = broken.is_some();
            if let Some(broken) = broken {
                self.pool.dispose(broken);
            }
            match done {
                Ok(done) => return Ok(done),
                Err(ExecError::WorkerLost { worker, why }) => {
                    self.pool.dispose_of(&worker);
                    lost_workers += u32::from(has_begun);
                    if lost_workers > LOST_WORKERS {
                        let times = format!("it was begun {lost_workers} times, and each time its worker was lost");
                        return Ok(self.not_run(format!("{times}; the last was `{worker}`: {why}"), log.fork()));
                    }
                    tracing::warn!(
                        "datum {} begins again: worker `{worker}` was lost: {why}",
                        printing.datum().short(12)
                    );
                    if !has_begun {
                        tokio::time::sleep(FIRST_PAUSE).await;
                    }
                }
                Err(error) => {
                    lost += 1;
                    if lost == LOST_SANDBOXES || !is_transient(&error) {
                        return Err(error.into());
                    }
                    tracing::warn!("datum {} is tried again: {error}", printing.datum().short(12));
                    self.wait_for_executor(lost).await?;
                }
            }
        }
    }

    /// Waits a moment, and then until the executor responds: a container engine that is being restarted comes back.
    async fn wait_for_executor(&self, lost: u32) -> Result<(), ExecError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE * (1 << lost);
        let mut has_said = false;
        loop {
            tokio::time::sleep(pause).await;
            match self.pool.executor().check().await {
                Ok(_) => return Ok(()),
                Err(error) if !is_transient(&error) || begun.elapsed() > OUTAGE_MAX => return Err(error),
                Err(error) => {
                    if !std::mem::replace(&mut has_said, true) {
                        tracing::warn!("{error}; waiting for it, {} minutes at most", OUTAGE_MAX.as_secs() / 60);
                    }
                }
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn attempt(
        &self,
        task: &Arc<DatumTask>,
        log: SharedLog,
        printing: &Printing,
        seat: &mut Seat,
        next: &mut Option<Next<'_>>,
    ) -> Result<Ended, ExecError> {
        if let Some(why) = task.inputs.iter().find_map(unnameable) {
            return Ok(self.not_run(format!("the command did not start: {why}"), log));
        }
        let source = StoreSource::new(self.store.clone());
        // A machine may have left, or be about to, since the last datum.
        if let Some(spent) = seat.sandbox.take_if(|sandbox| sandbox.spent_by().is_some()) {
            self.pool.dispose(spent);
        }
        let sandbox = match &mut seat.sandbox {
            Some(sandbox) => sandbox,
            none => none.insert(self.take_sandbox(&seat.spec).await?),
        };
        let limit = seat.spec.resources.memory_bytes;
        let may_grow = sandbox.has_memory_limit() && self.memory_limit().is_some_and(MemoryLimit::can_grow);
        let worker = sandbox.worker().map(ToOwned::to_owned);
        let mut intake = Intake::new(&self.store, &task.inputs, log, &self.mask, printing);
        let outcome = match next.take() {
            Some(next) => sandbox.run_before(task, &source, &mut intake, next).await?,
            None => sandbox.run_before(task, &source, &mut intake, std::future::ready(None)).await?,
        };
        repos::stop_at("datum.after_intake");
        if let Some(spent) = seat.sandbox.take_if(|sandbox| sandbox.spent_by().is_some()) {
            self.pool.dispose_spent(spent);
        }
        let (log, outputs) = intake.finish();
        let around = Around { pull: outcome.pull_time, take_in: outcome.take_in_time };
        let finished_at = earlier(self.store.clock().now(), outcome.since.saturating_add(around.take_in));
        let started_at = earlier(finished_at, outcome.process_time);
        let is_accepted = matches!(outcome.exit, Exit::Code(code) if task.accepts(code));
        let exit_code = match &outcome.exit {
            Exit::Code(code) => Some(*code),
            Exit::BadOutput { .. } | Exit::TouchedInput { .. } => Some(0),
            Exit::Signal(_) | Exit::TimedOut | Exit::NotStarted { .. } => None,
        };
        Ok(Ended {
            exit_code,
            reason: if is_accepted { None } else { self.reason(&outcome, limit).map(|reason| self.mask.text(reason)) },
            log,
            started_at,
            finished_at,
            around: Some(around),
            worker,
            is_worth_another: !is_accepted && !matches!(outcome.exit, Exit::NotStarted { .. }),
            memory_bytes: limit.filter(|_| may_grow),
            is_out_of_memory: !is_accepted && was_killed_for_memory(&outcome),
            outputs: is_accepted.then_some(outputs),
        })
    }

    /// A warm sandbox, or else a new one. Whoever waits for a worker has no slot meanwhile, so that datums which suit another worker run.
    async fn take_sandbox(&self, spec: &Arc<SandboxSpec>) -> Result<Sandbox, ExecError> {
        if let Some(warm) = self.pool.take_warm(spec) {
            return Ok(warm);
        }
        let opened = self.pool.open(spec, &self.store);
        if !self.pool.may_wait() {
            return opened.await;
        }
        let _opening = self.live.opens(&self.job);
        let opened = async {
            tokio::select! {
                opened = opened => opened,
                never = self.say_what_it_awaits(spec) => match never {},
            }
        };
        match &self.slots {
            Some(slots) => slots.lend(opened).await,
            None => opened.await,
        }
    }

    /// Shows why the sandboxes of the job are not open yet, as far as the executor knows.
    async fn say_what_it_awaits(&self, spec: &SandboxSpec) -> Infallible {
        loop {
            tokio::time::sleep(BETWEEN_REASONS).await;
            self.live.awaits(&self.job, self.pool.executor().awaits(spec));
        }
    }

    /// A try that did not run to its end, for this reason, and must not be repeated.
    fn not_run(&self, reason: String, log: SharedLog) -> Ended {
        let now = self.store.clock().now();
        Ended {
            exit_code: None,
            reason: Some(reason),
            log,
            started_at: now,
            finished_at: now,
            around: None,
            worker: None,
            outputs: None,
            is_worth_another: false,
            memory_bytes: None,
            is_out_of_memory: false,
        }
    }

    /// Why a try failed at its memory limit; for a limit that has grown as far as it may, also what to change.
    fn out_of_memory(&self, limit: u64) -> String {
        let shown = exact_size(limit);
        match self.memory_limit() {
            Some(memory) if memory.can_grow() && memory.after(limit).is_none() => {
                format!("out of memory: limit {shown}, the most that `resource_limits.memory` allows; raise its `max`")
            }
            _ => format!("out of memory: limit {shown}"),
        }
    }

    /// Why a try failed, if its exit code alone does not say it.
    fn reason(&self, outcome: &Outcome, memory_bytes: Option<u64>) -> Option<String> {
        match &outcome.exit {
            _ if was_killed_for_memory(outcome) => Some(self.out_of_memory(memory_bytes.unwrap_or_default())),
            Exit::Code(_) => None,
            Exit::Signal(signal) => Some(format!("ended by signal {signal}")),
            Exit::TimedOut => {
                let limit = self.pipeline.spec.datum_timeout;
                let shown = limit.map(|limit| limit.to_string()).unwrap_or_default();
                let is_intake = limit.is_some_and(|limit| outcome.process_time < limit.get());
                let what = if is_intake { "the command ended, but storing its output" } else { "it" };
                Some(format!("{what} took longer than `datum_timeout` allows: {shown}"))
            }
            Exit::NotStarted { why } => Some(format!("the command did not start: {why}")),
            // Stages choose both: a line break must not produce lines that look like pv's own.
            Exit::BadOutput { path, why } => {
                Some(format!("its output `{}` cannot be stored: {}", path.escape_debug(), why.escape_debug()))
            }
            Exit::TouchedInput { path } => Some(format!("it changed its input `{path}`")),
        }
    }
}

/// Whether a command ended because the kernel killed a process of it at the memory limit.
fn was_killed_for_memory(outcome: &Outcome) -> bool {
    outcome.out_of_memory && matches!(outcome.exit, Exit::Code(_) | Exit::Signal(_))
}

/// A point in time before another, by so much.
fn earlier(at: Timestamp, time: Duration) -> Timestamp {
    Timestamp::from_micros(at.as_micros().saturating_sub(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)))
}

/// Why an input cannot be a file below `/pfs`: old commits may contain such paths.
fn unnameable(input: &InputFile) -> Option<String> {
    const PATH_MAX: usize = 4096;
    let part = input.path.split('/').any(|part| part.len() > specs::MAX_PART_BYTES);
    let whole = "/pfs/".len() + input.path.len() >= PATH_MAX;
    let why = match (part, whole) {
        (true, _) => "a part of its path is longer than 255 bytes",
        (_, true) => "its path is longer than 4,095 bytes",
        _ => return None,
    };
    Some(format!("its input `/pfs/{}` cannot be created: {why}", input.path))
}

/// Whether another sandbox may succeed.
fn is_transient(error: &ExecError) -> bool {
    match error {
        ExecError::SandboxLost { .. }
        | ExecError::WorkerLost { .. }
        | ExecError::Docker { .. }
        | ExecError::NotAnswering { .. } => true,
        ExecError::PermissionDenied { .. }
        | ExecError::SandboxRefused { .. }
        | ExecError::ImageNotFound { .. }
        | ExecError::ImageGone { .. }
        | ExecError::PullFailed { .. }
        | ExecError::Unsuited { .. }
        | ExecError::NoBridge { .. }
        | ExecError::NoWorker { .. }
        | ExecError::OnWorker { .. }
        | ExecError::JoinRefused { .. }
        | ExecError::Cluster { .. }
        | ExecError::Io { .. }
        | ExecError::Caller { .. } => false,
    }
}
