//! What was derived from a file, a folder or a commit: by pipeline, then datum by datum in pages.

use std::collections::BTreeSet;

use answers::datum::ResultState;
use answers::trace::{
    AtHead, Forward, ForwardOptions, ForwardPlace, Made, Mention, Reader, ReadersSum, by_pipeline, forward,
};
use maud::{Markup, html};
use repos::store::Resolved;
use specs::PipelineName;
use specs::words::{count, plural};

use super::{Asked, given};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{id, link, size, state, time};
use crate::views::Result;

/// Most datums that are looked for.
const FOUND: usize = 500;
/// Datums on a page.
const PAGE: usize = 100;
/// Files of a datum that are named.
const NAMED: usize = 5;
/// Places and periods that are shown.
const PLACES: usize = 20;

pub(super) fn view(look: &Look<'_>, asked: &Asked, at: &Resolved, is_commit: bool) -> Result<View> {
    let all_runs = asked.all_runs.is_some();
    let options = ForwardOptions { all_runs, brought: is_commit, most: Some(FOUND), ..ForwardOptions::default() };
    let found = forward(look.store, at, options)?;
    let of = if is_commit {
        at.commit.repo.to_string() + "@" + &at.id.to_string()
    } else {
        format!("{}@{}:{}", at.commit.repo, at.id, at.path)
    };
    let here = || address::trace(&of).with("forward", "yes").with_some("all_runs", all_runs.then_some("yes"));
    let title = format!("What was made from {}", if is_commit { of.clone() } else { at.path.to_string() });
    let head = html! {
        div .court {
            h1 {
                "What was made from "
                span .path { @if is_commit { (at.commit.repo) " " (id(&at.id.to_string())) } @else { (at.path) } }
            }
            (start(look, &found))
            (places(look, &found.places))
            (summary(look, &found, &here))
            div .actions.on-screen {
                @if all_runs {
                    (link(look, &address::trace(&of).with("forward", "yes"), "Only the jobs that used this commit"))
                }
                @else { (link(look, &here().with("all_runs", "yes"), "All runs that read this content")) }
                @if found.digest.is_some() { (link(look, &address::trace(&of), "Where it comes from")) }
            }
        }
    };
    Ok(View::new(title, "repos").fixed("claim", head).fixed("readers", readers(look, asked, &found, &here)))
}

fn start(look: &Look<'_>, found: &Forward) -> Markup {
    html! {
        dl .fields {
            dt { "Of" } dd {
                (link(look, &address::repo(&found.repo), found.repo.as_str())) ":" (found.path) ", "
                (size(found.size_bytes))
                @if let Some(start) = &found.start {
                    ", " (plural(start.files, "file", "files"))
                    @if start.brought { " that the commit added or changed" }
                }
            }
            dt { "Commit" }
            dd { a href=(look.link(&address::commit(&found.repo, &found.commit))) { code { (found.commit) } } }
            @if let Some(digest) = &found.digest { dt { "SHA-256" } dd { code { (digest) } } }
            @if let Some(now) = &found.now {
                dt { "Now" }
                dd {
                    (found.repo) "@" (now.branch) " "
                    @match now.state { AtHead::Same => "has the same content there", AtHead::Other => "has other content there", AtHead::Gone => "has no file there", AtHead::NoBranch => "has no commit" }
                    @if let Some(since) = &now.since { ", since " (mention(look, found, since)) }
                }
            }
        }
        @if let Some(start) = found.start.filter(|start| start.left_out > 0) {
            p .gap { "Only the first " (count(start.files - start.left_out)) " files are followed." }
        }
    }
}

fn mention(look: &Look<'_>, found: &Forward, mention: &Mention) -> Markup {
    html! { a href=(look.link(&address::commit(&found.repo, &mention.commit))) { (id(&mention.commit.to_string())) } " (" (mention.author) ", " (time(look, mention.created_at)) ")" }
}

/// Where the same content is and was.
fn places(look: &Look<'_>, places: &[ForwardPlace]) -> Markup {
    let left = places.len().saturating_sub(PLACES);
    html! {
        @if !places.is_empty() {
            h2 { "Where this content is and was" }
            ul .plain {
                @for place in places.iter().take(PLACES) {
                    li {
                        (link(look, &address::files(&place.repo, &place.first.commit, Some(&place.path)), format!("{}:{}", place.repo, place.path)))
                        " since " (time(look, place.first.created_at)) " (" (place.first.author) ")"
                        @match &place.ended_by {
                            Some(end) => {
                                @if place.removed { ", removed " } @else { ", changed " } (time(look, end.created_at))
                                " (" (end.author) ")"
                            }
                            None if place.at_head => ", still there",
                            None => {}
                        }
                    }
                }
                @if left > 0 { li .dim { "and " (count(left as u64)) " more" } }
            }
        }
    }
}

fn summary(look: &Look<'_>, found: &Forward, here: &dyn Fn() -> Address) -> Markup {
    let sums = by_pipeline(&found.readers);
    html! {
        h2 { "By pipeline" }
        @if found.readers.is_empty() { (unread(look, found)) } @else {
            div .wide { table {
                thead {
                    tr {
                        th scope="col" { "Pipeline" }
                        @for word in ["Read by", "Made", "Wrote nothing", "Failed", "Still at head"] {
                            th .number scope="col" { (word) }
                        }
                        th scope="col" { "Versions" }
                    }
                }
                tbody { @for sum in &sums { (sum_row(look, sum, here)) } }
            } }
        }
        @if found.cut {
            p .gap { "Not everything was followed: only the first " (count(FOUND as u64)) " executions are shown." }
        }
        @if found.not_visible > 0 {
            p .gap {
                (plural(found.not_visible, "pipeline", "pipelines")) " that "
                @if found.not_visible == 1 { "is" } @else { "are" }
                " not visible to you read it, or something made from it."
            }
        }
    }
}

fn unread(look: &Look<'_>, found: &Forward) -> Markup {
    html! {
        @if found.read_in_other_jobs.is_empty() { p { "Nothing read it." } } @else {
            p {
                "Nothing in the jobs that used this commit read it; it was read in "
                @for (number, job) in found.read_in_other_jobs.iter().enumerate() {
                    @if number > 0 { ", " } (link(look, &address::job(job), job.as_str()))
                }
                "."
            }
        }
    }
}

fn sum_row(look: &Look<'_>, sum: &ReadersSum, here: &dyn Fn() -> Address) -> Markup {
    let names =
        |versions: &BTreeSet<u32>| versions.iter().map(|version| format!("v{version}")).collect::<Vec<_>>().join(" ");
    html! {
        tr {
            th scope="row" {
                (link(look, &here().with("pipeline", &sum.pipeline).at("readers"), sum.pipeline.as_str()))
            }
            td .number { (plural(sum.datums, "datum", "datums")) }
            td .number { (plural(sum.files, "file", "files")) }
            td .number { (count(sum.without_files)) }
            td .number { (count(sum.failed)) }
            td .number { (count(sum.at_head)) }
            td {
                (names(&sum.versions))
                @if !sum.blind.is_empty() && sum.blind.len() < sum.versions.len() {
                    "; " (names(&sum.blind)) " wrote none"
                }
            }
        }
    }
}

fn readers(look: &Look<'_>, asked: &Asked, found: &Forward, here: &dyn Fn() -> Address) -> Markup {
    let only = given(&asked.pipeline).and_then(|name| name.parse::<PipelineName>().ok());
    let readers: Vec<&Reader> =
        found.readers.iter().filter(|reader| only.as_ref().is_none_or(|only| reader.pipeline == *only)).collect();
    let from = asked.after().min(readers.len());
    let until = readers.len().min(from + PAGE);
    let page = |after: usize| {
        here().with_some("pipeline", only.as_ref()).with_some("after", (after > 0).then_some(after)).at("readers")
    };
    html! {
        @if !readers.is_empty() {
            div .court {
                h2 { "Executions" @if let Some(only) = &only { " of " (only) } }
                @if only.is_some() { p .on-screen { (link(look, &here().at("readers"), "Of all pipelines")) } }
                div .wide { table {
                    thead {
                        tr {
                            th scope="col" { "Job" } th scope="col" { "Datum" } th scope="col" { "State" }
                            th scope="col" { "Read" } th scope="col" { "Made" }
                        }
                    }
                    tbody { @for reader in &readers[from..until] { (reader_row(look, reader)) } }
                } }
                @if from > 0 || until < readers.len() {
                    nav .pages.on-screen aria-label="Pages" {
                        span .dim {
                            (count(from as u64 + 1)) " to " (count(until as u64)) " of " (count(readers.len() as u64))
                        }
                        @if from > 0 {
                            a rel="prev" href=(look.link(&page(from.saturating_sub(PAGE)))) { "Previous page" }
                        }
                        @if until < readers.len() { a rel="next" href=(look.link(&page(until))) { "Next page" } }
                    }
                }
            }
        }
    }
}

fn reader_row(look: &Look<'_>, reader: &Reader) -> Markup {
    let word = match reader.state {
        ResultState::Success => "success",
        ResultState::Recovered => "recovered",
        ResultState::Failed => "failed",
    };
    let left = reader.outputs.len().saturating_sub(NAMED);
    let datum = reader.datum.to_string();
    html! {
        tr {
            td { (link(look, &address::job(&reader.job), short(&reader.job))) " v" (reader.version) }
            td { a href=(look.link(&address::datum(&reader.job, &datum))) { (id(&datum)) } }
            td { (state(word)) }
            td .path { (reader.read.0) ":" (reader.read.1) }
            td .path {
                @if reader.outputs.is_empty() { "nothing" }
                @for made in reader.outputs.iter().take(NAMED) {
                    div { (made_link(look, reader, made)) @if made.at_head { " " span .dim { "still at head" } } }
                }
                @if left > 0 { div .dim { "and " (count(left as u64)) " more" } }
            }
        }
    }
}

/// A file that a datum wrote, in the commit of its job.
fn made_link(look: &Look<'_>, reader: &Reader, made: &Made) -> Markup {
    let run = reader.job.split_once('@').map(|(_, run)| run).unwrap_or_default();
    let reference = format!("{}@{run}:{}", reader.pipeline.output_repo(), made.path);
    link(look, &address::trace(reference), made.path.as_str())
}

/// `detect@3fa9c1d2`, of the whole id of a job.
fn short(job: &str) -> String {
    job.split_once('@').map_or_else(|| job.to_owned(), |(name, run)| format!("{name}@{}", run.get(..8).unwrap_or(run)))
}
