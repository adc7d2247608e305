//! A message as an HTTP request, signed as *Standard Webhooks* says.
//!
//! One `POST` for each attempt, with `webhook-id` (the same at each attempt), `webhook-timestamp` (of this attempt) and `webhook-signature`.
//! Redirects are not followed: they could lead where the URL itself may not. What the answer means:
//!
//! | answer | outcome |
//! |---|---|
//! | 2xx | delivered |
//! | 408, 425, 429, 5xx; none in time, a cut connection, a name that is not found | later, not before `Retry-After` |
//! | 410 | the target ends |
//! | other 4xx, 3xx; an address that may not be called | refused |
//!
//! Connections are made to the address of the URL (`names::Guard` looks it up, and hides what is not allowed), or through the proxy that the
//! variables of this process name (`HTTPS_PROXY`, `NO_PROXY`). A proxy looks names up by itself, so it is the proxy that decides which
//! addresses it calls for a name. Plain `http` never passes through a proxy.
//!
//! - `styles`: bodies

use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use repos::Timestamp;
use reqwest::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Proxy, Response, StatusCode};

use crate::address::{Objection, Reach};
use crate::limits::Limits;
use crate::message::{Message, Outcome};
use crate::names::{Guard, Names};
use crate::secret::{Secret, seconds, signatures};
use crate::target::{Style, WebhookUrl};
use crate::text::{WHY, in_full, line};

mod styles;

/// Most bytes of an answer that are read.
const ANSWER: usize = 64 << 10;
/// An idle connection is kept this long.
const IDLE: Duration = Duration::from_secs(30);

/// Through what requests over `https` are sent.
#[derive(Debug, Clone, Default)]
pub enum Proxies {
    /// What the variables of this process name: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`.
    #[default]
    Variables,
    /// Nothing.
    None,
    /// The proxy at this URL.
    At(String),
}

/// Sends requests. Each way of connecting has a client of its own, so that no connection of one is used by another.
pub(crate) struct Webhooks {
    names: Names,
    limits: Limits,
    /// PEM, besides the system's.
    roots: Vec<Vec<u8>>,
    proxies: Matcher,
    clients: Clients,
}

/// A client for each way of connecting, made at its first use.
#[derive(Default)]
struct Clients {
    public: OnceLock<Client>,
    private: OnceLock<Client>,
    any: OnceLock<Client>,
    through_proxy: OnceLock<Client>,
}

/// A request for one target.
pub(crate) struct Request<'a> {
    pub(crate) url: &'a WebhookUrl,
    pub(crate) style: Style,
    pub(crate) allow_private: bool,
    pub(crate) secrets: &'a [Secret],
}

impl Webhooks {
    pub(crate) fn new(names: Names, limits: Limits, roots: Vec<Vec<u8>>, proxies: &Proxies) -> Self {
        let proxies = match proxies {
            Proxies::Variables => Matcher::from_env(),
            Proxies::None => Matcher::builder().build(),
            Proxies::At(url) => Matcher::builder().https(url.as_str()).build(),
        };
        Self { names, limits, roots, proxies, clients: Clients::default() }
    }

    pub(crate) async fn send(&self, request: &Request<'_>, message: &Message, now: Timestamp) -> Outcome {
        let reach = request.url.reach(request.allow_private);
        // A client asks no resolver about an address.
        if let Some(objection) = request.url.address().and_then(|address| reach.objection(address)) {
            return Outcome::Refused { why: objection.to_string() };
        }
        if !is_id(&message.id) {
            return Outcome::Refused { why: format!("the id `{}` cannot be sent", message.id.escape_debug()) };
        }
        let client = match self.client(request.url, reach) {
            Ok(client) => client,
            Err(error) => return later(format!("cannot connect: {}", in_full(&error))),
        };
        let sent = tokio::time::timeout(self.limits.attempt, post(client, request, message, now)).await;
        match sent {
            Ok(Ok(response)) => self.outcome(response, now).await,
            Ok(Err(error)) => failed(&error.without_url()),
            Err(_) => later(format!("no answer within {} s", self.limits.attempt.as_secs_f32())),
        }
    }

    /// The client for a way of connecting.
    fn client(&self, url: &WebhookUrl, reach: Reach) -> Result<&Client, reqwest::Error> {
        let proxy = match url.get().as_str().parse() {
            Ok(url) if reach != Reach::Private => self.proxies.intercept(&url),
            _ => None,
        };
        let place = match (&proxy, reach) {
            (Some(_), _) => &self.clients.through_proxy,
            (None, Reach::Public) => &self.clients.public,
            (None, Reach::Private) => &self.clients.private,
            (None, Reach::Any) => &self.clients.any,
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let client = self.new_client(reach, proxy.as_ref())?;
        Ok(place.get_or_init(|| client))
    }

    fn new_client(&self, reach: Reach, proxy: Option<&Intercept>) -> Result<Client, reqwest::Error> {
        // Without a default provider the client could not speak TLS; a second call changes nothing.
        rustls::crypto::ring::default_provider().install_default().ok();
        // Through a proxy, the one name that is looked up here is the proxy's, which the owner of this machine chose.
        let reach = if proxy.is_some() { Reach::Any } else { reach };
        let mut builder = Client::builder()
            .connect_timeout(self.limits.connect)
            .redirect(Policy::none())
            .pool_max_idle_per_host(1)
            .pool_idle_timeout(IDLE)
            .user_agent(concat!("pv/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .dns_resolver(Arc::new(Guard { names: self.names.clone(), reach }));
        if let Some(intercept) = proxy {
            let proxy = Proxy::all(intercept.uri().to_string())?;
            builder = builder.proxy(match intercept.basic_auth() {
                Some(login) => proxy.custom_http_auth(login.clone()),
                None => proxy,
            });
        }
        let roots = self.roots.iter().map(|pem| Certificate::from_pem(pem));
        builder.tls_certs_merge(roots.collect::<Result<Vec<_>, _>>()?).build()
    }

    async fn outcome(&self, response: Response, now: Timestamp) -> Outcome {
        let status = response.status();
        if status.is_success() {
            return Outcome::Delivered;
        }
        let asked = response.headers().get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?, now));
        if status.is_redirection() {
            return Outcome::Refused { why: redirected(&response) };
        }
        let said = tokio::time::timeout(self.limits.answer, first_line(response)).await.unwrap_or_default();
        let why = if said.is_empty() { status.to_string() } else { line(&format!("{status}: {said}"), WHY) };
        match status {
            StatusCode::GONE => Outcome::Ended { why },
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => {
                Outcome::Later { why, after: asked }
            }
            status if status.is_server_error() => Outcome::Later { why, after: asked },
            _ => Outcome::Refused { why },
        }
    }
}

async fn post(client: &Client, request: &Request<'_>, message: &Message, now: Timestamp) -> reqwest::Result<Response> {
    let body = styles::body(request.style, message).to_string();
    let signature = signatures(request.secrets, &message.id, now, body.as_bytes());
    client
        .post(request.url.get().clone())
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", seconds(now))
        .header("webhook-signature", signature)
        .body(body)
        .send()
        .await
}

/// Whether an id can be signed: no dot, which separates it from the time, and nothing that a header cannot have.
fn is_id(id: &str) -> bool {
    (1..=256).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_:@/+=".contains(&byte))
}

fn later(why: String) -> Outcome {
    Outcome::Later { why, after: None }
}

/// An address that may not be called is refused; all else may be better next time.
fn failed(error: &reqwest::Error) -> Outcome {
    let mut causes = std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source());
    match causes.find_map(|cause| cause.downcast_ref::<Objection>()) {
        Some(objection) => Outcome::Refused { why: objection.to_string() },
        None => later(in_full(error)),
    }
}

/// Where a redirect leads, without the path, which may be a secret.
fn redirected(response: &Response) -> String {
    let place = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let place = place.and_then(|text| response.url().join(text).ok());
    let place = place.map_or_else(String::new, |url| format!(" to {}", url.origin().ascii_serialization()));
    line(&format!("{}: redirects{place} are not followed", response.status()), WHY)
}

/// The first line of an answer with text in it, of at most [`ANSWER`] bytes.
async fn first_line(mut response: Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        bytes.extend_from_slice(&piece[..piece.len().min(ANSWER - bytes.len())]);
        if bytes.len() == ANSWER || bytes.trim_ascii_start().contains(&b'\n') {
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    line(text.trim_start().lines().next().unwrap_or_default(), WHY)
}

/// The wait that a `Retry-After` asks for: seconds, or a date.
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let at = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    let now = Duration::from_micros(u64::try_from(now.as_micros()).ok()?);
    Some(at.saturating_sub(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_in_all_its_forms() {
        let now: Timestamp = "1994-11-06T08:49:30Z".parse().unwrap();
        for (text, expected) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(7)),
            ("Sun Nov  6 08:49:37 1994", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(retry_after(text, now), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn an_id_has_no_dot_and_fits_into_a_header() {
        assert!(is_id("msg_2KWPBgLlAfxdpx2AI54pPJ85f4W") && is_id("a:1/b@c"));
        for bad in ["", "a.b", "a b", "a\n", "ä", &"a".repeat(257)] {
            assert!(!is_id(bad), "{bad:?}");
        }
    }
}
