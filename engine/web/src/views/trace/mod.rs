//! Where a file comes from: what made it, from what, by whom, step by step and as a graph; or the other way, what was made from it.
//!
//! - `steps`: each step with its words and pictures
//! - `graph`: the same as a drawing
//! - `forward`: what was derived from a file, by pipeline
//! - `verdict`: the outcome of a verification
//!
//! What is not visible to the reader, missing, or not followed is said where it would be, and in the summary: a trace never looks more
//! complete than it is.

mod forward;
mod graph;
mod steps;
mod verdict;

use answers::commit::{SignatureState, signatures};
use answers::moment::Moment;
use answers::trace::formats::{Story, shown_commit};
use answers::trace::{FileNode, Origin, Reach, Trace, VersionNode};
use engine::EngineError;
use maud::{Markup, html};
use repos::access::Right;
use repos::store::Resolved;
use repos::{RepoError, Store};
use serde::Deserialize;
use specs::words::{count, plural};
use specs::{ErrorKind, FilePath, Reference};

use super::data::pinned;
use super::diff::is_shown_by_browsers;
use super::{None as Nothing, Result};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{form_to, id, link, size, time};

pub use verdict::{Verification, verdict};

/// Pictures at the top.
const PICTURES: usize = 6;
/// Gaps, and places that were not followed, that are listed.
const GAPS: usize = 50;

/// What is traced.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// `REPO[@REVISION][:/PATH]`.
    file: Option<String>,
    /// Whether what was derived from it is wanted.
    forward: Option<String>,
    /// A moment: the file as it was then.
    at: Option<String>,
    /// Forward: all runs that read the content.
    all_runs: Option<String>,
    /// Back: every file of large directories.
    files: Option<String>,
    /// Forward: only the datums of this pipeline.
    pipeline: Option<String>,
    /// The number of steps or datums before this page.
    after: Option<String>,
}

fn given<'t>(text: impl Into<Option<&'t String>>) -> Option<&'t str> {
    text.into().map(|text| text.trim()).filter(|text| !text.is_empty())
}

impl Asked {
    fn after(&self) -> usize {
        given(&self.after).and_then(|after| after.parse().ok()).unwrap_or(0)
    }

    /// The reference that is meant: at a moment, the commit that its branch had then.
    fn reference(&self, store: &Store) -> Result<Reference> {
        let wrong = |error: specs::ReferenceError| EngineError::Usage { what: error.to_string(), hint: error.hint() };
        let file: Reference = given(&self.file).unwrap_or_default().parse().map_err(wrong)?;
        let Some(at) = given(&self.at) else { return Ok(file) };
        let moment = Moment::find(store, at)?;
        let branch = match &file.revision {
            None => store.default_branch()?,
            Some(revision) => match revision.as_branch() {
                Some(branch)
                    if store.find_branch(&file.repo, &branch)?.is_some()
                        || store.branch_then(&file.repo, &branch, moment.then())?.is_some() =>
                {
                    branch
                }
                // A commit is the same at all times.
                _ => return Ok(file),
            },
        };
        let head = moment.head(store, &file.repo, &branch)?;
        let missing = || RepoError::NotFound {
            what: format!("{}@{branch} had no commit at `{}`", file.repo, at.escape_debug()),
            hint: Some("name a later run or time".to_owned()),
        };
        let revision = Some(pinned(&head.ok_or_else(missing)?));
        Ok(Reference { revision, ..file })
    }
}

/// Where a file comes from, or what was derived from it.
#[allow(clippy::needless_pass_by_value, reason = "all views have this signature")]
pub fn trace(look: &Look<'_>, _: Nothing, asked: Asked) -> Result<View> {
    if given(&asked.file).is_none() {
        return Ok(form_alone(look, &asked, &html! {}));
    }
    match shown(look, &asked) {
        Err(error) if matches!(error.kind(), ErrorKind::Usage | ErrorKind::NotFound) => {
            let problem = html! {
                p .problem role="alert" { (error) @if let Some(hint) = error.hint() { br; span .hint { (hint) } } }
            };
            Ok(form_alone(look, &asked, &problem))
        }
        shown => shown,
    }
}

fn shown(look: &Look<'_>, asked: &Asked) -> Result<View> {
    let reference = asked.reference(look.store)?;
    let at = look.store.resolve(&reference)?;
    if asked.forward.is_some() {
        return forward::view(look, asked, &at, reference.path.is_none());
    }
    if reference.path.as_ref().is_none_or(FilePath::is_root) || at.tree().file(look.store, &at.path)?.is_none() {
        repos::files::kind_at(look.store, at.tree(), &at.place(), &at.path)?;
        return Err(EngineError::Usage {
            what: format!("`{reference}` is not a file"),
            hint: Some("a trace starts at one file; forward it starts at a folder or a commit, too".to_owned()),
        });
    }
    let found = answers::trace::trace(look.store, &at, Reach { depth: None, all_files: asked.files.is_some() })?;
    let story = Story::of(&found);
    let place = Place { look, asked, at: &at };
    let view = View::new(format!("Where {} comes from", at.path), "repos");
    Ok(view
        .fixed("claim", place.claim(&found)?)
        .fixed("pictures", pictures(look, &story))
        .fixed("graph", graph::shown(&place, &found, &story))
        .fixed("steps", steps::shown(&place, &story)))
}

fn form_alone(look: &Look<'_>, asked: &Asked, problem: &Markup) -> View {
    View::new("Where a file comes from", "repos").fixed("claim", html! {
        h1 { "Where a file comes from" }
        form .compare action=(look.link(&Address::of(["trace"]))) {
            label {
                "File"
                input name="file" value=[given(&asked.file)] required placeholder="flags@main:/cam7/a.json" spellcheck="false" autocomplete="off";
            }
            label {
                "At a run or time"
                input name="at" value=[given(&asked.at)] placeholder="@3fa9c1d2 or {2026-09-01}" spellcheck="false" autocomplete="off";
            }
            button { "Trace" }
            button name="forward" value="yes" { "What was made from it" }
        }
        (problem)
    })
}

/// A file of a commit, and how it is looked at.
pub(super) struct Place<'a> {
    look: &'a Look<'a>,
    asked: &'a Asked,
    at: &'a Resolved,
}

impl Place<'_> {
    /// The file by its commit's id: what others can be sent.
    fn pinned(&self) -> String {
        format!("{}@{}:{}", self.at.commit.repo, self.at.id, self.at.path)
    }

    /// This trace.
    fn here(&self) -> Address {
        address::trace(self.pinned()).with_some("files", self.asked.files.as_ref().map(|_| "all"))
    }

    /// What is claimed: the file, and how complete the trace is.
    fn claim(&self, found: &Trace) -> Result<Markup> {
        let Place { look, at, .. } = self;
        let Trace { file, version, .. } = found;
        Ok(html! {
            div .court {
                h1 { "Where " span .path { (at.path) } " comes from" }
                (facts(look, file, version, &self.signature()?))
                (self.summary(found))
                (self.actions())
            }
        })
    }

    fn signature(&self) -> Result<String> {
        let signed = signatures(self.look.store, &self.at.id)?;
        Ok(match signed.iter().find(|signed| signed.state == SignatureState::Good) {
            Some(signed) => format!(
                "signed by key {} (Verify checks it, and all that it covers)",
                signed.key.map_or_else(String::new, |key| key.short(16))
            ),
            None if signed.is_empty() => "unsigned".to_owned(),
            None => "the signature does not count (Verify tells why)".to_owned(),
        })
    }

    fn summary(&self, found: &Trace) -> Markup {
        let Trace { datums, source_files, gaps, cut, .. } = found;
        let (mark, verdict) = match (gaps.is_empty(), cut.is_empty()) {
            (true, true) => ("whole", "Complete"),
            (true, false) => ("cut", "Cut short"),
            (false, _) => ("gap", "Not complete"),
        };
        html! {
            p .verdict data-verdict=(mark) {
                b { (verdict) } ": " (plural(*datums as u64, "execution", "executions")) ", "
                (plural(*source_files as u64, "source file", "source files")) ", "
                (plural(gaps.len() as u64, "gap", "gaps"))
                @if !cut.is_empty() { ", " (plural(cut.len() as u64, "place", "places")) " not followed" } "."
            }
            (listed("Gaps", gaps))
            (listed("Not followed", cut))
            @if !cut.is_empty() && self.asked.files.is_none() {
                p .on-screen {
                    (link(self.look, &self.here().with("files", "all"), "Follow every file of large folders"))
                }
            }
        }
    }

    /// What can be done with it.
    fn actions(&self) -> Markup {
        let (look, of) = (self.look, self.pinned());
        let bundle = address::api(["bundle"]).with("of", &of);
        html! {
            div .actions.on-screen {
                @if look.access.may(Right::Check) {
                    (form_to(look, "POST", &address::api(["verify"]), &html! { input type="hidden" name="of" value=(of); }, "Verify", &address::verdict(None, &of).under("")))
                } @else { span .dim { "Verifying needs a token for the whole store." } }
                a href=(look.link(&bundle)) download="bundle.zip" { "Bundle: the proof in one file" }
                a href=(look.link(&bundle.clone().with("data", "true"))) download="bundle.zip" { "with the files" }
                a href=(look.link(&address::trace_page(&of))) download { "This as one page, for people without pv" }
                (link(look, &address::trace(&of).with("forward", "yes"), "What was made from it"))
                (link(look, &address::files(&self.at.commit.repo, &self.at.id, Some(&self.at.path)), "The file"))
            }
        }
    }
}

fn listed(what: &str, lines: &[String]) -> Markup {
    let left = lines.len().saturating_sub(GAPS);
    html! {
        @if !lines.is_empty() {
            h2 { (what) }
            ul .gaps {
                @for line in lines.iter().take(GAPS) { li { (line) } }
                @if left > 0 { li { "and " (count(left as u64)) " more" } }
            }
        }
    }
}

fn facts(look: &Look<'_>, file: &FileNode, version: &VersionNode, signature: &str) -> Markup {
    html! {
        dl .fields {
            dt { "File" }
            dd {
                (link(look, &address::repo(&file.repo), file.repo.as_str())) ":" (file.path) ", "
                (size(file.size_bytes)) @if file.executable { ", executable" }
            }
            dt { "SHA-256" } dd { code { (file.digest) } }
            dt { "Commit" }
            dd {
                a href=(look.link(&address::commit(&file.repo, &file.commit))) { code { (file.commit) } }
                " on " (link(look, &address::branch(&file.repo, &version.branch), version.branch.as_str())) ", "
                (signature)
            }
            dt { "Made" }
            dd {
                (time(look, version.created_at))
                @if let Some(job) = &version.job { " by job " (link(look, &address::job(job), job.as_str())) }
                " in run "
                a href=(look.link(&address::run(&version.run.to_string()))) { (id(&version.run.to_string())) }
            }
            @if !version.author.is_empty() {
                dt { @if version.job.is_some() { "Caused by" } @else { "Author" } } dd { (version.author) }
            }
            dt { "Recorded by" } dd { (version.committer) }
            @if let Some(error) = &version.error {
                dt { "The job did not succeed" } dd .problem { (error) "; no branch ever pointed to this commit" }
            }
        }
    }
}

/// The requested file and its nearest sources, if they are pictures.
fn pictures(look: &Look<'_>, story: &Story<'_>) -> Markup {
    let all = story.files.iter().rev().filter(|file| can_be_shown(file));
    let shown: Vec<&&FileNode> = all.take(PICTURES).collect();
    html! {
        @if !shown.is_empty() {
            div .shots.court {
                @for file in shown { (picture(look, file)) }
            }
        }
    }
}

/// Whether browsers can show a file, and its content is still there.
fn can_be_shown(file: &FileNode) -> bool {
    let is_gone = matches!(&file.origin, Origin::Source(source) if source.gone.is_some());
    !is_gone && is_shown_by_browsers(&file.path)
}

fn picture(look: &Look<'_>, file: &FileNode) -> Markup {
    let commit = shown_commit(file);
    let what = if matches!(file.origin, Origin::Source(_)) { "Source" } else { "Made" };
    html! {
        figure {
            a href=(look.link(&address::files(&file.repo, commit, Some(&file.path)))) {
                img src=(look.link(&address::content(&file.repo, commit, &file.path))) alt={ (what) ": " (file.path) } loading="lazy";
            }
            figcaption { (what) ": " (file.repo) ":" (file.path) }
        }
    }
}
