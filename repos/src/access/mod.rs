//! Access: who may see and do what.
//!
//! An [`Access`] names somebody, a role, and the repositories that it covers. A handle of a store carries it (`Store::seen_by`), so no
//! caller can forget a check:
//!
//! - **Reading.** What the access does not cover does not exist for such a handle: lists leave it out, and its names and ids give the
//!   error of a missing one.
//! - **Changing.** Each entry of a change needs a role on a repository, or a right on the whole store (`store::needs`). Jobs that a change
//!   causes are its consequences and need nothing.
//!
//! A pipeline, its jobs, datums and logs belong to its output repository, which has its name.
//!
//! - `globs`: which repositories an access covers
//! - `rights`: what concerns the whole store
//!
//! Not here: the tokens that people and programs show (`tokens`), and the handle that applies all this (`store::seen`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::{PipelineName, RepoName};

mod globs;
mod rights;

pub use globs::{RepoGlobs, RepoGlobsError};
pub use rights::Right;

/// How much somebody may do. Each role includes those before it, but for [`Role::Worker`]: see [`Access::may_join`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Joins as a worker, and gets what it is to execute; else it sees and changes nothing.
    Worker,
    /// Sees.
    Reader,
    /// Also commits, moves branches, tags, runs and retries.
    Writer,
    /// Also creates and deletes repositories, applies pipelines, gives up files of commits. Without a limit to some repositories also:
    /// settings, secrets, keys, tokens, garbage collection, mirrors.
    Admin,
}

impl Role {
    /// All roles, the smallest first.
    pub const ALL: [Self; 4] = [Self::Worker, Self::Reader, Self::Writer, Self::Admin];

    /// The word that people write.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Reader => "reader",
            Self::Writer => "writer",
            Self::Admin => "admin",
        }
    }
}

impl std::fmt::Display for Role {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.word())
    }
}

/// No role has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a role: use `reader`, `writer`, `admin` or `worker`", .text.escape_debug())]
pub struct RoleError {
    text: String,
}

impl std::str::FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        let found = Self::ALL.into_iter().find(|role| role.word() == text);
        found.ok_or_else(|| RoleError { text: text.to_owned() })
    }
}

/// What somebody may see and do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Who it is: the name of a token. It becomes the committer of commits.
    pub who: String,
    /// What it may do in the repositories that it covers.
    pub role: Role,
    /// The repositories that it covers.
    pub repos: RepoGlobs,
    /// The owner of what is kept for it between requests: the digest of its token. A name may be another token's later, which must not
    /// get that. Without a token, its name.
    pub client: String,
}

/// The beginning of the names that stand for repositories which are not visible. No limited access covers such a name.
const STAND_IN: &str = "not-visible-";

/// The name in place of a repository or pipeline that is not visible.
pub fn stand_in(number: u32) -> RepoName {
    format!("{STAND_IN}{number}").parse().expect("a name")
}

/// Whether a name stands for what is not visible, in an answer for a limited access.
pub fn is_stand_in(name: &str) -> bool {
    name.starts_with(STAND_IN)
}

impl Access {
    /// The right to do everything.
    pub fn full(who: impl Into<String>) -> Self {
        let who = who.into();
        Self { client: who.clone(), who, role: Role::Admin, repos: RepoGlobs::all() }
    }

    /// Whether a repository is visible.
    pub fn sees(&self, repo: &RepoName) -> bool {
        self.repos.is_all() || (!is_stand_in(repo.as_str()) && self.repos.fit(repo))
    }

    /// Whether a pipeline is visible: its output repository is.
    pub fn sees_pipeline(&self, pipeline: &PipelineName) -> bool {
        self.repos.is_all() || self.sees(&pipeline.output_repo())
    }

    /// Whether it covers all repositories, present and future.
    pub fn sees_all(&self) -> bool {
        self.repos.is_all()
    }

    /// Whether it may do everything.
    pub fn is_unlimited(&self) -> bool {
        self.role == Role::Admin && self.sees_all()
    }

    /// Whether it may join as a worker. A worker gets files of any repository and says what was made of them, so neither readers nor
    /// writers may, nor whoever is limited to some repositories.
    pub fn may_join(&self) -> bool {
        self.role == Role::Worker || self.is_unlimited()
    }

    /// Whether it has this right, which concerns the whole store.
    pub fn may(&self, right: Right) -> bool {
        self.sees_all() && self.role >= right.role()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(role: Role, globs: &[&str]) -> Access {
        Access { who: "ci".to_owned(), role, repos: RepoGlobs::parse(globs).unwrap(), client: "ci".to_owned() }
    }

    #[test]
    fn roles_are_ordered_and_have_one_text_each() {
        assert!(Role::Worker < Role::Reader && Role::Reader < Role::Writer && Role::Writer < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        let error = "owner".parse::<Role>().unwrap_err().to_string();
        assert_eq!(error, "`owner` is not a role: use `reader`, `writer`, `admin` or `worker`");
    }

    #[test]
    fn a_pipeline_is_seen_with_its_output_repository() {
        let some = access(Role::Reader, &["cam*"]);
        assert!(some.sees(&"cam7".parse().unwrap()) && some.sees_pipeline(&"cam-detect".parse().unwrap()));
        assert!(!some.sees(&"rules".parse().unwrap()) && !some.sees_pipeline(&"detect".parse().unwrap()));
    }

    #[test]
    fn what_stands_for_a_hidden_repository_is_covered_by_no_limited_access() {
        let name = stand_in(1);
        assert!(!access(Role::Admin, &["n*", "?*"]).sees(&name));
        assert!(Access::full("admin").sees(&name), "full access never gets a stand-in");
    }

    #[test]
    fn rights_on_the_whole_store_need_all_repositories() {
        for right in Right::ALL {
            assert!(Access::full("admin").may(right));
            assert!(!access(Role::Admin, &["cam*"]).may(right), "{right:?}");
            assert_eq!(access(Role::Reader, &["*"]).may(right), right.role() == Role::Reader, "{right:?}");
        }
        assert!(access(Role::Admin, &["*"]).is_unlimited() && !access(Role::Writer, &["*"]).is_unlimited());
    }

    #[test]
    fn only_a_worker_or_an_admin_of_everything_joins_and_a_worker_has_no_right() {
        for role in Role::ALL {
            let joins = access(role, &["*"]).may_join();
            assert_eq!(joins, matches!(role, Role::Worker | Role::Admin), "{role}");
        }
        assert!(!access(Role::Admin, &["cam*"]).may_join());
        assert!(Right::ALL.into_iter().all(|right| !access(Role::Worker, &["*"]).may(right)));
    }
}
