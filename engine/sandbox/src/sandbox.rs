//! A sandbox and its tries: the engine's half of the conversation with the agent, for every executor.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::Notify;

use super::connection::{Connection, Incoming, Outgoing, Said, SendError};
use super::held::{Delivery, Held};
use super::{Console, DatumTask, Event, EventSink, ExecError, Exit, FileSource, InputFile, Outcome};
use crate::protocol::{FileHeader, FromAgent, MAX_DATA, Report, Settings, ToAgent, Try, VERSION};

/// Ends the process or container around an agent.
#[async_trait]
pub(super) trait Guard: Send + Sync {
    /// Waits for an agent that ended by itself; `None` if it does not end, or its exit code is unknown.
    async fn exit_code(&mut self) -> Option<i32>;

    /// Called after the agent's input was closed: waits for its end, or enforces it, and removes what it leaves.
    async fn end(self: Box<Self>) -> Result<(), ExecError>;
}

/// A try that a sandbox may receive while another runs.
pub(super) type Next<'a> = Pin<Box<dyn Future<Output = Option<Arc<DatumTask>>> + Send + 'a>>;

/// A sandbox on another machine; the methods are those of [`Sandbox`].
#[async_trait]
pub(super) trait Elsewhere: Send {
    /// Name of the worker that runs it.
    fn worker(&self) -> &str;

    async fn run_before(
        &mut self,
        task: &Arc<DatumTask>,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
        next: Next<'_>,
    ) -> Result<Outcome, ExecError>;

    fn has_memory_limit(&self) -> bool;

    fn is_clean(&self) -> bool;

    fn spent_by(&self) -> Option<&str>;

    async fn close(self: Box<Self>) -> Result<(), ExecError>;
}

/// A place in which commands run, one try after another, each from a clean state.
///
/// Call `close` when done. If it is only dropped, the agent ends too, but its leftovers stay until the next clean-up.
pub struct Sandbox(Place);

enum Place {
    /// Its agent is connected to this process.
    Here(Box<Local>),
    Elsewhere(Box<dyn Elsewhere>),
}

/// A sandbox whose agent is connected to this process.
struct Local {
    connection: Connection,
    guard: Box<dyn Guard>,
    /// Why no further try may run here; also set during a try, so that a try dropped halfway is noticed.
    lost: Option<String>,
    held: Held,
    /// The try announced while the last one ran.
    staged: Option<Staged>,
    has_memory_limit: bool,
    /// The worker that it is on, if it is not on this machine.
    worker: Option<String>,
}

/// A try whose inputs the agent has, but not the command to start.
struct Staged {
    task: Arc<DatumTask>,
    /// Whether it uses files kept from the previous try.
    takes_kept: bool,
    /// How long its files were read. Sending them may have waited for the command before it, so that does not count.
    reading: Duration,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spent_by = self.spent_by();
        f.debug_struct("Sandbox").field("worker", &self.worker()).field("spent_by", &spent_by).finish_non_exhaustive()
    }
}

impl Sandbox {
    /// Greets the agent and lays out `code`.
    pub(super) async fn start(
        mut connection: Connection,
        guard: Box<dyn Guard>,
        settings: Settings,
        code: &[InputFile],
        files: &dyn FileSource,
    ) -> Result<Self, (ExecError, Box<dyn Guard>)> {
        let has_memory_limit = settings.has_memory_limit;
        match greet(&mut connection, settings, code, files).await {
            Ok(()) => {
                let local = Local {
                    connection,
                    guard,
                    lost: None,
                    held: Held::default(),
                    staged: None,
                    has_memory_limit,
                    worker: None,
                };
                Ok(Self(Place::Here(Box::new(local))))
            }
            Err(error) => Err((error, guard)),
        }
    }

    /// The same, as one of a worker: if it is lost, the worker is.
    #[cfg(any(test, feature = "testing"))]
    pub(super) fn on_worker(mut self, worker: Option<String>) -> Self {
        if let Place::Here(local) = &mut self.0 {
            local.worker = worker;
        }
        self
    }

    /// A sandbox that a worker has opened.
    pub(super) fn elsewhere(sandbox: Box<dyn Elsewhere>) -> Self {
        Self(Place::Elsewhere(sandbox))
    }

    /// Name of the worker that runs it; `None` if this process does.
    pub fn worker(&self) -> Option<&str> {
        match &self.0 {
            Place::Here(local) => local.worker.as_deref(),
            Place::Elsewhere(sandbox) => Some(sandbox.worker()),
        }
    }

    /// Runs one try: `/pfs` contains exactly its inputs, `/pfs/out` is empty, everything else is as in the image, and no process of an
    /// earlier try is left. What the try leaves besides its output may make the sandbox unfit for another ([`Sandbox::spent_by`]).
    ///
    /// Faults of the command are in the outcome; an error means that it could not be run or watched, and that the sandbox is lost.
    pub async fn run(
        &mut self,
        task: &DatumTask,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
    ) -> Result<Outcome, ExecError> {
        self.run_before(&Arc::new(task.clone()), files, events, std::future::ready(None)).await
    }

    /// Runs one try; meanwhile the sandbox receives the inputs of the try from `next`, which is started by the next call if that asks for
    /// it.
    pub async fn run_before(
        &mut self,
        task: &Arc<DatumTask>,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
        next: impl Future<Output = Option<Arc<DatumTask>>> + Send,
    ) -> Result<Outcome, ExecError> {
        match &mut self.0 {
            Place::Here(local) => {
                let done = local.run_before(task, files, events, next).await;
                done.map_err(|error| match (error, &local.worker) {
                    (ExecError::SandboxLost { why }, Some(worker)) => {
                        ExecError::WorkerLost { worker: worker.clone(), why }
                    }
                    (error, _) => error,
                })
            }
            Place::Elsewhere(sandbox) => sandbox.run_before(task, files, events, Box::pin(next)).await,
        }
    }

    /// Whether no announced try is pending, and another try may run.
    pub fn is_clean(&self) -> bool {
        match &self.0 {
            Place::Here(local) => local.staged.is_none() && local.lost.is_none(),
            Place::Elsewhere(sandbox) => sandbox.is_clean(),
        }
    }

    /// Why no other try may run in it: the last one did not end, or left something that another would notice.
    pub fn spent_by(&self) -> Option<&str> {
        match &self.0 {
            Place::Here(local) => local.lost.as_deref(),
            Place::Elsewhere(sandbox) => sandbox.spent_by(),
        }
    }

    /// Whether it has a memory limit that is enforced.
    pub fn has_memory_limit(&self) -> bool {
        match &self.0 {
            Place::Here(local) => local.has_memory_limit,
            Place::Elsewhere(sandbox) => sandbox.has_memory_limit(),
        }
    }

    /// Ends the sandbox and everything in it.
    pub async fn close(self) -> Result<(), ExecError> {
        match self.0 {
            Place::Here(local) => {
                let Local { connection, guard, .. } = *local;
                connection.close().await;
                guard.end().await
            }
            Place::Elsewhere(sandbox) => sandbox.close().await,
        }
    }
}

impl Local {
    async fn run_before(
        &mut self,
        task: &Arc<DatumTask>,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
        next: impl Future<Output = Option<Arc<DatumTask>>> + Send,
    ) -> Result<Outcome, ExecError> {
        if let Some(why) = self.lost.replace("an earlier try in it did not end".to_owned()) {
            return Err(ExecError::SandboxLost { why });
        }
        let Self { connection, held, staged, .. } = self;
        let announced = match staged.take() {
            Some(other) if !Arc::ptr_eq(&other.task, task) => {
                // The agent discards it, with all kept files.
                held.forget();
                None
            }
            staged => staged.map(|staged| staged.reading),
        };
        let asked = Instant::now();
        if let Err(error) = go(&mut connection.outgoing, held, task, announced.is_some(), files).await {
            return Err(connection.explain(error).await);
        }
        let sending = announced.unwrap_or_default() + asked.elapsed();
        let mut over = None;
        let mut output = Output { events, storing: Duration::ZERO };
        let ended = Notify::new();
        let stage = async {
            if let Some(console) = &task.console {
                type_in(&mut connection.outgoing, console, &ended).await?;
            }
            let Some(next) = next.await else { return Ok(None) };
            let staged = announce(&mut connection.outgoing, held, &next, files).await?;
            connection.outgoing.flush().await?;
            Ok(Some(staged))
        };
        let ends = |_: &Result<Report, ExecError>| {
            over = Some(Instant::now());
            ended.notify_one();
        };
        let (report, staged_now) = both(receive(&mut connection.incoming, &mut output).inspect(ends), stage).await;
        let report = report?;
        *staged = match staged_now {
            Ok(staged_now) => staged_now,
            Err(error) => return Err(connection.explain(error).await),
        };
        if !report.kept {
            held.forget();
            if let Some(useless) = staged.take_if(|staged| staged.takes_kept) {
                // A file it counted on was changed and removed: announce it again, with all its files.
                let again = async {
                    let again = announce(&mut connection.outgoing, held, &useless.task, files).await?;
                    connection.outgoing.flush().await?;
                    Ok::<_, SendError>(again)
                };
                *staged = match again.await {
                    Ok(again) => Some(Staged { takes_kept: false, ..again }),
                    Err(error) => return Err(connection.explain(error).await),
                };
            }
        }
        self.lost = report.left.map(|left| format!("an earlier try in it left {left}"));
        Ok(Outcome {
            exit: report.exit,
            pull_time: sending.max(Duration::from_micros(report.prepare_micros)),
            process_time: Duration::from_micros(report.process_micros),
            take_in_time: output.storing.max(Duration::from_micros(report.take_in_micros)),
            since: over.map_or(Duration::ZERO, |over| over.elapsed()),
            out_of_memory: report.out_of_memory,
        })
    }
}

/// Forwards what is typed at a command until the command has ended.
async fn type_in(outgoing: &mut Outgoing, console: &Console, ended: &Notify) -> Result<(), SendError> {
    loop {
        let typed = tokio::select! {
            () = ended.notified() => return Ok(()),
            typed = console.next() => typed,
        };
        let is_over = typed.is_none();
        outgoing.message(&typed.map_or(ToAgent::EndInput, ToAgent::Input)).await?;
        outgoing.flush().await?;
        if is_over {
            return Ok(());
        }
    }
}

/// Waits for both, but not for the second if the first fails: a dead agent receives nothing more.
async fn both<T, U>(
    first: impl Future<Output = Result<T, ExecError>>,
    second: impl Future<Output = Result<Option<U>, SendError>>,
) -> (Result<T, ExecError>, Result<Option<U>, SendError>) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    tokio::select! {
        done = &mut first => match done {
            Ok(done) => (Ok(done), second.await),
            failed => (failed, Ok(None)),
        },
        staged = &mut second => (first.await, staged),
    }
}

/// Announces a try unless that is done, and starts it.
async fn go(
    outgoing: &mut Outgoing,
    held: &mut Held,
    task: &Arc<DatumTask>,
    is_announced: bool,
    files: &dyn FileSource,
) -> Result<(), SendError> {
    if !is_announced {
        announce(outgoing, held, task, files).await?;
    }
    repos::stop_at("datum.after_staging");
    outgoing.message(&ToAgent::Go).await?;
    outgoing.flush().await
}

/// Announces a try to the agent and sends its inputs.
async fn announce(
    outgoing: &mut Outgoing,
    held: &mut Held,
    task: &Arc<DatumTask>,
    files: &dyn FileSource,
) -> Result<Staged, SendError> {
    outgoing.message(&ToAgent::Begin(Box::new(describe(task)))).await?;
    let (mut takes_kept, mut reading) = (false, Duration::ZERO);
    let before = held.begin(&task.inputs);
    for (input, place) in task.inputs.iter().zip(before) {
        match place {
            Delivery::Kept => {
                takes_kept = true;
                outgoing.message(&ToAgent::Same { path: input.path.clone() }).await?;
            }
            Delivery::Sent { keep } => reading += send_file(outgoing, input, keep, files).await?,
        }
    }
    Ok(Staged { task: task.clone(), takes_kept, reading })
}

/// Where the events of a try go, and how long that took for those of its output.
struct Output<'a> {
    events: &'a mut dyn EventSink,
    storing: Duration,
}

impl Output<'_> {
    async fn store(&mut self, event: Event) -> Result<(), ExecError> {
        let begun = Instant::now();
        let stored = self.events.event(event).await;
        self.storing += begun.elapsed();
        stored
    }
}

async fn receive(incoming: &mut Incoming, output: &mut Output<'_>) -> Result<Report, ExecError> {
    loop {
        match incoming.next().await? {
            Said::Data(bytes) => output.events.event(Event::Log(bytes)).await?,
            Said::Message(FromAgent::File(header)) => {
                if let Some(cut_off) = receive_file(incoming, header, output).await? {
                    return Ok(cut_off);
                }
            }
            Said::Message(FromAgent::Link { path, input }) => {
                output.store(Event::Link { path: format!("/{path}"), input }).await?;
            }
            Said::Message(FromAgent::Done(report)) => return Ok(report),
            Said::Message(FromAgent::Broken { why }) => return Err(ExecError::SandboxLost { why }),
            Said::Message(FromAgent::Ready { .. }) => return Err(out_of_turn()),
        }
    }
}

/// Receives a file; returns the end of the try if that came before the end of the file.
async fn receive_file(
    incoming: &mut Incoming,
    header: FileHeader,
    output: &mut Output<'_>,
) -> Result<Option<Report>, ExecError> {
    let FileHeader { path, size_bytes, executable } = header;
    output.store(Event::File { path: format!("/{path}"), size_bytes, executable }).await?;
    repos::stop_at("datum.in_intake");
    let mut left = size_bytes;
    while left > 0 {
        match incoming.next().await? {
            Said::Data(bytes) if bytes.len() as u64 <= left => {
                left -= bytes.len() as u64;
                output.store(Event::Data(bytes)).await?;
            }
            Said::Message(FromAgent::Done(report)) if !matches!(report.exit, Exit::Code(_)) => return Ok(Some(report)),
            Said::Message(FromAgent::Broken { why }) => return Err(ExecError::SandboxLost { why }),
            _ => return Err(out_of_turn()),
        }
    }
    output.store(Event::EndFile).await?;
    Ok(None)
}

async fn greet(
    connection: &mut Connection,
    settings: Settings,
    code: &[InputFile],
    files: &dyn FileSource,
) -> Result<(), ExecError> {
    let outgoing = &mut connection.outgoing;
    let send = async {
        outgoing.message(&ToAgent::Hello { version: VERSION, settings }).await?;
        for file in code {
            send_file(outgoing, file, false, files).await?;
        }
        outgoing.message(&ToAgent::Open).await?;
        outgoing.flush().await
    };
    if let Err(error) = send.await {
        return Err(connection.explain(error).await);
    }
    match connection.incoming.next().await? {
        Said::Message(FromAgent::Ready { version: VERSION }) => Ok(()),
        Said::Message(FromAgent::Broken { why }) => Err(ExecError::SandboxLost { why }),
        _ => Err(out_of_turn()),
    }
}

/// Sends a file; returns how long it was read.
async fn send_file(
    outgoing: &mut Outgoing,
    file: &InputFile,
    keep: bool,
    files: &dyn FileSource,
) -> Result<Duration, SendError> {
    let (path, size_bytes, executable) = (file.path.clone(), file.laid_out_bytes(), file.executable);
    outgoing.message(&ToAgent::File { header: FileHeader { path, size_bytes, executable }, keep }).await?;
    let (mut offset, mut reading) = (0, Duration::ZERO);
    while offset < size_bytes {
        let max = (size_bytes - offset).min(MAX_DATA as u64) as usize;
        let begun = Instant::now();
        let bytes: Bytes = files.read(file, offset, max).await.map_err(SendError::Other)?;
        reading += begun.elapsed();
        if bytes.is_empty() || bytes.len() > max {
            let why = format!("`{}` had a different length than announced", file.path);
            return Err(SendError::Other(ExecError::SandboxLost { why }));
        }
        outgoing.data(&bytes).await?;
        offset += bytes.len() as u64;
    }
    Ok(reading)
}

fn describe(task: &DatumTask) -> Try {
    Try {
        cmd: task.cmd.clone(),
        stdin: task.stdin.clone(),
        env: task.env.clone(),
        timeout_millis: task.timeout.map(|timeout| timeout.as_millis().try_into().unwrap_or(u64::MAX)),
        accept: task.accept.iter().copied().collect(),
        limits: task.limits,
        secret_files: task.secret_files.clone(),
        drops_output: task.drops_output,
        has_console: task.console.is_some(),
    }
}

fn out_of_turn() -> ExecError {
    ExecError::SandboxLost { why: "its agent spoke out of turn".to_owned() }
}
