//! `pv pipeline apply`

use answers::pipeline::AppliedView;
use engine::apply::{self, Applied, AppliedPipeline, AppliedState, Request};

use super::sources::{SpecFiles, Specs, warn};
use crate::author;
use crate::commands::choose_executor::{Pulling, say_chosen};
use crate::commands::next;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::executors::executors;
use crate::output::{Human, Row, plural};

/// Create or update pipelines, all together or none
///
/// This pins images and stores code. A pipeline with the same spec, image and code as before is left as it is. Changed pipelines, and all
/// pipelines downstream, then run on the current data.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    files: SpecFiles,
    /// Author, if not you: `Anna <anna@example.com>`
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl Row for AppliedPipeline {
    const HEADER: &'static [&'static str] = &["PIPELINE", "VERSION", "STATE", "WHY"];
    fn cells(&self, _: &Human) -> Vec<String> {
        let state = match self.state {
            AppliedState::Created => "created",
            AppliedState::Updated => "updated",
            AppliedState::Unchanged => "unchanged",
        };
        vec![self.name.to_string(), format!("v{}", self.version), state.to_owned(), self.why.join(", ")]
    }
}

impl Args {
    /// Reads what the command reads from the caller's machine.
    pub(in crate::commands) fn read_files(&self, cx: &Context) -> Result<Option<Specs>> {
        self.files.read_files(cx)
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let specs = args.files.read(cx)?;
    let applied = cx.block_on(apply(cx, &specs, args))?.map_err(nothing_applied)?;
    if cx.out().is_json() {
        return cx.out().json(&AppliedView::from(&applied));
    }
    if !applied.is_change() {
        warn(cx, &applied.warnings);
    }
    report(cx, applied)
}

async fn apply(cx: &Context, specs: &Specs, args: &Args) -> Result<Applied> {
    let store = cx.store()?;
    let by = author::by(cx, args.author.as_deref());
    let pulling = Pulling::new(cx);
    let on_pull = |step| pulling.step(step);
    let announce = |applied: &Applied| announce(cx, applied);
    let (set, sources) = (&specs.set, &specs.folders);
    let request = Request { set, sources, by: &by, dry: false, on_pull: &on_pull, announce: &announce };
    let (applied, settled) = apply::apply_with_own(store, &executors(cx, store)?, request).await?;
    if !applied.pipelines.is_empty() {
        say_chosen(cx, &settled);
    }
    Ok(applied)
}

fn nothing_applied(error: CliError) -> CliError {
    error.done("nothing was applied")
}

/// Announces the effects of the apply before it happens.
fn announce(cx: &Context, applied: &Applied) {
    if cx.out().is_json() {
        return;
    }
    warn(cx, &applied.warnings);
    if applied.jobs.is_empty() {
        cx.notes().line("no jobs start: no input has data yet");
    } else {
        let names: Vec<&str> = applied.jobs.iter().map(specs::PipelineName::as_str).collect();
        cx.notes().line(format!("starts {}: {}", plural(names.len() as u64, "job", "jobs"), names.join(", ")));
    }
    if !applied.kills.is_empty() {
        let short =
            |job: &String| job.split_once('@').map(|(name, run)| format!("{name}@{}", &run[..8.min(run.len())]));
        let jobs: Vec<String> = applied.kills.iter().filter_map(short).collect();
        cx.notes().line(format!("kills {}: {}", plural(jobs.len() as u64, "job", "jobs"), jobs.join(", ")));
    }
}

fn report(cx: &Context, applied: Applied) -> Result<()> {
    let Applied { run, pipelines, .. } = applied;
    cx.list(None, pipelines.into_iter().map(Ok))?;
    cx.out().flush()?;
    let Some(run) = run else {
        cx.notes().line("nothing differs: no pipeline has a new version");
        return Ok(());
    };
    cx.notes().line(format!("run {}", cx.store()?.short_run(&run)?));
    // If an engine takes jobs on its own, there is no time to look at the plan.
    match next::after(cx, cx.store()?, &run)? {
        Some(next) if !next.starts_with("next: pv wait") => cx.notes().line(format!("{next}        preview: pv plan")),
        next => next.iter().for_each(|next| cx.notes().line(next)),
    }
    Ok(())
}
