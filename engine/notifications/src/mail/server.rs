//! The conversation with a mail server.
//!
//! `lettre` speaks SMTP; the name is looked up here, and `lettre` gets an address, so that nothing asks the C library. The certificate has to
//! be the one of the name. Without TLS pv speaks only to a server on this machine that is called so (`localhost`, `127.0.0.1`, `::1`).
//!
//! After STARTTLS nothing that was sent before counts: [`Lines`] hands `lettre` one line at a time, so that lines which somebody slipped in
//! before TLS end up in the handshake, which fails.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use lettre::Address;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::{MailAccount, Mailer};
use crate::text::in_full;

/// Most bytes that a server may say to [`Lines`], TLS included.
const MOST: usize = 64 << 10;

/// Why a mail was not delivered.
pub(super) enum Fault {
    Later(String),
    Refused(String),
}

type SmtpError = lettre::transport::smtp::Error;

/// May be better next time.
fn later(doing: &str, error: &(dyn std::error::Error + 'static)) -> Fault {
    Fault::Later(format!("{doing}: {}", in_full(error)))
}

/// A refusal for good counts as one.
fn answered(doing: &str, error: &SmtpError) -> Fault {
    let why = format!("{doing}: {}", in_full(error));
    if error.is_permanent() { Fault::Refused(why) } else { Fault::Later(why) }
}

impl Mailer {
    /// Connects, logs in, and gives the mail to the server.
    pub(super) async fn deliver(
        &self,
        account: &MailAccount,
        from: &Address,
        to: &[Address],
        mail: &[u8],
    ) -> Result<(), Fault> {
        // For `lettre`; a second call changes nothing.
        rustls::crypto::ring::default_provider().install_default().ok();
        let mut connection = self.connect(account).await?;
        log_in(&mut connection, account).await?;
        let given = give(&mut connection, from, to, mail).await;
        // The mail has been taken or not; the server's farewell changes nothing.
        tokio::time::timeout(self.limits.answer, connection.abort()).await.ok();
        given
    }

    async fn connect(&self, account: &MailAccount) -> Result<AsyncSmtpConnection, Fault> {
        let server = &account.server;
        let addresses = self.names.look_up(&server.host).await.map_err(|error| later("no mail server", &*error))?;
        let mut fault = Fault::Later(format!("{} has no address", server.host));
        for address in addresses {
            let at = SocketAddr::new(address, server.port);
            let connected = if server.is_tls_first {
                self.connect_tls(&server.host, at).await
            } else {
                self.connect_plain(&server.host, at).await
            };
            match connected {
                Ok(connection) => return Ok(connection),
                Err(why) => fault = why,
            }
        }
        Err(fault)
    }

    async fn connect_tls(&self, host: &str, at: SocketAddr) -> Result<AsyncSmtpConnection, Fault> {
        let (tls, hello) = (self.tls(host)?, ClientId::default());
        let connected = AsyncSmtpConnection::connect_tokio1(at, Some(self.limits.connect), &hello, Some(tls), None);
        connected.await.map_err(|error| later(&format!("cannot connect to {at}"), &error))
    }

    /// Plain first; then TLS, but to a server on this machine.
    async fn connect_plain(&self, host: &str, at: SocketAddr) -> Result<AsyncSmtpConnection, Fault> {
        let doing = format!("cannot connect to {at}");
        let stream = tokio::time::timeout(self.limits.connect, TcpStream::connect(at)).await;
        let stream = stream
            .unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
            .map_err(|error| later(&doing, &error))?;
        let hello = ClientId::default();
        let connected = AsyncSmtpConnection::connect_with_transport(Box::new(Lines::new(stream)), &hello).await;
        let mut connection = connected.map_err(|error| later(&doing, &error))?;
        if !(is_this_machine(host) && at.ip().is_loopback()) {
            connection
                .starttls(self.tls(host)?, &hello)
                .await
                .map_err(|error| later("no TLS with the mail server", &error))?;
        }
        Ok(connection)
    }

    fn tls(&self, host: &str) -> Result<TlsParameters, Fault> {
        let mut builder = TlsParameters::builder(host.to_owned());
        for pem in &self.roots {
            builder = builder
                .add_root_certificate(Certificate::from_pem(pem).map_err(|error| later("no certificate", &error))?);
        }
        builder.build().map_err(|error| later("no TLS", &error))
    }
}

/// Whether this is a name for this machine that says so.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn log_in(connection: &mut AsyncSmtpConnection, account: &MailAccount) -> Result<(), Fault> {
    let Some(user) = &account.server.user else { return Ok(()) };
    let Some(password) = &account.password else {
        return Err(Fault::Later(format!("no password for {user}: pv config set mail_password SECRET")));
    };
    let credentials = Credentials::new(user.clone(), password.clone());
    let logged_in = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
    logged_in.map(drop).map_err(|error| later(&format!("{user} cannot log in"), &error))
}

async fn give(connection: &mut AsyncSmtpConnection, from: &Address, to: &[Address], mail: &[u8]) -> Result<(), Fault> {
    let sender = connection.command(Mail::new(Some(from.clone()), Vec::new())).await;
    sender.map_err(|error| later(&format!("the sender {from} is refused"), &error))?;
    let mut refused = Vec::new();
    for one in to {
        if let Err(error) = connection.command(Rcpt::new(one.clone(), Vec::new())).await {
            match answered(one.as_ref(), &error) {
                Fault::Refused(why) => refused.push(why),
                later @ Fault::Later(_) => return Err(later),
            }
        }
    }
    if refused.len() == to.len() {
        return Err(Fault::Refused(refused.join("; ")));
    }
    connection.command(Data).await.map_err(|error| answered("the mail is refused", &error))?;
    connection.message(mail).await.map_err(|error| answered("the mail is refused", &error))?;
    if refused.is_empty() { Ok(()) } else { Err(Fault::Refused(format!("{}; the others have it", refused.join("; ")))) }
}

/// A connection that is read line by line, and not for long.
#[derive(Debug)]
struct Lines {
    stream: TcpStream,
    /// What has come and is not read yet.
    ahead: Vec<u8>,
    /// How many bytes may still come.
    left: usize,
}

impl Lines {
    fn new(stream: TcpStream) -> Self {
        Self { stream, ahead: Vec::new(), left: MOST }
    }
}

impl AsyncRead for Lines {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ahead.is_empty() {
            let mut piece = [0; 4096];
            let mut room = ReadBuf::new(&mut piece);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut room))?;
            this.left =
                this.left.checked_sub(room.filled().len()).ok_or_else(|| io::Error::other("it says too much"))?;
            this.ahead.extend_from_slice(room.filled());
        }
        let line = this.ahead.iter().position(|byte| *byte == b'\n').map_or(this.ahead.len(), |end| end + 1);
        let count = line.min(buffer.remaining());
        buffer.put_slice(&this.ahead[..count]);
        this.ahead.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Lines {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl AsyncTokioStream for Lines {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What reads of `Lines` give when a server sends these bytes at once.
    async fn reads(bytes: Vec<u8>) -> Vec<io::Result<Vec<u8>>> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        tokio::spawn(async move {
            server.write_all(&bytes).await.ok();
        });
        let (mut lines, mut reads) = (Lines::new(stream), Vec::new());
        loop {
            let mut piece = vec![0; 8192];
            match lines.read(&mut piece).await {
                Ok(0) => return reads,
                Ok(count) => reads.push(Ok(piece[..count].to_vec())),
                Err(error) => {
                    reads.push(Err(error));
                    return reads;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_line_that_came_too_early_is_not_read_with_the_one_before() {
        let reads = reads(b"220 ready\r\n250 AUTH PLAIN\r\n".to_vec()).await;
        let reads: Vec<Vec<u8>> = reads.into_iter().map(Result::unwrap).collect();
        assert_eq!(reads, [b"220 ready\r\n".to_vec(), b"250 AUTH PLAIN\r\n".to_vec()]);
    }

    #[tokio::test]
    async fn a_server_that_never_stops_is_cut_off() {
        let reads = reads(vec![b'2'; MOST + 1]).await;
        assert!(reads.last().unwrap().is_err());
    }

    #[test]
    fn only_names_of_this_machine_need_no_tls() {
        assert!(is_this_machine("localhost") && is_this_machine("127.0.0.1") && is_this_machine("::1"));
        assert!(
            !is_this_machine("mail.example.org")
                && !is_this_machine("10.0.0.1")
                && !is_this_machine("localhost.evil.org")
        );
    }
}
