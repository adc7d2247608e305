//! `pv watch DIR REF` through a server: this machine watches the folder and sends what settles, the server commits it.
//!
//! Each batch is a command of its own, with the command line of the watch, so that a watch outlives connections and servers. Its answer is
//! a JSON object on standard output, which nobody but this module reads.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::sync::{Arc, Mutex};

use ::watch::far::{Ask, Done};
use ::watch::{Branch, NewBatch, Taken};
use answers::change::PutView;
use engine::EngineError;
use engine::target::TargetBranch;
use repos::RepoError;
use repos::files::{Gathered, GetItem, Got, Outbox, SendOptions, Uploaded, send};
use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use specs::{ErrorKind, FilePath, Reference, RepoName};

use super::What;
use crate::author;
use crate::commands::change::summary_line;
use crate::commands::put;
use crate::context::Context;
use crate::error::{CliError, Failure, Result};
use crate::invocation::{Cancel, Client, Far, Files, Invocation, Part, Streams};
use crate::remote::client::{self, Call, Incoming, Local, Outgoing, Writes};
use crate::remote::servers::Server;
use crate::socket::Repeat;

/// What the server did, as a line of its output.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The commit, for programs and in words; absent if nothing differed.
    #[serde(default)]
    change: Option<(PutView, String)>,
    /// Paths that were left out, because they would be both a file and a directory.
    #[serde(default)]
    clashing: BTreeSet<FilePath>,
    /// Files of the branch that the folder lacks.
    #[serde(default)]
    lacking: Vec<FilePath>,
}

/// The server's side: does what the client asks, once.
pub(super) fn answer(cx: &Context, far: &Far, what: &What) -> Result<()> {
    let store = cx.store()?;
    let target = TargetBranch::of(store, &what.target)?;
    let by = author::by(cx, what.author.as_deref());
    let sees = |repo: &RepoName| store.sees(repo);
    let (asked, from) = put::sent(store, (far, Part::Sources), &sees)?;
    let answer = match Ask::decode(&asked)?.answer(store, &target, &by, &from)? {
        Done::Checked => Answer::default(),
        Done::Lacking(lacking) => Answer { lacking, ..Answer::default() },
        Done::Committed(outcome, clashing) => {
            let line = |commit| -> Result<String> {
                let place = format!("{}@{}", outcome.target.repo, store.short_commit(&commit)?);
                Ok(format!("{place}  {}", summary_line(&outcome.summary)))
            };
            let commit = outcome.head().filter(|_| outcome.run().is_some());
            let line = commit.map(line).transpose()?;
            Answer { change: line.map(|line| (PutView::from(&*outcome), line)), clashing, ..Answer::default() }
        }
    };
    cx.out().json(&answer)
}

/// The branch of a server, for a watch on this machine.
pub(super) struct FarBranch<'a> {
    cx: &'a Context,
    server: &'a Server,
    argv: Vec<OsString>,
    target: &'a Reference,
    said: Said,
}

/// What the server said of its commits, for people and programs, since it was printed last.
pub(super) type Said = Arc<Mutex<Vec<(PutView, String)>>>;

impl std::fmt::Debug for FarBranch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FarBranch").field("server", &self.server).field("target", &self.target).finish_non_exhaustive()
    }
}

impl<'a> FarBranch<'a> {
    /// An error if the branch cannot get commits, or not by this client.
    pub(super) fn of(
        cx: &'a Context,
        server: &'a Server,
        argv: &[OsString],
        target: &'a Reference,
        said: Said,
    ) -> Result<Self> {
        let (pv, rest) = argv.split_first().ok_or_else(|| CliError::usage("no command", "pv watch --help"))?;
        let json = (!cx.out().is_json()).then(|| OsString::from("--json"));
        let argv = [pv.clone()].into_iter().chain(json).chain(rest.iter().cloned()).collect();
        let branch = Self { cx, server, argv, target, said };
        branch.ask(Arc::new(Asks::of(Ask::Check)))?;
        Ok(branch)
    }

    /// Has the server answer.
    fn ask(&self, asks: Arc<Asks>) -> Result<Answer> {
        let [stdout, stderr] = [captured(), captured()].map(|file| file.map_err(|error| no_memory(&error)));
        let (stdout, stderr) = (stdout?, stderr?);
        let streams = streams(&stdout, &stderr).map_err(|error| no_memory(&error))?;
        let own = self.cx.invocation();
        let invocation = Invocation {
            streams,
            cwd: own.cwd.clone(),
            env: own.env.clone(),
            uid: own.uid,
            // A batch that is on its way is brought to its end.
            cancel: Cancel::default(),
            client: Client::default(),
            files: Files::default(),
        };
        let call = Call {
            local: asks,
            argv: &self.argv,
            author: author::by(self.cx, None).author,
            notes: BTreeMap::new(),
            writes: Writes::Nothing,
            // A repetition commits nothing that the branch has already.
            repeat: Repeat::Always,
            is_held: false,
        };
        match client::run(self.server, &invocation, call)? {
            0 => read(stdout),
            exit_code => Err(failure(exit_code, stderr)),
        }
    }
}

impl Branch for FarBranch<'_> {
    fn place(&self) -> String {
        Reference { path: None, ..self.target.clone() }.to_string()
    }

    fn room(&self) -> Option<u64> {
        None
    }

    fn lacking(&self, directory: &FilePath, found: &Gathered) -> engine::Result<Vec<FilePath>> {
        let files = found.stamps().map(|(path, _)| path).collect();
        let ask = Ask::Lacking { directory: directory.clone(), files };
        let mut lacking = self.ask(Arc::new(Asks::of(ask))).map_err(remote)?.lacking;
        let is_left_out = |path: &FilePath| {
            found.left_out.covers(path.below(directory).unwrap_or_default()) || found.left_out.is_skipped(path)
        };
        lacking.retain(|path| !is_left_out(path));
        Ok(lacking)
    }

    /// What others added there is found by the next look at everything.
    fn below(&self, _: &FilePath) -> engine::Result<Vec<FilePath>> {
        Ok(Vec::new())
    }

    fn commit(&self, batch: &NewBatch<'_>) -> engine::Result<Taken> {
        let asks = Arc::new(Asks {
            what: AskedFor::Commit {
                files: batch.files.clone(),
                removed: batch.removed.to_vec(),
                message: batch.message.to_owned(),
                target: self.target.clone(),
            },
            uploaded: Mutex::default(),
        });
        let Answer { change, clashing, .. } = self.ask(asks.clone()).map_err(remote)?;
        self.said.lock().expect("no panic under this lock").extend(change);
        let uploaded = asks.uploaded.lock().expect("no panic under this lock").take();
        let (entries, skipped) = uploaded.map(|uploaded| (uploaded.files, uploaded.skipped)).unwrap_or_default();
        let taken = batch.files.stamps().zip(&entries);
        let files = taken.map(|((path, _), file)| file.is_some() && !clashing.contains(&path)).collect();
        Ok(Taken { outcome: None, files, skipped, clashing })
    }
}

/// What this machine sends for one question.
#[derive(Debug)]
struct Asks {
    what: AskedFor,
    /// What was sent last.
    uploaded: Mutex<Option<Uploaded>>,
}

#[derive(Debug)]
enum AskedFor {
    Commit { files: Arc<Gathered>, removed: Vec<FilePath>, message: String, target: Reference },
    Other(Ask),
}

impl Asks {
    fn of(ask: Ask) -> Self {
        Self { what: AskedFor::Other(ask), uploaded: Mutex::default() }
    }
}

impl Local for Asks {
    fn upload(&self, part: Part, _: &str, to: Outgoing) -> Result<Vec<u8>> {
        match (part, &self.what) {
            (Part::Mounts, _) => Err(unasked()),
            (Part::Sources, AskedFor::Other(ask)) => Ok(ask.encode()),
            (Part::Sources, AskedFor::Commit { files, removed, message, target }) => {
                let to = to.for_target(target.clone());
                let how = SendOptions { known: None, dry_run: false, skip_unreadable: true, progress: &|_, _| {} };
                let mut uploaded = send(&Outbox::new(&to), files, &how)?;
                uploaded.leave_out_changed(files);
                let files = uploaded.listing(files);
                *self.uploaded.lock().expect("no panic under this lock") = Some(uploaded);
                Ok(Ask::Commit { files, removed: removed.clone(), message: message.clone() }.encode())
            }
        }
    }

    fn succeeded(&self) {}

    fn uploads_stdin(&self) -> bool {
        false
    }

    fn get(&self, _: Vec<GetItem>, _: bool, _: &Incoming) -> Result<Got> {
        Err(unasked())
    }
}

fn unasked() -> CliError {
    CliError::new(ErrorKind::Unavailable, "the server asks for what a watch does not send")
        .hint("update pv on both sides")
}

/// A file in memory for what the server prints.
fn captured() -> std::io::Result<File> {
    Ok(File::from(memfd_create("answer", MemfdFlags::CLOEXEC)?))
}

fn streams(stdout: &File, stderr: &File) -> std::io::Result<Streams> {
    Ok(Streams { stdin: File::open("/dev/null")?, stdout: stdout.try_clone()?, stderr: stderr.try_clone()? })
}

fn no_memory(error: &std::io::Error) -> CliError {
    CliError::io("cannot hold the server's answer", error)
}

/// The last line of what was printed, as JSON.
fn read<T: for<'d> Deserialize<'d>>(mut printed: File) -> Result<T> {
    let mut text = String::new();
    let line = printed.rewind().and_then(|()| printed.read_to_string(&mut text)).map(|_| text.lines().last());
    let line = line.map_err(|error| no_memory(&error))?.unwrap_or_default();
    serde_json::from_str(line).map_err(|error| {
        CliError::new(ErrorKind::Unavailable, format!("the server's answer to a watch cannot be read: {error}"))
            .hint("update pv on both sides")
    })
}

/// The server's error, in its words.
fn failure(exit_code: u8, stderr: File) -> CliError {
    let said: Value = read(stderr).unwrap_or_default();
    let error = &said["error"];
    let kind = serde_json::from_value(error["kind"].clone()).unwrap_or(ErrorKind::Unavailable);
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let causes = error["causes"].as_array().into_iter().flatten().filter_map(text);
    let message =
        text(&error["message"]).unwrap_or_else(|| format!("the command in the server ended with {exit_code}"));
    let message = std::iter::once(message).chain(causes).collect::<Vec<_>>().join(": ");
    text(&error["hint"]).into_iter().fold(CliError::new(kind, message), CliError::hint)
}

/// As an error of the branch.
fn remote(error: CliError) -> EngineError {
    let error = match error {
        CliError::Failure(failure) | CliError::InUse(failure) => {
            let Failure { kind, message, causes, hint, .. } = *failure;
            let message = std::iter::once(message).chain(causes).collect::<Vec<_>>().join(": ");
            RepoError::Remote { kind, message, hint, race: false, collected: false }
        }
        CliError::ClosedPipe | CliError::Exit(_) | CliError::Cancelled | CliError::OwnerEnds => RepoError::AnswerLost,
    };
    error.into()
}
