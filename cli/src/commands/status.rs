//! `pv status`, and `pv` alone inside a store.

use std::path::{Path, PathBuf};

use answers::job::JobState;
use answers::pipeline::PipelineState;
use engine::Graph;
use engine::apply::{Drift, drifts};
use repos::Store;
use repos::journal::RepoKind;
use repos::settings::EXECUTOR;
use serde::Serialize;
use specs::PipelineName;

use super::jobs::PipelineLine;
use super::names::shell_word;
use super::views::RepoView;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{columns, plural, size};

/// Show store, repositories, pipelines, and what needs attention
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Exit with code 1 unless every pipeline is current
    #[arg(long)]
    exit_code: bool,
}

/// The whole, as programs read it.
#[derive(Serialize)]
struct StatusView {
    store: PathBuf,
    executor: String,
    /// Whether a process is at work that runs pipelines.
    running: bool,
    size_bytes: u64,
    free_bytes: u64,
    repos: Vec<RepoView>,
    pipelines: Vec<PipelineLine>,
    needs_you: Vec<Need>,
    /// Specs and code on this machine that are not what was applied.
    differs_on_disk: Vec<Drift>,
}

/// Something that needs an action by a person.
#[derive(Debug, Serialize)]
struct Need {
    pipeline: PipelineName,
    what: String,
    /// What to do, in this order.
    commands: Vec<String>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let pipelines = PipelineLine::all(cx)?;
    let mut repos = Vec::new();
    for (name, row) in store.repos()? {
        // The output of a pipeline stands in the pipeline's line.
        if cx.out().is_json() || row.kind != RepoKind::Output {
            repos.push(RepoView::new(store, name, &row)?);
        }
    }
    let folder = store.folder();
    let differs_on_disk = drifts(store, &*Graph::load(store)?)?;
    let needs_you = pipelines.iter().filter_map(need).chain(differs_on_disk.iter().map(|drift| apply_need(cx, drift)));
    let status = StatusView {
        store: store.dir().to_owned(),
        executor: store.setting_text(&EXECUTOR)?.0,
        running: cx.engine().is_some(),
        size_bytes: bytes_below(&folder),
        free_bytes: free_bytes(&folder)?,
        needs_you: needs_you.collect(),
        differs_on_disk,
        repos,
        pipelines,
    };
    let is_current = status.pipelines.iter().all(|line| line.pipeline.state == PipelineState::Current);
    if cx.out().is_json() {
        cx.out().json(&status)?;
    } else {
        print(cx, store, status)?;
    }
    if args.exit_code && !is_current { Err(CliError::Exit(1)) } else { Ok(()) }
}

fn print(cx: &Context, store: &Store, status: StatusView) -> Result<()> {
    let engine = match cx.engine() {
        Some(engine) => {
            let work = if engine.lives_on() { "pv serve runs jobs as commits arrive" } else { "pv run is running" };
            format!("{} {}   {work}", status.executor, engine.executor().version)
        }
        None => format!("executor {}   pipelines run when you call `pv run`", status.executor),
    };
    let disk = format!("{} stored, {} free", size(status.size_bytes), size(status.free_bytes));
    cx.out().wrapped(format!("{}   {engine}   {disk}", store.dir().display()))?;
    if status.repos.is_empty() {
        cx.out().line("\nno repositories yet: pv repo create NAME, then  pv put NAME FILES")?;
    } else {
        cx.out().line("")?;
        cx.list(None, status.repos.into_iter().map(Ok))?;
    }
    if !status.pipelines.is_empty() {
        cx.out().line("")?;
        cx.list(None, status.pipelines.into_iter().map(Ok))?;
    }
    if !status.needs_you.is_empty() {
        cx.out().line(format!("\n{}", cx.out().paint(1, "needs you")))?;
        print_needs(cx, &status.needs_you)?;
    }
    Ok(())
}

/// Prints each need on a line; if that is too narrow, each command on its own line, so that it can be copied.
fn print_needs(cx: &Context, needs: &[Need]) -> Result<()> {
    let name_width = needs.iter().map(|need| need.pipeline.as_str().len()).max().unwrap_or(0);
    let what_width = needs.iter().map(|need| columns(&need.what)).max().unwrap_or(0);
    for Need { pipeline, what, commands } in needs {
        let name = format!("  {:name_width$}  ", pipeline.as_str());
        let line =
            format!("{name}{what}{}  {}", " ".repeat(what_width - columns(what)), commands.join("        then  "));
        if cx.out().columns().is_none_or(|width| columns(&line) <= width) {
            cx.out().line(line)?;
            continue;
        }
        cx.out().branch(&name, &" ".repeat(columns(&name)), what)?;
        commands.iter().try_for_each(|command| cx.out().line(format!("      {command}")))?;
    }
    Ok(())
}

/// The specs on disk are to be applied, or restored.
fn apply_need(cx: &Context, drift: &Drift) -> Need {
    let file = drift.file.strip_prefix(&cx.invocation().cwd).unwrap_or(&drift.file).display().to_string();
    let word = shell_word(&file);
    let (what, commands) = if drift.what == ["errors"] {
        (format!("{file} has errors"), vec![format!("pv pipeline check -f {word}")])
    } else {
        let differs = if drift.what.len() == 1 { "differs" } else { "differ" };
        let what = format!("{} on disk {differs} from the applied version: {file}", drift.what.join(" and "));
        (what, vec![format!("pv plan -f {word}"), format!("pv pipeline apply -f {word}")])
    };
    Need { pipeline: drift.pipeline.clone(), what, commands }
}

/// What a pipeline needs from people; nothing if it is current or progresses without them.
fn need(line: &PipelineLine) -> Option<Need> {
    let view = &line.pipeline;
    let name = &view.name;
    let why = view.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
    let job = line.newest_job().map_or(name.as_str(), |job| job.short.as_str());
    let (what, commands) = match view.state {
        PipelineState::Running if line.failed_so_far() > 0 => {
            let failed = plural(line.failed_so_far(), "datum has", "datums have");
            (format!("running; {failed} failed so far"), vec![format!("pv logs {job} --failed")])
        }
        PipelineState::Current | PipelineState::Running => return None,
        // Somebody has to look at the pipeline above it.
        PipelineState::Failed if line.newest_job().is_some_and(|job| job.job.state == JobState::Unrunnable) => {
            return None;
        }
        // One that waits for another pipeline continues when that one does.
        PipelineState::Pending if view.reason.as_deref() != Some("for pv run") => return None,
        PipelineState::Pending => ("pending".to_owned(), vec!["pv run".to_owned()]),
        PipelineState::Failed => {
            (format!("failed{why}"), vec![format!("pv job show {job}"), format!("pv job retry {name}")])
        }
        PipelineState::Stopped => ("stopped".to_owned(), vec![format!("pv pipeline start {name}")]),
    };
    Some(Need { pipeline: name.clone(), what, commands })
}

/// Bytes of all files below a folder; what cannot be read counts as nothing.
fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_below(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

fn free_bytes(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder)
        .map_err(|error| CliError::io("cannot read the disk's free space", &error.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}
