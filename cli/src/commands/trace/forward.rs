//! What read a file: a line a pipeline, and on demand a line a file that was made.

use std::collections::{BTreeMap, BTreeSet};

use engine::trace::{Forward, ForwardPlace, Mention, Reader};
use repos::Store;
use repos::documents::ResultState;
use specs::PipelineName;

use super::words::{file_line, short_job};
use crate::commands::views::name_of;
use crate::context::Context;
use crate::error::Result;
use crate::output::{ShortIds, count, plural, table};

/// Fewer inputs than these are nothing to speak of.
const MANY_INPUTS: usize = 10;

/// What the datums of one pipeline made of it.
#[derive(Default)]
struct Sum {
    datums: u64,
    files: u64,
    without_files: u64,
    failed: u64,
    at_head: u64,
    versions: BTreeSet<u32>,
    /// Versions of those that wrote nothing.
    blind: BTreeSet<u32>,
    inputs: Vec<usize>,
}

pub(super) fn print(cx: &Context, found: &Forward, with_files: bool) -> Result<()> {
    let Forward { repo, commit, path, size_bytes, digest, readers, places, cut } = found;
    let store = cx.store()?;
    cx.out().line(file_line(store, (repo, commit, path), *size_bytes, digest)?)?;
    print_places(cx, store, places)?;
    if readers.is_empty() {
        return cx.out().line(if *cut { "not followed: --depth" } else { "no datum read it" });
    }
    let sums = by_pipeline(readers);
    cx.out().line("")?;
    cx.out().bytes(summary(&sums).as_bytes())?;
    for (name, sum) in sums.iter().filter(|(_, sum)| sum.files == 0) {
        let who = if sum.failed == sum.datums { "failed on it" } else { "read it and wrote nothing" };
        cx.out().line(format!("{name} {who}"))?;
    }
    if *cut {
        cx.out().line("not followed further: --depth")?;
    }
    if with_files {
        cx.out().line("")?;
        return cx.out().bytes(by_file(store, readers)?.as_bytes());
    }
    cx.out().flush()?;
    cx.notes().line("each file: --files or --json");
    Ok(())
}

/// `in images:/a from 77ab01c2 (anna, 2026-06-30) to a0b1c2d3 (removed by bob, 2026-07-02)`, one line a path.
fn print_places(cx: &Context, store: &Store, places: &[ForwardPlace]) -> Result<()> {
    let who = |mention: &Mention| format!("{}, {}", name_of(&mention.author), cx.human().date(mention.created_at));
    for place in places {
        let first = format!("{} ({})", store.short_commit(&place.first.commit)?, who(&place.first));
        let until = match &place.ended_by {
            Some(end) => {
                let what = if place.removed { "removed by" } else { "changed by" };
                format!(" to {} ({what} {})", store.short_commit(&end.commit)?, who(end))
            }
            None => " on".to_owned(),
        };
        let back = if place.at_head && place.ended_by.is_some() { ", and at a head" } else { "" };
        cx.out().line(format!("in {}:{} from {first}{until}{back}", place.repo, place.path))?;
    }
    match places.len() {
        1 => cx.out().line("no other path"),
        _ => Ok(()),
    }
}

/// In the order in which pipelines come.
fn by_pipeline(readers: &[Reader]) -> Vec<(&PipelineName, Sum)> {
    let mut order: Vec<&PipelineName> = Vec::new();
    let mut sums: BTreeMap<&PipelineName, Sum> = BTreeMap::new();
    for reader in readers {
        let sum = sums.entry(&reader.pipeline).or_insert_with(|| {
            order.push(&reader.pipeline);
            Sum::default()
        });
        let files = reader.outputs.len() as u64;
        sum.datums += 1;
        sum.files += files;
        sum.failed += u64::from(reader.state == ResultState::Failed);
        sum.at_head += reader.outputs.iter().filter(|made| made.at_head).count() as u64;
        sum.versions.insert(reader.version);
        sum.inputs.push(reader.inputs_count);
        if files == 0 {
            sum.without_files += 1;
            sum.blind.insert(reader.version);
        }
    }
    order.into_iter().map(|name| (name, sums.remove(name).unwrap_or_default())).collect()
}

fn summary(sums: &[(&PipelineName, Sum)]) -> String {
    let line = |(name, sum): &(&PipelineName, Sum)| {
        let none =
            if sum.without_files > 0 { format!("; {} wrote none", count(sum.without_files)) } else { String::new() };
        let files = plural(sum.files, "file", "files") + &none;
        vec![name.to_string(), plural(sum.datums, "datum", "datums"), files, count(sum.at_head), note(sum)]
    };
    table(&["REPOSITORY", "READ BY", "MADE", "STILL AT HEAD", ""], sums.iter().map(line).collect())
}

/// `versions v1 v2; v1 saw nothing; from 50,000 inputs each`, as far as that is worth saying.
fn note(sum: &Sum) -> String {
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
    let (least, most) = (sum.inputs.iter().min().copied().unwrap_or(0), sum.inputs.iter().max().copied().unwrap_or(0));
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

fn by_file(store: &Store, readers: &[Reader]) -> Result<String> {
    let mut lines = Vec::new();
    for reader in readers {
        let state = match reader.state {
            ResultState::Success => "success",
            ResultState::Recovered => "recovered",
            ResultState::Failed => "failed",
        };
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
    Ok(table(&["JOB", "DATUM", "STATE", "READ", "MADE", "STILL AT HEAD"], lines))
}
