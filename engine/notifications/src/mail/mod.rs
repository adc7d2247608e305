//! A message as mail.
//!
//! One transaction for each attempt, with the whole message for all addresses of the target and the same `Message-ID` each time. What the
//! server says means:
//!
//! | the server | outcome |
//! |---|---|
//! | takes it for all | delivered |
//! | refuses some addresses for good (5xx), and takes it for the others | refused: the reason names the addresses; the others have it |
//! | refuses all addresses, or the content (5xx) | refused |
//! | refuses an address temporarily (4xx) | later, for all: what some have cannot be told from what some lack |
//! | refuses the login or the sender, is not found, does not answer | later: somebody can put that right within three days |
//!
//! - `account`: the settings of a store
//! - `compose`: its form
//! - `server`: the connection

use lettre::Address;
use repos::Timestamp;
use repos::settings::MailAddress;

use crate::limits::Limits;
use crate::message::{Message, Outcome};
use crate::names::Names;

mod account;
mod compose;
mod server;

pub use account::{MailAccount, account};
use server::Fault;

/// Sends mail.
pub(crate) struct Mailer {
    pub(crate) names: Names,
    pub(crate) limits: Limits,
    /// PEM, besides the system's.
    pub(crate) roots: Vec<Vec<u8>>,
}

impl Mailer {
    pub(crate) async fn send(
        &self,
        account: &MailAccount,
        to: &[MailAddress],
        message: &Message,
        now: Timestamp,
    ) -> Outcome {
        let prepared = addresses(account, to).and_then(|(from, to)| {
            let bytes = compose::mail(&from, &to, message, now)?;
            Ok((from, to, bytes))
        });
        let (from, to, bytes) = match prepared {
            Ok(prepared) => prepared,
            Err(why) => return Outcome::Refused { why },
        };
        let sent = tokio::time::timeout(self.limits.mail, self.deliver(account, &from, &to, &bytes)).await;
        match sent {
            Ok(Ok(())) => Outcome::Delivered,
            Ok(Err(Fault::Later(why))) => Outcome::Later { why, after: None },
            Ok(Err(Fault::Refused(why))) => Outcome::Refused { why },
            Err(_) => {
                let why =
                    format!("{} did not take it within {} s", account.server.host, self.limits.mail.as_secs_f32());
                Outcome::Later { why, after: None }
            }
        }
    }
}

fn addresses(account: &MailAccount, to: &[MailAddress]) -> Result<(Address, Vec<Address>), String> {
    Ok((address(&account.from)?, to.iter().map(address).collect::<Result<_, _>>()?))
}

fn address(address: &MailAddress) -> Result<Address, String> {
    let (user, host) = address.parts();
    Address::new(user, host).map_err(|error| format!("`{address}`: {error}"))
}
