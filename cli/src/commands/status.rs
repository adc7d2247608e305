//! `pv status`, and `pv` alone inside a store.

use answers::pipeline::pipeline_lines;
use answers::status::{Need, StatusView, Wanted, WantedRepos, status};
use engine::Engine;
use engine::executors::command_that_runs;

use super::jobs::live;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{columns, size};

/// Show store, repositories, pipelines, and what needs attention
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Args {
    /// Exit with code 1 unless every pipeline is current
    #[arg(long)]
    exit_code: bool,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    // The output of a pipeline is part of the pipeline's line.
    let repos = if cx.out().is_json() { WantedRepos::All } else { WantedRepos::Sources };
    let wanted = Wanted { repos, folder: &cx.invocation().cwd };
    let store = cx.store()?;
    let mut status = status(store, live(cx), wanted)?;
    status.needs_you.extend(notifications::needs(store, cx.engine().is_some_and(Engine::lives_on))?);
    let is_current = status.is_current();
    if cx.out().is_json() {
        cx.out().json(&status)?;
    } else {
        print(cx, status)?;
    }
    if args.exit_code && !is_current { Err(CliError::Exit(1)) } else { Ok(()) }
}

fn print(cx: &Context, status: StatusView) -> Result<()> {
    let engine = if let Some(engine) = cx.engine() {
        let work = if engine.lives_on() { "pv serve runs jobs as commits arrive" } else { "pv run is running" };
        format!("{} {}   {work}", status.executor, engine.executor().version)
    } else {
        let command = command_that_runs(cx.store()?)?;
        format!("executor {}   pipelines run when you call `{command}`", status.executor)
    };
    let disk = format!("{} stored, {} free", size(status.size_bytes), size(status.free_bytes));
    cx.out().wrapped(format!("{}   {engine}   {disk}", status.store.display()))?;
    if status.repos.is_empty() {
        let nothing = "no repositories yet: pv repo create NAME, then  pv put NAME FILES";
        cx.out().line(format!("\n{}", cx.none_of("repositories", nothing)?))?;
    } else {
        cx.out().line("")?;
        cx.list(None, status.repos.into_iter().map(Ok))?;
    }
    if !status.pipelines.is_empty() {
        cx.out().line("")?;
        cx.list(None, pipeline_lines(cx.store()?, live(cx), status.pipelines).map(|line| Ok(line?)))?;
    }
    if !status.watches.is_empty() {
        cx.out().line("")?;
        cx.list(None, status.watches.into_iter().map(Ok))?;
    }
    if !status.needs_you.is_empty() {
        cx.out().line(format!("\n{}", cx.out().paint(1, "needs you")))?;
        print_needs(cx, &status.needs_you)?;
    }
    Ok(())
}

/// Prints each need on a line; if that is too narrow, each command on its own line, so that it can be copied.
fn print_needs(cx: &Context, needs: &[Need]) -> Result<()> {
    let name_width = needs.iter().map(|need| need.name().len()).max().unwrap_or(0);
    let what_width = needs.iter().map(|need| columns(&need.what)).max().unwrap_or(0);
    for need in needs {
        let Need { what, commands, .. } = need;
        let name = format!("  {:name_width$}  ", need.name());
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
