//! `pv verify --rerun`.

use answers::commit::{Certificate, CertificateView, CertifiedStage, Repetition};
use answers::named::Resolved;
use answers::proof::{self, Intended, Repeat};
use answers::sorted::Sorted;
use specs::ErrorKind;

use super::run::limit;
use crate::author;
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::executors::executors;
use crate::output::plural;

/// Executes the provenance of a claim again; an error if something differs or was not executed. Stages that use the network are left out
/// unless `network`.
pub(super) fn run(cx: &Context, store: &Store, (at, subject): (&Resolved, &str), network: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
    let plan = |intended: &[Intended]| intended.iter().for_each(|one| cx.notes().line(intention(one)));
    let told = |stage: &CertifiedStage| cx.notes().line(words(stage));
    let repeat = Repeat {
        executors: executors(cx, store)?,
        jobs: limit(store, None)?,
        committer: author::by(cx, None).committer,
        network,
        on_plan: &plan,
        on_stage: &told,
    };
    let (digest, certificate) = runtime.block_on(proof::rerun(store, at, repeat))?;
    let outcome = certificate.outcome;
    if cx.out().is_json() {
        cx.out().json(&Sorted(CertificateView { id: digest, certificate: certificate.clone() }))?;
    } else {
        let word = verdict(&certificate);
        let done = executed(&certificate.stages);
        cx.out().line(format!("{word}   {subject}   {done}   certificate {}", digest.short(8)))?;
    }
    let bad = certificate.stages.iter().find(|stage| stage.outcome == outcome).map(words).unwrap_or_default();
    let is_left_out = certificate.stages.iter().any(|stage| stage.left_out > 0);
    let error = match outcome {
        Repetition::Identical => return Ok(()),
        Repetition::Differs => CliError::new(ErrorKind::Failed, format!("{subject} is not reproducible: {bad}")),
        Repetition::NotRun => {
            CliError::new(ErrorKind::Unavailable, format!("{subject} was not run again completely: {bad}"))
        }
    };
    Err(if is_left_out { error.hint("--network also runs stages that use the network") } else { error })
}

/// The outcome in words; mentions what was left out if nothing went wrong.
fn verdict(certificate: &Certificate) -> &'static str {
    let left_out = certificate.stages.iter().any(|stage| stage.left_out > 0);
    let not_run = certificate.stages.iter().any(|stage| stage.not_run > 0);
    match certificate.outcome {
        Repetition::NotRun if left_out && !not_run => "left out",
        outcome => outcome.words(),
    }
}

/// `2 datums run again, 1 left out (mailer)`
pub(super) fn executed(stages: &[CertifiedStage]) -> String {
    let counted = |count: fn(&CertifiedStage) -> u64, word: &str| {
        let of: Vec<(String, u64)> = stages.iter().map(|stage| (stage.pipeline.to_string(), count(stage))).collect();
        let names: Vec<&str> = of.iter().filter(|(_, count)| *count > 0).map(|(name, _)| name.as_str()).collect();
        let sum: u64 = of.iter().map(|(_, count)| count).sum();
        if sum == 0 { String::new() } else { format!(", {sum} {word} ({})", names.join(", ")) }
    };
    let datums = stages.iter().filter(|stage| !is_unclear(stage)).map(|stage| stage.datums).sum();
    let parts = [
        counted(|stage| stage.left_out, "left out"),
        counted(|stage| stage.not_run, "could not run"),
        counted(|stage| if is_unclear(stage) { stage.datums } else { 0 }, "not all of which could run"),
    ];
    format!("{} run again{}", plural(datums, "datum", "datums"), parts.concat())
}

/// Whether a certificate lacks how much of a stage was executed, because an older pv wrote it.
fn is_unclear(stage: &CertifiedStage) -> bool {
    stage.outcome == Repetition::NotRun && stage.left_out + stage.not_run == 0
}

/// What will be done with some datums: `detect   2 datums   docker   network none`.
fn intention(one: &Intended) -> String {
    let Intended { pipeline, datums, executor, network, is_left_out } = one;
    let what = if *is_left_out { "left out" } else { "will run" };
    let datums = plural(*datums, "datum", "datums");
    let why = if *is_left_out { ": --network also runs it" } else { "" };
    format!("{what}   {pipeline}   {datums}   {executor}   network {network}{why}")
}

fn words(stage: &CertifiedStage) -> String {
    let CertifiedStage { pipeline, outcome, paths, paths_more, why, left_out, not_run, .. } = stage;
    let word =
        if *left_out > 0 && *not_run == 0 && *outcome == Repetition::NotRun { "left out" } else { outcome.words() };
    let mut line = format!("{pipeline}   {word}   {}", executed(std::slice::from_ref(stage)));
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
