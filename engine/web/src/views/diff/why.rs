//! What led to a difference of two outputs: sources, code and settings that differ; what is the same; what ran.

use answers::diff::{Counts, Ran, SourceCause, StageCause, Why, why_up_to};
use maud::{Markup, html};
use specs::words::{count, plural};
use specs::{CommitId, RepoName};

use super::pair::Pair;
use crate::address;
use crate::look::Look;
use crate::parts::{id, link};
use crate::views::Result;

/// Most files of a source and datums of a stage that are counted.
const COUNTED: usize = 2_000;
/// Most causes, and changes of one stage, that are shown.
const CAUSES: usize = 50;

/// Nothing, unless both sides are outputs of one pipeline.
pub(super) fn shown(look: &Look<'_>, pair: &Pair) -> Result<Markup> {
    let (Some(old), Some(new)) = (&pair.sides.old, &pair.sides.new) else { return Ok(html! {}) };
    let Some(why) = why_up_to(look.store, old, new, COUNTED)? else { return Ok(html! {}) };
    Ok(html! {
        h2 { "Why" }
        @if why.is_empty() { p { "Both have the same inputs and the same recipe." } }
        @else if !why.sources.is_empty() || !why.stages.is_empty() { (causes(look, &why)) }
        @if why.not_visible > 0 { p .gap { (hidden(why.not_visible)) } }
        @if let Some(same) = same(&why) { p { b { "The same: " } (same) "." } }
        @if !why.ran.is_empty() {
            p {
                b { "Ran: " }
                @for (number, ran) in why.ran.iter().enumerate() { @if number > 0 { "; " } (ran_words(look, ran)) }
                "."
            }
        }
    })
}

/// What differs and is not visible.
pub(super) fn hidden(repositories: u64) -> String {
    match repositories {
        1 => "1 repository that is not visible to you differs.".to_owned(),
        more => format!("{} repositories that are not visible to you differ.", count(more)),
    }
}

fn causes(look: &Look<'_>, why: &Why) -> Markup {
    let left = (why.sources.len() + why.stages.len()).saturating_sub(2 * CAUSES);
    html! {
        div .wide { table {
            thead { tr { th scope="col" { "What differs" } th scope="col" { "From → to" } th scope="col" { "How" } } }
            tbody {
                @for cause in why.sources.iter().take(CAUSES) { (source(look, cause)) }
                @for cause in why.stages.iter().take(CAUSES) { (stage(look, cause)) }
            }
        } }
        @if left > 0 { p .dim { (plural(left as u64, "more cause is", "more causes are")) " not shown." } }
    }
}

fn source(look: &Look<'_>, cause: &SourceCause) -> Markup {
    let SourceCause { repo, old, new, author, message, files, first, is_more, .. } = cause;
    html! {
        tr {
            th scope="row" { "Files of " (link(look, &address::repo(repo), repo.as_str())) }
            td { (commit(look, repo, old.as_ref())) " → " (commit(look, repo, new.as_ref())) }
            td {
                @match (old, new) {
                    (Some(old), Some(new)) => {
                        (link(look, &address::diff(format!("{repo}@{old}"), format!("{repo}@{new}")), counted(files, *is_more)))
                    }
                    _ => (counted(files, *is_more)),
                }
                ": " @for (number, entry) in first.iter().enumerate() { @if number > 0 { ", " } code { (entry.path) } }
                @if *is_more || files.total() > first.len() as u64 { ", …" }
                @if !author.is_empty() || !message.is_empty() {
                    br;
                    span .dim {
                        (author) @if !message.is_empty() { ": " (message.lines().next().unwrap_or_default()) }
                    }
                }
            }
        }
    }
}

fn commit(look: &Look<'_>, repo: &RepoName, commit: Option<&CommitId>) -> Markup {
    html! {
        @match commit {
            Some(commit) => a href=(look.link(&address::commit(repo, commit))) { (id(&commit.to_string())) },
            None => "nothing",
        }
    }
}

/// `3 added, 1 modified`; `more than …` if not all were counted.
pub(super) fn counted(counts: &Counts, is_more: bool) -> String {
    let kinds = [
        (counts.added, "added"),
        (counts.removed, "removed"),
        (counts.modified, "modified"),
        (counts.renamed, "renamed"),
    ];
    let told: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{} {kind}", count(*number)))
        .collect();
    match (told.is_empty(), is_more) {
        (true, _) => "nothing".to_owned(),
        (false, false) => told.join(", "),
        (false, true) => format!("more than {}", told.join(", ")),
    }
}

fn stage(look: &Look<'_>, cause: &StageCause) -> Markup {
    let version = |version: Option<u32>| version.map_or_else(|| "nothing".to_owned(), |version| format!("v{version}"));
    let (old, new) = (version(cause.old_version), version(cause.new_version));
    let left = cause.changes.len().saturating_sub(CAUSES);
    html! {
        tr {
            th scope="row" { "Pipeline " (link(look, &address::pipeline(&cause.pipeline), cause.pipeline.as_str())) }
            td { (old) " → " (new) }
            td {
                @for change in cause.changes.iter().take(CAUSES) {
                    div {
                        b { (change.field) } ": " (side(change.old.as_ref(), false)) " → "
                        (side(change.new.as_ref(), true))
                    }
                }
                @if left > 0 { div .dim { (plural(left as u64, "more field", "more fields")) } }
                @if cause.code.is_some() && cause.old_version.is_some() && cause.new_version.is_some() {
                    div {
                        (link(look, &address::diff(format!("{}@{old}", cause.pipeline), format!("{}@{new}", cause.pipeline)), "What differs in the code"))
                    }
                }
            }
        }
    }
}

fn side(value: Option<&String>, is_new: bool) -> Markup {
    html! {
        @match value {
            Some(value) if is_new => ins { (super::text::short(value)) },
            Some(value) => del { (super::text::short(value)) },
            None => "nothing",
        }
    }
}

fn same(why: &Why) -> Option<String> {
    let mut told: Vec<String> = why.same_sources.iter().map(|repo| format!("files of {repo}")).collect();
    if !why.stages.is_empty() && !why.same_fields.is_empty() {
        told.push(format!("{} of all stages", why.same_fields.join(", ")));
    }
    told.extend(why.same_stages.iter().map(|pipeline| format!("what {pipeline} does")));
    (!told.is_empty()).then(|| told.join("; "))
}

fn ran_words(look: &Look<'_>, ran: &Ran) -> Markup {
    let more = if ran.is_more { "more than " } else { "" };
    html! {
        (link(look, &address::pipeline(&ran.pipeline), ran.pipeline.as_str())) " " (more) (count(ran.ran)) " of "
        (plural(ran.total, "datum", "datums"))
        @if let Some((job, _)) = ran.jobs.first() {
            " in " a href=(look.link(&address::job(job))) { (short_job(job)) }
            @if ran.jobs.len() > 1 { " and " (plural(ran.jobs.len() as u64 - 1, "earlier job", "earlier jobs")) }
        }
    }
}

/// `detect@3fa9c1d2`, of the whole id of a job.
fn short_job(job: &str) -> String {
    job.split_once('@').map_or_else(|| job.to_owned(), |(name, run)| format!("{name}@{}", run.get(..8).unwrap_or(run)))
}
