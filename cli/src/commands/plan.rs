//! `pv plan`

use std::collections::BTreeSet;
use std::path::PathBuf;

use engine::apply::{self, AppliedState, Request};
use engine::outlook::{Outlook, OutlookDatum, pending, proposed};
use repos::Store;
use serde::Serialize;
use specs::PipelineName;

use super::pipeline::sources::{Files, warn};
use super::settle::settle;
use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{Human, Row, count};

/// Show what would run, and run nothing
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Only these pipelines
    #[arg(value_name = "PIPELINE")]
    pipelines: Vec<PipelineName>,
    /// Specs, or folders of them: what would run if they were applied
    #[arg(short, long = "file", value_name = "FILE|DIR", num_args = 1.., conflicts_with = "pipelines")]
    file: Vec<PathBuf>,
    /// One datum a line, with why it would run
    #[arg(long)]
    datums: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let names: BTreeSet<PipelineName> = args.pipelines.iter().cloned().collect();
    names.iter().try_for_each(|name| store.pipeline(name).map(drop))?;
    let limit = super::run::limit(store, None)?;
    let outlooks = if args.file.is_empty() {
        pending(store, &names, args.datums, limit)?
    } else {
        if_applied(cx, store, args, limit)?
    };
    if outlooks.is_empty() && !cx.out().is_json() {
        return cx.out().line("nothing is pending: every pipeline has looked at all its inputs");
    }
    if args.datums {
        let rows = outlooks.into_iter().flat_map(|outlook| {
            let pipeline = outlook.pipeline;
            outlook.datums.into_iter().map(move |datum| Ok(DatumLine { pipeline: pipeline.clone(), datum }))
        });
        return cx.list(None, rows);
    }
    cx.list(None, outlooks.into_iter().map(|outlook| Ok(Line(outlook))))?;
    if !cx.out().is_json() {
        cx.notes().line("nothing was changed; pv run runs it");
    }
    Ok(())
}

/// What would run if these specs were applied.
fn if_applied(cx: &Context, store: &Store, args: &Args, limit: usize) -> Result<Vec<Outlook>> {
    let specs = Files::named(args.file.clone()).read(cx)?;
    let by = author::by(cx, None);
    let applied = cx.block_on(async {
        let executor = settle(cx, store).await?.executor;
        let request = Request {
            set: &specs.set,
            sources: &specs.folders,
            by: &by,
            dry: true,
            on_pull: &|_| {},
            announce: &|_| {},
        };
        Ok::<_, CliError>(apply::apply(store, executor.as_ref(), request).await?)
    })??;
    warn(cx, &applied.warnings);
    let mut changed = BTreeSet::new();
    for pipeline in applied.pipelines {
        if pipeline.state != AppliedState::Unchanged {
            let why = if pipeline.why.is_empty() { String::new() } else { format!("   {}", pipeline.why.join(", ")) };
            cx.notes().line(format!("{} v{}{why}", pipeline.name, pipeline.version));
            changed.insert(pipeline.name);
        }
    }
    Ok(proposed(store, &applied.graph, &changed, args.datums, limit)?)
}

#[derive(Serialize)]
#[serde(transparent)]
struct Line(Outlook);

impl Row for Line {
    const HEADER: &'static [&'static str] = &["PIPELINE", "RUN", "CACHED", "REMOVED", "WHY", "ABOUT"];

    fn cells(&self, _: &Human) -> Vec<String> {
        let outlook = &self.0;
        let at_most = if outlook.at_most { "≤ " } else { "" };
        vec![
            outlook.pipeline.to_string(),
            format!("{at_most}{}", count(outlook.executes)),
            if outlook.at_most { "?".to_owned() } else { count(outlook.cached) },
            count(outlook.removed),
            why(outlook),
            outlook.seconds_estimate.map_or_else(String::new, |seconds| format!("{at_most}{}", about(seconds))),
        ]
    }
}

/// `commit images@main: 3 new, 2 changed: images`
fn why(outlook: &Outlook) -> String {
    let run = outlook.reasons.iter().filter(|reason| reason.why != "removed");
    let parts: Vec<String> = run.map(|reason| format!("{} {}", count(reason.datums), reason.why)).collect();
    if parts.is_empty() { outlook.why.clone() } else { format!("{}   {}", outlook.why, parts.join(", ")) }
}

/// A time as people say it.
fn about(seconds: f64) -> String {
    match seconds {
        ..1.0 => "under 1 s".to_owned(),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[derive(Serialize)]
struct DatumLine {
    pipeline: PipelineName,
    #[serde(flatten)]
    datum: OutlookDatum,
}

impl Row for DatumLine {
    const HEADER: &'static [&'static str] = &["PIPELINE", "DATUM", "DOES", "WHY", "INPUTS"];

    fn cells(&self, _: &Human) -> Vec<String> {
        let inputs = self.datum.inputs.iter().map(|input| format!("{}:{}", input.input, input.path));
        vec![
            self.pipeline.to_string(),
            self.datum.id.short(8),
            if self.datum.executes { "run" } else { "cached" }.to_owned(),
            self.datum.why.clone(),
            inputs.collect::<Vec<_>>().join(" "),
        ]
    }
}
