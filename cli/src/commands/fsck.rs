//! `pv fsck`

use repos::fsck::{self, Counts, Problem};
use serde::Serialize;
use specs::{Digest, ErrorKind};

use crate::context::Context;
use crate::error::{CliError, Result};
use crate::output::{plural, size};

/// Check that the store is sound: all bytes as they were written, and everything there that something else names
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Make the index anew from packs and journal first
    #[arg(long)]
    rebuild_index: bool,
}

/// One thing that is wrong.
#[derive(Serialize)]
struct ProblemView<'a> {
    what: &'a str,
    kind: Option<&'static str>,
    digest: Option<Digest>,
    why: &'a str,
    needed_by: &'a [String],
}

/// What was looked at, and what is wrong.
#[derive(Serialize)]
struct ReportView<'a> {
    sound: bool,
    records: u64,
    packs: u64,
    objects: u64,
    size_bytes: u64,
    commits: u64,
    results: u64,
    files: u64,
    problems: Vec<ProblemView<'a>>,
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if args.rebuild_index {
        store.rebuild_index()?;
        cx.notes().line("made the index anew");
    }
    let progress = cx.progress("check");
    let report = fsck::check(store, &|what, done, total| progress.count(what, done, total))?;
    drop(progress);
    if cx.out().is_json() {
        cx.out().json(&view(&report.counts, &report.problems))?;
    } else {
        print(cx, &report.counts, &report.problems)?;
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    let problems = plural(report.problems.len() as u64, "problem", "problems");
    Err(CliError::new(ErrorKind::Damaged, format!("the store is damaged: {problems}")))
}

fn view<'a>(counts: &Counts, problems: &'a [Problem]) -> ReportView<'a> {
    let problem = |problem: &'a Problem| ProblemView {
        what: &problem.what,
        kind: problem.kind.map(repos::object::Kind::word),
        digest: problem.digest,
        why: &problem.why,
        needed_by: &problem.needed_by,
    };
    ReportView {
        sound: problems.is_empty(),
        records: counts.records,
        packs: counts.packs,
        objects: counts.objects,
        size_bytes: counts.size_bytes,
        commits: counts.commits,
        results: counts.results,
        files: counts.files,
        problems: problems.iter().map(problem).collect(),
    }
}

fn print(cx: &Context, counts: &Counts, problems: &[Problem]) -> Result<()> {
    for problem in problems {
        cx.out().line(format!("{} {}: {}", cx.out().paint(31, "damaged"), problem.what, problem.why))?;
        problem.needed_by.iter().try_for_each(|needed_by| cx.out().line(format!("  needed by {needed_by}")))?;
    }
    cx.out().line(format!(
        "{}: {}, {}, {} ({}), {}, {}, {}",
        if problems.is_empty() { "sound" } else { "not sound" },
        plural(counts.records, "record", "records"),
        plural(counts.packs, "pack", "packs"),
        plural(counts.objects, "object", "objects"),
        size(counts.size_bytes),
        plural(counts.commits, "commit", "commits"),
        plural(counts.results, "result", "results"),
        plural(counts.files, "file content", "file contents")
    ))
}
