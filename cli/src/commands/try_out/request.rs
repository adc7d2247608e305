//! From the words of a command line to what the engine tries.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::Graph;
use engine::apply;
use engine::graph::BranchOf;
use engine::trial::{EphemeralTrial, Request, Sample, branch_read};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use repos::Store;
use sandbox::{Console, Executor, HostFolder};
use specs::{CommitId, ErrorKind, Reference};

use super::Args;
use crate::author;
use crate::commands::choose_executor::Pulling;
use crate::commands::pipeline::sources::{Files, warn};
use crate::context::Context;
use crate::error::{CliError, Result};

/// Endings of specs.
const ENDINGS: [&str; 3] = [".yml", ".yaml", ".json"];
/// Places in a sandbox that are its own.
const OWN: [&str; 6] = ["/", "/pfs", "/tmp", "/proc", "/dev", "/.pv"];
/// How long a look for something typed takes.
const POLL_MILLIS: u8 = 100;

/// Reads `DIR:/PATH`.
pub(super) fn parse_mount(text: &str) -> Result<(PathBuf, PathBuf), String> {
    let (from, at) = text.rsplit_once(":/").ok_or("expected DIR:/PATH, such as ./src:/code")?;
    let at = PathBuf::from(format!("/{}", at.trim_end_matches('/')));
    let is_own = OWN.iter().any(|own| at == Path::new(own) || (*own != "/" && at.starts_with(own)));
    let is_plain = at.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_)));
    // What is in `/code` itself would be in the agent's way.
    let is_own = is_own || (at.starts_with("/code") && at != Path::new("/code"));
    if from.is_empty() || is_own || !is_plain {
        return Err(format!("cannot mount at `{}`; try /code", at.display()));
    }
    Ok((PathBuf::from(from), at))
}

impl Args {
    /// What ties the try to this machine.
    pub(super) fn ephemeral(&self, cx: &Context) -> Result<EphemeralTrial> {
        let own = cx.store()?.folder().canonicalize().map_err(|error| CliError::io("cannot find the store", &error))?;
        let folder = |(from, at): &(PathBuf, PathBuf)| {
            let place = cx.invocation().cwd.join(from);
            let unusable = |error| CliError::io(format!("cannot mount `{}`", from.display()), &error);
            let place = place.canonicalize().map_err(unusable)?;
            if !place.is_dir() {
                return Err(CliError::usage(format!("`{}` is not a folder", from.display()), "--mount DIR:/PATH"));
            }
            if own.starts_with(&place) || place.starts_with(&own) {
                let message = format!("`{}` contains the store, which sandboxes must not see", from.display());
                return Err(CliError::usage(message, "mount a folder outside the store, such as --mount ./src:/code"));
            }
            Ok(HostFolder { from: place, at: at.clone() })
        };
        let mounts = self.mount.iter().map(folder).collect::<Result<_>>()?;
        let console = if self.shell { Some(typed(cx)?) } else { None };
        Ok(EphemeralTrial { mounts, out: self.out.as_deref().map(|out| cx.path(out)), console })
    }

    /// What is to be tried.
    pub(super) async fn request(&self, cx: &Context, store: &Store, executor: &dyn Executor) -> Result<Request> {
        let (files, refs): (Vec<&String>, Vec<&String>) = self.with.iter().partition(|word| is_spec(cx, word));
        let (graph, specs) = if files.is_empty() {
            (Graph::load(store)?, BTreeSet::new())
        } else {
            let specs = Files::named(files.iter().map(PathBuf::from).collect()).read(cx)?;
            let who = author::by(cx, None);
            let pulling = Pulling::new(cx);
            let on_pull = |step| pulling.step(step);
            let request = apply::Request {
                set: &specs.set,
                sources: &specs.folders,
                by: &who,
                dry: true,
                announce: &|_| {},
                on_pull: &on_pull,
            };
            let applied = apply::apply(store, executor, request).await?;
            warn(cx, &applied.warnings);
            (Arc::new(applied.graph), applied.pipelines.into_iter().map(|pipeline| pipeline.name).collect())
        };
        let commits: BTreeMap<_, _> = refs.iter().map(|word| replaced(store, &graph, word)).collect::<Result<_>>()?;
        let sample = match (self.number, &self.input) {
            (Some(number), _) => Sample::Some(number as usize),
            (_, Some(glob)) => Sample::Matching(glob.clone()),
            _ if self.failed => Sample::Failed,
            _ => Sample::All,
        };
        let names: BTreeSet<_> = self.pipelines.iter().cloned().collect();
        let refs = names.iter().map(ToString::to_string).chain(self.with.iter().cloned()).collect();
        Ok(Request { graph, specs, commits, names, sample, refs })
    }
}

/// Whether a word names specs: by its ending, or because it is there as a file or folder.
fn is_spec(cx: &Context, word: &str) -> bool {
    ENDINGS.iter().any(|ending| word.ends_with(ending))
        || (!word.contains('@') && cx.invocation().cwd.join(word).exists())
}

/// The caller's terminal input, as long as it can be read.
fn typed(cx: &Context) -> Result<Console> {
    let unusable = |error| CliError::io("cannot read from the terminal", &error);
    let mut stdin = cx.invocation().streams.stdin.try_clone().map_err(unusable)?;
    let (sender, typed) = tokio::sync::mpsc::channel(1);
    let read = move || {
        let mut buffer = [0; 4096];
        // Only what somebody listens to is taken: the rest stays for the next reader.
        while !sender.is_closed() {
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

/// Which branch gets which commit in place of its head.
fn replaced(store: &Store, graph: &Graph, word: &str) -> Result<(BranchOf, CommitId)> {
    let Some((branch, revision)) = word.split_once('=') else {
        let reference: Reference = word.parse()?;
        let found = store.resolve(&reference)?;
        return Ok((branch_read(graph, &found.commit.repo)?, found.id));
    };
    let reference: Reference = branch.parse()?;
    let name = reference.revision.as_ref().and_then(specs::reference::Revision::as_branch);
    let Some(name) = name else {
        return Err(CliError::usage(format!("`{branch}` does not name a branch"), "--with REPO@BRANCH=REV"));
    };
    let found = store.resolve(&format!("{}@{revision}", reference.repo).parse::<Reference>()?)?;
    let branch = (reference.repo, name);
    if !graph.pipelines.values().any(|pipeline| pipeline.input_branches().contains(&branch)) {
        let message = format!("no pipeline reads `{}@{}`", branch.0, branch.1);
        return Err(CliError::new(ErrorKind::Usage, message).hint("pv pipeline list lists all pipelines"));
    }
    Ok((branch, found.id))
}
