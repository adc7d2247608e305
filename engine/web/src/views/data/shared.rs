//! Pieces that views of data share.

use maud::{Markup, html};
use repos::Store;
use repos::documents::Commit;
use serde::Deserialize;
use specs::{BranchName, CommitId, FilePath, Reference, RepoName, Revision, RevisionBase};

use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{id, link};
use crate::views::Result;

/// Rows of a page of a list.
pub(super) const ROWS: usize = 100;

/// A repository in a path.
#[derive(Debug, Clone, Deserialize)]
pub struct OfRepo {
    /// The repository.
    pub(super) repo: RepoName,
}

/// A commit, as the revision that names it for ever.
pub(crate) fn pinned(commit: &CommitId) -> Revision {
    Revision { base: RevisionBase::Word(commit.to_string()), back: 0 }
}

/// A path of a commit, as a reference.
pub(super) fn reference(repo: &RepoName, commit: &CommitId, path: Option<&FilePath>) -> Reference {
    Reference { repo: repo.clone(), revision: Some(pinned(commit)), path: path.cloned() }
}

/// The way from all repositories to here: each step with its address, the last without.
pub(super) fn crumbs(look: &Look<'_>, steps: &[(Address, &str)], last: &str) -> Markup {
    html! {
        nav .crumbs aria-label="Breadcrumb" {
            ol {
                li { (link(look, &address::repos(), "Repositories")) }
                @for (to, words) in steps { li { (link(look, to, *words)) } }
                li aria-current="page" { (last) }
            }
        }
    }
}

/// The way to a path of a commit.
pub(super) fn path_crumbs(look: &Look<'_>, repo: &RepoName, commit: &CommitId, path: &FilePath) -> Markup {
    let short = commit.short(12);
    let mut steps = vec![(address::repo(repo), repo.as_str()), (address::commit(repo, commit), short.as_str())];
    let above: Vec<FilePath> = std::iter::successors(path.parent(), FilePath::parent).collect();
    for directory in above.iter().rev() {
        let name = if directory.is_root() { "/" } else { directory.name() };
        steps.push((address::files(repo, commit, Some(directory)), name));
    }
    crumbs(look, &steps, if path.is_root() { "/" } else { path.name() })
}

/// A commit, by its first digits.
pub(super) fn commit_link(look: &Look<'_>, repo: &RepoName, commit: &CommitId) -> Markup {
    link(look, &address::commit(repo, commit), id(&commit.to_string()))
}

/// Who made a commit.
pub(super) fn who(commit: &Commit) -> Markup {
    html! {
        @if commit.author.is_empty() || commit.author == commit.committer {
            (commit.committer)
        } @else {
            (commit.author) " " span .dim { "(by " (commit.committer) ")" }
        }
    }
}

/// The first line of a message, or who else is the reason: the job.
pub(super) fn why(look: &Look<'_>, commit: &Commit) -> Markup {
    html! {
        @if let Some(first) = commit.message.lines().next().filter(|line| !line.trim().is_empty()) {
            (shortened(first, 120))
        } @else if let Some(job) = &commit.job {
            "job " (link(look, &address::job(job), short_job(job)))
        } @else {
            span .dim { "no message" }
        }
    }
}

/// A job's id with the first digits of its run.
pub(super) fn short_job(job: &str) -> String {
    match job.split_once('@') {
        Some((pipeline, run)) => format!("{pipeline}@{}", run.get(..12).unwrap_or(run)),
        None => job.to_owned(),
    }
}

/// At most so many characters of a text, with a sign that there are more.
pub(super) fn shortened(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Links to the beginning of a list and to its next page.
pub(super) fn pager(look: &Look<'_>, first: Option<Address>, next: Option<Address>, words: (&str, &str)) -> Markup {
    html! {
        @if first.is_some() || next.is_some() {
            nav .pager aria-label="Pages" {
                @if let Some(first) = first { (link(look, &first, words.0)) }
                @if let Some(next) = next { a rel="next" href=(look.link(&next)) { (words.1) } }
            }
        }
    }
}

/// The branches whose head is this commit.
pub(super) fn branches_at(store: &Store, repo: &RepoName, commit: &CommitId) -> Result<Vec<BranchName>> {
    let branches = store.branches(repo)?.into_iter();
    Ok(branches.filter(|(_, row)| row.commit.as_ref() == Some(commit)).map(|(name, _)| name).collect())
}

/// A place in a file: `NUMBER.BYTE`, the number of a line or row and the byte where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) byte: u64,
}

impl Place {
    /// The place in an address; `None` for what is none.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (number, byte) = text.split_once('.')?;
        Some(Self { number: number.parse().ok()?, byte: byte.parse().ok()? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.number, self.byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_texts_are_cut_safely() {
        assert_eq!(Place::of("12.3456").unwrap().to_string(), "12.3456");
        for wrong in ["", "1", "1.", ".1", "-1.2", "1.2.3"] {
            assert_eq!(Place::of(wrong), None, "{wrong}");
        }
        assert_eq!(shortened("äöü", 2), "äö…");
        assert_eq!(short_job("p@0123456789abcdef"), "p@0123456789ab");
    }
}
