//! `pv datum show`

use answers::datum::{
    DatumDetails, DatumState, FoundDatum, TryView, datum_details, datum_with_files, find_datum, find_datums_of_input,
    growth_in_words,
};
use answers::file::FileView;
use answers::job::short_job;
use answers::named::find_job;
use answers::sight::gap_in_words;
use specs::{DatumRef, ErrorKind, FilePath, JobRef};

use crate::commands::failures;
use crate::commands::jobs::live;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{duration, plural, short_digest, size};

/// How many output files are shown.
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
        return cx.list(None, found.into_iter().map(|found| Ok(found.view)));
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
    let details = datum_with_files(store, found, SHOWN)?;
    let job = short_job(store, &found.job)?;
    let lines = lines(cx, &details, &job)?.into_iter().map(|(word, text)| vec![word.to_owned(), text]);
    cx.table(&[], lines.collect())?;
    failures::quoted(&details.last_words).try_for_each(|line| cx.out().wrapped(line))?;
    cx.out().flush()?;
    if details.view.log.is_some() {
        cx.notes().line(format!("its output: pv logs {job}/{}", details.view.id.short(8)));
    }
    Ok(())
}

fn lines(cx: &Context, details: &DatumDetails, job: &str) -> Result<Vec<(&'static str, String)>> {
    let (view, human) = (&details.view, cx.human());
    let reason = view.reason.as_deref().map_or_else(String::new, |reason| format!("   {reason}"));
    let mut lines =
        vec![("datum", view.id.to_string()), ("state", format!("{}{reason}", view.state)), ("job", job.to_owned())];
    if let Some((pipeline, run)) = &view.made_by {
        if view.state == DatumState::Cached {
            lines.push(("made by", format!("{pipeline}@{}", cx.store()?.short_run(run)?)));
        }
        lines.push(("pipeline", format!("{pipeline} v{}", view.pipeline_version.unwrap_or_default())));
    }
    if let (Some(stamp), Some(network)) = (&view.executed_on, view.network) {
        let worker = view.try_details.last().and_then(|tried| tried.worker.as_deref());
        lines.push(("executor", format!("{}   network {network}", stamp.on(worker))));
    }
    for input in &view.inputs {
        let bytes = input.size_bytes.map_or_else(String::new, |bytes| format!("   {}", size(bytes)));
        lines.push(("read", format!("{}:{}{bytes}   {}", input.input, input.path, short_digest(&input.digest))));
    }
    if view.not_visible > 0 {
        lines.push(("read", gap_in_words(view.not_visible, "input")));
    }
    for (number, tried) in view.try_details.iter().enumerate() {
        let end = failures::end_of(tried);
        let took = took(tried);
        let on = tried.worker.as_ref().map_or_else(String::new, |worker| format!("on {worker}   "));
        let time = human.local_and_utc(tried.started_at);
        lines.push(("try", format!("{} of {}   {end}   {took}   {on}{time}", number + 1, view.tries)));
    }
    lines.extend(growth_in_words(&view.try_details).map(|growth| ("memory", growth)));
    lines.extend(outputs(details).into_iter().map(|text| ("made", text)));
    Ok(lines)
}

/// How long each part of a try took; of those of older versions only the command is known.
fn took(tried: &TryView) -> String {
    let command = duration(tried.process_seconds);
    match (tried.pull_seconds, tried.take_in_seconds) {
        (Some(pull), Some(take_in)) => {
            format!("pull {}, execute {command}, take-in {}", duration(pull), duration(take_in))
        }
        _ => command,
    }
}

fn outputs(details: &DatumDetails) -> Vec<String> {
    if details.view.outputs_count == 0 {
        return vec!["no files".to_owned()];
    }
    let line = |file: &FileView| format!("{}   {}   {}", file.path, size(file.size_bytes), short_digest(&file.digest));
    let mut lines: Vec<String> = details.outputs.iter().map(line).collect();
    let more = details.outputs_left_out;
    if more > 0 {
        lines.push(format!("…  {} more", plural(more, "file", "files")));
    }
    lines
}
