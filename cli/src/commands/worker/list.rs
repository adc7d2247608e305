//! `pv worker list`

use answers::worker::{WorkerView, workers};

use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, count};

/// List the workers that have joined the store's `pv serve`
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

impl Row for WorkerView {
    const HEADER: &'static [&'static str] =
        &["WORKER", "EXECUTOR", "VERSION", "PLATFORM", "SLOTS", "SANDBOXES", "STATE", "TOKEN"];
    const GIVES_UP: &'static [&'static str] = &["VERSION", "PLATFORM", "SANDBOXES"];

    fn cells(&self, _: &Human) -> Vec<String> {
        vec![
            self.name.clone(),
            self.executor.to_string(),
            self.version.clone(),
            self.platform.clone(),
            count(self.slots),
            count(self.sandboxes),
            if self.going_away { "going away" } else { "joined" }.to_owned(),
            self.token.clone(),
        ]
    }
}

pub(super) fn run(cx: &Context, _: &Args) -> Result<()> {
    cx.store()?;
    let views = cx.engine().map(|engine| workers(engine.workers())).unwrap_or_default();
    if views.is_empty() {
        let why = if cx.engine().is_some() {
            "no worker has joined"
        } else {
            "no server of this store runs, so there is nothing to join"
        };
        cx.notes().line(why);
    }
    cx.list(None, views.into_iter().map(Ok))
}
