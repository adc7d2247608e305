//! `pv plan`

use std::collections::BTreeSet;
use std::path::PathBuf;

use answers::preview::{Preview, PreviewLine, pending, proposed};
use engine::apply::{self, AppliedState, Request};
use engine::executors::command_that_runs;
use serde::Serialize;
use specs::PipelineName;

use super::choose_executor::choose_executor;
use super::pipeline::sources::{SpecFiles, Specs, warn};
use crate::author;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{Human, Row, count};

/// Show what would run; run nothing
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Show only these pipelines
    #[arg(value_name = "PIPELINE")]
    pipelines: Vec<PipelineName>,
    /// Show what would run if these specs, or folders of specs, were applied
    #[arg(short, long = "file", value_name = "FILE|DIR", num_args = 1.., conflicts_with = "pipelines")]
    file: Vec<PathBuf>,
    /// List each datum and why it would run
    #[arg(long)]
    datums: bool,
}

impl Args {
    /// Reads what the command reads from the caller's machine.
    pub(super) fn read_files(&self, cx: &Context) -> Result<Option<Specs>> {
        if self.file.is_empty() {
            return Ok(None);
        }
        SpecFiles::named(self.file.clone()).read_files(cx)
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let names: BTreeSet<PipelineName> = args.pipelines.iter().cloned().collect();
    names.iter().try_for_each(|name| store.pipeline(name).map(drop))?;
    let limit = super::run::limit(store, None)?;
    let previews = if args.file.is_empty() {
        pending(store, &names, args.datums, limit)?
    } else {
        if_applied(cx, store, args, limit)?
    };
    if previews.is_empty() && !cx.out().is_json() {
        return cx
            .out()
            .line(cx.none_of("pending jobs", "nothing is pending: every pipeline is up to date with its inputs")?);
    }
    let lines = previews.into_iter().map(|preview| {
        let short_run = preview.run.as_ref().map(|run| store.short_run(run)).transpose()?;
        Ok(Line { preview, short_run: short_run.unwrap_or_else(|| "new".to_owned()) })
    });
    let lines: Vec<Line> = lines.collect::<Result<_>>()?;
    if args.datums {
        return print_datums(cx, lines);
    }
    cx.list(None, lines.into_iter().map(Ok))?;
    if !cx.out().is_json() {
        cx.notes().line(format!("nothing was changed; {} runs it", command_that_runs(cx.store()?)?));
    }
    Ok(())
}

/// Prints the datums that are known; those of jobs that wait for output of other jobs are not.
fn print_datums(cx: &Context, lines: Vec<Line>) -> Result<()> {
    let unknown: Vec<String> = lines
        .iter()
        .filter(|line| line.preview.at_most && line.preview.datums.is_empty() && line.preview.executes > 0)
        .map(|line| format!("{} in run {}: {}", line.preview.pipeline, line.short_run, line.preview.why))
        .collect();
    let rows = lines.into_iter().flat_map(|Line { preview, short_run }| {
        preview.into_lines().map(move |line| Ok(DatumLine { line, short_run: short_run.clone() }))
    });
    cx.list(None, rows)?;
    if !cx.out().is_json() {
        for line in unknown {
            cx.notes().line(format!("not known yet: {line}"));
        }
    }
    Ok(())
}

/// What would run after applying these specs.
fn if_applied(cx: &Context, store: &Store, args: &Args, limit: usize) -> Result<Vec<Preview>> {
    let specs = SpecFiles::named(args.file.clone()).read(cx)?;
    let by = author::by(cx, None);
    let applied = cx.block_on(async {
        let executor = choose_executor(cx, store).await?.executor;
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
struct Line {
    preview: Preview,
    #[serde(skip)]
    short_run: String,
}

impl Row for Line {
    const HEADER: &'static [&'static str] = &["PIPELINE", "IN RUN", "RUN", "CACHED", "REMOVED", "WHY", "ABOUT"];
    const GIVES_UP: &'static [&'static str] = &["REMOVED", "CACHED", "ABOUT"];

    fn cells(&self, _: &Human) -> Vec<String> {
        let preview = &self.preview;
        let or_less = if preview.at_most { " or less" } else { "" };
        let exact = |number: u64| if preview.at_most { "?".to_owned() } else { count(number) };
        vec![
            preview.pipeline.to_string(),
            self.short_run.clone(),
            match (preview.unbounded, preview.at_most) {
                (true, _) => "?".to_owned(),
                (false, true) if preview.executes > 0 => format!("≤ {}", count(preview.executes)),
                (false, _) => count(preview.executes),
            },
            exact(preview.cached),
            exact(preview.removed),
            why(preview),
            preview.seconds_estimate.map_or_else(String::new, |seconds| about(seconds) + or_less),
        ]
    }
}

/// `commit images@main: 3 new, 2 changed: images`
fn why(preview: &Preview) -> String {
    let run = preview.reasons.iter().filter(|reason| !reason.is_removal);
    let parts: Vec<String> = run.map(|reason| format!("{} {}", count(reason.datums), reason.why)).collect();
    if parts.is_empty() { preview.why.clone() } else { format!("{}   {}", preview.why, parts.join(", ")) }
}

/// A duration in approximate words.
fn about(seconds: f64) -> String {
    match seconds {
        ..1.0 => "under 1 s".to_owned(),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[derive(Serialize)]
#[serde(transparent)]
struct DatumLine {
    line: PreviewLine,
    #[serde(skip)]
    short_run: String,
}

impl Row for DatumLine {
    const HEADER: &'static [&'static str] = &["PIPELINE", "IN RUN", "DATUM", "DOES", "WHY", "INPUTS"];
    const GIVES_UP: &'static [&'static str] = &["IN RUN", "DATUM"];
    const SHORTENS: &'static [&'static str] = &["INPUTS"];

    fn cells(&self, _: &Human) -> Vec<String> {
        let inputs = self.line.datum.inputs.iter().map(|input| format!("{}:{}", input.input, input.path));
        vec![
            self.line.pipeline.to_string(),
            self.short_run.clone(),
            self.line.datum.id.short(8),
            match (self.line.datum.executes, self.line.at_most) {
                (true, true) => "run, or cached",
                (true, false) => "run",
                (false, _) => "cached",
            }
            .to_owned(),
            self.line.datum.why.clone(),
            inputs.collect::<Vec<_>>().join(" "),
        ]
    }
}
