//! All repositories.

use answers::repo::{RepoKind, RepoView, repos_where};
use maud::{Markup, html};
use repos::access::Role;
use serde::Deserialize;
use specs::RepoName;
use specs::words::count;

use super::shared::{ROWS, pager, who, why};
use crate::address::{self, Address};
use crate::frame::View;
use crate::look::Look;
use crate::parts::{form, link, size, time};
use crate::views::{None, Result};

/// Which repositories.
#[derive(Debug, Clone, Deserialize)]
pub struct Wanted {
    /// Those of this kind: `user`, `output`, `cron`.
    kind: Option<String>,
    /// Those whose name contains this.
    name: Option<String>,
    /// Those after this one.
    after: Option<String>,
}

impl Wanted {
    fn wants(&self, name: &RepoName, kind: RepoKind) -> bool {
        let text = self.name.as_deref().unwrap_or_default();
        self.after.as_ref().is_none_or(|after| name.as_str() > after.as_str())
            && self.kind.as_deref().is_none_or(|wanted| wanted == word(kind))
            && name.as_str().to_lowercase().contains(&text.to_lowercase())
    }

    /// The same, without the fields of a form that nobody filled in.
    fn given(self) -> Self {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self { kind: given(self.kind), name: given(self.name), after: given(self.after) }
    }

    /// The address of this list, after a repository.
    fn address(&self, after: Option<&str>) -> Address {
        let list = address::repos().with_some("kind", self.kind.as_ref()).with_some("name", self.name.as_ref());
        list.with_some("after", after)
    }
}

/// The kind of a repository as a word of addresses.
fn word(kind: RepoKind) -> &'static str {
    match kind {
        RepoKind::User => "user",
        RepoKind::Output => "output",
        RepoKind::Cron => "cron",
    }
}

/// Who commits to a repository, in words.
pub(super) fn kind_words(kind: RepoKind) -> &'static str {
    match kind {
        RepoKind::User => "people",
        RepoKind::Output => "pipeline",
        RepoKind::Cron => "schedule",
    }
}

/// Repositories by name.
pub fn repos(look: &Look<'_>, _: None, wanted: Wanted) -> Result<View> {
    let wanted = wanted.given();
    let all = repos_where(look.store, |name, kind| wanted.wants(name, kind))?;
    let mut found: Vec<RepoView> = all.take(ROWS + 1).collect::<Result<_>>()?;
    let more = found.len() > ROWS;
    found.truncate(ROWS);
    let next = found.last().filter(|_| more).map(|last| wanted.address(Some(last.name.as_str())));
    let first = wanted.after.is_some().then(|| wanted.address(None));
    let head = html! { h1 { "Repositories" } (filter(look, &wanted)) };
    let list = html! {
        @if found.is_empty() { p { "No repository fits." } } @else { (table(look, &found)) }
        (pager(look, first, next, ("First repositories", "Further repositories")))
    };
    let view = View::new("Repositories", "repos").fixed("head", head).live("repos", ["*"], list);
    Ok(if look.may(Role::Admin) { view.fixed("new", new(look)) } else { view })
}

fn filter(look: &Look<'_>, wanted: &Wanted) -> Markup {
    let kind = wanted.kind.as_deref().unwrap_or_default();
    html! {
        form .filter action=(look.link(&address::repos())) {
            label { "Name contains" input name="name" value=[&wanted.name] autocomplete="off" spellcheck="false"; }
            label {
                "Written by"
                select name="kind" {
                    option value="" selected[kind.is_empty()] { "anyone" }
                    @for of in [RepoKind::User, RepoKind::Output, RepoKind::Cron] {
                        option value=(word(of)) selected[kind == word(of)] { (kind_words(of)) }
                    }
                }
            }
            button { "Filter" }
        }
    }
}

fn table(look: &Look<'_>, repos: &[RepoView]) -> Markup {
    html! {
        div .wide {
            table {
                thead {
                    tr {
                        th scope="col" { "Repository" }
                        th scope="col" { "Written by" }
                        th scope="col" { "Branches" }
                        th .number scope="col" { "Files" }
                        th .number scope="col" { "Size" }
                        th scope="col" { "Last commit" }
                        th scope="col" { "By" }
                        th scope="col" { "Why" }
                    }
                }
                tbody { @for repo in repos { (row(look, repo)) } }
            }
        }
    }
}

fn row(look: &Look<'_>, repo: &RepoView) -> Markup {
    html! {
        tr {
            th scope="row" { (link(look, &address::repo(&repo.name), repo.name.as_str())) }
            td { (kind_words(repo.kind)) }
            td {
                @match &repo.branches[..] {
                    [one] => (one.as_str()),
                    several => (several.len()),
                }
            }
            td .number { (count(repo.files)) }
            td .number { (size(repo.size_bytes)) }
            @if let (Some(id), Some((_, commit))) = (&repo.head, &repo.last) {
                td { a href=(look.link(&address::commit(&repo.name, id))) { (time(look, commit.created_at)) } }
                td { (who(commit)) }
                td { (why(look, commit)) }
            } @else {
                td colspan="3" .dim { "no commits yet" }
            }
        }
    }
}

fn new(look: &Look<'_>) -> Markup {
    let fields = html! {
        label { "Name" input name="name" required maxlength="63" pattern="[A-Za-z0-9]([A-Za-z0-9_\\-]*[A-Za-z0-9])?" autocomplete="off"; }
    };
    html! {
        h2 { "New repository" }
        (form(look, "POST", &address::api(["repos"]), &fields, "Create"))
    }
}
