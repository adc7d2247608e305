//! Connections: TCP, TLS, HTTP/1.1 and 2, and their bounds. `axum::serve` has neither TLS nor time limits.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

use crate::caller::Peer;
use crate::limits;
use crate::metrics::Traffic;
use crate::steady::{Begun, Taken};

/// A certificate with its key.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls")
    }
}

/// What is wrong with a certificate or its key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what the variants are")]
pub enum TlsError {
    #[error("cannot read the certificate `{file}`: {why}")]
    Certificate { file: String, why: String },
    #[error("cannot read the key `{file}`: {why}")]
    Key { file: String, why: String },
    #[error("the certificate and its key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl Tls {
    /// Reads PEM files: the certificate, followed by those that lead to a root, and its private key.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |why: String| TlsError::Certificate { file: certificate.display().to_string(), why };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(certificate).map_err(|error| wrong(error.to_string()))?.collect();
        let chain = chain.map_err(|error| wrong(error.to_string()))?;
        if chain.is_empty() {
            return Err(wrong("it contains no certificate in PEM form".to_owned()));
        }
        let secret = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| TlsError::Key { file: key.display().to_string(), why: error.to_string() })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, secret)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Answers connections until `stop` is ready, then lets requests that run end, within a bound.
pub(crate) async fn listen(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    traffic: Traffic,
    stop: impl Future<Output = ()>,
) {
    let most = most_connections();
    let free = Arc::new(Semaphore::new(most));
    let (mut is_full, mut cannot_accept) = (Once::default(), Once::default());
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                stream.set_nodelay(true).ok();
                cannot_accept.ends(|| tracing::warn!("connections are accepted again"));
                // Beyond the bound a client is better told at once than left waiting.
                let Ok(permit) = free.clone().try_acquire_owned() else {
                    is_full.begins(|| tracing::warn!("{most} connections are open: further ones are closed"));
                    continue;
                };
                if free.available_permits() > most / 10 {
                    is_full.ends(|| tracing::info!("connections are accepted again"));
                }
                let (router, tls, watcher) = (router.clone(), tls.clone(), graceful.watcher());
                let stream = Taken::new(stream, traffic.clone());
                tokio::spawn(async move {
                    let connection = connection(stream, peer, tls, router, watcher, permit);
                    if let Err(error) = connection.await {
                        tracing::debug!("a connection from {peer} ended: {error}");
                    }
                });
            }
            Err(error) => {
                // Such as too many open files: others have to end first.
                cannot_accept.begins(|| tracing::warn!("no connection can be accepted: {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(limits::TO_END, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time and were cut off");
    }
}

/// As many connections as there may be, and as the files that this process may open allow: the store needs some too.
fn most_connections() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = 2 * limits::CONNECTIONS as u64;
    let files = limit.maximum.map_or(wanted, |most| most.min(wanted)).max(limit.current.unwrap_or(wanted));
    if setrlimit(Resource::Nofile, Rlimit { current: Some(files), ..limit }).is_err() {
        tracing::warn!("the limit of open files cannot be raised to {files}");
    }
    let files = getrlimit(Resource::Nofile).current.unwrap_or(wanted);
    limits::CONNECTIONS.min(usize::try_from(files / 2).unwrap_or(usize::MAX))
}

/// Something that is said once when it begins and once when it ends.
#[derive(Debug, Default)]
struct Once(bool);

impl Once {
    fn begins(&mut self, say: impl FnOnce()) {
        if !std::mem::replace(&mut self.0, true) {
            say();
        }
    }

    fn ends(&mut self, say: impl FnOnce()) {
        if std::mem::take(&mut self.0) {
            say();
        }
    }
}

async fn connection(
    stream: Taken<TcpStream>,
    peer: SocketAddr,
    tls: Option<Tls>,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
    _permit: OwnedSemaphorePermit,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match tls {
        None => serve(stream, peer, router, watcher).await,
        Some(Tls(acceptor)) => {
            let handshake = tokio::time::timeout(limits::HANDSHAKE, acceptor.accept(stream)).await;
            let stream = handshake.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            serve(stream, peer, router, watcher).await
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    watcher: hyper_util::server::graceful::Watcher,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        request
    });
    let mut http = Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::HEADERS)
        .max_buf_size(limits::HEADER_BYTES.max(8 << 10));
    http.http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits::HEADER_BYTES as u32)
        .keep_alive_interval(limits::HEADERS)
        .keep_alive_timeout(limits::STALL);
    let connection = http
        .serve_connection_with_upgrades(TokioIo::new(Begun::new(stream)), TowerToHyperService::new(service))
        .into_owned();
    watcher.watch(connection).await
}
