//! `pv worker join`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use dial::Way;
use nix::sys::signal::Signal;
use sandbox::{Executor, ExecutorInfo, WorkerNews, WorkerOptions};
use specs::Quantity;

use super::place::Place;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::executors;
use crate::output::{Notes, plural};
use crate::remote::servers::{self, Server};

/// Most letters of a name.
const NAME_MAX: usize = 63;

/// Execute datums for a server on this machine, until stopped
///
/// The server's store has the setting `executor workers`. The token comes from `PV_TOKEN` or `pv login URL`; its role is `worker`. Files of
/// inputs are fetched as datums need them, and kept. If the connection is lost, it is made again.
///
/// SIGTERM or Ctrl-C stops it: it takes no more datums, and those that run have 15 s. A second signal stops it at once.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The server's URL: `https://HOST`, or `http://localhost:PORT`
    url: String,
    /// What runs the commands: stages with an image need `docker`, those without `process` [default: docker if it answers, else process]
    #[arg(long, value_name = "KIND", value_enum)]
    executor: Option<Kind>,
    /// Datums to run at a time [default: the number of cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    slots: Option<u32>,
    /// Name, by which the server's people know it [default: that of this machine]
    #[arg(long, value_parser = name)]
    name: Option<String>,
    /// Folder for fetched files and running datums [default: `pv/workers` in this user's cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Most bytes of fetched files to keep
    #[arg(long, value_name = "SIZE", default_value = "10Gi")]
    cache_size: Quantity,
    /// Also use http beyond this machine: the token and all data are sent in clear
    #[arg(long = "insecure", id = "insecure_join")]
    insecure: bool,
}

/// What runs the commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// Containers
    Docker,
    /// Processes of this machine, in namespaces of their own
    Process,
}

/// A name that is also that of a folder.
fn name(text: &str) -> std::result::Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    if begins_well && text.len() <= NAME_MAX && text.bytes().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err(format!("expected up to {NAME_MAX} letters, digits, `-`, `_` and `.`, a letter or digit first"))
}

pub(super) fn run(cx: &Context, args: &Args) -> Result<()> {
    let server = servers::known(&args.url, args.insecure, cx.env())?;
    let name = args.name.clone().map_or_else(name_of_machine, Ok)?;
    let place = Place::take(&cache(cx, args)?, &name)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
    runtime.block_on(work(cx, args, server, (name, &place)))?;
    // Stopping it this way is not a failure.
    cx.cancel().obeyed(Signal::SIGTERM);
    cx.cancel().obeyed(Signal::SIGINT);
    Ok(())
}

fn name_of_machine() -> Result<String> {
    let host = nix::unistd::gethostname().ok().and_then(|host| host.into_string().ok()).unwrap_or_default();
    name(&host).map_err(|_| CliError::usage(format!("`{host}` cannot be a worker's name"), "name it: --name NAME"))
}

/// The folder that holds those of workers.
fn cache(cx: &Context, args: &Args) -> Result<PathBuf> {
    if let Some(cache) = &args.cache {
        return cx.path(cache);
    }
    let home = cx.cache_folder().map(|cache| cache.join("workers"));
    home.ok_or_else(|| CliError::usage("no folder for fetched files is known", "name one: --cache DIR"))
}

/// Works until it is stopped, or the server wants no worker from here.
async fn work(cx: &Context, args: &Args, server: Server, (name, place): (String, &Place)) -> Result<()> {
    let (executor, info) = choose(cx, args.executor, place).await?;
    executor.clean_up(&BTreeSet::new()).await?;
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let slots = args.slots.map_or_else(cores, |slots| slots as usize);
    let place_of_server = server.place.clone();
    let teller = Teller {
        notes: cx.notes().another(),
        place: place_of_server,
        about: about(&info, slots),
        lost: Mutex::default(),
    };
    let options = WorkerOptions {
        name,
        slots,
        cache: place.files(),
        cache_bytes: args.cache_size.whole(),
        say: Arc::new(move |news| teller.tell(news)),
    };
    let way = Way::to(server);
    // A second signal ends the process; what is left behind then, the next worker of this name removes.
    let worked = sandbox::work(&way, executor.clone(), &options, cx.cancel().asked(1)).await;
    let cleaned = executor.clean_up(&BTreeSet::new()).await;
    if let Some(refusal) = way.refusal() {
        return Err(refusal.into());
    }
    Ok(worked.and(cleaned)?)
}

/// The executor that is wanted, or else docker if that answers; and what it says of itself.
async fn choose(cx: &Context, wanted: Option<Kind>, place: &Place) -> Result<(Arc<dyn Executor>, ExecutorInfo)> {
    let (docker, process) = executors::of_worker(cx, &place.mark(), place.folder())?;
    let kind = match wanted {
        Some(kind) => kind,
        None if docker.check().await.is_ok() => Kind::Docker,
        None => Kind::Process,
    };
    let executor: Arc<dyn Executor> = match kind {
        Kind::Docker => Arc::new(docker),
        Kind::Process => Arc::new(process),
    };
    let info = executor.check().await.map_err(|error| {
        CliError::from(error).hint(match kind {
            Kind::Docker => "start Docker, set DOCKER_HOST, or use --executor process",
            Kind::Process => "allow unprivileged user namespaces, install bubblewrap, or use --executor docker",
        })
    })?;
    Ok((executor, info))
}

/// What a worker is.
fn about(info: &ExecutorInfo, slots: usize) -> String {
    let ExecutorInfo { kind, version, .. } = info;
    format!("{kind} {version} · {} at a time", plural(slots as u64, "datum", "datums"))
}

/// Tells how the worker is doing, on its terminal.
struct Teller {
    notes: Notes,
    /// Where it joins, and what as.
    place: String,
    about: String,
    /// The connection error that was printed last.
    lost: Mutex<Option<String>>,
}

impl Teller {
    fn tell(&self, news: WorkerNews) {
        let mut lost = self.lost.lock().expect("no panic under this lock");
        match news {
            WorkerNews::Joined { name } => {
                *lost = None;
                self.notes.line(format!("joined {} as `{name}`: {}", self.place, self.about));
            }
            // It is tried often, and each reason is told once.
            WorkerNews::Lost { why } if lost.as_ref() != Some(&why) => {
                self.notes.line(format!("no connection: {why}; trying again"));
                *lost = Some(why);
            }
            WorkerNews::Lost { .. } => {}
            WorkerNews::Going => self.notes.farewell("going away: no more datums; those that run have 15 s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_part_of_a_path() {
        for good in ["edge-2", "a", "host.example.org", "2_b"] {
            assert_eq!(name(good).as_deref(), Ok(good));
        }
        for bad in ["", ".", "..", "-a", "a/b", "a b", "ä", &"a".repeat(64)] {
            name(bad).unwrap_err();
        }
    }
}
