//! From a URL and a token to a WebSocket.
//!
//! The connection is made by the HTTP client that also reads files from the web: its DNS lookups happen inside this process, its TLS is
//! rustls with the system's certificates, and it heeds the usual variables for proxies.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Certificate, Client, Method, Response, StatusCode, Upgraded, header};
use specs::ErrorKind;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use crate::error::{Result, ServerError};
use crate::server::Server;

/// Most bytes of a message.
pub const MESSAGE_MAX: usize = 2 << 20;
/// Bytes that are read at a time: before each read as many are set to zero.
const READ_BYTES: usize = 32 << 10;
/// Where commands are run, below the server's URL.
pub const COMMANDS: &str = "api/v1/commands";
/// Where workers join.
pub(crate) const JOIN: &str = "api/v1/workers/join";
/// Where pods join.
pub(crate) const JOIN_AS_POD: &str = "api/v1/pods/join";
/// Who a token belongs to.
const WHOAMI: &str = "api/v1/whoami";
/// Where login links are made.
const LOGIN_LINKS: &str = "api/v1/login-links";
/// Timeout for connecting.
const CONNECT: Duration = Duration::from_secs(10);
/// Timeout for the answer to the first request.
const ANSWER: Duration = Duration::from_secs(30);
/// Most bytes of an answer that is an error.
const MAX_ERROR_BYTES: usize = 1 << 16;

/// A connection to a server.
pub type Socket = WebSocketStream<Upgraded>;

/// Why no connection was made; what it was for has not begun.
#[derive(Debug)]
pub struct NoConnection {
    /// What failed.
    pub error: ServerError,
    /// When another attempt may succeed.
    pub again: Again,
}

/// When another attempt may succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Never.
    Never,
    /// When the server is back, if it was there.
    Back,
    /// Soon: there was a connection, which broke.
    Soon,
    /// After this time, as the server says.
    After(Duration),
}

impl From<ServerError> for NoConnection {
    fn from(error: ServerError) -> Self {
        Self { error, again: Again::Never }
    }
}

/// Connects to this address, below the server's URL.
pub async fn connect(server: &Server, address: &str) -> Result<Socket, NoConnection> {
    let url = server.url.join(address).map_err(|error| server.failed(&error))?;
    let mut key = [0; 16];
    getrandom::fill(&mut key).map_err(|error| server.failed(&error))?;
    let failed = |error: reqwest::Error| {
        let again = if error.is_connect() { Again::Back } else { Again::Soon };
        NoConnection { error: server.failed(&error), again }
    };
    let request = client(server)?
        .get(url)
        .bearer_auth(server.token())
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_VERSION, "13")
        .header(header::SEC_WEBSOCKET_KEY, STANDARD.encode(key));
    let answer = tokio::time::timeout(ANSWER, request.send()).await;
    let answer = answer.map_err(|_| NoConnection { error: server.silent(ANSWER), again: Again::Back })?;
    let answer = answer.map_err(failed)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        let again = again(&answer);
        return Err(NoConnection { error: refused(server, answer).await, again });
    }
    let upgraded = answer.upgrade().await.map_err(failed)?;
    let config = WebSocketConfig::default()
        .max_message_size(Some(MESSAGE_MAX))
        .max_frame_size(Some(MESSAGE_MAX))
        .read_buffer_size(READ_BYTES);
    Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
}

/// A link that logs a browser in.
#[derive(Debug, serde::Deserialize)]
pub struct LoginLink {
    /// Its path, below the server's URL.
    pub path: String,
    /// When it ends.
    pub expires_at: repos::Timestamp,
}

/// Asks for a login link.
pub async fn login_link(server: &Server) -> Result<LoginLink> {
    ask(server, Method::POST, LOGIN_LINKS).await
}

/// Who a token belongs to.
#[derive(Debug, serde::Deserialize)]
pub struct TokenOwner {
    /// Its name.
    pub name: String,
    /// Its role.
    pub role: String,
    /// When it ends, if it does.
    #[serde(default)]
    pub expires_at: Option<repos::Timestamp>,
}

/// Asks a server who its token belongs to.
pub async fn token_owner(server: &Server) -> Result<TokenOwner> {
    ask(server, Method::GET, WHOAMI).await
}

/// The answer to a request without a body.
async fn ask<T: serde::de::DeserializeOwned>(server: &Server, method: Method, address: &str) -> Result<T> {
    let url = server.url.join(address).map_err(|error| server.failed(&error))?;
    let request = client(server)?.request(method, url).bearer_auth(server.token()).send();
    let answer = tokio::time::timeout(ANSWER, request).await;
    let answer = answer.map_err(|_| server.silent(ANSWER))?.map_err(|error| server.failed(&error))?;
    if !answer.status().is_success() {
        return Err(refused(server, answer).await);
    }
    let body = answer.bytes().await.map_err(|error| server.failed(&error))?;
    serde_json::from_slice(&body).map_err(|error| server.failed(&error))
}

fn client(server: &Server) -> Result<Client> {
    // Without a default provider the client could not speak TLS; a second call changes nothing.
    rustls::crypto::ring::default_provider().install_default().ok();
    let mut builder = Client::builder()
        .connect_timeout(CONNECT)
        .http1_only()
        // The token must not be sent elsewhere.
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("pv/", env!("CARGO_PKG_VERSION")));
    if server.is_plain_and_here() {
        // A proxy would get the token.
        builder = builder.no_proxy();
    }
    if server.is_plain() {
        // Nothing is encrypted, so no certificate is read.
        return builder.tls_certs_only([]).build().map_err(|error| server.failed(&error));
    }
    if let Some((file, pem)) = &server.authorities {
        let wrong =
            || ServerError::usage(format!("PV_CA: `{file}` has no certificates in PEM form"), "name another file");
        let certificates = Certificate::from_pem_bundle(pem).map_err(|_| wrong())?;
        if certificates.is_empty() {
            return Err(wrong());
        }
        builder = if server.trusts_others {
            builder.tls_certs_merge(certificates)
        } else {
            builder.tls_certs_only(certificates)
        };
    }
    builder.build().map_err(|error| server.failed(&error))
}

/// When another attempt may succeed after an answer that is not the start of a connection.
fn again(answer: &Response) -> Again {
    let seconds = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    match answer.status() {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            seconds.map_or(Again::Back, |seconds| Again::After(Duration::from_secs(seconds)))
        }
        // A proxy, before a server that is away.
        StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => Again::Back,
        _ => Again::Never,
    }
}

/// The error for an answer that is not the start of a connection.
async fn refused(server: &Server, mut answer: Response) -> ServerError {
    let status = answer.status();
    let mut body = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ERROR_BYTES {
            break;
        }
    }
    let problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
    let said = problem.detail.or(problem.title).map_or_else(String::new, |said| format!(": {said}"));
    let place = &server.place;
    let (kind, what, hint) = match status {
        StatusCode::UNAUTHORIZED => {
            let what =
                if server.token().is_empty() { "needs a token".to_owned() } else { format!("refused the token{said}") };
            let hint = format!("pv login {place}, with a token of: pv token create");
            (ErrorKind::Refused, format!("the server at {place} {what}"), hint)
        }
        StatusCode::FORBIDDEN => {
            let hint = "pv whoami shows what the token may do".to_owned();
            (ErrorKind::Refused, format!("the server at {place} refused this{said}"), hint)
        }
        StatusCode::NOT_FOUND => {
            let what = format!("no pv server answers at {place}: status {status}{said}");
            (ErrorKind::Unavailable, what, "check the URL; it includes the server's --base-path".to_owned())
        }
        status if status.is_redirection() => {
            let to = answer.headers().get(header::LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("another place");
            let what = format!("the server at {place} redirects to {to}");
            (ErrorKind::Unavailable, what, "use that server's own URL, if it is yours".to_owned())
        }
        StatusCode::TOO_MANY_REQUESTS => {
            let what = format!("the server at {place} has too many requests{said}");
            (ErrorKind::Unavailable, what, "repeat the command a little later".to_owned())
        }
        _ => {
            let hint = "pv whoami checks the connection; the server's log has the reason".to_owned();
            (ErrorKind::Unavailable, format!("the server at {place} answers {status}{said}"), hint)
        }
    };
    ServerError::new(kind, what, hint)
}

/// The body of an error, as in RFC 9457.
#[derive(Debug, Default, serde::Deserialize)]
struct Problem {
    title: Option<String>,
    detail: Option<String>,
}
