//! Why a job failed, with what a person needs next: the first failed datums, what they read, what they said last.

use engine::datums::DatumKey;
use repos::documents::{JobDocument, ResultDocument, ResultState};
use repos::tree::{KeyRange, Map};
use repos::{JobRow, Store};
use specs::Digest;

use crate::error::Result;
use crate::output::plural;

/// Failed datums that are shown.
const SHOWN: usize = 3;
/// Lines of a datum's log that are shown.
const LINES: usize = 3;
/// Datums that are looked through for failed ones.
const LOOKED_AT: usize = 100_000;

/// Why a job ended as it did, in one line.
pub(crate) fn reason(store: &Store, job: &JobRow) -> Result<String> {
    let document = job.document.map(|digest| store.document::<JobDocument>(&digest)).transpose()?;
    let Some(document) = document else { return Ok("nothing more is kept of it".to_owned()) };
    let done = document.datums_processed + document.datums_cached;
    let reason = document.reason.unwrap_or_default();
    Ok(if document.datums_failed > 0 && done > 0 {
        format!("{reason}; the other {} kept", plural(done, "is", "are"))
    } else {
        reason
    })
}

/// The first failed datums of a job: id, inputs, exit code, tries, and the last lines of the log.
pub(crate) fn failed_datums(store: &Store, job: &JobRow) -> Result<Vec<String>> {
    let Some(commit) = job.commit.map(|id| store.commit(&id)).transpose()? else { return Ok(Vec::new()) };
    let Some(datums) = commit.datums else { return Ok(Vec::new()) };
    let mut lines = Vec::new();
    let mut shown = 0;
    for entry in Map::<Vec<u8>>::at(datums).range(store, KeyRange::prefix(*b"d"))?.take(LOOKED_AT) {
        let (key, value) = entry?;
        let Ok(digest) = <[u8; 32]>::try_from(value) else { continue };
        let result: ResultDocument = store.document(&Digest::from_bytes(digest))?;
        if result.state != ResultState::Failed {
            continue;
        }
        lines.push(headline(&key, &result));
        lines.extend(last_words(store, &result)?);
        shown += 1;
        if shown == SHOWN {
            break;
        }
    }
    Ok(lines)
}

fn headline(key: &[u8], result: &ResultDocument) -> String {
    let arms = DatumKey::from_map(key).arms().unwrap_or_default();
    let paths: Vec<String> = arms.into_iter().map(|(_, path)| path.to_string()).collect();
    let tries = result.tries.len() as u64;
    let end = result.tries.last().map_or_else(String::new, |last| match (&last.reason, last.exit_code) {
        (Some(reason), _) => reason.clone(),
        (None, Some(code)) => format!("exit {code}"),
        (None, None) => String::new(),
    });
    let tries = plural(tries, "try", "tries");
    format!("  datum {}  {}  {end}  {tries}", result.recipe.short(8), paths.join(" "))
}

fn last_words(store: &Store, result: &ResultDocument) -> Result<Vec<String>> {
    let Some(log) = result.tries.last().and_then(|last| last.log) else { return Ok(Vec::new()) };
    let log = store.log(&log)?;
    let text = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].iter().map(|line| format!("    | {line}")).collect())
}
