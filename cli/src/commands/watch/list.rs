//! `pv watch list`

use answers::watch::{WatchView, watches};

use crate::context::Context;
use crate::error::Result;
use crate::output::{Human, Row, count};

/// List the watches that the store keeps, and how they are doing
#[derive(clap::Args, Debug)]
pub(crate) struct Args {}

impl Row for WatchView {
    const HEADER: &'static [&'static str] =
        &["WATCH", "FOLDER", "TARGET", "STATE", "LAST COMMIT", "FILES", "WAITING", "BY"];
    const GIVES_UP: &'static [&'static str] = &["BY", "WAITING", "FILES"];

    fn cells(&self, human: &Human) -> Vec<String> {
        vec![
            self.name.to_string(),
            self.folder.display().to_string(),
            self.target.to_string(),
            state(self).to_owned(),
            self.last_commit_at.map_or_else(|| "never".to_owned(), |at| human.local(at)),
            count(self.files),
            count(self.waiting),
            self.created_by.clone(),
        ]
    }
}

fn state(watch: &WatchView) -> &'static str {
    match watch {
        WatchView { paused: true, .. } => "paused",
        WatchView { troubles_count: 1.., .. } => "needs you",
        WatchView { polls: Some(_), .. } => "polls",
        _ => "ok",
    }
}

pub(super) fn run(cx: &Context, _: &Args) -> Result<()> {
    let watches = watches(cx.store()?)?;
    let troubles: Vec<String> = watches
        .iter()
        .flat_map(|watch| watch.troubles.iter().map(|trouble| format!("{}: {}", watch.name, trouble.sentence())))
        .collect();
    cx.list(None, watches.into_iter().map(Ok))?;
    cx.out().flush()?;
    if !cx.out().is_json() {
        for trouble in troubles {
            cx.notes().line(trouble);
        }
    }
    Ok(())
}
