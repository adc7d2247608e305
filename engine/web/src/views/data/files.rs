//! A path of a commit: a directory, or a file.

use maud::html;
use repos::files::kind_at;
use repos::tree::PathKind;
use serde::Deserialize;
use specs::{CommitId, FilePath, RepoName};

use super::directory::{Directory, listing};
use super::shared::{path_crumbs, reference};
use super::{file, history};
use crate::address;
use crate::frame::View;
use crate::look::Look;
use crate::parts::link;
use crate::views::Result;

/// A path of a commit.
#[derive(Debug, Clone, Deserialize)]
pub struct OfPath {
    repo: RepoName,
    commit: CommitId,
    /// Without the `/` at its start; absent for the root.
    #[serde(default)]
    path: String,
}

/// What of it.
#[derive(Debug, Clone, Deserialize)]
pub struct Wanted {
    /// How it is shown: `list`, `grid`; `text`, `natural`.
    view: Option<String>,
    /// The next page of it, after this.
    after: Option<String>,
    /// Present: its history.
    history: Option<String>,
}

/// A directory or a file.
pub fn files(look: &Look<'_>, of: OfPath, wanted: Wanted) -> Result<View> {
    let OfPath { repo, commit, path } = of;
    let path: FilePath = format!("/{}", path.trim_end_matches('/')).parse().map_err(|error: specs::PathError| {
        engine::EngineError::Usage { what: error.to_string(), hint: Some("follow a link to a file".to_owned()) }
    })?;
    let at = look.store.resolve(&reference(&repo, &commit, Some(&path)))?;
    let Wanted { view, after, history } = wanted;
    if history.is_some() {
        return history::history(look, &at, after.as_deref());
    }
    match kind_at(look.store, at.tree(), &at.place(), &path)? {
        PathKind::File(entry) => file::file(look, &at, entry, (after.as_deref(), view.as_deref())),
        PathKind::Directory { .. } => {
            let here = address::files(&repo, &commit, Some(&path));
            let of = Directory {
                repo: &repo,
                commit: &commit,
                path: &path,
                here: here.clone(),
                after: after.as_deref(),
                view: view.as_deref(),
            };
            let head = html! {
                (path_crumbs(look, &repo, &commit, &path))
                h1 { (if path.is_root() { repo.as_str() } else { path.name() }) "/" }
                p { (link(look, &here.with("history", ""), "History of this directory")) }
            };
            let title = format!("{path} in {}", at.place());
            Ok(View::new(title, "repos").fixed("about", head).fixed("files", listing(look, &of)?))
        }
    }
}
