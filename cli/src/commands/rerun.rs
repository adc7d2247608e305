//! What `pv verify --rerun` does and prints.

use engine::proof::{self, Repeat};
use repos::Store;
use repos::documents::{CertifiedStage, Repetition};
use repos::store::Resolved;
use specs::ErrorKind;

use crate::author;
use crate::context::Context;
use crate::error::{CliError, Result};
use crate::executors::executors;
use crate::output::plural;

/// Executes what a claim rests on again; an error when something is other than it was, or could not be executed.
pub(super) fn run(cx: &Context, store: &Store, at: &Resolved, subject: &str) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
    let setting = store.setting("jobs")?.and_then(|text| text.parse().ok());
    let cores = || std::thread::available_parallelism().map_or(1, Into::into);
    let told = |stage: &CertifiedStage| cx.notes().line(words(stage));
    let repeat = Repeat {
        executors: executors(cx, store)?,
        jobs: setting.unwrap_or_else(cores),
        committer: author::by(cx, None).committer,
        on_stage: &told,
    };
    let (digest, certificate) = runtime.block_on(proof::rerun(store, at, repeat))?;
    let outcome = certificate.outcome;
    if cx.out().is_json() {
        let mut fields = serde_json::to_value(&certificate).expect("certificates have a JSON form");
        fields["id"] = serde_json::json!(digest);
        cx.out().json(&fields)?;
    } else {
        let datums = certificate.stages.iter().map(|stage| stage.datums).sum();
        let what = format!("{}   {subject}   {}", outcome.words(), plural(datums, "datum", "datums"));
        cx.out().line(format!("{what} run again   certificate {}", digest.short(8)))?;
    }
    let bad = certificate.stages.iter().find(|stage| stage.outcome == outcome).map(words).unwrap_or_default();
    match outcome {
        Repetition::Identical => Ok(()),
        Repetition::Differs => Err(CliError::new(ErrorKind::Failed, format!("{subject} does not repeat: {bad}"))),
        Repetition::NotRun => Err(CliError::new(ErrorKind::Unavailable, format!("{subject}: {bad}"))),
    }
}

fn words(stage: &CertifiedStage) -> String {
    let CertifiedStage { pipeline, datums, outcome, paths, paths_more, why, .. } = stage;
    let mut line = format!("{pipeline}   {}   {}", outcome.words(), plural(*datums, "datum", "datums"));
    line.extend(why.iter().map(|why| format!("   {why}")));
    for path in paths.iter().take(5) {
        line += &format!("   {path}");
    }
    let more = (paths.len().saturating_sub(5)) as u64 + paths_more;
    if more > 0 {
        line += &format!("   and {more} more");
    }
    line
}
