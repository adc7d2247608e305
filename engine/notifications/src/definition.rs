//! A notification as it was created: what it is about, who is told, and when.

use repos::access::{Access, RepoGlobs, Role};
use repos::tokens::{TokenState, Tokens};
use repos::{RepoError, Store, Timestamp};
use serde::{Deserialize, Serialize};
use specs::{Duration, NotificationName};

use crate::queue::Manner;
use crate::quiet::QuietHours;
use crate::rule::Rule;
use crate::target::Target;

/// The version of the file's layout.
pub(crate) const FORMAT: u32 = 1;

/// A notification. Its target has secrets, so it stays in a file that only the owner of the store can read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    pub(crate) format: u32,
    pub(crate) name: NotificationName,
    pub(crate) on: Vec<Rule>,
    pub(crate) to: Target,
    /// The repositories that it may tell of.
    pub(crate) repos: RepoGlobs,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) quiet_hours: Option<QuietHours>,
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    /// The token that created it; absent if it was created on the machine of the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) creator: Option<Creator>,
}

/// The token that created a notification, which tells no more than it may see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Creator {
    pub(crate) token: String,
    /// What tells it from others with the same name: [`Access::client`].
    pub(crate) client: String,
    pub(crate) repos: RepoGlobs,
}

impl Creator {
    /// The creator through this handle; `None` on the machine of the store.
    pub(crate) fn of(access: Option<&Access>) -> Option<Self> {
        access.map(|access| Self {
            token: access.who.clone(),
            client: access.client.clone(),
            repos: access.repos.clone(),
        })
    }
}

impl Definition {
    /// When it may send.
    pub(crate) fn manner(&self) -> Manner<'_> {
        Manner { digest: self.digest.map(Duration::get), quiet: self.quiet_hours.as_ref() }
    }

    /// Whether it is about files or jobs, or only about states.
    pub(crate) fn has_level(&self) -> bool {
        self.on.iter().any(Rule::is_level)
    }

    /// Why it tells nothing: the token that created it does not work any more.
    pub(crate) fn held_by(&self, tokens: &Tokens, now: Timestamp) -> Result<Option<String>, RepoError> {
        let Some(creator) = &self.creator else { return Ok(None) };
        let rows = tokens.list()?;
        let row = rows.iter().find(|row| row.digest.to_string() == creator.client);
        Ok(match row.map(|row| row.state(now)) {
            Some(TokenState::Valid | TokenState::EndsSoon) => None,
            Some(TokenState::Expired) => Some(format!("token `{}`, which created it, has expired", creator.token)),
            Some(TokenState::Revoked) => Some(format!("token `{}`, which created it, was revoked", creator.token)),
            None => Some(format!("token `{}`, which created it, does not exist any more", creator.token)),
        })
    }

    /// The store as far as this notification may tell of it: what both its own globs and its creator's token cover.
    pub(crate) fn sight(&self, whole: &Store) -> Result<Store, RepoError> {
        let all = RepoGlobs::all();
        let of_creator = self.creator.as_ref().map_or(&all, |creator| &creator.repos);
        let repos = match (self.repos.is_all(), of_creator.is_all()) {
            (true, true) => return Ok(whole.clone()),
            (false, true) => self.repos.clone(),
            (true, false) => of_creator.clone(),
            // Globs have no intersection, but names do.
            (false, false) => {
                let names = whole.repos()?.into_iter().map(|(name, _)| name);
                let both = names.filter(|name| self.repos.fit(name) && of_creator.fit(name));
                let both: Vec<String> = both.map(|name| name.to_string()).collect();
                RepoGlobs::parse(&both).unwrap_or_default()
            }
        };
        let who = self.name.to_string();
        Ok(whole.seen_by(Access { client: who.clone(), who, role: Role::Reader, repos }))
    }

    /// Whether somebody with this access may know of it: it tells nothing that they may not see.
    pub(crate) fn is_seen_by(&self, access: Option<&Access>) -> bool {
        let Some(access) = access else { return true };
        if access.sees_all() || self.creator.as_ref().is_some_and(|creator| creator.client == access.client) {
            return true;
        }
        let own = self.creator.as_ref().filter(|_| self.repos.is_all()).map(|creator| &creator.repos);
        let globs = own.unwrap_or(&self.repos);
        // A glob is covered by itself, or if it is one name.
        let is_covered = |glob: &str| {
            access.repos.texts().any(|known| known == glob) || glob.parse().is_ok_and(|name| access.sees(&name))
        };
        globs.texts().all(is_covered) && self.on.iter().filter_map(Rule::repo).all(|repo| access.sees(repo))
    }
}
