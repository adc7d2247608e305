//! `pv gc`

use answers::upkeep::gc_view;
use repos::gc::{self, Collected, Reason};

use crate::author;
use crate::context::Context;
use crate::error::Result;
use crate::output::{count, plural, size};

/// Free the space of objects that nothing refers to
///
/// Everything that branches and tags reach is kept; what they no longer reach is kept for the time set by `gc_grace`. The setting
/// `retention` prunes old files and logs. With packs in a bucket, no other machine may write there during the collection: pv asks first.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Show what would be freed, and the largest files kept; free nothing
    #[arg(long)]
    dry_run: bool,
}

/// Only the lost records of a journal show that their commits are needed, so collecting would delete those commits.
fn ensure_not_cut_back(cx: &Context) -> Result<()> {
    let Some(cut_back) = cx.store()?.cut_back()? else { return Ok(()) };
    let goes =
        format!("The journal lacks records; this deletes everything that only these records refer to: {cut_back}.");
    cx.confirm(&goes, "the journal lacks records: pv fsck --repair --from MIRROR may bring them back")
}

pub(crate) fn run(cx: &Context, args: &Args) -> Result<()> {
    let store = cx.store()?;
    if !args.dry_run {
        ensure_not_cut_back(cx)?;
    }
    if !args.dry_run
        && let Some(url) = store.objects_url()?
    {
        // Deletion is protected against concurrent writers on this machine, not on others.
        let goes = format!("No other machine may write to {url} during garbage collection.");
        cx.confirm(&goes, &format!("other machines may be writing to {url}"))?;
    }
    let progress = cx.progress("gc");
    let by = author::by(cx, None).committer;
    let show = |what: &str, done, total| progress.count(what, done, total);
    let collected = gc::collect(store, &by, args.dry_run, &show)?;
    drop(progress);
    if cx.out().is_json() {
        return cx.out().json(&gc_view(&collected, args.dry_run));
    }
    print(cx, &collected, args.dry_run)
}

fn print(cx: &Context, collected: &Collected, dry_run: bool) -> Result<()> {
    let Collected { plan, account, swept } = collected;
    let verb = if dry_run { "would free" } else { "freed" };
    let gone = account.gone.iter().map(|((reason, repo), amount)| {
        let whose = repo.as_ref().map_or_else(String::new, ToString::to_string);
        let objects = if *reason == Reason::Packs { String::new() } else { count(amount.objects) };
        vec![reason.word().to_owned(), whose, objects, size(amount.size_bytes)]
    });
    let gone: Vec<Vec<String>> = gone.collect();
    if !gone.is_empty() {
        cx.table(&["REASON", "REPO", "OBJECTS", "BYTES"], gone)?;
    }
    let objects = plural(swept.objects_removed, "object", "objects");
    let packs = plural(swept.packs_removed, "pack", "packs");
    cx.out().line(format!("{verb} {} ({objects}, {packs})", size(swept.bytes_freed)))?;
    if !plan.commits.is_empty() {
        let commits = plural(plan.commits.len() as u64, "commit", "commits");
        cx.notes().line(format!("{commits} {} their files", if dry_run { "would lose" } else { "lost" }));
    }
    if account.left_bytes > 0 {
        cx.notes()
            .line(format!("{} of garbage remain in large packs that contain little of it", size(account.left_bytes)));
    }
    if dry_run { print_kept(cx, collected) } else { Ok(()) }
}

fn print_kept(cx: &Context, collected: &Collected) -> Result<()> {
    let account = &collected.account;
    if !account.largest.is_empty() {
        cx.out().line("\nlargest files kept")?;
        let files = account.largest.iter().map(|file| {
            vec![format!("{:>7}", size(file.size_bytes)), format!("{}:{}", file.place, file.path), file.held_by.clone()]
        });
        cx.table(&[], files.collect())?;
    }
    if !account.only.is_empty() {
        cx.out().line("\nkept by one reference only")?;
        let only = account.only.iter().map(|only| vec![format!("{:>7}", size(only.size_bytes)), only.holder.clone()]);
        cx.table(&[], only.collect())?;
    }
    Ok(())
}
