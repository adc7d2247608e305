//! A sandbox and the tries in it: the engine's half of the conversation with the agent, whatever the executor.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::connection::{Connection, Said};
use super::{Console, DatumTask, Event, EventSink, ExecError, Exit, FileSource, InputFile, Outcome};
use crate::worker::protocol::{FileHeader, FromAgent, MAX_DATA, Report, Settings, ToAgent, Try, VERSION};

/// Ends the process or container around an agent.
#[async_trait]
pub(super) trait Guard: Send + Sync {
    /// Waits for the end of an agent that ended by itself; `None` when it does not, or its code is not known.
    async fn exit_code(&mut self) -> Option<i32>;

    /// Called after the agent's input ended: waits for its end, or brings it about, and removes what it leaves.
    async fn end(self: Box<Self>) -> Result<(), ExecError>;
}

/// A place in which commands run, one try after another, each from a clean state.
///
/// `close` it when done. When it is only dropped the agent ends too, but its leftovers stay until the next clean-up.
pub struct Sandbox {
    connection: Connection,
    guard: Box<dyn Guard>,
    /// Why no try may run here any more; also set while one runs, so that a try that was dropped half-way is noticed.
    lost: Option<&'static str>,
}

impl fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sandbox").field("lost", &self.lost).finish_non_exhaustive()
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
        match greet(&mut connection, settings, code, files).await {
            Ok(()) => Ok(Self { connection, guard, lost: None }),
            Err(error) => Err((error, guard)),
        }
    }

    /// Runs one try: `/pfs` holds exactly its inputs, `/pfs/out` and `/tmp` are empty, no process of an earlier try is left.
    ///
    /// What the command does wrong is in the outcome; an error means that it could not be run or watched, and the sandbox is lost.
    pub async fn run(
        &mut self,
        task: &DatumTask,
        files: &dyn FileSource,
        events: &mut dyn EventSink,
    ) -> Result<Outcome, ExecError> {
        if let Some(why) = self.lost.replace("an earlier try in it did not end") {
            return Err(ExecError::SandboxLost { why: why.to_owned() });
        }
        self.connection.message(&ToAgent::Begin(Box::new(describe(task)))).await?;
        for input in &task.inputs {
            send_file(&mut self.connection, input, files).await?;
        }
        repos::stop_at("datum.after_staging");
        self.connection.message(&ToAgent::Go).await?;
        self.connection.flush().await?;
        let report = self.receive(task.console.as_ref(), events).await?;
        self.lost = match &report.exit {
            Exit::TouchedInput { path } if path.starts_with("/code/") => Some("an earlier try in it changed `/code`"),
            _ => None,
        };
        Ok(Outcome {
            exit: report.exit,
            prepare_time: Duration::from_micros(report.prepare_micros),
            process_time: Duration::from_micros(report.process_micros),
            out_of_memory: report.out_of_memory,
        })
    }

    async fn receive(&mut self, console: Option<&Console>, events: &mut dyn EventSink) -> Result<Report, ExecError> {
        let mut console = console;
        loop {
            let said = match console {
                None => self.connection.next().await?,
                Some(typing) => tokio::select! {
                    said = self.connection.next() => said?,
                    typed = typing.next() => {
                        console = console.filter(|_| typed.is_some());
                        let message = typed.map_or(ToAgent::EndInput, ToAgent::Input);
                        self.connection.message(&message).await?;
                        self.connection.flush().await?;
                        continue;
                    }
                },
            };
            match said {
                Said::Data(bytes) => events.event(Event::Log(bytes)).await?,
                Said::Message(FromAgent::File(header)) => self.receive_file(header, events).await?,
                Said::Message(FromAgent::Link { path, input }) => {
                    events.event(Event::Link { path: format!("/{path}"), input }).await?;
                }
                Said::Message(FromAgent::Done(report)) => return Ok(report),
                Said::Message(FromAgent::Broken { why }) => return Err(ExecError::SandboxLost { why }),
                Said::Message(FromAgent::Ready { .. }) => return Err(out_of_turn()),
            }
        }
    }

    async fn receive_file(&mut self, header: FileHeader, events: &mut dyn EventSink) -> Result<(), ExecError> {
        let FileHeader { path, size_bytes, executable } = header;
        events.event(Event::File { path: format!("/{path}"), size_bytes, executable }).await?;
        let mut left = size_bytes;
        while left > 0 {
            match self.connection.next().await? {
                Said::Data(bytes) if bytes.len() as u64 <= left => {
                    left -= bytes.len() as u64;
                    events.event(Event::Data(bytes)).await?;
                }
                Said::Message(FromAgent::Broken { why }) => return Err(ExecError::SandboxLost { why }),
                _ => return Err(out_of_turn()),
            }
        }
        events.event(Event::EndFile).await
    }

    /// Ends the sandbox and all in it.
    pub async fn close(self) -> Result<(), ExecError> {
        let Self { connection, guard, .. } = self;
        connection.close().await;
        guard.end().await
    }
}

async fn greet(
    connection: &mut Connection,
    settings: Settings,
    code: &[InputFile],
    files: &dyn FileSource,
) -> Result<(), ExecError> {
    connection.message(&ToAgent::Hello { version: VERSION, settings }).await?;
    for file in code {
        send_file(connection, file, files).await?;
    }
    connection.message(&ToAgent::Open).await?;
    connection.flush().await?;
    match connection.next().await? {
        Said::Message(FromAgent::Ready { version: VERSION }) => Ok(()),
        Said::Message(FromAgent::Broken { why }) => Err(ExecError::SandboxLost { why }),
        _ => Err(out_of_turn()),
    }
}

async fn send_file(connection: &mut Connection, file: &InputFile, files: &dyn FileSource) -> Result<(), ExecError> {
    let InputFile { path, size_bytes, executable, .. } = file.clone();
    connection.message(&ToAgent::File(FileHeader { path, size_bytes, executable })).await?;
    let mut offset = 0;
    while offset < size_bytes {
        let max = (size_bytes - offset).min(MAX_DATA as u64) as usize;
        let bytes: Bytes = files.read(file, offset, max).await?;
        if bytes.is_empty() || bytes.len() > max {
            return Err(ExecError::SandboxLost {
                why: format!("`{}` came with another length than announced", file.path),
            });
        }
        connection.data(&bytes).await?;
        offset += bytes.len() as u64;
    }
    Ok(())
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
