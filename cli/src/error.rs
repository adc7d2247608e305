//! Failures of commands: one type for the errors of all layers.

use engine::EngineError;
use repos::RepoError;
use serde::Serialize;
use specs::words::plural;
use specs::{Diagnostic, ErrorKind, GlobError, Place, ReferenceError, Severity};

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum CliError {
    /// Something failed, and is printed.
    Failure(Box<Failure>),
    /// Another process owns the store; once it answers, the command can be handed over to it.
    InUse(Box<Failure>),
    /// The reader of the output stopped reading: not an error.
    ClosedPipe,
    /// Nothing failed, but the exit code says something, such as `diff --exit-code`.
    Exit(u8),
    /// The caller is gone; nothing is printed.
    Cancelled,
    /// This process owns the store and is shutting down; the process that handed the command over does the rest.
    OwnerEnds,
}

/// What failed, in words.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Exit code and `error.kind` follow from this.
    pub(crate) kind: ErrorKind,
    /// What failed, on which thing.
    pub(crate) message: String,
    /// Why, from the nearest cause to the last.
    pub(crate) causes: Vec<String>,
    /// The next thing to try; may have several lines.
    pub(crate) hint: Option<String>,
    /// What was done despite the error.
    pub(crate) done: Done,
    /// All problems in the given files, each with its place; the message has their number.
    pub(crate) diagnostics: Vec<Diagnostic>,
    /// The name, path or id that was not found, if that is why.
    pub(crate) missing: Option<String>,
}

/// What a command has done despite its failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing; not mentioned.
    Nothing,
    /// Nothing, and worth saying: a change is committed completely or not at all.
    NothingCommitted,
    /// Possibly all of it: the answer was lost.
    NotKnown,
    /// A part: this.
    Part(String),
}

impl Done {
    /// In words, to be appended to the message.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Nothing => "nothing",
            Self::NothingCommitted => "nothing was committed",
            Self::NotKnown => "it is not known what was done",
            Self::Part(words) => words,
        }
    }
}

impl<T: Into<String>> From<T> for Done {
    fn from(words: T) -> Self {
        Self::Part(words.into())
    }
}

/// Result of commands.
pub(crate) type Result<T, E = CliError> = std::result::Result<T, E>;

impl CliError {
    /// An error without causes and hint.
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        let (message, done) = (message.into(), Done::Nothing);
        let (causes, diagnostics) = (Vec::new(), Vec::new());
        Self::Failure(Box::new(Failure { kind, message, causes, hint: None, done, diagnostics, missing: None }))
    }

    /// A usage error, with a correct line as hint.
    pub(crate) fn usage(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(ErrorKind::Usage, message).hint(hint)
    }

    /// From any error, with its causes.
    pub(crate) fn from_error(kind: ErrorKind, error: &dyn std::error::Error, hint: Option<String>) -> Self {
        let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string).collect();
        let (message, done) = (error.to_string(), Done::Nothing);
        Self::Failure(Box::new(Failure { kind, message, causes, hint, done, diagnostics: Vec::new(), missing: None }))
    }

    /// From an error of the operating system while doing `what`.
    pub(crate) fn io(what: impl Into<String>, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, what).map(|failure| failure.causes.push(error.to_string()))
    }

    fn map(mut self, change: impl FnOnce(&mut Failure)) -> Self {
        if let Self::Failure(failure) = &mut self {
            change(failure);
        }
        self
    }

    /// Whether it failed because this name, path or id was not found.
    pub(crate) fn misses(&self, name: &str) -> bool {
        matches!(self, Self::Failure(failure) if failure.missing.as_deref() == Some(name))
    }

    /// Sets the next thing to try.
    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        self.map(|failure| failure.hint = Some(hint.into()))
    }

    /// All problems in lines of a file; the kind is that of the first.
    pub(crate) fn in_lines(file: &str, problems: Vec<(u32, Self)>) -> Self {
        let mut kind = None;
        let mut diagnostics = Vec::new();
        for (line, problem) in problems {
            let Self::Failure(failure) = problem else { return problem };
            kind = kind.or(Some(failure.kind));
            diagnostics.push(Diagnostic {
                file: file.to_owned(),
                place: Place { line, ..Place::START },
                severity: Severity::Error,
                message: [vec![failure.message], failure.causes].concat().join(": "),
                hint: failure.hint,
            });
        }
        Self::in_file(kind.unwrap_or(ErrorKind::Usage), file, diagnostics)
    }

    /// An error about lines of a file; any other error unchanged.
    pub(crate) fn of_lines(file: &str, error: EngineError) -> Self {
        match error {
            EngineError::Lines(lines) => {
                Self::in_lines(file, lines.into_iter().map(|(line, error)| (line, error.into())).collect())
            }
            error => error.into(),
        }
    }

    /// All problems in a file, each with its place.
    pub(crate) fn in_file(kind: ErrorKind, file: &str, diagnostics: Vec<Diagnostic>) -> Self {
        let count = plural(diagnostics.len() as u64, "error", "errors");
        Self::new(kind, format!("{count} in {file}")).map(|failure| {
            failure.causes = diagnostics.iter().map(in_one_line).collect();
            failure.diagnostics = diagnostics;
        })
    }

    /// Says that nothing was committed, unless the error already says what was done.
    pub(crate) fn nothing_committed(self) -> Self {
        match &self {
            Self::Failure(failure) if failure.done != Done::Nothing => self,
            _ => self.done(Done::NothingCommitted),
        }
    }

    /// Says what was done despite the error, unless that is unknown.
    pub(crate) fn done(self, done: impl Into<Done>) -> Self {
        self.map(|failure| {
            if failure.done != Done::NotKnown {
                failure.done = done.into();
            }
        })
    }
}

impl Failure {
    /// The JSON line for programs.
    pub(crate) fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            error: Fields<'a>,
        }
        #[derive(Serialize)]
        struct Fields<'a> {
            kind: ErrorKind,
            exit_code: u8,
            message: &'a str,
            causes: &'a [String],
            hint: &'a Option<String>,
            done: &'a str,
        }
        let error = Fields {
            kind: self.kind,
            exit_code: self.kind.exit_code(),
            message: &self.message,
            causes: &self.causes,
            hint: &self.hint,
            done: self.done.words(),
        };
        serde_json::to_string(&Line { error }).expect("texts and a number have a JSON form") + "\n"
    }
}

fn in_one_line(problem: &Diagnostic) -> String {
    problem.hint.as_ref().map_or_else(|| problem.to_string(), |hint| format!("{problem}; {hint}"))
}

impl From<RepoError> for CliError {
    fn from(error: RepoError) -> Self {
        let missing = error.missing_name();
        let told = Self::from_error(error.kind(), &error, error.hint()).map(|failure| failure.missing = missing);
        match error {
            RepoError::Unsure { .. } => told.done(Done::NotKnown),
            RepoError::RevertConflict { paths, .. } => told.map(|failure| {
                failure.causes.extend(paths.iter().map(|path| format!("`{path}` differs from the original")));
            }),
            RepoError::InUse { .. } => match told {
                Self::Failure(failure) => Self::InUse(failure),
                told => told,
            },
            _ => told,
        }
    }
}

impl From<EngineError> for CliError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Store(error) => error.into(),
            EngineError::Hinted { error, hint } => Self::from(*error).hint(hint),
            EngineError::NoBranchToPut { .. } => {
                Self::from_error(error.kind(), &error, error.hint()).done(Done::NothingCommitted)
            }
            EngineError::Specs { ref diagnostics, .. } => {
                let diagnostics = diagnostics.clone();
                Self::from_error(error.kind(), &error, None).map(|failure| {
                    failure.causes = diagnostics.iter().filter(|problem| problem.is_error()).map(in_one_line).collect();
                    failure.diagnostics = diagnostics;
                })
            }
            error => Self::from_error(error.kind(), &error, error.hint()),
        }
    }
}

impl From<sandbox::ExecError> for CliError {
    fn from(error: sandbox::ExecError) -> Self {
        EngineError::from(error).into()
    }
}

impl From<dial::ServerError> for CliError {
    fn from(error: dial::ServerError) -> Self {
        Self::new(error.kind, error.what).hint(error.hint)
    }
}

impl From<ReferenceError> for CliError {
    fn from(error: ReferenceError) -> Self {
        Self::from_error(ErrorKind::Usage, &error, error.hint())
    }
}

impl From<GlobError> for CliError {
    fn from(error: GlobError) -> Self {
        Self::from_error(ErrorKind::Usage, &error, None)
    }
}

impl From<clap::Error> for CliError {
    /// Clap's text is `error: …`, an empty line, then tips and usage.
    fn from(error: clap::Error) -> Self {
        use std::error::Error as _;
        let text = error.render().to_string();
        let (message, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
        let message = message.trim().trim_start_matches("error: ").replace("\n ", "");
        // Our own errors already name the wrong text.
        let reference = error.source().and_then(|source| source.downcast_ref::<ReferenceError>());
        let tips = rest.lines().map(str::trim).filter(|line| line.starts_with("tip: ") || line.starts_with("Usage: "));
        let tips: Vec<&str> = tips.map(|line| line.trim_start_matches("tip: ")).collect();
        let hint = reference.and_then(ReferenceError::hint);
        let hint = hint.or_else(|| if tips.is_empty() { None } else { Some(tips.join("\n")) });
        // Our own errors already name the wrong text.
        let own = error.source().map(ToString::to_string).filter(|own| own.contains('`'));
        Self::new(ErrorKind::Usage, own.unwrap_or(message)).map(|failure| failure.hint = hint)
    }
}
