//! Browsers: a link that logs one in, once, and the session that it then has, by a cookie.
//!
//! A session has the rights of the token that made the link, and ends with it. Links are kept in memory; sessions are on the store's shelf,
//! as the SHA-256 of their cookie. The cookie reaches no script (`HttpOnly`), no other site (`SameSite=Strict`, `__Host-`), and no connection
//! without TLS (`Secure`; browsers make an exception for `localhost`). Changes by cookie must come from the server's own pages.
//!
//! ```text
//! s <SHA-256 of the cookie, 32 bytes>     Session, as JSON
//! ```

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use repos::hash::digest_of;
use repos::{Store, Timestamp};
use serde::{Deserialize, Serialize};
use specs::{Digest, ErrorKind};

use crate::limits::{LOGIN_LINK, SESSION, SESSIONS};
use crate::problem::{Problem, Result};

/// The name of the cookie.
const COOKIE: &str = "__Host-pv";
/// Most links that wait to be opened.
const LINKS: usize = 1000;

/// Somebody's session, or a link to one.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Session {
    /// The client whose rights it has: a token.
    client: String,
    /// When it ends.
    until: Timestamp,
}

/// Links and sessions.
#[derive(Debug)]
pub(crate) struct Logins {
    store: Store,
    /// By the SHA-256 of their code.
    links: Mutex<HashMap<Digest, Session>>,
}

impl Logins {
    pub(crate) fn new(store: &Store) -> Self {
        Self { store: store.clone(), links: Mutex::default() }
    }

    /// A new link for a client: its code, and when it ends.
    pub(crate) fn link(&self, client: &str) -> Result<(String, Timestamp)> {
        let now = self.store.clock().now();
        let session = Session { client: client.to_owned(), until: after(now, LOGIN_LINK) };
        let (code, until) = (random_text(), session.until);
        let mut links = self.links();
        links.retain(|_, link| link.until > now);
        if links.len() >= LINKS {
            let problem = Problem::new(ErrorKind::Unavailable, "too many login links wait to be opened");
            return Err(problem.retry_after(LOGIN_LINK.as_secs()).untouched());
        }
        links.insert(digest_of(code.as_bytes()), session);
        Ok((code, until))
    }

    /// Whose link this is. It works once.
    pub(crate) fn open(&self, code: &str) -> Option<String> {
        let now = self.store.clock().now();
        let link = self.links().remove(&digest_of(code.as_bytes()))?;
        (link.until > now).then_some(link.client)
    }

    /// Begins a session of a client; returns the cookie. The oldest beyond a bound ends.
    pub(crate) fn begin(&self, client: &str) -> Result<HeaderValue> {
        let kept = self.store.shelf()?;
        let mut own = Vec::new();
        kept.visit(b"s", |key, row| {
            let session = serde_json::from_slice::<Session>(row).ok().filter(|session| session.client == client);
            own.extend(session.map(|session| (session.until, key.to_vec())));
            ControlFlow::Continue(())
        })?;
        own.sort();
        let surplus = (own.len() + 1).saturating_sub(SESSIONS);
        let gone: Vec<Vec<u8>> = own.into_iter().take(surplus).map(|(_, key)| key).collect();
        let value = random_text();
        let session = Session { client: client.to_owned(), until: after(self.store.clock().now(), SESSION) };
        let row = serde_json::to_vec(&session).expect("sessions have a JSON form");
        kept.change(&[(key_of(&value), row)], &gone)?;
        Ok(cookie(&value, SESSION))
    }

    /// The client whose session a request belongs to.
    pub(crate) fn client(&self, headers: &HeaderMap) -> Result<Option<String>> {
        let Some(value) = cookie_in(headers) else { return Ok(None) };
        let Some(kept) = self.store.find_shelf()? else { return Ok(None) };
        let row = kept.get(&key_of(value))?;
        let session = row.and_then(|row| serde_json::from_slice::<Session>(&row).ok());
        let now = self.store.clock().now();
        Ok(session.filter(|session| session.until > now).map(|session| session.client))
    }

    /// Ends the session of a request; returns the cookie that is none.
    pub(crate) fn end(&self, headers: &HeaderMap) -> Result<HeaderValue> {
        if let Some(value) = cookie_in(headers) {
            self.store.shelf()?.change(&[], &[key_of(value)])?;
        }
        Ok(cookie("", Duration::ZERO))
    }

    /// Forgets sessions whose time is over.
    pub(crate) fn thin_out(&self) -> Result<()> {
        let Some(kept) = self.store.find_shelf()? else { return Ok(()) };
        let now = self.store.clock().now();
        let mut gone = Vec::new();
        kept.visit(b"s", |key, row| {
            let session = serde_json::from_slice::<Session>(row).ok();
            if session.is_none_or(|session| session.until <= now) {
                gone.push(key.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(kept.change(&[], &gone)?)
    }

    fn links(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.links.lock().expect("no panic under this lock")
    }
}

/// Whether a request has a cookie of this server.
pub(crate) fn has_cookie(headers: &HeaderMap) -> bool {
    cookie_in(headers).is_some()
}

/// Refuses a change by cookie that does not come from a page of this server: a browser says where it comes from.
pub(crate) fn ensure_own_page(headers: &HeaderMap, uri: &Uri) -> Result<()> {
    if headers.contains_key("sec-fetch-site") || headers.contains_key(header::ORIGIN) {
        return ensure_no_foreign_page(headers, uri);
    }
    Err(foreign())
}

/// Refuses a change that comes from a page of another server, for one who is known without a cookie of this one; programs are no pages.
pub(crate) fn ensure_no_foreign_page(headers: &HeaderMap, uri: &Uri) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let host = text("host").or_else(|| Some(uri.authority()?.as_str()));
    let (site, origin) = (headers.get("sec-fetch-site"), headers.get(header::ORIGIN));
    let is_own_site = site.is_none_or(|site| site == "same-origin");
    let of_origin = |origin: &HeaderValue| Some(origin.to_str().ok()?.split_once("://")?.1.to_ascii_lowercase());
    let is_own_origin = origin.is_none_or(|origin| {
        of_origin(origin).is_some_and(|of| host.is_some_and(|host| of == host.to_ascii_lowercase()))
    });
    if is_own_site && is_own_origin { Ok(()) } else { Err(foreign()) }
}

fn foreign() -> Problem {
    let problem = Problem::new(ErrorKind::Refused, "this change of a browser does not come from a page of this server");
    problem.hint("programs send `Authorization: Bearer pv_…`; a proxy has to keep `Host`")
}

fn after(now: Timestamp, span: Duration) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_add(span.as_micros() as i64))
}

/// 32 random bytes as text.
fn random_text() -> String {
    let bytes: Vec<u8> = (0..2).flat_map(|_| repos::random_bytes()).collect();
    URL_SAFE_NO_PAD.encode(bytes)
}

fn key_of(value: &str) -> Vec<u8> {
    [b"s".as_slice(), digest_of(value.as_bytes()).as_bytes()].concat()
}

fn cookie(value: &str, life: Duration) -> HeaderValue {
    let text = format!("{COOKIE}={value}; Path=/; Max-Age={}; Secure; HttpOnly; SameSite=Strict", life.as_secs());
    HeaderValue::from_str(&text).expect("letters, digits, `-` and `_`")
}

fn cookie_in(headers: &HeaderMap) -> Option<&str> {
    let lists = headers.get_all(header::COOKIE).into_iter().filter_map(|list| list.to_str().ok());
    let mut pairs = lists.flat_map(|list| list.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == COOKIE).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_by_cookie_comes_from_the_servers_own_pages() {
        let asked = |pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, HeaderValue::from_static(value));
            }
            ensure_own_page(&headers, &Uri::from_static("/api/v1/repos")).is_ok()
        };
        let host = ("host", "pv.example:7070");
        assert!(asked(&[host, ("origin", "https://pv.example:7070")]));
        assert!(asked(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(asked(&[host, ("sec-fetch-site", "same-origin"), ("origin", "https://PV.example:7070")]));
        for wrong in [
            &[host][..],
            &[host, ("origin", "https://pv.example")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://pv.example:7070.evil.example")],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "none")],
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
            &[("origin", "https://pv.example:7070")],
        ] {
            assert!(!asked(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others_and_reaches_no_script_and_no_other_site() {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_static("a=b; __Host-pvx=1; __Host-pv=abc; c=d"));
        assert_eq!(cookie_in(&headers), Some("abc"));
        let text = cookie("v", SESSION);
        for part in ["__Host-pv=v; Path=/;", "Secure", "HttpOnly", "SameSite=Strict"] {
            assert!(text.to_str().unwrap().contains(part), "{text:?}");
        }
        assert!(!text.to_str().unwrap().contains("Domain"));
    }
}
