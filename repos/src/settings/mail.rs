//! Addresses of people, and of the server that takes mail for them.

use std::fmt;
use std::str::FromStr;

use super::Value;

/// An address that mail is sent to or comes from, such as `ops@example.org`.
///
/// Shape: ASCII, at most 254 bytes; before the `@` 1 to 64 bytes, letters, digits, ``!#$%&'*+-/=?^_`{|}~`` and dots between them; after it a
/// name of a host. So it is safe in a header and on a line of SMTP.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MailAddress(String);

/// A text that is not a mail address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not an address for mail", .0.escape_debug())]
pub struct NoMailAddress(String);

impl MailAddress {
    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the `@`, and the host after it.
    pub fn parts(&self) -> (&str, &str) {
        self.0.rsplit_once('@').unwrap_or((&self.0, ""))
    }
}

impl FromStr for MailAddress {
    type Err = NoMailAddress;
    fn from_str(text: &str) -> Result<Self, NoMailAddress> {
        let is_one =
            text.len() <= 254 && text.rsplit_once('@').is_some_and(|(user, host)| is_user(user) && is_host(host));
        if is_one { Ok(Self(text.to_owned())) } else { Err(NoMailAddress(text.to_owned())) }
    }
}

impl fmt::Display for MailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for MailAddress {
    type Error = NoMailAddress;
    fn try_from(text: String) -> Result<Self, NoMailAddress> {
        text.parse()
    }
}

impl From<MailAddress> for String {
    fn from(address: MailAddress) -> Self {
        address.0
    }
}

fn is_user(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    text.len() <= 64 && text.split('.').all(is_atom)
}

fn is_host(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (1..=63).contains(&label.len()) && is_inner && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// The server that mail is given to.
///
/// Shape: `smtps://[USER@]HOST[:PORT]`, TLS from the first byte, port 465; or `smtp://[USER@]HOST[:PORT]`, TLS after STARTTLS, port 587. HOST is a
/// name, an address of IPv4, or one of IPv6 in brackets. The password is no part of it, since settings are no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailServer {
    /// Whether the connection begins with TLS.
    pub is_tls_first: bool,
    /// Who logs in; `None`: nobody.
    pub user: Option<String>,
    /// Without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
}

impl Value for MailServer {
    fn read(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let (is_tls_first, port) = match scheme {
            "smtps" => (true, 465),
            "smtp" => (false, 587),
            _ => return None,
        };
        // The user is often an address itself.
        let (user, place) = rest.rsplit_once('@').map_or((None, rest), |(user, place)| (Some(user), place));
        let is_user = |user: &str| {
            !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_graphic() && !b":/%".contains(&byte))
        };
        if !user.is_none_or(is_user) {
            return None;
        }
        let (host, port) = host_and_port(place, port)?;
        Some(Self { is_tls_first, user: user.map(str::to_owned), host, port })
    }
}

fn host_and_port(text: &str, usual: u16) -> Option<(String, u16)> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            address.parse::<std::net::Ipv6Addr>().ok()?;
            (address, port.strip_prefix(':').map(Some).or_else(|| port.is_empty().then_some(None))?)
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = port.map_or(Some(usual), |port| {
        u64::read(port).and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0)
    })?;
    (host.contains(':') || is_host(host)).then(|| (host.to_owned(), port))
}

impl Value for MailAddress {
    fn read(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_cannot_break_out_of_its_line() {
        for text in ["a@b.org", "root@localhost", "first.last+tag@x-1.example.org", "o'hara@b.org"] {
            let address: MailAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
            assert_eq!(address.parts(), text.split_once('@').unwrap());
        }
        let long = format!("{}@b.org", "a".repeat(65));
        let bad = [
            "",
            "a",
            "@b.org",
            "a@",
            "a@b@c",
            "a b@c.org",
            "a@b.org\r\nRCPT TO:<x@y.org>",
            "a@b.org>",
            "<a@b.org>",
            "\"a\"@b.org",
            ".a@b.org",
            "a..b@c.org",
            "a@-b.org",
            "a@b..org",
            "ä@b.org",
            "a@ä.org",
            "a@[127.0.0.1]",
            "a,b@c.org",
            &long,
        ];
        for text in bad {
            assert!(text.parse::<MailAddress>().is_err(), "{text:?}");
        }
        let error = "a\n@b".parse::<MailAddress>().unwrap_err();
        assert_eq!(error.to_string(), "`a\\n@b` is not an address for mail");
    }

    #[test]
    fn a_server_is_read_with_its_user_and_port() {
        let server = |text| MailServer::read(text).map(|one| (one.is_tls_first, one.user, one.host, one.port));
        let user = |text: &str| Some(text.to_owned());
        assert_eq!(server("smtps://mail.example.org"), Some((true, None, "mail.example.org".to_owned(), 465)));
        assert_eq!(server("smtp://pv@m.org:25"), Some((false, user("pv"), "m.org".to_owned(), 25)));
        assert_eq!(server("smtps://a@b.org@m.org"), Some((true, user("a@b.org"), "m.org".to_owned(), 465)));
        assert_eq!(server("smtp://[::1]:2525"), Some((false, None, "::1".to_owned(), 2525)));
        assert_eq!(server("smtp://127.0.0.1"), Some((false, None, "127.0.0.1".to_owned(), 587)));
        for text in [
            "",
            "mail.org",
            "http://m.org",
            "smtps://",
            "smtps://u:secret@m.org",
            "smtps://@m.org",
            "smtps://m.org/",
            "smtps://m.org:0",
            "smtps://m.org:70000",
            "smtps://m.org:",
            "smtps://[::1",
            "smtps://[m.org]",
            "smtps://a b@m.org",
            "smtps://m_x.org\n",
            "smtps://[::1]x",
        ] {
            assert_eq!(server(text), None, "{text:?}");
        }
    }
}
