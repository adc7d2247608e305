//! Who is told: a URL or addresses of people.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use repos::Timestamp;
use repos::settings::MailAddress;
use reqwest::Url;
use serde::{Deserialize, Serialize};
use specs::ErrorKind;

use crate::address::{Reach, private};
use crate::secret::Secret;

/// Most addresses of one target.
const RECIPIENTS: usize = 50;
/// Most bytes of a URL.
const URL_BYTES: usize = 2048;

/// Where messages are sent. It holds secrets, so it is stored where only the owner of the store reads, and `Debug` leaves them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Target {
    /// An HTTP request for each message.
    Webhook {
        /// Where it goes.
        url: WebhookUrl,
        /// The form of its body.
        style: Style,
        /// Whether the address may be one of this machine or of its networks.
        #[serde(default)]
        allow_private: bool,
        /// What it is signed with, newest first.
        secrets: Vec<Secret>,
    },
    /// A mail for each message.
    Mail {
        /// Who gets it; at least one, none twice.
        to: Vec<MailAddress>,
    },
}

/// The form of a webhook's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// `{type, timestamp, data}`, as *Standard Webhooks* advises.
    Json,
    /// A message for an incoming webhook of Slack.
    Slack,
    /// An Adaptive Card for a workflow of Microsoft Teams.
    Teams,
}

impl Style {
    /// All, as people name them.
    pub const NAMES: [(&str, Self); 3] = [("json", Self::Json), ("slack", Self::Slack), ("teams", Self::Teams)];

    /// The one that this host expects.
    fn of_host(host: &str) -> Self {
        let is_below =
            |domain: &str| host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
        if is_below("hooks.slack.com") || is_below("hooks.slack-gov.com") {
            Self::Slack
        } else if ["logic.azure.com", "api.powerplatform.com", "webhook.office.com"].into_iter().any(is_below) {
            Self::Teams
        } else {
            Self::Json
        }
    }
}

impl fmt::Display for Style {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, style)| style == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

impl std::str::FromStr for Style {
    type Err = TargetError;
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let found = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, style)| *style);
        found.ok_or_else(|| TargetError::NoStyle { text: text.to_owned() })
    }
}

/// The URL of a webhook. Who knows the URL of a chat can write there, and many others have a key in their query: so `Debug` shows only the host,
/// and a target shows no path if it is a chat, and never a query.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(Url);

impl WebhookUrl {
    fn parse(text: &str) -> Result<Self, TargetError> {
        let url =
            Url::parse(text).map_err(|error| TargetError::NoUrl { text: text.to_owned(), why: error.to_string() })?;
        match url.scheme() {
            "https" | "http" => {}
            other => return Err(TargetError::Scheme { scheme: other.to_owned() }),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(TargetError::User);
        }
        if url.fragment().is_some() {
            return Err(TargetError::Fragment);
        }
        if url.as_str().len() > URL_BYTES {
            return Err(TargetError::Long);
        }
        Ok(Self(url))
    }

    /// The host: a name, or an address, of IPv6 in brackets.
    pub(crate) fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The address, if the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.host().trim_start_matches('[').trim_end_matches(']').parse().ok()
    }

    /// Scheme, host and port.
    fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    fn shown_path(&self) -> String {
        format!("{}{}", self.0.path(), if self.0.query().is_some() { "?…" } else { "" })
    }

    pub(crate) fn get(&self) -> &Url {
        &self.0
    }

    /// The addresses that it may be at.
    pub(crate) fn reach(&self, allow_private: bool) -> Reach {
        match (self.0.scheme(), allow_private) {
            ("https", true) => Reach::Any,
            ("https", false) => Reach::Public,
            _ => Reach::Private,
        }
    }

    /// Refuses what is never called: an address that is not allowed, and plain `http` to one that is not private.
    fn check(&self, allow_private: bool) -> Result<(), TargetError> {
        let (is_local, host) = (is_local(self), self.host().to_owned());
        if self.0.scheme() == "http" && (!allow_private || is_local == Some(false)) {
            return Err(TargetError::NotEncrypted { host, is_local: is_local == Some(true) });
        }
        if is_local == Some(true) && !allow_private {
            let kind = self.address().and_then(private).unwrap_or("a name of this machine");
            return Err(TargetError::Private { host, kind });
        }
        Ok(())
    }
}

/// Whether a host is on this machine or its networks; `None` if only its addresses will tell.
fn is_local(url: &WebhookUrl) -> Option<bool> {
    if let Some(address) = url.address() {
        return Some(private(address).is_some());
    }
    let host = url.host().trim_end_matches('.');
    (host == "localhost" || host.ends_with(".localhost")).then_some(true)
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin())
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = TargetError;
    fn try_from(text: String) -> Result<Self, TargetError> {
        Self::parse(&text)
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0.into()
    }
}

impl Target {
    /// Reads `https://…` or `mailto:ADDRESS[,ADDRESS]…`. Without a style, the host decides. A webhook gets a new secret.
    pub fn parse(text: &str, style: Option<Style>, allow_private: bool) -> Result<Self, TargetError> {
        let text = text.trim();
        if let Some(addresses) =
            text.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case("mailto:")).and(text.get(7..))
        {
            return match (style, allow_private) {
                (None, false) => Ok(Self::Mail { to: recipients(addresses)? }),
                (Some(_), _) => Err(TargetError::OnlyForWebhooks { option: "--style" }),
                (None, true) => Err(TargetError::OnlyForWebhooks { option: "--allow-private" }),
            };
        }
        let url = WebhookUrl::parse(text)?;
        url.check(allow_private)?;
        let style = style.unwrap_or_else(|| Style::of_host(url.host()));
        Ok(Self::Webhook { url, style, allow_private, secrets: vec![Secret::new()] })
    }

    /// Gives a webhook a new secret; the ones before sign for `overlap` longer. `None` for mail, which has none.
    pub fn rotate(&mut self, now: Timestamp, overlap: Duration) -> Option<&Secret> {
        let Self::Webhook { secrets, .. } = self else { return None };
        let micros = i64::try_from(overlap.as_micros()).unwrap_or(i64::MAX);
        let end = Timestamp::from_micros(now.as_micros().saturating_add(micros));
        for secret in &mut *secrets {
            secret.end(end);
        }
        secrets.retain(|secret| secret.counts(now));
        secrets.insert(0, Secret::new());
        secrets.first()
    }
}

/// As people may see it: without what only the receiver may know.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook { url, style: Style::Json, .. } => write!(f, "{}{}", url.origin(), url.shown_path()),
            Self::Webhook { url, style: Style::Slack | Style::Teams, .. } => write!(f, "{}/…", url.origin()),
            Self::Mail { to } => {
                let addresses: Vec<&str> = to.iter().map(MailAddress::as_str).collect();
                write!(f, "mailto:{}", addresses.join(","))
            }
        }
    }
}

/// The addresses of `mailto:`, in their order, each once.
fn recipients(text: &str) -> Result<Vec<MailAddress>, TargetError> {
    if text.contains('?') {
        return Err(TargetError::MailHeaders);
    }
    let (mut seen, mut to) = (BTreeSet::new(), Vec::new());
    for one in text.split(',').map(str::trim) {
        let address: MailAddress = one.parse().map_err(|_| TargetError::NoAddress { text: one.to_owned() })?;
        if seen.insert(address.as_str().to_ascii_lowercase()) {
            to.push(address);
        }
    }
    if to.len() > RECIPIENTS { Err(TargetError::Many { count: to.len() }) } else { Ok(to) }
}

/// Why something cannot be a target. Never has more of a URL than its host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are what the texts name")]
pub enum TargetError {
    /// Not a URL at all.
    #[error("`{}` is not a target: {why}", .text.escape_debug())]
    NoUrl { text: String, why: String },
    /// Another scheme.
    #[error("pv sends to `https` URLs and `mailto:` addresses, not to `{scheme}`")]
    Scheme { scheme: String },
    /// A user or password.
    #[error("the URL of a target must not contain a user name or password")]
    User,
    /// A fragment.
    #[error("the URL of a target must not contain a fragment (`#…`)")]
    Fragment,
    /// Too long.
    #[error("the URL of a target has at most {URL_BYTES} bytes")]
    Long,
    /// `http` where it is not allowed.
    #[error("`http` to `{host}` is not encrypted")]
    NotEncrypted { host: String, is_local: bool },
    /// A private address.
    #[error("`{host}` is {kind}")]
    Private { host: String, kind: &'static str },
    /// Not an address for mail.
    #[error("`{}` is not an address for mail", .text.escape_debug())]
    NoAddress { text: String },
    /// `mailto:…?subject=…`.
    #[error("a `mailto:` target has only addresses, without `?…`")]
    MailHeaders,
    /// Too many addresses.
    #[error("a target has at most {RECIPIENTS} addresses, not {count}")]
    Many { count: usize },
    /// Not for mail.
    #[error("`{option}` is for webhooks, not for mail")]
    OnlyForWebhooks { option: &'static str },
    /// Not a style.
    #[error("`{}` is not a style", .text.escape_debug())]
    NoStyle { text: String },
}

impl TargetError {
    /// Exit code and HTTP status follow from this.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NoUrl { .. }
            | Self::Scheme { .. }
            | Self::User
            | Self::Fragment
            | Self::Long
            | Self::NotEncrypted { .. }
            | Self::Private { .. }
            | Self::NoAddress { .. }
            | Self::MailHeaders
            | Self::Many { .. }
            | Self::OnlyForWebhooks { .. }
            | Self::NoStyle { .. } => ErrorKind::Usage,
        }
    }

    /// What to try instead.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NoUrl { .. } | Self::Scheme { .. } => "--to https://HOST/PATH or --to mailto:ADDRESS",
            Self::User => "pv signs each request: the receiver checks `webhook-signature`",
            Self::Fragment => "leave out `#` and what follows it",
            Self::Long => "use a shorter URL",
            Self::NotEncrypted { is_local: false, .. } => {
                "use https; http is only for this machine and its networks, with --allow-private"
            }
            Self::NotEncrypted { is_local: true, .. } | Self::Private { .. } => {
                "--allow-private, if this machine may send there"
            }
            Self::NoAddress { .. } => {
                "--to mailto:NAME@HOST, several with commas; a host name with other letters in its `xn--` form"
            }
            Self::MailHeaders => "pv writes the subject and the text",
            Self::Many { .. } => "use the address of a list",
            Self::OnlyForWebhooks { .. } => "leave it out",
            Self::NoStyle { .. } => "json, slack or teams",
        };
        Some(hint.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, allow_private: bool) -> TargetError {
        Target::parse(text, None, allow_private).expect_err(text)
    }

    #[test]
    fn a_url_that_is_not_safe_is_refused_with_its_reason() {
        for (text, expected) in [
            ("hello", "`hello` is not a target: relative URL without a base"),
            ("ftp://h.org/x", "pv sends to `https` URLs and `mailto:` addresses, not to `ftp`"),
            ("https://u:secret@h.org", "the URL of a target must not contain a user name or password"),
            ("https://h.org/#x", "the URL of a target must not contain a fragment (`#…`)"),
            ("http://h.org/x", "`http` to `h.org` is not encrypted"),
            ("https://127.0.0.1/x", "`127.0.0.1` is an address of this machine"),
            ("https://2130706433/x", "`127.0.0.1` is an address of this machine"),
            ("https://0x7f.1/x", "`127.0.0.1` is an address of this machine"),
            ("https://[::ffff:10.0.0.1]/x", "`[::ffff:a00:1]` is a private address"),
            ("https://169.254.169.254/latest", "`169.254.169.254` is a link-local or metadata address"),
            ("https://localhost/x", "`localhost` is a name of this machine"),
            ("https://a.localhost./x", "`a.localhost.` is a name of this machine"),
        ] {
            let error = refused(text, false);
            assert_eq!(error.to_string(), expected);
            assert!(error.hint().is_some() && !format!("{error:?}").contains("secret"), "{text}");
        }
        let compatible = Target::parse("https://chat.h.org/hooks/hidden", Some(Style::Slack), false).unwrap();
        assert!(!format!("{compatible} {compatible:?}").contains("hidden"), "chats of others too");
        assert!(matches!(refused("http://8.8.8.8/x", true), TargetError::NotEncrypted { is_local: false, .. }));
        for text in [
            "http://127.0.0.1:8080/x",
            "http://localhost/x",
            "https://10.0.0.1/x",
            "https://[fd00::1]/x",
            "http://hook.corp/x",
        ] {
            Target::parse(text, None, true).unwrap();
        }
        let reach = |text: &str, allow| WebhookUrl::parse(text).unwrap().reach(allow);
        assert_eq!(reach("http://hook.corp/x", true), Reach::Private);
        assert_eq!((reach("https://h.org", false), reach("https://h.org", true)), (Reach::Public, Reach::Any));
    }

    #[test]
    fn mail_has_addresses_and_nothing_else() {
        let Target::Mail { to } = Target::parse("MAILTO:a@b.org, c@d.org,A@b.org", None, false).unwrap() else {
            panic!()
        };
        assert_eq!(to.iter().map(MailAddress::as_str).collect::<Vec<_>>(), ["a@b.org", "c@d.org"]);
        assert_eq!(refused("mailto:", false).to_string(), "`` is not an address for mail");
        assert_eq!(refused("mailto:a@b.org?bcc=x@y.org", false), TargetError::MailHeaders);
        assert_eq!(refused("mailto:a@b.org\nX: y", false).to_string(), "`a@b.org\\nX: y` is not an address for mail");
        assert_eq!(refused("mailto:a@b.org", true).to_string(), "`--allow-private` is for webhooks, not for mail");
        let many: Vec<String> = (0..51).map(|n| format!("a{n}@b.org")).collect();
        assert_eq!(refused(&format!("mailto:{}", many.join(",")), false), TargetError::Many { count: 51 });
    }

    #[test]
    fn nothing_that_people_see_has_a_secret() {
        for (text, expected, style) in [
            ("https://hooks.slack.com/services/T0/B0/hidden", "https://hooks.slack.com/…", Style::Slack),
            (
                "https://prod-1.westeurope.logic.azure.com:443/workflows/hidden?sig=hidden",
                "https://prod-1.westeurope.logic.azure.com/…",
                Style::Teams,
            ),
            ("https://h.org:8443/a/b?key=hidden", "https://h.org:8443/a/b?…", Style::Json),
            ("https://nothooks.slack.com.h.org/a", "https://nothooks.slack.com.h.org/a", Style::Json),
            ("https://xhooks.slack.com/a", "https://xhooks.slack.com/a", Style::Json),
        ] {
            let target = Target::parse(text, None, false).unwrap();
            assert_eq!(target.to_string(), expected);
            let Target::Webhook { style: found, secrets, .. } = &target else { panic!() };
            assert_eq!(*found, style);
            let debug = format!("{target:?}");
            assert!(!debug.contains("hidden") && !debug.contains(&secrets[0].reveal()[6..]), "{debug}");
            let stored = serde_json::to_string(&target).unwrap();
            assert_eq!(serde_json::from_str::<Target>(&stored).unwrap(), target);
        }
    }

    #[test]
    fn a_new_secret_signs_beside_the_old_one_for_a_while() {
        let mut target = Target::parse("https://h.org", None, false).unwrap();
        let (now, day) = (Timestamp::from_micros(1_000_000), Duration::from_hours(24));
        let newest = target.rotate(now, day).unwrap().clone();
        let Target::Webhook { secrets, .. } = &target else { panic!() };
        assert_eq!((secrets.len(), &secrets[0], secrets[0].until()), (2, &newest, None));
        assert_eq!(secrets[1].until(), Some(Timestamp::from_micros(1_000_000 + 86_400_000_000)));
        target.rotate(now, Duration::ZERO);
        let Target::Webhook { secrets, .. } = &target else { panic!() };
        assert_eq!(secrets.len(), 1, "what has ended is forgotten");
        assert_eq!(Target::parse("mailto:a@b.org", None, false).unwrap().rotate(now, day), None);
    }
}
