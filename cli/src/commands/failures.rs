//! Why a job failed, with what a person needs next: the first failed datums, what they read, what they said last.

use std::collections::BTreeSet;

use answers::datum::{self, DatumFilter, DatumInput, DatumState, DatumView, datums, provenance_of};
use engine::apply;
use engine::live::Live;
use repos::documents::{JobDocument, ResultDocument, Try};
use repos::tree::Tree;
use repos::{JobRow, Store};
use specs::is_shell_name;

use super::jobs::short_job;
use crate::error::Result;
use crate::output::{plural, size};

/// Failed datums that are shown.
const SHOWN: usize = 3;
/// Lines of a datum's log that are shown.
const LINES: usize = 3;
/// Inputs of a datum that are shown.
const INPUTS: usize = 4;

/// Why a job ended as it did, in one line.
pub(crate) fn reason(store: &Store, job: &JobRow) -> Result<String> {
    let document = job.document.map(|digest| store.document::<JobDocument>(&digest)).transpose()?;
    let Some(document) = document else {
        let what = if job.sealed.is_none() { "it has not ended" } else { "no details are recorded" };
        return Ok(what.to_owned());
    };
    let done = document.datums_processed + document.datums_cached + document.datums_recovered;
    let reason = document.reason.unwrap_or_default();
    Ok(if document.datums_failed > 0 && done > 0 {
        format!("{reason}; the other {} kept", plural(done, "is", "are"))
    } else {
        reason
    })
}

/// The first failed datums of a job, of one that runs those so far: id, inputs, exit code, tries, and the last lines of the log.
pub(crate) fn failed_datums(store: &Store, live: Option<&Live>, job: &JobRow) -> Result<Vec<String>> {
    let filter = DatumFilter { state: Some(DatumState::Failed), ..DatumFilter::default() };
    let (mut lines, mut unreadable) = (Vec::new(), BTreeSet::new());
    for datum in datums(store, live, job, filter)?.take(SHOWN) {
        let datum = datum?;
        let names = datum.inputs.iter().map(|input| &input.input);
        unreadable.extend(names.filter(|name| !is_shell_name(name)).cloned());
        let Some(digest) = datum.result else { continue };
        let result: ResultDocument = store.document(&digest)?;
        lines.push(headline(store, job, &datum, &result)?);
        lines.extend(last_words(store, &result)?);
    }
    lines.extend(unreadable.iter().map(|name| {
        format!(
            "    a shell cannot read a variable named `{name}`: rename the input with `name:`, or read `/pfs/{name}`"
        )
    }));
    Ok(lines)
}

/// Whether `pv job retry` takes a job: the newest of a pipeline that is not stopped, once it has ended.
pub(crate) fn may_be_retried(store: &Store, job: &JobRow) -> bool {
    apply::find_retry(store, job).is_ok() && store.pipeline(&job.pipeline).is_ok_and(|row| !row.is_stopped())
}

/// What helps with datums that failed, a command a line; where the job is not what its pipeline has come to, only what it said.
pub(crate) fn hint(store: &Store, job: &JobRow) -> Result<String> {
    let pipeline = &job.pipeline;
    if !may_be_retried(store, job) {
        return Ok(format!("pv logs {} --failed                          full output", short_job(store, job)?));
    }
    Ok([
        format!("pv logs {pipeline} --failed                          full output"),
        format!("pv try {pipeline} --failed --shell                   inspect its sandbox"),
        format!("pv job retry {pipeline}                              after fixing the cause"),
        format!("pv job retry {pipeline} --skip-failed -m WHY         continue without it, on record"),
    ]
    .join("\n"))
}

/// `datum 91ce22aa  validate:/valid/cam7.jpg  0 B  exit 1  3 tries`
fn headline(store: &Store, job: &JobRow, datum: &DatumView, result: &ResultDocument) -> Result<String> {
    let mut inputs = Vec::new();
    for input in datum.inputs.iter().take(INPUTS) {
        let bytes = input_bytes(store, job, input)?.map_or_else(String::new, |bytes| format!("  {}", size(bytes)));
        inputs.push(format!("{}:{}{bytes}", input.input, input.path));
    }
    if datum.inputs.len() > INPUTS {
        inputs.push("…".to_owned());
    }
    let end = result.tries.last().map(end_of).unwrap_or_default();
    let tries = plural(result.tries.len() as u64, "try", "tries");
    Ok(format!("  datum {}  {}  {end}  {tries}", datum.id.short(8), inputs.join("  ")))
}

/// How a try ended: its exit code, or what else happened.
pub(crate) fn end_of(tried: &Try) -> String {
    match (&tried.reason, tried.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// The size of an input file, found in the commits that the job took; `None` for a directory.
pub(crate) fn input_bytes(store: &Store, job: &JobRow, input: &DatumInput) -> Result<Option<u64>> {
    for origin in provenance_of(store, job)? {
        let file = Tree::at(store.commit(&origin.commit)?.tree).file(store, &input.path)?;
        if let Some(file) = file.filter(|file| file.digest == input.digest) {
            return Ok(Some(file.size));
        }
    }
    Ok(None)
}

/// The last lines that the last try printed.
pub(crate) fn last_words(store: &Store, result: &ResultDocument) -> Result<Vec<String>> {
    let said = datum::last_words(store, result, LINES)?;
    Ok(said.into_iter().map(|line| format!("    | {line}")).collect())
}
