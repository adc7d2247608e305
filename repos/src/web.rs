//! Files on the web: their addresses, and their content as a stream.
//!
//! DNS lookups happen inside this process and TLS is rustls, as for object stores (`place`), so the binary is static. Not here: which file
//! of a commit the content becomes.

use std::io::{self, Read};
use std::sync::LazyLock;
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};

use crate::base::error::RepoError;
use crate::objects::place::runtime;

/// Timeout for connecting.
const CONNECT: Duration = Duration::from_secs(10);
/// Timeout while the server sends nothing.
const SILENCE: Duration = Duration::from_mins(1);
/// Maximum number of redirects.
const REDIRECTS: usize = 10;
/// Maximum number of attempts.
const TRIES: u32 = 3;
/// Whoever has a URL with such a parameter has access, so a query with a parameter whose name contains one of these is not stored.
const CONFIDENTIAL: [&str; 8] = ["signature", "credential", "token", "sig", "key", "password", "secret", "auth"];

/// Clients share their connections.
static CLIENT: LazyLock<Result<Client, String>> = LazyLock::new(|| {
    // Without a default provider the client could not speak TLS; a second call changes nothing.
    rustls::crypto::ring::default_provider().install_default().ok();
    let redirects = Policy::custom(|attempt| {
        let is_safe = attempt.previous().iter().all(|before| before.scheme() == attempt.url().scheme());
        match attempt.previous().len() {
            hops if hops > REDIRECTS => attempt.error("too many redirects"),
            _ if !is_safe => attempt.error("the server redirects to a URL that is not https"),
            _ => attempt.follow(),
        }
    });
    let builder = Client::builder().connect_timeout(CONNECT).read_timeout(SILENCE).redirect(redirects);
    let agent = concat!("pv/", env!("CARGO_PKG_VERSION"));
    builder.user_agent(agent).build().map_err(|error| error.to_string())
});

/// The address of a file on the web: `https` or `http`, without a user's name or password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebUrl(reqwest::Url);

impl WebUrl {
    /// Whether a text is meant as an address, valid or not.
    pub fn is_meant_by(text: &str) -> bool {
        text.split_once("://").is_some_and(|(scheme, _)| {
            !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        })
    }

    /// Parses an address. `Usage` if it is invalid or has another scheme.
    pub fn parse(text: &str) -> Result<Self, RepoError> {
        let usage = |what: String, hint: &str| RepoError::Usage { what, hint: Some(hint.to_owned()) };
        let url = reqwest::Url::parse(text).map_err(|error| {
            usage(format!("`{}` is not a URL: {error}", text.escape_debug()), "write it like `https://HOST/PATH`")
        })?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(usage(
                format!("`{}`: pv reads `https` URLs, not `{}`", text.escape_debug(), url.scheme()),
                "use another program to read it: PROGRAM … | pv put REF - --as /NAME",
            ));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(usage(
                "a URL must not contain a user name or password, because it is stored in the commit".to_owned(),
                "curl -u USER URL | pv put REF - --as /NAME",
            ));
        }
        Ok(Self(url))
    }

    /// Whether the transport is encrypted and authenticated (`https`).
    pub fn is_private(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The name of the file: the last part of the path; `None` if it ends with `/`.
    pub fn name(&self) -> Option<String> {
        let last = self.0.path_segments()?.next_back()?;
        let name = unescaped(last)?;
        (!name.is_empty()).then_some(name)
    }

    /// The address as it is stored: without its fragment, and without a query that grants access.
    pub fn origin(&self) -> String {
        let mut url = self.0.clone();
        url.set_fragment(None);
        let is_confidential = |name: &str| CONFIDENTIAL.iter().any(|word| name.to_ascii_lowercase().contains(word));
        if url.query_pairs().any(|(name, _)| is_confidential(&name)) {
            url.set_query(Some("…"));
        }
        url.to_string()
    }

    /// Requests the content; retries after a pause if no answer comes or the server is unavailable.
    pub fn open(&self) -> Result<Download, RepoError> {
        let client = CLIENT.as_ref().map_err(|error| self.failed(error.clone()))?;
        let mut pause = runtime::PAUSE;
        for attempt in 1.. {
            let request = client.get(self.0.clone()).header(reqwest::header::ACCEPT_ENCODING, "identity");
            let why = match runtime::wait(async move { request.send().await }) {
                Ok(Ok(response)) if response.status().is_success() => {
                    let size_bytes = response.content_length();
                    return Ok(Download { response: Some(response), piece: Bytes::new(), size_bytes });
                }
                Ok(Ok(response)) if !response.status().is_server_error() => return Err(self.refused(response.status())),
                Ok(Ok(response)) => response.status().to_string(),
                Ok(Err(error)) => in_full(&error),
                Err(error) => error.to_string(),
            };
            if attempt >= TRIES {
                return Err(self.failed(why));
            }
            std::thread::sleep(pause);
            pause *= 2;
        }
        Err(self.failed("no answer".to_owned()))
    }

    fn failed(&self, why: String) -> RepoError {
        RepoError::Place { doing: "read", url: self.origin(), source: Box::new(why.into()) }
    }

    fn refused(&self, status: StatusCode) -> RepoError {
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => RepoError::NotFound {
                what: format!("`{}` not found: the server answers {status}", self.origin()),
                hint: None,
            },
            status => self.failed(format!("the server answers {status}")),
        }
    }
}

impl std::fmt::Display for WebUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin())
    }
}

/// Decodes `%20` and the like; `None` if the result is not text.
fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let code = more.get(..2).filter(|_| *first == b'%').and_then(|code| std::str::from_utf8(code).ok());
        if let Some(byte) = code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            bytes.push(byte);
            rest = &more[2..];
        } else {
            bytes.push(*first);
            rest = more;
        }
    }
    String::from_utf8(bytes).ok()
}

/// An error with its causes, on one line.
fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

/// The content of a file on the web. A download that ends early is an error, never a shorter file.
#[derive(Debug)]
pub struct Download {
    /// `None` after the end.
    response: Option<Response>,
    piece: Bytes,
    /// As the server announced it.
    pub size_bytes: Option<u64>,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            let Some(mut response) = self.response.take() else { return Ok(0) };
            let (response, piece) = runtime::wait(async move {
                let piece = response.chunk().await;
                (response, piece)
            })
            .map_err(io::Error::other)?;
            match piece.map_err(|error| io::Error::other(in_full(&error)))? {
                Some(piece) => (self.response, self.piece) = (Some(response), piece),
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.piece.len());
        self.piece.split_to(length).copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_give_names_and_keep_no_secret() {
        let url = |text: &str| WebUrl::parse(text).unwrap();
        assert_eq!(url("https://h.org/a/b%20c.jpg?x=1#top").name().as_deref(), Some("b c.jpg"));
        assert_eq!(url("https://h.org/a/").name(), None);
        assert_eq!(url("https://h.org/a?id=5#top").origin(), "https://h.org/a?id=5");
        let signed = url("https://b.s3.amazonaws.com/k?X-Amz-Credential=AK&X-Amz-Signature=00").origin();
        assert!(signed.starts_with("https://b.s3.amazonaws.com/k?") && !signed.contains("AK"), "{signed}");
        assert!(WebUrl::is_meant_by("s3://b/k") && !WebUrl::is_meant_by("a/b") && !WebUrl::is_meant_by("://x"));
        for text in ["s3://b/k", "https://", "https://user:secret@h.org/a"] {
            let error = WebUrl::parse(text).unwrap_err();
            assert!(matches!(error, RepoError::Usage { .. }), "{error}");
        }
    }
}
