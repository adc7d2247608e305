//! What read a file: a line per pipeline, and optionally a line per output file.

use std::collections::BTreeSet;

use answers::trace::{AtHead, Forward, ForwardPeriod, ForwardPlace, Mention, Reader, ReadersSum, Start, by_pipeline};

use super::words::{file_line, short_job};
use crate::commands::views::{name_of, result_word};
use crate::context::{Context, Store};
use crate::error::{CliError, Result};
use crate::output::{Columns, count, plural, size};

/// Fewer inputs are not mentioned.
const MANY_INPUTS: usize = 10;

pub(super) fn print(cx: &Context, found: &Forward, with_files: bool) -> Result<()> {
    let Forward { repo, commit, path, size_bytes, digest, readers, places, cut, .. } = found;
    let store = cx.store()?;
    match (digest, &found.start) {
        (Some(digest), _) => {
            cx.out().wrapped(file_line(store, (repo, commit, path), *size_bytes, digest)?)?;
            print_now(cx, store, found)?;
            print_places(cx, store, places)?;
        }
        (None, start) => print_start(cx, store, found, start.as_ref())?,
    }
    if readers.is_empty() {
        return cx.out().wrapped(if *cut { "not followed: --depth".to_owned() } else { unread(store, found)? });
    }
    let sums = by_pipeline(readers);
    cx.out().line("")?;
    summary(cx, &sums)?;
    for sum in sums.iter().filter(|sum| sum.files == 0) {
        let who = if sum.failed == sum.datums { "failed on it" } else { "read it and wrote nothing" };
        cx.out().line(format!("{} {who}", sum.pipeline))?;
    }
    if sums.iter().any(|sum| sum.files > 0) && sums.iter().all(|sum| sum.at_head == 0) {
        cx.out().wrapped("no derived file is at a head now; --files lists them with their jobs")?;
    }
    if *cut {
        cx.out().line("not followed further: --depth")?;
    }
    if with_files {
        cx.out().line("")?;
        return by_file(cx, store, readers);
    }
    cx.out().flush()?;
    cx.notes().line("list each file: --files or --json");
    Ok(())
}

/// `images@77ab01c2:/cam7   60 files   12 MB`, or `images@77ab01c2   60 files that it brought   12 MB`.
fn print_start(cx: &Context, store: &Store, found: &Forward, start: Option<&Start>) -> Result<()> {
    let Some(start) = start else { return Ok(()) };
    let place = format!("{}@{}", found.repo, store.short_commit(&found.commit)?);
    let files = plural(start.files, "file", "files");
    cx.out().line(if start.brought {
        format!("{place}   {files} added or changed   {}", size(found.size_bytes))
    } else {
        format!("{place}:{}   {files}   {}", found.path, size(found.size_bytes))
    })?;
    if start.files == 0 && start.brought {
        let hint = format!("for all its files: {place}:/   for files that it removed, use its parent: {place}~1:/PATH");
        cx.out().line(hint)?;
    }
    if start.left_out > 0 {
        cx.out().line(format!(
            "only the first {} are followed: --files follows all",
            count(start.files - start.left_out)
        ))?;
    }
    Ok(())
}

fn who(cx: &Context, mention: &Mention) -> String {
    format!("{}, {}", name_of(&mention.author), cx.human().date(mention.created_at))
}

/// Notes if the file differs from the branch's current one: then the answer is about an older state.
fn print_now(cx: &Context, store: &Store, found: &Forward) -> Result<()> {
    let Forward { repo, now, .. } = found;
    let Some(now) = now else { return Ok(()) };
    let branch = format!("{repo}@{}", now.branch);
    let what = match now.state {
        AtHead::Same => return Ok(()),
        AtHead::Other => format!("{branch} now has different content there"),
        AtHead::Gone => format!("{branch} now has no file there"),
        AtHead::NoBranch => format!("{branch} now has no commit"),
    };
    let since = now.since.as_ref().map(|since| {
        let commit = store.short_commit(&since.commit)?;
        Ok::<_, CliError>(format!(", since {commit} ({})", who(cx, since)))
    });
    cx.out().wrapped(what + &since.transpose()?.unwrap_or_default())?;
    if found.all_runs || found.readers.is_empty() {
        return Ok(());
    }
    cx.out().wrapped("this covers the jobs that used this commit; for all jobs that read this content: --all-runs")
}

/// Says that no datum read it, and where else it was read.
fn unread(store: &Store, found: &Forward) -> Result<String> {
    if found.read_in_other_jobs.is_empty() {
        return Ok("no datum read it".to_owned());
    }
    let jobs = found.read_in_other_jobs.iter().map(|job| short_job(store, job)).collect::<Result<Vec<_>>>()?;
    let jobs = jobs.join(", ");
    Ok(format!(
        "no datum of the jobs that used this commit read it; it was read in {jobs}; for all derived files: --all-runs"
    ))
}

/// `in images:/a from 77ab01c2 (anna, 2026-06-30) to a0b1c2d3 (removed by bob, 2026-07-02)`, one line per period.
fn print_places(cx: &Context, store: &Store, places: &[ForwardPlace]) -> Result<()> {
    for place in places {
        if place.periods_before > 0 {
            let before = plural(place.periods_before, "period", "periods");
            cx.out().wrapped(format!("in {}:{} {before} earlier", place.repo, place.path))?;
        }
        for period in &place.periods {
            let first = format!("{} ({})", store.short_commit(&period.first.commit)?, who(cx, &period.first));
            let until = until(cx, store, period)?;
            cx.out().wrapped(format!("in {}:{} from {first}{until}", place.repo, place.path))?;
        }
    }
    match places.len() {
        1 => cx.out().line("no other path"),
        _ => Ok(()),
    }
}

fn until(cx: &Context, store: &Store, period: &ForwardPeriod) -> Result<String> {
    let Some(end) = &period.ended_by else {
        let last = store.short_commit(&period.last)?;
        // A tag may keep a commit that no branch reaches any more.
        return Ok(if period.at_head { " on".to_owned() } else { format!(" to {last}, which a tag names") });
    };
    let what = if period.removed { "removed by" } else { "changed by" };
    let back = if period.at_head { ", and at a head" } else { "" };
    Ok(format!(" to {} ({what} {}){back}", store.short_commit(&end.commit)?, who(cx, end)))
}

fn summary(cx: &Context, sums: &[ReadersSum]) -> Result<()> {
    let line = |sum: &ReadersSum| {
        let none =
            if sum.without_files > 0 { format!("; {} wrote none", count(sum.without_files)) } else { String::new() };
        let files = plural(sum.files, "file", "files") + &none;
        vec![sum.pipeline.to_string(), plural(sum.datums, "datum", "datums"), files, count(sum.at_head), note(sum)]
    };
    cx.table(&["REPOSITORY", "READ BY", "MADE", "STILL AT HEAD", ""], sums.iter().map(line).collect())
}

/// `versions v1 v2; v1 wrote none; from 50,000 inputs each`, if noteworthy.
fn note(sum: &ReadersSum) -> String {
    let names = |versions: &BTreeSet<u32>| versions.iter().map(|version| format!("v{version}")).collect::<Vec<_>>();
    let mut notes = Vec::new();
    if sum.failed > 0 {
        notes.push(format!("{} failed", count(sum.failed)));
    }
    if sum.versions.len() > 1 {
        notes.push(format!("versions {}", names(&sum.versions).join(" ")));
        if !sum.blind.is_empty() && sum.blind.len() < sum.versions.len() {
            notes.push(format!("{} wrote none", names(&sum.blind).join(" ")));
        }
    }
    let (least, most) = (sum.least_inputs, sum.most_inputs);
    if most >= MANY_INPUTS {
        let number = if least == most {
            count(most as u64)
        } else {
            format!("{} to {}", count(least as u64), count(most as u64))
        };
        notes.push(format!("from {number} inputs{}", if sum.datums > 1 { " each" } else { "" }));
    }
    notes.join("; ")
}

fn by_file(cx: &Context, store: &Store, readers: &[Reader]) -> Result<()> {
    let mut lines = Vec::new();
    for reader in readers {
        let state = result_word(reader.state);
        let (repo, path) = &reader.read;
        let job = short_job(store, &reader.job)?;
        let line = |made: String, at_head: &str| {
            let datum = reader.datum.short(8);
            vec![job.clone(), datum, state.to_owned(), format!("{repo}:{path}"), made, at_head.to_owned()]
        };
        if reader.outputs.is_empty() {
            lines.push(line("nothing".to_owned(), ""));
        }
        for made in &reader.outputs {
            lines.push(line(made.path.to_string(), if made.at_head { "yes" } else { "no" }));
        }
    }
    let header = &["JOB", "DATUM", "STATE", "READ", "MADE", "STILL AT HEAD"];
    cx.columns(&Columns { header, gives_up: &["DATUM", "STATE"], shortens: &[] }, lines)
}
