//! What engine and worker say. Some messages have bytes after them: [`ToWorker::Content`], [`ToWorker::Typed`], [`FromWorker::Event`].

use bytes::Bytes;
use repos::documents::ExecutorKind;
use serde::{Deserialize, Serialize};
use specs::{Digest, ErrorKind};

use super::streams::Have;
use crate::error::ExecError;
use crate::executor::ExecutorInfo;
use crate::image::{Image, PullProgress, SameImage};
use crate::task::{DatumTask, Event, Outcome, SandboxSpec};

/// Increased with every change to the messages.
pub(super) const VERSION: u32 = 1;

/// A worker's first words on a link.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) version: u32,
    pub(super) why: Purpose,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Purpose {
    Register(Registration),
    /// After a link broke.
    Return {
        session: String,
        have: Have,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Registration {
    pub(super) name: String,
    pub(super) info: ExecutorInfo,
    pub(super) slots: u32,
}

/// The engine's answer to them.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Answer {
    Welcome {
        /// Its name: with a number if another worker has the one that it wanted.
        name: String,
        /// A random secret with which the worker may return.
        session: String,
        have: Have,
    },
    /// The worker may join anew, unless this is for good.
    Refused { why: String, is_for_good: bool },
}

/// Not printed: tasks contain secrets.
#[derive(Serialize, Deserialize)]
pub(super) enum ToWorker {
    // The first message of a stream.
    Open(Box<SandboxSpec>),
    Resolve {
        reference: String,
    },
    HasImage(SameImage),
    HasContentAt {
        image: String,
        path: String,
    },
    // In the stream of a sandbox.
    /// `None` for the one announced as next.
    Run {
        task: Option<Box<DatumTask>>,
        has_console: bool,
    },
    /// The try after the one that runs, once.
    Next(Option<Box<DatumTask>>),
    /// The next bytes of what was asked for first.
    Content,
    /// The answer to `WantTyped`.
    Typed {
        is_end: bool,
    },
    Close,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum FromWorker {
    // For the worker as a whole; the first also in place of an answer.
    /// Nothing is started here any more.
    Going,
    /// The worker has ended.
    Gone,
    // Answers to questions.
    Pull(PullProgress),
    Resolved(Result<Image, Failure>),
    Has(Result<bool, Failure>),
    // In the stream of a sandbox.
    Opened(Result<(), Failure>),
    /// Asks for bytes of a file of the sandbox or try.
    Want {
        digest: Digest,
        offset: u64,
        length: u64,
    },
    /// Asks for what is typed next.
    WantTyped,
    Event(EventHead),
    Ended {
        outcome: Result<Outcome, Failure>,
        /// Why no other try may run there.
        spent: Option<String>,
    },
    Closed(Result<(), Failure>),
}

/// An [`Event`] without its bytes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum EventHead {
    Log,
    File { path: String, size_bytes: u64, executable: bool },
    Data,
    EndFile,
    Link { path: String, input: String },
}

impl EventHead {
    pub(super) fn split(event: Event) -> (Self, Bytes) {
        match event {
            Event::Log(bytes) => (Self::Log, bytes),
            Event::Data(bytes) => (Self::Data, bytes),
            Event::EndFile => (Self::EndFile, Bytes::new()),
            Event::File { path, size_bytes, executable } => (Self::File { path, size_bytes, executable }, Bytes::new()),
            Event::Link { path, input } => (Self::Link { path, input }, Bytes::new()),
        }
    }

    pub(super) fn with(self, bytes: Bytes) -> Event {
        match self {
            Self::Log => Event::Log(bytes),
            Self::Data => Event::Data(bytes),
            Self::EndFile => Event::EndFile,
            Self::File { path, size_bytes, executable } => Event::File { path, size_bytes, executable },
            Self::Link { path, input } => Event::Link { path, input },
        }
    }
}

/// An error on its way to the engine.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Failure {
    form: Form,
    kind: ErrorKind,
    /// The error with its causes, or the part of it that varies.
    why: String,
    hint: Option<String>,
}

/// Errors that the engine treats differently from others.
#[derive(Debug, Serialize, Deserialize)]
enum Form {
    /// Another sandbox may succeed.
    Lost,
    NotAnswering {
        executor: ExecutorKind,
        address: String,
    },
    ImageNotFound {
        reference: String,
    },
    ImageGone(Box<SameImage>),
    PullFailed {
        reference: String,
    },
    /// Something is wrong with the machine's files: its disk may be full.
    Io,
    Other,
}

impl From<ExecError> for Failure {
    fn from(error: ExecError) -> Self {
        let (kind, hint, whole) = (error.kind(), error.hint(), with_causes(&error));
        let (form, why) = match error {
            ExecError::SandboxLost { why } => (Form::Lost, why),
            ExecError::NotAnswering { executor, address, source } => {
                (Form::NotAnswering { executor, address }, with_causes(&*source))
            }
            ExecError::ImageNotFound { reference, why } => (Form::ImageNotFound { reference }, why),
            ExecError::ImageGone { image, why } => (Form::ImageGone(image), why),
            ExecError::PullFailed { reference, why } => (Form::PullFailed { reference }, why),
            ExecError::Docker { .. } | ExecError::WorkerLost { .. } => (Form::Lost, whole),
            ExecError::PermissionDenied { .. }
            | ExecError::SandboxRefused { .. }
            | ExecError::Unsuited { .. }
            | ExecError::NoBridge { .. }
            | ExecError::NoWorker { .. }
            | ExecError::OnWorker { .. }
            | ExecError::JoinRefused { .. }
            | ExecError::Cluster { .. }
            | ExecError::Caller { .. } => (Form::Other, whole),
            ExecError::Io { .. } => (Form::Io, whole),
        };
        Self { form, kind, why, hint }
    }
}

impl Failure {
    /// Whether it is a fault of the machine, which another may not have, and which may pass.
    pub(super) fn is_of_machine(&self) -> bool {
        matches!(self.form, Form::NotAnswering { .. } | Form::Io)
    }

    /// The error as the engine reports it.
    pub(super) fn at(self, worker: &str) -> ExecError {
        let Self { form, kind, why, hint } = self;
        let there = || format!("{why} (worker `{worker}`)");
        match form {
            Form::Lost => ExecError::SandboxLost { why: there() },
            Form::NotAnswering { executor, address } => {
                let address = format!("{address} of worker {worker}");
                ExecError::NotAnswering { executor, address, source: why.into() }
            }
            Form::ImageNotFound { reference } => ExecError::ImageNotFound { reference, why: there() },
            Form::ImageGone(image) => ExecError::ImageGone { image, why: there() },
            Form::PullFailed { reference } => ExecError::PullFailed { reference, why: there() },
            Form::Io | Form::Other => ExecError::OnWorker { worker: worker.to_owned(), kind, why, hint },
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
