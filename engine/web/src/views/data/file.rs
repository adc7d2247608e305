//! One file: what it holds, and who wrote it.

use answers::datum::find_datum;
use answers::file::{FileEntry, FileView, beside};
use engine::live::job_id;
use maud::{Markup, html};
use repos::access::Role;
use repos::history::introduced;
use repos::store::Resolved;
use specs::reference::DatumRef;

use super::changes;
use super::preview::{Part, preview};
use super::shared::{branches_at, commit_link, path_crumbs, reference, short_job, who, why};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{id, link, size, time};
use crate::views::Result;

/// A file of a commit: the part after this, shown in this way.
pub(super) fn file(
    look: &Look<'_>,
    at: &Resolved,
    entry: FileEntry,
    (after, view): (Option<&str>, Option<&str>),
) -> Result<View> {
    let (repo, path) = (&at.commit.repo, &at.path);
    let file = FileView::new(path.clone(), entry);
    let head = html! {
        (path_crumbs(look, repo, &at.id, path))
        h1 { (path.name()) }
        (facts(look, at, &file)?)
        (links(look, at)?)
    };
    let part = Part { repo, commit: &at.id, file: &file, after, view };
    let shown =
        look.store.ensure_not_pruned(&at.id, path, &entry).map_err(Into::into).and_then(|()| preview(look, &part));
    // Content that is damaged, or was given up, is no reason to hide what is known of the file.
    let shown = shown.unwrap_or_else(|error| html! { p .problem { "Its content cannot be shown: " (error) } });
    let view = View::new(format!("{path} in {}", at.place()), "repos").fixed("about", head).fixed("preview", shown);
    // The commits of a repository outlive it.
    if !look.may(Role::Writer) || !look.store.has_repo(repo)? {
        return Ok(view);
    }
    let kind = look.store.repo(repo)?.kind;
    let branches = branches_at(look.store, repo, &at.id)?;
    Ok(view.fixed("changes", changes::of_file(look, (repo, kind), path, &branches)))
}

fn facts(look: &Look<'_>, at: &Resolved, file: &FileView) -> Result<Markup> {
    Ok(html! {
        dl .fields {
            dt { "Written by" } dd { (writer(look, at)?) }
            dt { "Size" } dd { (size(file.size_bytes)) @if file.executable { ", executable" } }
            dt { "SHA-256" } dd { code { (file.digest) } " " (link(look, &address::find(&file.digest.to_string()), "where else")) }
            dt { "Reference" } dd { code { (reference(&at.commit.repo, &at.id, Some(&at.path))) } }
        }
    })
}

/// The commit that gave the path this content; for an output, the datum too.
fn writer(look: &Look<'_>, at: &Resolved) -> Result<Markup> {
    let repo = &at.commit.repo;
    let by = introduced(look.store, repo, at.id, &at.path)?;
    let commit = by.map(|id| Ok::<_, engine::EngineError>((id, look.store.commit(&id)?))).transpose()?;
    let datum = match at.commit.lineage {
        Some(_) => {
            find_datum(look.store, Some(look.live), &DatumRef::Writer(reference(repo, &at.id, Some(&at.path)))).ok()
        }
        None => None,
    };
    Ok(html! {
        @if let Some(found) = &datum {
            @let job = job_id(&found.job.pipeline, &found.job.run);
            "datum " (link(look, &address::datum(&job, &found.view.id.to_string()), id(&found.view.id.to_string())))
            " of job " (link(look, &address::job(&job), short_job(&job)))
            @if let Some(at) = found.view.finished_at { ", " (time(look, at)) }
            @if commit.is_some() { " · in commit " }
        }
        @if let Some((id, commit)) = &commit {
            @if datum.is_none() { (who(commit)) ", " (time(look, commit.created_at)) ", " (why(look, commit)) " · commit " }
            (commit_link(look, repo, id))
        } @else if datum.is_none() { "unknown: the commit that wrote it is not stored here" }
    })
}

fn links(look: &Look<'_>, at: &Resolved) -> Result<Markup> {
    let (repo, path) = (&at.commit.repo, &at.path);
    let (before, after) = beside(look.store, at.tree(), path)?;
    let here = address::files(repo, &at.id, Some(path));
    Ok(html! {
        nav .links aria-label="This file" {
            (link(look, &address::content(repo, &at.id, path), "Download"))
            (link(look, &address::trace(reference(repo, &at.id, Some(path))), "Where it comes from"))
            (link(look, &here.with("history", ""), "History"))
            @if let Some(before) = &before {
                @let to = address::files(repo, &at.id, Some(before));
                a rel="prev" href=(look.link(&to)) title={ (before.name()) " (key ←)" } { "← Previous file" }
            }
            @if let Some(after) = &after {
                @let to = address::files(repo, &at.id, Some(after));
                a rel="next" href=(look.link(&to)) title={ (after.name()) " (key →)" } { "Next file →" }
            }
        }
    })
}
