//! `pv datum show`

use answers::datum::{DatumState, FoundDatum, datum_details, find_datum, find_datums_of_input};
use answers::named::find_job;
use repos::Store;
use repos::tree::{KeyRange, Tree, path_of};
use specs::{DatumRef, ErrorKind, FilePath, JobRef};

use super::list::DatumLine;
use crate::commands::failures;
use crate::commands::jobs::{live, short_job};
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{ShortIds, duration, plural, short_digest, size};

/// Output files that are shown.
const SHOWN: usize = 20;

/// Show a datum: its inputs, how each try ended, its outputs
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Datum: an id, `JOB/ID`, or a file that it wrote; with `--input` a job
    #[arg(value_name = "DATUM|JOB")]
    datum: String,
    /// Show the datum of the job that read this file
    #[arg(long, value_name = "PATH")]
    input: Option<FilePath>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    let mut found = match &args.input {
        Some(path) => {
            let job = find_job(store, &args.datum.parse::<JobRef>()?)?;
            find_datums_of_input(store, live(cx), &job, path)?
        }
        None => vec![find_datum(store, live(cx), &args.datum.parse::<DatumRef>()?)?],
    };
    if cx.out().is_json() {
        return found.iter().try_for_each(|found| cx.out().json(&datum_details(store, found)?));
    }
    if found.len() > 1 {
        return cx.list(None, found.into_iter().map(|found| Ok(DatumLine(found.view))));
    }
    let found = found.pop().ok_or_else(|| CliError::new(ErrorKind::NotFound, "datum not found"))?;
    print(cx, store, &found)
}

/// Shows the datum that a reference names.
pub(in crate::commands) fn show_one(cx: &Context, datum: &DatumRef) -> Result<()> {
    let store = cx.store()?;
    let found = find_datum(store, live(cx), datum)?;
    if cx.out().is_json() {
        return cx.out().json(&datum_details(store, &found)?);
    }
    print(cx, store, &found)
}

fn print(cx: &Context, store: &Store, found: &FoundDatum) -> Result<()> {
    let lines = lines(cx, store, found)?.into_iter().map(|(word, text)| vec![word.to_owned(), text]);
    cx.table(&[], lines.collect())?;
    failures::last_words(store, &found.result)?.iter().try_for_each(|line| cx.out().wrapped(line))?;
    cx.out().flush()?;
    if found.view.log.is_some() {
        cx.notes().line(format!("its output: pv logs {}/{}", short_job(store, &found.job)?, found.view.id.short(8)));
    }
    Ok(())
}

fn lines(cx: &Context, store: &Store, found: &FoundDatum) -> Result<Vec<(&'static str, String)>> {
    let FoundDatum { job, view, result } = found;
    let human = cx.human();
    let reason = view.reason.as_deref().map_or_else(String::new, |reason| format!("   {reason}"));
    let mut lines = vec![
        ("datum", view.id.to_string()),
        ("state", format!("{}{reason}", view.state)),
        ("job", short_job(store, job)?),
    ];
    if view.state == DatumState::Cached {
        lines.push(("made by", format!("{}@{}", result.pipeline, store.short_run(&result.run)?)));
    }
    lines.push(("pipeline", format!("{} v{}", result.pipeline, result.version)));
    let stamp = &result.executor;
    lines
        .push(("executor", format!("{} {} on {}   network {}", stamp.kind, stamp.version, stamp.host, result.network)));
    for input in &view.inputs {
        let bytes =
            failures::input_bytes(store, job, input)?.map_or_else(String::new, |bytes| format!("   {}", size(bytes)));
        lines.push(("read", format!("{}:{}{bytes}   {}", input.input, input.path, short_digest(&input.digest))));
    }
    for (number, tried) in result.tries.iter().enumerate() {
        let end = failures::end_of(tried);
        let took = duration(tried.finished_at.seconds_since(tried.started_at));
        let time = human.local_and_utc(tried.started_at);
        lines.push(("try", format!("{} of {}   {end}   {took}   {time}", number + 1, result.tries.len())));
    }
    lines.extend(outputs(store, found)?.into_iter().map(|text| ("made", text)));
    Ok(lines)
}

fn outputs(store: &Store, found: &FoundDatum) -> Result<Vec<String>> {
    let count = found.result.outputs_count;
    let Some(outputs) = found.result.outputs.filter(|_| count > 0) else { return Ok(vec!["no files".to_owned()]) };
    let mut lines = Vec::new();
    for entry in Tree::at(outputs).range(store, KeyRange::all())?.take(SHOWN) {
        let (key, file) = entry?;
        let path = path_of(&key).map_err(repos::RepoError::from)?;
        lines.push(format!("{path}   {}   {}", size(file.size), short_digest(&file.digest)));
    }
    let more = count.saturating_sub(lines.len() as u64);
    if more > 0 {
        lines.push(format!("…  {} more", plural(more, "file", "files")));
    }
    Ok(lines)
}
