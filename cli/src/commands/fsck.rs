//! `pv fsck`

use std::path::{Path, PathBuf};

use answers::upkeep::report_view;
use repos::fsck::mirror::Mirror;
use repos::fsck::repair::{Done, Repair};
use repos::fsck::{self, Problem, Report};
use repos::packs::open_url;
use repos::store::journal_at;
use specs::ErrorKind;

use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::executors::executors;
use crate::output::{plural, size};

/// Check the store: every byte is intact and every reference resolves
///
/// Other commands may write during the check. --rebuild-index and --repair need exclusive use of the store: stop `pv serve` and `pv run`
/// first.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// First rebuild the index from packs and journal
    #[arg(long)]
    rebuild_index: bool,
    /// Repair damage from intact copies in this store, from a mirror, or by running recipes again
    #[arg(long)]
    repair: bool,
    /// With --repair: also run stages that use the network, such as one that sends mail
    #[arg(long, requires = "repair")]
    network: bool,
    /// Mirror: its URL, a folder with `packs` and `journal`, or a folder that holds a store
    #[arg(long, value_name = "MIRROR", requires = "repair")]
    from: Option<PathBuf>,
}

impl Args {
    /// Whether no other process may use the store meanwhile.
    pub(super) fn needs_the_store_alone(&self) -> bool {
        self.repair || self.rebuild_index
    }
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let mirror = args.from.as_ref().map(|from| open_mirror(cx, from)).transpose()?;
    if args.rebuild_index {
        cx.store()?.rebuild_index()?;
        cx.notes().line("rebuilt the index");
    }
    let mut report = check(cx, &opened(cx)?)?;
    let mut done = Vec::new();
    if args.repair && !(report.problems.is_empty() && report.notes.is_empty()) {
        if !cx.out().is_json() {
            print_problems(cx, &report.problems)?;
        }
        done = repair(cx, mirror.as_ref(), &report, args.network)?;
        report = check(cx, &opened(cx)?)?;
    }
    if cx.out().is_json() {
        cx.out().json(&report_view(&report, &done))?;
    } else {
        print(cx, &report, &done)?;
    }
    if report.problems.is_empty() {
        return Ok(());
    }
    let problems = plural(report.problems.len() as u64, "problem", "problems");
    let error = CliError::new(ErrorKind::Damaged, format!("the store is damaged: {problems}"));
    if args.repair {
        let error = error.done(
            plural(done.iter().filter(|done| done.is_healed).count() as u64, "object was", "objects were")
                + " repaired",
        );
        return Err(if args.from.is_none() { error.hint("pv fsck --repair --from MIRROR") } else { error });
    }
    Err(error.hint("pv fsck --repair --from MIRROR repairs it; without a mirror it remakes what it can"))
}

/// The store, opened as far as possible.
fn opened(cx: &Context) -> Result<Store> {
    Ok(cx.open_options().open_damaged(&cx.store_dir()?)?)
}

fn check(cx: &Context, store: &Store) -> Result<Report> {
    let progress = cx.progress("check");
    Ok(fsck::check(store, &|what, done, total| progress.count(what, done, total))?)
}

fn open_mirror(cx: &Context, from: &Path) -> Result<Mirror> {
    let Some(url) = from.to_str().filter(|from| from.contains("://")) else {
        return Ok(Mirror::in_folder(&cx.path(from)?)?);
    };
    let access = cx.access();
    Ok(Mirror::new(open_url(url, &access)?, journal_at(url, &access)?))
}

fn repair(cx: &Context, mirror: Option<&Mirror>, report: &Report, network: bool) -> Result<Vec<Done>> {
    let progress = cx.progress("repair");
    let tell = |what: &str, done, total| progress.count(what, done, total);
    let (options, dir) = (cx.open_options(), cx.store_dir()?);
    let store = options.open_damaged(&dir)?;
    let mut repair = Repair::begin(store, report, mirror, || options.open_damaged(&dir), &tell)?;
    let left = fsck::check_reach(repair.store(), &tell)?;
    if repair.has_journal && !left.problems.is_empty() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| CliError::io("cannot start threads", &error))?;
        let executors = executors(cx, repair.store())?;
        let remade = runtime.block_on(engine::remake(repair.store(), &left, &executors, network))?;
        repair.done.extend(remade);
    }
    Ok(repair.finish()?)
}

fn print_problems(cx: &Context, problems: &[Problem]) -> Result<()> {
    for problem in problems {
        cx.out().wrapped(format!("{} {}: {}", cx.out().paint(31, "damaged"), problem.subject, problem.why))?;
        problem.needed_by.iter().try_for_each(|dependent| cx.out().line(format!("  needed by {dependent}")))?;
        if problem.needed_by_more > 0 {
            cx.out().line(format!("  needed by {} more", problem.needed_by_more))?;
        }
    }
    Ok(())
}

fn print(cx: &Context, report: &Report, done: &[Done]) -> Result<()> {
    for done in done {
        let word = if done.is_healed { cx.out().paint(32, "repaired") } else { cx.out().paint(31, "not repaired") };
        cx.out().wrapped(format!("{word} {}: {}", done.subject, done.how))?;
    }
    print_problems(cx, &report.problems)?;
    report.notes.iter().try_for_each(|note| cx.out().wrapped(format!("note: {note}")))?;
    let counts = &report.counts;
    cx.out().line(format!(
        "{}: {}, {}, {} ({}), {}, {}, {}",
        if report.problems.is_empty() { "sound" } else { "not sound" },
        plural(counts.records, "record", "records"),
        plural(counts.packs, "pack", "packs"),
        plural(counts.objects, "object", "objects"),
        size(counts.size_bytes),
        plural(counts.commits, "commit", "commits"),
        plural(counts.results, "result", "results"),
        plural(counts.files, "file content", "file contents")
    ))
}
