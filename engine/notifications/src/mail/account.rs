//! The account for mail, as a store has it: three settings and a secret.

use std::fmt;

use engine::secrets;
use repos::Store;
use repos::settings::{MAIL_FROM, MAIL_PASSWORD, MAIL_SERVER, MailAddress, MailServer};
use specs::SecretName;

/// The key of the secret's value.
const KEY: &str = "password";

/// The server that takes mail, and how to log in there.
#[derive(Clone, PartialEq, Eq)]
pub struct MailAccount {
    /// Where it is, and who logs in.
    pub server: MailServer,
    /// For the login; needed if the server has a user.
    pub password: Option<String>,
    /// Who mail comes from.
    pub from: MailAddress,
}

impl fmt::Debug for MailAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailAccount").field("server", &self.server).field("from", &self.from).finish_non_exhaustive()
    }
}

/// The account of a store; otherwise what is missing, and what to type.
pub fn account(store: &Store) -> Result<MailAccount, String> {
    let unset = |name: &str, example: &str| format!("`{name}` is not set: pv config set {name} {example}");
    let server = store.setting(&MAIL_SERVER).map_err(|error| error.to_string())?;
    let server = server.ok_or_else(|| unset(MAIL_SERVER.name, "smtps://USER@HOST"))?;
    let from = store.setting(&MAIL_FROM).map_err(|error| error.to_string())?;
    let from = from.ok_or_else(|| unset(MAIL_FROM.name, "NAME@HOST"))?;
    let secret = store.setting(&MAIL_PASSWORD).map_err(|error| error.to_string())?;
    let password = match (&server.user, secret) {
        (None, _) => None,
        (Some(_), None) => return Err(unset(MAIL_PASSWORD.name, "SECRET")),
        (Some(_), Some(secret)) => Some(password(store, &secret)?),
    };
    Ok(MailAccount { server, password, from })
}

fn password(store: &Store, secret: &SecretName) -> Result<String, String> {
    let found = secrets::text(store, secret, KEY).map_err(|error| error.to_string())?;
    found
        .ok_or_else(|| format!("secret `{secret}` with a text `{KEY}` not found: pv secret create {secret} {KEY}=FILE"))
}
