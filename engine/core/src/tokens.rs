//! Creates and revokes the tokens that a server accepts.
//!
//! Not here: what they are (`repos::tokens`), what they allow (`repos::access`).

use repos::Store;
use repos::tokens::{TokenRow, Tokens};
use specs::TokenName;

pub use repos::access::{RepoGlobs, Role};
pub use repos::tokens::{NewToken, Token};

use crate::error::Result;

/// Creates a token; nothing shows its text again. `Usage` without repositories, `Conflict` if a token with this name works.
pub fn create(store: &Store, new: NewToken) -> Result<(Token, TokenRow)> {
    Ok(Tokens::of(store).create(new)?)
}

/// Revokes a token: it stops working at once. `NotFound` if none with this name works.
pub fn revoke(store: &Store, name: &TokenName) -> Result<TokenRow> {
    Ok(Tokens::of(store).revoke(name)?)
}
