//! Pipelines, jobs and datums in words.

use answers::explain::{DatumExplained, InputExplained, JobExplained, PipelineExplained};
use answers::run::cause_words;

use super::sides;
use crate::context::{Context, Store};
use crate::error::Result;

pub(super) fn pipeline(cx: &Context, store: &Store, explained: &PipelineExplained) -> Result<()> {
    let view = &explained.pipeline;
    cx.out().wrapped(format!("{} v{}   {}", view.name, view.version, view.state))?;
    explained.because.iter().try_for_each(|reason| cx.out().wrapped(format!("  {reason}")))?;
    cx.out().line("")?;
    let mut rows = Vec::new();
    for input in &explained.inputs {
        rows.push(input_cells(store, input)?);
    }
    cx.table(&["INPUT", "BRANCH", "GLOB", "MATCHES", "HEAD", "TAKEN"], rows)?;
    if let Some(newest) = &explained.job {
        cx.out().line("\nnewest job")?;
        job(cx, store, newest)?;
    }
    Ok(())
}

fn input_cells(store: &Store, input: &InputExplained) -> Result<Vec<String>> {
    let short = |id: Option<specs::CommitId>| id.map_or(Ok("none".to_owned()), |id| store.short_commit(&id));
    let cells = vec![input.input.clone(), input.branch.clone(), input.glob.clone(), input.matches.to_string()];
    Ok(cells.into_iter().chain([short(input.head)?, short(input.taken)?]).collect())
}

pub(super) fn job(cx: &Context, store: &Store, explained: &JobExplained) -> Result<()> {
    let view = &explained.job;
    cx.out().wrapped(format!("{}@{}   {}", view.pipeline, store.short_run(&view.run)?, explained.why))?;
    let mut lines = Vec::new();
    let cause = &view.cause;
    let message = explained.message.as_deref().map_or_else(String::new, |message| format!("   {message}"));
    let author = explained.author.as_deref().unwrap_or_default();
    lines.push(vec!["cause".to_owned(), format!("{}   {author}{message}", cause_words(cause.kind, &cause.refs))]);
    for input in &explained.inputs {
        let old = input.old.map_or(Ok("nothing".to_owned()), |id| store.short_commit(&id))?;
        let new = store.short_commit(&input.new)?;
        let text = format!("{}@{}   {old} → {new}   {}   {}", input.repo, input.branch, input.author, input.message);
        lines.push(vec!["input".to_owned(), text.trim_end().to_owned()]);
    }
    if !explained.same.is_empty() {
        lines.push(vec!["same".to_owned(), explained.same.join(", ")]);
    }
    if let Some(before) = explained.version_before {
        lines.push(vec!["version".to_owned(), format!("v{before} → v{}", view.pipeline_version)]);
    }
    cx.table(&[], lines)?;
    sides::transform(cx, store, &explained.changes)
}

pub(super) fn datum(cx: &Context, store: &Store, explained: &DatumExplained) -> Result<()> {
    let datum = &explained.datum;
    cx.out().wrapped(format!("datum {} of {}   {}", datum.id.short(8), short_job(&explained.job), explained.why))?;
    let mut lines: Vec<Vec<String>> = Vec::new();
    for input in &datum.inputs {
        lines.push(vec!["reads".to_owned(), format!("{}:{}   {}", input.input, input.path, input.digest)]);
    }
    cx.table(&[], lines)?;
    if explained.earlier.is_some() {
        cx.out().line("")?;
        sides::earlier(cx, store, explained)?;
    }
    cx.out().flush()?;
    if let Some(by) = &explained.datum.executed_by() {
        cx.notes().line(format!("its output: pv logs {}/{}", short_job(by), datum.id.short(8)));
    }
    Ok(())
}

/// Shortens the whole id of a job to `detect@6e0b2f17`; other text is unchanged.
pub(super) fn short_job(id: &str) -> String {
    match id.split_once('@').map(|(pipeline, run)| (pipeline, run.parse::<specs::RunId>())) {
        Some((pipeline, Ok(run))) => format!("{pipeline}@{}", run.short(8)),
        _ => id.to_owned(),
    }
}
