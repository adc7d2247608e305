//! A commit: its document, what it changed, and who vouches for it.

use answers::commit::{CommitDetails, SignatureState, commit_details, first_changes};
use maud::{Markup, html};
use repos::access::Role;
use repos::documents::Commit;
use serde::Deserialize;
use specs::words::{count, plural};
use specs::{CommitId, FilePath, RepoName};

use super::changes;
use super::directory::{Directory, listing};
use super::shared::{branches_at, commit_link, crumbs, reference, short_job, who};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::{id, link, size, state, time};
use crate::views::{None, Result};

/// Most changes that are counted.
const COUNTED: usize = 10_000;
/// Most rows of each list.
const LISTED: usize = 50;

/// A commit of a repository.
#[derive(Debug, Clone, Deserialize)]
pub struct OfCommit {
    repo: RepoName,
    commit: CommitId,
}

/// A commit.
pub fn commit(look: &Look<'_>, OfCommit { repo, commit }: OfCommit, _: None) -> Result<View> {
    let at = look.store.resolve(&reference(&repo, &commit, None))?;
    let branches = branches_at(look.store, &repo, &commit)?;
    let details = commit_details(look.store, commit, at.commit)?;
    let document = &details.commit.document;
    let above = (address::branch(&repo, &document.branch), document.branch.as_str());
    let about = html! {
        (crumbs(look, &[(address::repo(&repo), repo.as_str()), above], &commit.short(12)))
        h1 { "Commit " code { (commit.short(12)) } " of " (repo.as_str()) }
        @if !document.message.is_empty() { p .message { (document.message) } }
        @if let Some(error) = &document.error {
            p .problem { "This commit is no result: " (state(&error.state)) " " (error.message) }
        }
        (facts(look, &repo, &details)?)
    };
    let root = FilePath::root();
    let here = Directory {
        repo: &repo,
        commit: &commit,
        path: &root,
        here: address::files(&repo, &commit, None),
        after: None,
        view: None,
    };
    let files = html! { h2 { "Files" } (listing(look, &here)?) };
    let vouched = vouched(&details);
    let view = View::new(format!("{repo}@{}", commit.short(12)), "repos").fixed("about", about);
    let view = view.fixed("files", files).fixed("vouched", vouched);
    // The commits of a repository outlive it.
    if !look.may(Role::Writer) || !look.store.has_repo(&repo)? {
        return Ok(view);
    }
    let kind = look.store.repo(&repo)?.kind;
    Ok(view.fixed("changes", changes::of_commit(look, (&repo, kind), (&commit, document), &branches)))
}

fn facts(look: &Look<'_>, repo: &RepoName, details: &CommitDetails) -> Result<Markup> {
    let (view, document) = (&details.commit, &details.commit.document);
    Ok(html! {
        dl .fields {
            dt { "Id" } dd { code { (view.id) } }
            dt { "By" } dd { (who(document)) }
            dt { "When" } dd { (time(look, document.created_at)) " " span .dim { (document.created_at) } }
            dt { "Run" } dd { (link(look, &address::run(&document.run.to_string()), id(&document.run.to_string()))) }
            dt { "Content" } dd { (plural(view.files, "file", "files")) ", " (size(view.size_bytes)) }
            dt { "Changed" } dd { (changed(look, repo, &view.id, document)?) }
            @if let Some(job) = &document.job {
                dt { "Job" } dd { (link(look, &address::job(job), short_job(job))) }
            }
            @if let Some(pipeline) = &document.pipeline {
                dt { "Pipeline" }
                dd {
                    (link(look, &address::pipeline(&pipeline.name), pipeline.name.as_str())) " version " (pipeline.version)
                    ", spec " (id(&pipeline.spec.to_string()))
                    @if let Some(image) = &pipeline.image { ", image " code { (image.reference) } }
                }
            }
            (origins(look, document))
            @if view.not_visible > 0 {
                dt { "Hidden" } dd { (plural(view.not_visible, "input", "inputs")) " not visible to you" }
            }
        }
    })
}

fn changed(look: &Look<'_>, repo: &RepoName, commit: &CommitId, document: &Commit) -> Result<Markup> {
    let (counts, is_all) = first_changes(look.store, document, COUNTED)?;
    let words = [(counts.added, "added"), (counts.modified, "modified"), (counts.removed, "removed")];
    let words = words.map(|(number, what)| format!("{} {what}", count(number))).join(", ");
    Ok(html! {
        (words) @if !is_all { " among the first " (count(COUNTED as u64)) " changes" }
        @if let Some(parent) = document.parents.first() {
            " · " (link(look, &address::diff(format!("{repo}@{parent}"), format!("{repo}@{commit}")), "Differences"))
            " from its parent " (commit_link(look, repo, parent))
        } @else { " · it has no parent" }
    })
}

/// What it was made from.
fn origins(look: &Look<'_>, document: &Commit) -> Markup {
    html! {
        @if !document.provenance.is_empty() {
            dt { "Made from" }
            dd {
                ul .plain {
                    @for from in document.provenance.iter().take(LISTED) {
                        li { (from.repo.as_str()) "@" (from.branch.as_str()) " " (commit_link(look, &from.repo, &from.commit)) }
                    }
                    @if document.provenance.len() > LISTED { li .dim { (document.provenance.len() - LISTED) " further commits" } }
                }
            }
        }
        @if !document.sources.is_empty() {
            dt { "Copied from" }
            dd {
                ul .plain {
                    @for from in document.sources.iter().take(LISTED) {
                        @let to = address::files(&from.repo, &from.commit, Some(&from.path));
                        li { (link(look, &to, reference(&from.repo, &from.commit, Some(&from.path)).to_string())) }
                    }
                    @if document.sources.len() > LISTED { li .dim { (document.sources.len() - LISTED) " further places" } }
                }
            }
        }
        @if !document.origins.is_empty() {
            dt { "From the web" }
            dd {
                ul .plain {
                    @for from in document.origins.iter().take(LISTED) { li { (from.path.as_str()) " from " code { (from.url) } } }
                    @if document.origins.len() > LISTED { li .dim { (document.origins.len() - LISTED) " further addresses" } }
                }
            }
        }
    }
}

fn vouched(details: &CommitDetails) -> Markup {
    html! {
        h2 { "Signatures" }
        @if details.signatures.is_empty() { p .dim { "Nobody signed it." } } @else {
            div .wide {
                table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Outcome" } } }
                    tbody {
                        @for signature in &details.signatures {
                            tr {
                                td { @if let Some(key) = &signature.key { (id(&key.to_string())) } @else { span .dim { "unreadable" } } }
                                td { (words(signature.state)) @if let Some(why) = &signature.why { ": " (why) } }
                            }
                        }
                    }
                }
            }
        }
        @if !details.certificates.is_empty() {
            h2 { "Executed again" }
            div .wide {
                table {
                    thead {
                        tr {
                            th scope="col" { "When" } th scope="col" { "By" } th scope="col" { "What" }
                            th scope="col" { "Outcome" } th scope="col" { "Stages" }
                        }
                    }
                    tbody {
                        @for certificate in details.certificates.iter().take(LISTED) {
                            @let certificate = &certificate.0.certificate;
                            tr {
                                td { (certificate.at) }
                                td { (certificate.committer) }
                                td { @if let Some(path) = &certificate.path { (path.as_str()) } @else { "the whole commit" } }
                                td { (certificate.outcome.words()) }
                                td { (certificate.stages.len()) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn words(state: SignatureState) -> &'static str {
    match state {
        SignatureState::Good => "valid, by a key that this store trusts",
        SignatureState::UnknownKey => "by a key that this store does not know",
        SignatureState::UnvouchedKey => "valid, but no key that counts vouches for this one",
        SignatureState::Bad => "wrong: it does not match the commit",
        SignatureState::Damaged => "unreadable",
    }
}
