//! Tags: names of commits that never move.

use ::repos::access::Role;
use answers::tag::{self, TagView};
use engine::changes;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::{RepoName, TagName};

use super::commits::{Word, commit_of};
use super::repos::OfRepo;
use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, delete, get, post};
use crate::parts::{Answer, Created, Done, Json, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/repos/{repo}/tags", ("listTags", "List the tags of a repository"), all),
        post("/repos/{repo}/tags", ("createTag", "Create a tag"), create).needs(Role::Writer),
        get("/repos/{repo}/tags/{tag}", ("showTag", "Show a tag"), show),
        delete("/repos/{repo}/tags/{tag}", ("deleteTag", "Delete a tag; its commit stays"), remove).needs(Role::Writer),
    ]
}

/// A tag of a repository.
#[derive(Debug, Deserialize, JsonSchema)]
struct OfTag {
    /// The repository.
    repo: RepoName,
    /// The tag.
    tag: TagName,
}

async fn all(call: Call, Path(OfRepo { repo }): Path<OfRepo>, wanted: Wanted) -> Result<Listed<TagView>> {
    list(call, wanted, move |store, _, cursor, items| {
        store.repo(&repo)?;
        let tags = tag::tags(store, &repo)?.into_iter().filter(|tag| !cursor.is_before(&tag.name));
        items.extend(tags.map(Ok::<_, Problem>), |tag| tag.name.clone())
    })
    .await
}

async fn show(call: Call, Path(OfTag { repo, tag }): Path<OfTag>) -> Result<Answer<TagView>> {
    call.ask(move |store, _| tag::find_tag(store, &repo, &tag)).await.map(Answer)
}

/// A tag to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewTag {
    /// Its name.
    name: TagName,
    /// The commit: an id, a branch or a tag; absent: the head of the default branch.
    #[serde(default)]
    commit: Option<Word>,
    /// Its message.
    #[serde(default)]
    message: String,
    /// Its author, if not the owner of the token.
    #[serde(default)]
    author: Option<String>,
}

async fn create(call: Call, Path(OfRepo { repo }): Path<OfRepo>, Json(new): Json<NewTag>) -> Result<Created<TagView>> {
    let by = call.actor(new.author);
    let created = call.change(move |store| {
        let at = match new.commit {
            Some(revision) => commit_of(store, &repo, &revision.0)?,
            None => store.head(&repo, &store.default_branch()?)?,
        };
        changes::create_tag(store, &repo, &new.name, at, &by, &new.message)?;
        Ok::<_, Problem>(tag::find_tag(store, &repo, &new.name)?)
    });
    created.await.map(Created)
}

async fn remove(call: Call, Path(OfTag { repo, tag }): Path<OfTag>) -> Result<Done> {
    call.change(move |store| changes::delete_tag(store, &repo, &tag).map_err(Problem::from)).await?;
    Ok(Done)
}
