//! Why a job failed, with what a user needs next: the first failed datums, their inputs, and their last output.

use std::collections::BTreeSet;

use answers::datum::TryView;
use answers::job::{Ended, FailedDatum, JobRow, Most, failed_datums, may_be_retried, short_job, why_ended};
use answers::sight::gap_in_words;
use engine::live::Live;

use crate::context::Store;
use crate::error::Result;
use crate::output::{plural, size};

/// How many failed datums are shown, how many inputs of each, and how many last lines of its log.
const SHOWN: Most = Most { datums: 3, inputs: 4, lines: LINES };
/// Lines of a datum's log that are shown.
const LINES: usize = 3;

/// Why a job ended in its state, in one line.
pub(crate) fn reason(store: &Store, job: &JobRow) -> Result<String> {
    Ok(match why_ended(store, job)? {
        Ended::NotYet => "it has not ended".to_owned(),
        Ended::NotRecorded => "no details are recorded".to_owned(),
        Ended::Because { reason, failed, kept } if failed > 0 && kept > 0 => {
            format!("{reason}; the other {} kept", plural(kept, "is", "are"))
        }
        Ended::Because { reason, .. } => reason,
    })
}

/// The first failed datums of a job, also of a running one: id, inputs, exit code, tries, and the last lines of the log.
pub(crate) fn failed_lines(store: &Store, live: Option<&Live>, job: &JobRow) -> Result<Vec<String>> {
    let (mut lines, mut unreadable) = (Vec::new(), BTreeSet::new());
    for datum in failed_datums(store, live, job, SHOWN)? {
        lines.push(headline(&datum));
        lines.extend(quoted(&datum.last_words));
        unreadable.extend(datum.unreadable);
    }
    lines.extend(unreadable.iter().map(|name| {
        format!(
            "    a shell cannot read a variable named `{name}`: rename the input with `name:`, or read `/pfs/{name}`"
        )
    }));
    Ok(lines)
}

/// Suggested commands for failed datums, one per line; if the job cannot be retried, only the one that shows its log.
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
fn headline(datum: &FailedDatum) -> String {
    let mut inputs = Vec::new();
    for input in &datum.inputs {
        let bytes = input.size_bytes.map_or_else(String::new, |bytes| format!("  {}", size(bytes)));
        inputs.push(format!("{}:{}{bytes}", input.input, input.path));
    }
    if datum.inputs_left_out > 0 {
        inputs.push("…".to_owned());
    }
    inputs.extend((datum.not_visible > 0).then(|| gap_in_words(datum.not_visible, "input")));
    let end = datum.last.as_ref().map(end_of).unwrap_or_default();
    let tries = plural(datum.tries as u64, "try", "tries");
    format!("  datum {}  {}  {end}  {tries}", datum.id.short(8), inputs.join("  "))
}

/// How a try ended: its exit code, or the reason.
pub(crate) fn end_of(tried: &TryView) -> String {
    match (&tried.reason, tried.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => "no exit code".to_owned(),
    }
}

/// Indents printed lines of user code.
pub(crate) fn quoted(lines: &[String]) -> impl Iterator<Item = String> {
    lines.iter().map(|line| format!("    | {line}"))
}
