//! One attempt to send a message, whatever carries it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use repos::settings::MailAddress;
use repos::time::Clock;

use crate::limits::Limits;
use crate::mail::{MailAccount, Mailer};
use crate::message::{Message, Outcome};
use crate::names::Names;
use crate::target::Target;
use crate::webhook::{Proxies, Request, Webhooks};

/// What a sender needs to know besides targets.
#[derive(Debug, Clone)]
pub struct Options {
    /// How long an attempt may take.
    pub limits: Limits,
    /// Certificates (PEM) that are trusted besides the system's.
    pub roots: Vec<Vec<u8>>,
    /// Names with addresses of their own, looked up nowhere.
    pub hosts: BTreeMap<String, Vec<IpAddr>>,
    /// Through what webhooks over `https` are sent.
    pub proxies: Proxies,
}

impl Default for Options {
    fn default() -> Self {
        Self { limits: Limits::default(), roots: Vec::new(), hosts: BTreeMap::new(), proxies: Proxies::Variables }
    }
}

/// Gives the account for mail as it is now, or why there is none. It may block.
pub type Accounts = dyn Fn() -> Result<MailAccount, String> + Send + Sync;

/// Sends messages. Keeps connections between attempts; knows nothing of what was sent before.
pub struct Sender {
    webhooks: Webhooks,
    mailer: Mailer,
    accounts: Arc<Accounts>,
    clock: Arc<dyn Clock>,
}

impl Sender {
    /// Reads the variables of this process if `options` says so; connects to nothing yet. `accounts` is asked at each mail.
    pub fn new(clock: Arc<dyn Clock>, accounts: Arc<Accounts>, options: Options) -> Self {
        let Options { limits, roots, hosts, proxies } = options;
        let names = Names::with(hosts);
        let webhooks = Webhooks::new(names.clone(), limits, roots.clone(), &proxies);
        Self { webhooks, mailer: Mailer { names, limits, roots }, accounts, clock }
    }

    /// Sends a message once. Ends within the limits, and never with an error: what became of it is the outcome.
    pub async fn send(&self, target: &Target, message: &Message) -> Outcome {
        match target {
            Target::Webhook { url, style, allow_private, secrets } => {
                let request = Request { url, style: *style, allow_private: *allow_private, secrets };
                self.webhooks.send(&request, message, self.clock.now()).await
            }
            Target::Mail { to } => self.mail(to, message).await,
        }
    }

    async fn mail(&self, to: &[MailAddress], message: &Message) -> Outcome {
        let accounts = self.accounts.clone();
        let account = tokio::task::spawn_blocking(move || accounts()).await;
        match account.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(account) => self.mailer.send(&account, to, message, self.clock.now()).await,
            Err(why) => Outcome::Later { why, after: None },
        }
    }
}
