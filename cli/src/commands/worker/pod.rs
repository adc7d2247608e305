//! `pv worker pod`: what the container beside a stage's does in a pod of the kubernetes executor.

use std::path::PathBuf;
use std::sync::Arc;

use dial::{Server, Way};
use nix::sys::signal::Signal;
use sandbox::{InPod, Station, WorkerNews, WorkerOptions};
use specs::ErrorKind;

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::Notes;

pub(super) fn run(cx: &Context) -> Result<()> {
    let station = cx.env().get(Station::VARIABLE).ok_or_else(|| no_pod("is not set"))?;
    let station: Station = serde_json::from_str(station).map_err(|error| no_pod(&format!("is wrong: {error}")))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
    runtime.block_on(work(cx, &station))?;
    // Stopping it this way is not a failure.
    cx.cancel().obeyed(Signal::SIGTERM);
    Ok(())
}

fn no_pod(why: &str) -> CliError {
    CliError::new(ErrorKind::Usage, format!("{} {why}", Station::VARIABLE)).hint("the engine starts this in pods")
}

/// Works for the engine until the pod ends, or the engine does not want it any more.
async fn work(cx: &Context, station: &Station) -> Result<()> {
    // Whoever set the URL chose whether it is spoken to with TLS.
    let server = Server::at(&station.url, true)?.with_token(station.token.clone());
    let server = match &station.authority {
        Some(pem) => server.trusting_only(pem.clone().into_bytes()),
        None => server,
    };
    let way = Way::of_pod(server);
    let executor = Arc::new(InPod::meet(station).await?);
    let notes = cx.notes().another();
    let options = WorkerOptions {
        name: station.name.clone(),
        slots: 1,
        cache: PathBuf::from(Station::CACHE),
        cache_bytes: station.cache_bytes,
        say: Arc::new(move |news| say(&notes, &news)),
    };
    let worked = sandbox::work(&way, executor, &options, cx.cancel().asked(1)).await;
    match way.refusal() {
        Some(refusal) => Err(refusal.into()),
        None => Ok(worked?),
    }
}

fn say(notes: &Notes, news: &WorkerNews) {
    match news {
        WorkerNews::Joined { name } => notes.line(format!("joined as {name}")),
        WorkerNews::Lost { why } => notes.line(format!("no connection: {why}; trying again")),
        WorkerNews::Going => notes.farewell("going away"),
    }
}
