//! One datum of a job: what it read and wrote, its tries, where it ran, and why.

use answers::datum::{DatumInput, FoundDatum, TryView, datum_details, find_datum, growth_in_words, provenance_of};
use answers::explain::{Differences, explain_datum};
use answers::job::job_id;
use answers::named::find_job;
use answers::sight::gap_in_words;
use maud::{Markup, html};
use repos::access::Role;
use repos::tree::{PathKind, Tree};
use serde::Deserialize;
use specs::reference::IdPrefix;
use specs::words::count;
use specs::{CommitId, DatumRef, JobRef, RepoName};

use super::job::{cells, glob_of, heads};
use super::work::{job_link, ran_on};
use super::{None, Result};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{id, link, size, state, time};

/// Inputs that are listed: each is looked up.
const INPUTS: usize = 200;

/// Which datum.
#[derive(Debug, Deserialize)]
pub struct Path {
    /// The job, `PIPELINE@RUN`.
    job: JobRef,
    /// The datum's id, or a unique beginning of it.
    datum: IdPrefix,
}

/// One datum of a job.
pub fn datum(look: &Look<'_>, path: Path, _: None) -> Result<View> {
    let job = find_job(look.store, &path.job)?;
    let id = path.datum.to_string();
    let found = match find_datum(look.store, Some(look.live), &DatumRef::InJob { job: path.job, id: path.datum }) {
        Ok(found) => found,
        Err(error) if error.kind() == specs::ErrorKind::NotFound && job.sealed.is_none() => {
            return Ok(View::new("Datum", "runs").live(
                "datum",
                super::work::follows(&job),
                html! {
                    h1 { "Datum " (id.get(..12).unwrap_or(&id)) }
                    @let log = address::log(&job_id(&job.pipeline, &job.run), Some(&id));
                    p { "It has not ended yet. " (link(look, &log, "What it printed so far")) }
                },
            ));
        }
        Err(error) => return Err(error),
    };
    let title = format!("Datum {}", found.view.id.short(12));
    let (shown, why) = (shown(look, &found)?, why(look, found)?);
    Ok(View::new(title, "runs").fixed("datum", shown).fixed("why", why))
}

/// The address of the log of a try.
fn log(found: &FoundDatum) -> Address {
    address::log(&job_id(&found.job.pipeline, &found.job.run), Some(&found.view.id.to_string()))
}

fn shown(look: &Look<'_>, found: &FoundDatum) -> Result<Markup> {
    let details = datum_details(look.store, found)?;
    let view = &details.view;
    let origins = provenance_of(look.store, &found.job)?;
    let origins: Vec<(RepoName, CommitId)> = origins.into_iter().map(|one| (one.repo, one.commit)).collect();
    let output = found.job.commit.map(|commit| (found.job.pipeline.output_repo(), commit));
    let rerun = view.inputs.first().filter(|_| look.may(Role::Writer));
    Ok(html! {
        h1 { "Datum " (view.id.short(12)) " " (state(&view.state.to_string())) }
        @if let Some(reason) = &view.reason { p .reason { (reason) } }
        dl .fields {
            dt { "Job" } dd { (job_link(look, &found.job.pipeline, &found.job.run)) }
            @if let Some((pipeline, run)) = &view.made_by { @if *run != found.job.run || *pipeline != found.job.pipeline {
                dt { "Executed by" } dd { (job_link(look, pipeline, run)) }
            } }
            @if let Some(stamp) = &view.executed_on {
                @let worker = view.try_details.last().and_then(|one| one.worker.as_deref());
                dt { "Ran on" } dd { (ran_on(stamp, worker)) }
            }
            @if let Some(network) = &view.network { dt { "Network" } dd { (network) } }
            @if let Some(growth) = growth_in_words(&view.try_details) { dt { "Memory" } dd { (growth) } }
            @if let Some(version) = view.pipeline_version { dt { "Version" } dd { (version) } }
            dt { "Recipe" } dd { code { (view.id) } }
            @if let Some(result) = &view.result { dt { "Result" } dd { code { (result) } } }
        }
        @if !details.last_words.is_empty() {
            h2 { "Its last lines" }
            pre .last-words { @for line in &details.last_words { (line) "\n" } }
        }
        h2 { "Tries" }
        div .wide { table {
            thead { tr {
                th scope="col" .number { "Try" } th scope="col" { "Ended" } (heads())
                th scope="col" { "Started" } th scope="col" { "Log" }
            } }
            tbody { @for (number, one) in view.try_details.iter().enumerate() { (try_row(look, found, number + 1, one)) } }
        } }
        h2 { "Read" }
        div .wide { table {
            thead { tr {
                th scope="col" { "Input" } th scope="col" { "Path" } th scope="col" .number { "Size" } th scope="col" { "Content" }
            } }
            tbody { @for input in view.inputs.iter().take(INPUTS) { tr {
                th scope="row" { (input.input) }
                td { (input_link(look, &origins, input)?) }
                td .number { @if let Some(bytes) = input.size_bytes { (size(bytes)) } }
                td { (id(&input.digest.to_string())) }
            } } }
        } }
        @if view.inputs.len() > INPUTS { p .dim { "and " (count((view.inputs.len() - INPUTS) as u64)) " more" } }
        @if view.not_visible > 0 { p .dim { (gap_in_words(view.not_visible, "input")) } }
        @if let Some(input) = rerun {
            @let job = address::job(&job_id(&found.job.pipeline, &found.job.run));
            @let glob = glob_of(&input.path);
            p { (link(look, &job.with("change", "rerun").with("input", glob), "Run it again …")) }
        }
        h2 { "Wrote" }
        @if details.outputs.is_empty() { p { "Nothing." } } @else {
            div .wide { table {
                thead { tr { th scope="col" { "Path" } th scope="col" .number { "Size" } th scope="col" { "Content" } } }
                tbody { @for file in &details.outputs { tr {
                    td { @match &output {
                        Some((repo, commit)) => (link(look, &address::files(repo, commit, Some(&file.path)), file.path.as_str())),
                        Option::None => (file.path),
                    } }
                    td .number { (size(file.size_bytes)) }
                    td { (id(&file.digest.to_string())) }
                } } }
            } }
            @if details.outputs_left_out > 0 { p .dim { "and " (count(details.outputs_left_out)) " more" } }
        }
    })
}

fn try_row(look: &Look<'_>, found: &FoundDatum, number: usize, one: &TryView) -> Markup {
    html! {
        tr {
            th scope="row" .number { (number) }
            td { @match (&one.reason, one.exit_code) {
                (Some(reason), _) => (reason),
                (Option::None, Some(code)) => { "exit " (code) },
                (Option::None, Option::None) => "",
            } @if let Some(worker) = &one.worker { " " span .dim { "on " (worker) } } }
            (cells(Some(one)))
            td { (time(look, one.started_at)) }
            td { @if one.log.is_some() { (link(look, &log(found).with("try", number), "Log")) } @else { span .dim { "printed nothing" } } }
        }
    }
}

/// A path that a datum read, in the commit in which it is.
fn input_link(look: &Look<'_>, origins: &[(RepoName, CommitId)], input: &DatumInput) -> Result<Markup> {
    for (repo, commit) in origins {
        let tree = Tree::at(look.store.commit(commit)?.tree);
        let is_there = match tree.kind_at(look.store, &input.path)? {
            Some(PathKind::File(file)) => file.digest == input.digest,
            Some(PathKind::Directory { .. }) => true,
            Option::None => false,
        };
        if is_there {
            return Ok(link(look, &address::files(repo, commit, Some(&input.path)), input.path.as_str()));
        }
    }
    Ok(html! { (input.path) })
}

fn why(look: &Look<'_>, found: FoundDatum) -> Result<Markup> {
    let explained = explain_datum(look.store, Some(look.live), found)?;
    Ok(html! {
        h2 { "Why" }
        p { (explained.why) }
        @if let Some(earlier) = &explained.earlier {
            p { "Compared with datum " code { (earlier.id.short(12)) } ", which " (earlier.executed_by) " executed: "
                (state(&earlier.state.to_string())) }
        }
        (differences(look, &explained.differences))
    })
}

/// The fields that differ, and who changed them.
pub(super) fn differences(look: &Look<'_>, found: &Differences) -> Markup {
    html! {
        @if !found.changes.is_empty() { (super::work::changes(look, &found.changes)) }
        @if !found.same.is_empty() { p .dim { "The same: " (found.same.join(", ")) } }
        @if found.not_visible > 0 { p .dim { (gap_in_words(found.not_visible, "input")) } }
    }
}
