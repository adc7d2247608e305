//! From arguments to the request of a trial.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use engine::trial::{EphemeralTrial, Out, Replacement, Request, Room, Sample, TrialRequest, upload_mounts};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sandbox::{Console, Executor};
use specs::{Reference, RepoName};

use super::Args;
use crate::author;
use crate::commands::choose_executor::Pulling;
use crate::commands::pipeline::sources::{SpecFiles, Specs, warn};
use crate::commands::put;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::invocation::files::PathKind;
use crate::invocation::{Far, Part};
use crate::remote::client::Outgoing;

/// Extensions of spec files.
const ENDINGS: [&str; 3] = [".yml", ".yaml", ".json"];
/// Paths reserved in a sandbox.
const OWN: [&str; 6] = ["/", "/pfs", "/tmp", "/proc", "/dev", "/.pv"];
/// Time between two checks for input, in milliseconds.
const POLL_MILLIS: u8 = 100;

/// What binds a trial to the caller's machine.
pub(super) struct Tied {
    pub(super) trial: EphemeralTrial,
    /// Kept until the trial has ended.
    pub(super) _room: Option<Room>,
}

/// Parses `DIR:/PATH`.
pub(super) fn parse_mount(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (from, at) = text.rsplit_once(":/").ok_or("expected DIR:/PATH, such as ./src:/code")?;
    let at = PathBuf::from(format!("/{}", at.trim_end_matches('/')));
    let is_own = OWN.iter().any(|own| at == Path::new(own) || (*own != "/" && at.starts_with(own)));
    let is_plain = at.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    // Mounts inside `/code` would conflict with the agent.
    let is_own = is_own || (at.starts_with("/code") && at != Path::new("/code"));
    if from.is_empty() || is_own || !is_plain {
        return Err(format!("cannot mount at `{}`; try /code", at.display()));
    }
    Ok((PathBuf::from(from), at))
}

impl Args {
    /// The parts of the trial that are bound to the caller's machine.
    pub(super) fn ephemeral(&self, cx: &Context) -> Result<Tied> {
        let mut trial = EphemeralTrial::default();
        let mut room = None;
        if let Some(far) = cx.invocation().client.is_far() {
            trial.out = self.out.as_ref().map(|_| Out::Elsewhere);
            if !self.mount.is_empty() {
                room = Some(self.mount_sent(cx.store()?, far, &mut trial)?);
            }
        } else {
            trial.out = self.out.as_deref().map(|out| cx.path(out)).transpose()?.map(Out::Folder);
            for (from, at) in &self.mount {
                trial.mount(cx.store()?, (&cx.invocation().cwd.join(from), from), at)?;
            }
        }
        trial.console = if self.shell { Some(typed(cx)?) } else { None };
        Ok(Tied { trial, _room: room })
    }

    /// Mounts what the client on another machine sends of its folders; returns where that is.
    fn mount_sent(&self, store: &Store, far: &Far, trial: &mut EphemeralTrial) -> Result<Room> {
        let sees = |repo: &RepoName| store.sees(repo);
        let (sent, from) = put::sent(store, (far, Part::Mounts), &sees)?;
        let at: Vec<&Path> = self.mount.iter().map(|(_, at)| at.as_path()).collect();
        Ok(trial.mount_sent(store, (&sent, &from), &at)?)
    }

    /// Sends the folders to mount to a server, on the caller's machine; returns a message about them.
    pub(in crate::commands) fn upload_mounts(&self, cx: &Context, to: &Outgoing) -> Result<Vec<u8>> {
        let folders = self.mount.iter().map(|(from, _)| Ok((cx.path(from)?, from.as_path())));
        Ok(upload_mounts(&folders.collect::<Result<Vec<_>>>()?, to)?)
    }

    /// What is asked for; reads the specs, for which a client on another machine is waited for.
    pub(super) fn asked(&self, cx: &Context) -> Result<TrialRequest> {
        let (files, refs): (Vec<&String>, Vec<&String>) = self.with.iter().partition(|word| is_spec(cx, word));
        let read = SpecFiles::named(files.iter().map(PathBuf::from).collect());
        let specs = if files.is_empty() { None } else { Some(read.read(cx)?) };
        let sample = match (self.number, &self.input) {
            (Some(number), _) => Sample::Some(number as usize),
            (_, Some(glob)) => Sample::Matching(glob.clone()),
            _ if self.failed => Sample::Failed,
            _ => Sample::All,
        };
        let names: BTreeSet<_> = self.pipelines.iter().cloned().collect();
        Ok(TrialRequest {
            specs: specs.map(|specs| (specs.set, specs.folders)),
            replacements: refs.iter().map(|word| replacement(word)).collect::<Result<_>>()?,
            refs: names.iter().map(ToString::to_string).chain(self.with.iter().cloned()).collect(),
            names,
            sample,
            by: author::by(cx, None),
        })
    }
}

/// The request of a trial.
pub(super) async fn prepare(
    cx: &Context,
    asked: &TrialRequest,
    store: &Store,
    executor: &dyn Executor,
) -> Result<Request> {
    let pulling = Pulling::new(cx);
    let on_pull = |step| pulling.step(step);
    Ok(asked.prepare(store, executor, &on_pull, &|warnings| warn(cx, warnings)).await?)
}

/// Reads the spec files.
pub(super) fn read_files(args: &Args, cx: &Context) -> Result<Option<Specs>> {
    let files: Vec<PathBuf> = args.with.iter().filter(|word| is_spec(cx, word)).map(PathBuf::from).collect();
    if files.is_empty() {
        return Ok(None);
    }
    SpecFiles::named(files).read_files(cx)
}

/// Whether a word names specs: by its extension, or because such a file or folder exists.
fn is_spec(cx: &Context, word: &str) -> bool {
    ENDINGS.iter().any(|ending| word.ends_with(ending))
        || (!word.contains('@') && cx.files().kind(Path::new(word)) != PathKind::None)
}

/// The caller's terminal input, as long as it is readable.
fn typed(cx: &Context) -> Result<Console> {
    let unusable = |error| CliError::io("cannot read from the terminal", &error);
    let wants = cx.invocation().client.clone();
    let mut stdin = cx.invocation().streams.stdin.try_clone().map_err(unusable)?;
    let (sender, typed) = tokio::sync::mpsc::channel(1);
    let read = move || {
        let mut buffer = [0; 4096];
        // Reads only while someone listens: the rest stays for the next reader.
        while !sender.is_closed() {
            wants.wants_input();
            let mut fds = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, PollTimeout::from(POLL_MILLIS)) {
                Ok(0) | Err(Errno::EINTR) => continue,
                Ok(_) => {}
                Err(_) => break,
            }
            match stdin.read(&mut buffer) {
                Ok(count @ 1..) if sender.blocking_send(buffer[..count].to_vec()).is_ok() => {}
                _ => break,
            }
        }
    };
    std::thread::Builder::new().name("typed".to_owned()).spawn(read).map_err(unusable)?;
    Ok(Console::new(typed))
}

/// Parses `REF` or `REPO@BRANCH=REV`.
fn replacement(word: &str) -> Result<Replacement> {
    let Some((branch, revision)) = word.split_once('=') else { return Ok(Replacement::Commit(word.parse()?)) };
    let reference: Reference = branch.parse()?;
    let name = reference.revision.as_ref().and_then(specs::reference::Revision::as_branch);
    let Some(name) = name else {
        return Err(CliError::usage(format!("`{branch}` does not name a branch"), "--with REPO@BRANCH=REV"));
    };
    let by = format!("{}@{revision}", reference.repo).parse()?;
    Ok(Replacement::Branch { branch: (reference.repo, name), by })
}
