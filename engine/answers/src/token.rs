//! The tokens of a store, and the log of what was done with them.

use engine::Result;
use repos::Store;
use repos::Timestamp;
use repos::access::{RepoGlobs, Role};
use repos::tokens::{Audit, TokenRow, Tokens};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use specs::TokenName;

pub use repos::tokens::{AuditFilter, AuditLine, TokenState};

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenView {
    /// Its name.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// The repositories that it covers, as globs.
    pub repos: RepoGlobs,
    /// Whether it works.
    pub state: TokenState,
    /// When it was created.
    pub created_at: Timestamp,
    /// Who created it.
    pub created_by: String,
    /// When it ends; `null` for never.
    pub expires_at: Option<Timestamp>,
    /// When it was last used, to the minute; `null` if it never was.
    pub used_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// A token that was just created, with its text: nothing shows that again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CreatedToken {
    /// The text.
    pub token: String,
    /// The token.
    #[serde(flatten)]
    pub view: TokenView,
}

/// A token as it is at this time.
pub fn token_view(row: TokenRow, now: Timestamp) -> TokenView {
    let state = row.state(now);
    let TokenRow { name, role, repos, created_at, created_by, expires_at, used_at, revoked_at, .. } = row;
    TokenView { name, role, repos, state, created_at, created_by, expires_at, used_at, revoked_at }
}

/// All tokens of a store, by name; with `ended` also revoked and expired ones.
pub fn tokens(store: &Store, ended: bool) -> Result<Vec<TokenView>> {
    let now = store.clock().now();
    let views = Tokens::of(store).list()?.into_iter().map(|row| token_view(row, now));
    let works = |view: &TokenView| matches!(view.state, TokenState::Valid | TokenState::EndsSoon);
    Ok(views.filter(|view| ended || works(view)).collect())
}

/// The lines of the log of what was read that fit, the newest first, read lazily.
pub fn reads(store: &Store, filter: AuditFilter) -> Result<impl Iterator<Item = Result<AuditLine>> + use<>> {
    Ok(Audit::of_reads(store).read(filter)?.map(|line| Ok(line?)))
}

/// The lines of the audit log that fit, the newest first, read lazily.
pub fn audit(store: &Store, filter: AuditFilter) -> Result<impl Iterator<Item = Result<AuditLine>> + use<>> {
    Ok(Audit::of(store).read(filter)?.map(|line| Ok(line?)))
}
