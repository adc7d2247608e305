//! The versions of a pipeline, what differs between two, and one of them: by its number, or that of a time.

use answers::moment::Moment;
use answers::pipeline::{VersionDetails, VersionView, pipeline_versions, version_at, version_details};
use engine::EngineError;
use maud::{Markup, html};
use repos::access::Role;
use specs::PipelineName;

use super::super::Result;
use super::super::work::run_link;
use super::{part, text_of, title};
use crate::address;
use crate::look::Look;
use crate::parts::{action, exact_time, link, time};
use crate::spec;

/// All versions, newest first; with `1..2` also what differs between these.
pub(super) fn all(look: &Look<'_>, name: &PipelineName, range: &str) -> Result<Markup> {
    let versions = pipeline_versions(look.store, name)?;
    let difference = if range.is_empty() {
        html! {}
    } else {
        difference(look, name, range)?
    };
    Ok(html! {
        (difference)
        h2 { "Versions" }
        div .wide { table {
            thead { tr {
                th scope="col" .number { "Version" } th scope="col" { "What changed" } th scope="col" { "Who" } th scope="col" { "When" }
                th scope="col" { "How" } th scope="col" { span .sr { "Actions" } }
            } }
            tbody { @for version in &versions { (row(look, name, version)) } }
        } }
    })
}

fn row(look: &Look<'_>, name: &PipelineName, version: &VersionView) -> Markup {
    let number = version.version;
    let before = number.saturating_sub(1);
    let operation = address::api(["pipelines", name.as_str(), "rollback"]);
    html! {
        tr {
            th scope="row" .number { (link(look, &address::pipeline(name).with("version", number), number)) @if version.is_current { " " span .dim { "current" } } }
            td { @if version.changes.is_empty() { span .dim { "nothing before it" } } @else { (version.changes.join(", ")) }
                @if before > 0 {
                    @let range = format!("{before}..{number}");
                    " · " (link(look, &address::pipeline(name).with("versions", range), "difference"))
                } }
            td { (version.author.as_deref().unwrap_or_default()) }
            td { (time(look, version.created_at)) }
            td { @if version.is_try { "try" } @else { (version.cause.map_or("", |cause| cause.word())) }
                @if let Some(run) = &version.run { " " (run_link(look, run)) }
                @if !version.message.is_empty() { br; span .reason { (version.message) } } }
            td { @if !version.is_current && look.may(Role::Admin) {
                (roll_back(look, &operation, number))
            } }
        }
    }
}

fn roll_back(look: &Look<'_>, operation: &address::Address, number: u32) -> Markup {
    let number = number.to_string();
    action(look, "POST", operation, &[("version:number", &number)], &format!("Roll back to {number}"))
}

/// What differs between two versions, as lines of their specs.
fn difference(look: &Look<'_>, name: &PipelineName, range: &str) -> Result<Markup> {
    let numbers = range.split_once("..").and_then(|(old, new)| Some((old.parse().ok()?, new.parse().ok()?)));
    let (old, new): (u32, u32) = numbers.ok_or_else(|| EngineError::Usage {
        what: format!("`{range}` does not name two versions"),
        hint: Some("write `1..2`".to_owned()),
    })?;
    let [was, is] = [details(look, name, old)?, details(look, name, new)?];
    let [was_text, is_text] = [&was, &is].map(|details| text_of(&details.spec));
    let facts = [
        ("image", was.view.image.as_ref().map(|one| one.digest), is.view.image.as_ref().map(|one| one.digest)),
        ("code", was.transform.code, is.transform.code),
    ];
    Ok(html! {
        h2 { "From version " (old) " to " (new) }
        dl .fields { @for (what, was, is) in facts { @if was != is {
            dt { (what) }
            dd { @for (word, digest) in [("", was), (" → ", is)] { (word) @match digest {
                Some(digest) => code title=(digest) { (digest.short(12)) },
                None => "none",
            } } }
        } } }
        @if was_text == is_text { p { "Their specs are the same." } } @else { (spec::difference(&was_text, &is_text)) }
    })
}

fn details(look: &Look<'_>, name: &PipelineName, version: u32) -> Result<VersionDetails> {
    let missing = || EngineError::NoVersion { pipeline: name.clone(), version };
    version_details(look.store, name, version)?.ok_or_else(missing)
}

/// The version of a moment.
pub(super) fn past(look: &Look<'_>, name: &PipelineName, moment: &Moment, words: &str) -> Result<Markup> {
    let Some(version) = version_at(look.store, name, moment)? else {
        return Ok(html! { (title(name)) p { "There was no version of it at " (words) "." } });
    };
    let details = details(look, name, version.version)?;
    Ok(html! {
        (title(name))
        p .past { "As of " (words) ", " (exact_time(moment.time)) ". " (link(look, &address::pipeline(name), "Now")) }
        (facts_and_spec(&details))
        p { (link(look, &part(name, "versions"), "All versions")) }
    })
}

/// The version with this number.
pub(super) fn one(look: &Look<'_>, name: &PipelineName, version: u32) -> Result<Markup> {
    let details = details(look, name, version)?;
    let is_deleted = look.store.find_pipeline(name)?.is_none();
    Ok(html! {
        p .past {
            "This is version " (version)
            @if details.view.is_current { ", the current one." }
            @else if is_deleted { " of a pipeline that was deleted." }
            @else { ", not the current one. " (link(look, &address::pipeline(name), "The current version")) }
        }
        (facts_and_spec(&details))
    })
}

/// What a version executes, who applied it, and its spec.
fn facts_and_spec(details: &VersionDetails) -> Markup {
    let version = &details.view;
    let command = if details.transform.cmd.is_empty() { &details.entrypoint } else { &details.transform.cmd };
    html! {
        dl .fields {
            dt { "Version" } dd { (version.version) ", applied " (exact_time(version.created_at))
                @if let Some(author) = &version.author { " by " (author) } }
            @if let Some(image) = &version.image { dt { "Image" } dd { (image.reference) " " code { (image.digest.short(12)) } } }
            dt { "Command" } dd { code { (super::facts::shell(command)) } }
        }
        h2 { "Spec" }
        (spec::shown(&text_of(&details.spec)))
    }
}
