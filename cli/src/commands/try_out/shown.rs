//! The result of a trial, compared with the present outputs.

use answers::trial::{Compared, TrialView, TriedDatum, TriedJobView, TriedPath, Verdict};
use specs::PipelineName;

use crate::commands::jobs::paint_state;
use crate::commands::metrics::sides;
use crate::context::{Context, Store};
use crate::error::Result;
use crate::output::{count, duration, plural, size};

/// Prints the result.
pub(super) fn print(cx: &Context, store: &Store, tried: &TrialView) -> Result<()> {
    if cx.out().is_json() {
        return cx.out().json(tried);
    }
    let mut all = Compared::default();
    for job in &tried.jobs {
        print_job(cx, job)?;
        if let Some(compared) = &job.compared {
            all.same += compared.same;
            all.differs += compared.differs;
            all.new += compared.new;
            all.gone += compared.gone;
            all.failed += compared.failed;
        }
    }
    cx.out().line(in_words(&all))?;
    tried.jobs.iter().try_for_each(|job| sides::print(cx, &job.pipeline, &job.metrics))?;
    cx.out().flush()?;
    hints(cx, store, tried)
}

fn print_job(cx: &Context, job: &TriedJobView) -> Result<()> {
    let state = paint_state(cx.out(), job.state);
    let mut line = format!("{:<12}  {state}", job.pipeline.to_string());
    if let Some(compared) = &job.compared {
        let (run, cached, took) = (count(job.datums_processed), count(job.datums_cached), duration(job.seconds));
        line.push_str(&format!("  {run} run  {cached} cached  {took}   {}", in_words(compared)));
    } else if let Some(reason) = &job.reason {
        line.push_str(&format!("  {reason}"));
    }
    cx.out().wrapped(line)?;
    let Some(compared) = &job.compared else { return Ok(()) };
    compared.datums.iter().try_for_each(|datum| cx.out().wrapped(datum_line(datum)))?;
    let told = compared.datums.len() as u64;
    let others = compared.differs + compared.new + compared.failed;
    if others > told {
        cx.out().line(format!("  … {} more", count(others - told)))?;
    }
    Ok(())
}

/// `2 same as now, 1 differs`
fn in_words(compared: &Compared) -> String {
    let differs = if compared.differs == 1 { "differs" } else { "differ" };
    let mut parts =
        vec![format!("{} same as now", count(compared.same)), format!("{} {differs}", count(compared.differs))];
    for (number, word) in [(compared.new, "new"), (compared.gone, "gone"), (compared.failed, "failed")] {
        if number > 0 {
            parts.push(format!("{} {word}", count(number)));
        }
    }
    parts.join(", ")
}

fn datum_line(datum: &TriedDatum) -> String {
    let verdict = match datum.verdict {
        Verdict::Same => "same",
        Verdict::Differs => "differs",
        Verdict::New => "new",
        Verdict::Failed => "failed",
    };
    let inputs: Vec<String> = datum.inputs.iter().map(|input| format!("{}:{}", input.input, input.path)).collect();
    let paths: Vec<String> = datum.paths.iter().map(path_words).collect();
    format!("  {verdict:<8}  datum {}  {}   {}", datum.id.short(8), inputs.join(" "), paths.join("  "))
        .trim_end()
        .to_owned()
}

/// `/a.json 412 B → 398 B`
fn path_words(path: &TriedPath) -> String {
    match (path.old_bytes, path.new_bytes) {
        (Some(old), Some(new)) => format!("{} {} → {}", path.path, size(old), size(new)),
        (None, Some(new)) => format!("{} {} new", path.path, size(new)),
        (_, None) => format!("{} gone", path.path),
    }
}

fn hints(cx: &Context, store: &Store, tried: &TrialView) -> Result<()> {
    if !tried.left_out.is_empty() {
        let names: Vec<&str> = tried.left_out.iter().map(PipelineName::as_str).collect();
        cx.notes().line(format!("not tried, because an upstream stage made no commit: {}", names.join(", ")));
    }
    let Some(run) = tried.run else {
        cx.notes().line("results are not kept");
        return Ok(());
    };
    let short = store.short_run(&run)?;
    let last = tried.jobs.iter().rev().find(|job| job.output_commit.is_some());
    if let Some(job) = last {
        cx.notes().line(format!("no branch moved; results are cached; compare: pv diff {0} {0}@{short}", job.pipeline));
    } else {
        let datums: u64 = tried.jobs.iter().map(|job| job.datums_processed).sum();
        cx.notes().line(format!("no commit was made; {} in the cache now", plural(datums, "result is", "results are")));
    }
    Ok(())
}
