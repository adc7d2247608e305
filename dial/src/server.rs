//! Which server, with which token, and whose certificates to trust.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use specs::ErrorKind;

use crate::error::{Result, ServerError};

/// A server to use.
#[derive(Clone)]
pub struct Server {
    /// Ends with `/`.
    pub(crate) url: Url,
    /// The URL for people: as it is kept.
    pub place: String,
    /// Empty if there is none.
    token: String,
    /// More certificates to trust: the file's name, and its text.
    pub(crate) authorities: Option<(String, Vec<u8>)>,
    /// Whether the system's certificates are trusted too.
    pub(crate) trusts_others: bool,
}

/// The token is omitted.
impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Server {
    /// The server at a URL, without a token. `insecure`: also over http beyond this machine.
    pub fn at(given: &str, insecure: bool) -> Result<Self> {
        let url = parse(given, insecure)?;
        let place = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, place, token: String::new(), authorities: None, trusts_others: true })
    }

    /// The same server with another token.
    #[must_use]
    pub fn with_token(self, token: String) -> Self {
        Self { token, ..self }
    }

    /// The same server; the certificates of a file, in PEM form, are trusted beside those of the system.
    #[must_use]
    pub fn trusting(self, file: String, pem: Vec<u8>) -> Self {
        Self { authorities: Some((file, pem)), ..self }
    }

    /// The same server; only these certificates, in PEM form, are trusted.
    #[must_use]
    pub fn trusting_only(self, pem: Vec<u8>) -> Self {
        Self { trusts_others: false, ..self.trusting("its own".to_owned(), pem) }
    }

    /// The token; empty if none is known.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Whether it is spoken to without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// The same, on this machine.
    pub(crate) fn is_plain_and_here(&self) -> bool {
        self.is_plain() && is_loopback(&self.url)
    }

    /// The error that a request failed.
    pub(crate) fn failed(&self, error: &dyn std::error::Error) -> ServerError {
        let hint = "check the URL, and that `pv serve` runs there; PV_CA names a file with more certificates";
        let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
        let innermost = causes.last().unwrap_or_else(|| error.to_string());
        let what = format!("cannot connect to the server at {}: {innermost}", self.place);
        ServerError::new(ErrorKind::Unavailable, what, hint)
    }

    pub(crate) fn silent(&self, wait: Duration) -> ServerError {
        let what = format!("the server at {} did not answer within {} s", self.place, wait.as_secs());
        ServerError::new(ErrorKind::Unavailable, what, "check the URL, and that `pv serve` runs there")
    }
}

/// Parses a URL; refuses one by which the token would travel in clear.
fn parse(given: &str, insecure: bool) -> Result<Url> {
    let usage = |what: String| ServerError::usage(what, "write it like `https://HOST` or `https://HOST:PORT`");
    let shown = given.escape_debug();
    let mut url = Url::parse(given).map_err(|error| usage(format!("`{shown}` is not a URL: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err(usage(format!("`{shown}` is not the URL of a server")));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(usage("the URL of a server has no user, password, query or fragment".to_owned()));
    }
    if url.scheme() == "http" && !insecure && !is_loopback(&url) {
        let what = format!("`{shown}`: over http the token and all data would be sent in clear");
        return Err(ServerError::usage(what, "use https, or --insecure if the network is safe"));
    }
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_travels_in_clear_only_on_this_machine_or_if_that_is_wanted() {
        for url in ["http://localhost:1", "http://127.0.0.1:8080/", "http://[::1]:1/pv", "https://h.org"] {
            assert!(parse(url, false).is_ok(), "{url}");
        }
        for url in ["http://h.org", "http://10.0.0.1", "http://localhost.h.org", "http://0.0.0.0"] {
            assert!(parse(url, false).unwrap_err().what.ends_with("would be sent in clear"), "{url}");
            assert!(parse(url, true).is_ok(), "{url}");
        }
        for url in ["h.org", "ftp://h.org", "https://u:p@h.org", "https://h.org?x", "file:///x"] {
            assert!(parse(url, true).is_err(), "{url}");
        }
    }
}
