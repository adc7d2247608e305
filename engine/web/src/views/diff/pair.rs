//! The two sides of a difference, resolved, and pinned to commits: so the pages that follow show the same difference.

use answers::diff::{Change, Entry, Named, Sides};
use engine::EngineError;
use maud::{Markup, html};
use repos::documents::Commit;
use repos::tree::Tree;
use repos::{RepoError, Store};
use specs::{CommitId, FilePath, ReferenceError, Source};

use super::{Asked, given, of_words};
use crate::address::{self, Address};
use crate::look::Look;
use crate::parts::{id, link, time};
use crate::views::Result;

/// Two sides.
pub(super) struct Pair {
    pub(super) sides: Sides,
    /// The older side, by its commit's id if it is one, without a path.
    old: String,
    /// The newer side; absent if the older one is compared with what was before it, which is nothing.
    new: Option<String>,
    old_commit: Option<(CommitId, Commit)>,
    new_commit: Option<(CommitId, Commit)>,
    /// The paths of two files, if these are compared.
    files: Option<(FilePath, FilePath)>,
}

impl Pair {
    pub(super) fn find(store: &Store, asked: &Asked) -> Result<Self> {
        let wrong = |error: ReferenceError| EngineError::Usage { what: error.to_string(), hint: error.hint() };
        let source = |text: &str| text.parse::<Source>().map_err(wrong);
        let path = given(&asked.path).map(str::parse::<FilePath>).transpose();
        let path = path.map_err(|error| wrong(error.into()))?;
        let at = |source: Source| path.clone().map_or(source.clone(), |path| source.at(Some(path)));
        let old = at(source(given(&asked.old).unwrap_or_default())?);
        let new = given(&asked.new).map(source).transpose()?.map(at);
        let sides = Sides::find(store, &old, new.as_ref())?;
        let commit = |id: Option<CommitId>| -> Result<Option<(CommitId, Commit)>, RepoError> {
            id.map(|id| Ok((id, store.commit(&id)?))).transpose()
        };
        let (old_commit, new_commit) = (commit(sides.old)?, commit(sides.new)?);
        let pinned = |commit: &Option<(CommitId, Commit)>, source: &Source| match commit {
            Some((id, commit)) => format!("{}@{id}", commit.repo),
            None => source.at(None).to_string(),
        };
        let files = match (sides.path(), old.path(), new.as_ref().and_then(Source::path)) {
            (None, Some(old), Some(new)) => Some((old.clone(), new.clone())),
            _ => None,
        };
        let (old, new) = match (new, &old_commit) {
            (Some(new), _) => (pinned(&old_commit, &old), Some(pinned(&new_commit, &new))),
            (None, Some(_)) => (pinned(&old_commit, &old), Some(pinned(&new_commit, &old))),
            // A first commit.
            (None, None) => (pinned(&new_commit, &old), None),
        };
        Ok(Self { sides, old, new, old_commit, new_commit, files })
    }

    /// The folder or file that is looked at; the root for two files.
    pub(super) fn path(&self) -> FilePath {
        self.sides.path().cloned().unwrap_or_else(FilePath::root)
    }

    pub(super) fn trees(&self) -> (Tree, Tree) {
        (self.sides.older, self.sides.newer)
    }

    /// This difference, at a path.
    pub(super) fn at(&self, path: &FilePath) -> Address {
        let of = of_words(&self.old, self.new.as_deref());
        if path.is_root() { of } else { of.with("path", path) }
    }

    /// This difference as it is looked at.
    pub(super) fn here(&self) -> Address {
        match &self.files {
            Some((old, new)) => {
                let new = self.new.as_ref().map(|word| format!("{word}:{new}"));
                of_words(&format!("{}:{old}", self.old), new.as_deref())
            }
            None => self.at(&self.path()),
        }
    }

    /// The difference of one entry: a renamed file has two paths.
    pub(super) fn entry(&self, entry: &Entry) -> Address {
        match (&entry.old, &entry.new, &self.new) {
            (Some(old), Some(new), Some(word)) if old.path != new.path => {
                address::diff(format!("{}:{}", self.old, old.path), format!("{word}:{}", new.path))
            }
            _ => self.at(&entry.path),
        }
    }

    /// The one file that is looked at, if it is one; also if it does not differ.
    pub(super) fn file(&self, store: &Store) -> Result<Option<Entry>> {
        let (old, new) = match (&self.files, self.sides.path()) {
            (Some((old, new)), _) => (old, new),
            (None, Some(path)) if !path.is_root() => (path, path),
            _ => return Ok(None),
        };
        let named = |tree: Tree, path: &FilePath| -> Result<Option<Named>, RepoError> {
            Ok(tree.file(store, path)?.map(|file| Named { path: path.clone(), file }))
        };
        let (old, new) = (named(self.sides.older, old)?, named(self.sides.newer, new)?);
        let change = match (&old, &new) {
            (None, None) => return Ok(None),
            (None, Some(_)) => Change::Added,
            (Some(_), None) => Change::Removed,
            (Some(old), Some(new)) if old.path != new.path && old.file.digest == new.file.digest => Change::Renamed,
            _ => Change::Modified,
        };
        let path = new.as_ref().or(old.as_ref()).map_or_else(FilePath::root, |named| named.path.clone());
        Ok(Some(Entry { path, change, old, new }))
    }

    /// The bytes of a side's file, from the API; absent if the side is no commit.
    pub(super) fn content(&self, is_new: bool, path: &FilePath) -> Option<Address> {
        let (id, commit) = self.commit(is_new)?;
        Some(address::content(&commit.repo, id, path))
    }

    /// A file of a side among the files of its commit.
    pub(super) fn in_commit(&self, is_new: bool, path: &FilePath) -> Option<Address> {
        let (id, commit) = self.commit(is_new)?;
        Some(address::files(&commit.repo, id, Some(path)))
    }

    /// A file of a side as a reference.
    pub(super) fn reference(&self, is_new: bool, path: &FilePath) -> Option<String> {
        let (id, commit) = self.commit(is_new)?;
        Some(format!("{}@{id}:{path}", commit.repo))
    }

    fn commit(&self, is_new: bool) -> Option<&(CommitId, Commit)> {
        if is_new { self.new_commit.as_ref() } else { self.old_commit.as_ref() }
    }

    /// Both sides: commit, who, when.
    pub(super) fn header(&self, look: &Look<'_>) -> Markup {
        let newer = self.new.as_deref().unwrap_or(&self.old);
        let older = if self.new.is_some() { self.old.as_str() } else { "nothing: this is a first commit" };
        let path = self.path();
        html! {
            div .wide { table .sides {
                thead {
                    tr {
                        th scope="col" { "Side" } th scope="col" { "Commit" } th scope="col" { "Author" }
                        th scope="col" { "Made" } th scope="col" { "Message" }
                    }
                }
                tbody {
                    (row(look, "Old", older, self.old_commit.as_ref()))
                    (row(look, "New", newer, self.new_commit.as_ref()))
                }
            } }
            @if !path.is_root() || self.files.is_some() {
                nav .crumbs aria-label="Folders" { (self.crumbs(look)) }
            }
        }
    }

    /// The way from the root to the path.
    fn crumbs(&self, look: &Look<'_>) -> Markup {
        let path = self.files.as_ref().map_or_else(|| self.path(), |(_, new)| new.clone());
        let mut above: Vec<FilePath> = std::iter::successors(path.parent(), FilePath::parent).collect();
        above.reverse();
        html! {
            @for folder in &above {
                @if folder.is_root() {
                    (link(look, &self.at(folder), "All files"))
                }  @else {
                    (link(look, &self.at(folder), folder.name()))
                }
                " / "
            }
            span aria-current="page" { (path.name()) }
            @if let Some((old, new)) = &self.files { @if old != new { span .dim { " (before: " (old) ")" } } }
        }
    }
}

fn row(look: &Look<'_>, side: &str, words: &str, commit: Option<&(CommitId, Commit)>) -> Markup {
    html! {
        tr {
            th scope="row" { (side) }
            @match commit {
                Some((commit_id, commit)) => {
                    td {
                        (link(look, &address::repo(&commit.repo), commit.repo.as_str())) " "
                        a href=(look.link(&address::commit(&commit.repo, commit_id))) { (id(&commit_id.to_string())) }
                    }
                    td {
                        (if commit.author.is_empty() { &commit.committer } else { &commit.author })
                        @if let Some(job) = &commit.job {
                            br; span .dim { "by " (link(look, &address::job(job), job.as_str())) }
                        }
                        @else if !commit.author.is_empty() && commit.author != commit.committer {
                            br; span .dim { "recorded by " (commit.committer) }
                        }
                    }
                    td { (time(look, commit.created_at)) }
                    td .message { (commit.message.lines().next().unwrap_or_default()) }
                }
                None => { td colspan="4" { (words) } }
            }
        }
    }
}
