//! Repositories.

use ::repos::access::Role;
use answers::repo::{self, RepoView};
use engine::changes;
use schemars::JsonSchema;
use serde::Deserialize;
use specs::RepoName;

use crate::caller::Call;
use crate::lists::{Listed, Wanted, list};
use crate::operation::{Operation, delete, get, post};
use crate::parts::{Answer, Created, Done, Json, Path};
use crate::problem::{Problem, Result};

pub(super) fn operations() -> Vec<Operation> {
    vec![
        get("/repos", ("listRepos", "List repositories"), all),
        post("/repos", ("createRepo", "Create a repository"), create).needs(Role::Admin),
        get("/repos/{repo}", ("showRepo", "Show a repository"), show),
        delete("/repos/{repo}", ("deleteRepo", "Delete a repository that no pipeline reads"), remove)
            .needs(Role::Admin),
    ]
}

/// A repository.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OfRepo {
    /// Its name.
    pub(super) repo: RepoName,
}

async fn all(call: Call, wanted: Wanted) -> Result<Listed<RepoView>> {
    list(call, wanted, |store, _, cursor, items| {
        let repos = repo::repos(store, |_| true)?;
        let rest = repos.filter(|repo| repo.as_ref().map_or(true, |repo| !cursor.is_before(repo.name.as_str())));
        items.extend(rest, |repo| repo.name.to_string())
    })
    .await
}

async fn show(call: Call, Path(OfRepo { repo }): Path<OfRepo>) -> Result<Answer<RepoView>> {
    call.ask(move |store, _| repo::repo_view(store, &repo)).await.map(Answer)
}

/// A repository to create.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewRepo {
    /// Its name.
    name: RepoName,
}

async fn create(call: Call, Json(NewRepo { name }): Json<NewRepo>) -> Result<Created<RepoView>> {
    let created = call.change(move |store| {
        changes::create_repo(store, &name)?;
        repo::repo_view(store, &name)
    });
    created.await.map(Created)
}

async fn remove(call: Call, Path(OfRepo { repo }): Path<OfRepo>) -> Result<Done> {
    call.change(move |store| changes::delete_repo(store, &repo).map_err(Problem::from)).await?;
    Ok(Done)
}
