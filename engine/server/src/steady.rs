//! Slow and broken clients: what they send and take has to move, however long it takes in all.
//!
//! A body may be endless, but each [`STALL`] must bring [`STALL_BYTES`] or its end; a client that takes nothing of an answer for [`STALL`]
//! is cut off. The total time is not limited: an upload may take a day. Before a client has said anything, hyper waits for it without end.
//! What is left of a body when its request is answered is read too, up to [`UNWANTED_BYTES`]: see [`ReadOut`].

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::limits::{HEADERS, STALL, STALL_BYTES, UNWANTED_BYTES};
use crate::metrics::Traffic;

/// Cuts off a body that is sent too slowly, and reads out one that its request does not want.
pub(crate) async fn watch_body(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_sent = !request.headers().contains_key(EXPECT);
    let watched = |body: Body| ReadOut { body: Some(steady(body.into_data_stream()).boxed()), is_sent };
    next.run(request.map(|body| Body::from_stream(watched(body)))).await
}

/// A body whose rest is read and thrown away when its request is answered before it has all come, such as a refused upload. Most clients
/// send all of a body before they look at the answer, and a connection that is closed with bytes unread loses the answer on its way.
struct ReadOut {
    /// `None` when it has ended.
    body: Option<BoxStream<'static, io::Result<Bytes>>>,
    /// Whether the client sends it: one that waits for `100 Continue` does not before the first byte is asked for.
    is_sent: bool,
}

impl Stream for ReadOut {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.is_sent = true;
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let piece = ready!(body.as_mut().poll_next(cx));
        if !matches!(piece, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(piece)
    }
}

impl Drop for ReadOut {
    fn drop(&mut self) {
        let (Some(mut body), true, Ok(runtime)) = (self.body.take(), self.is_sent, Handle::try_current()) else {
            return;
        };
        runtime.spawn(timeout(STALL, async move {
            let mut read = 0;
            while let Some(Ok(piece)) = body.next().await
                && read < UNWANTED_BYTES
            {
                read += piece.len() as u64;
            }
        }));
    }
}

/// The same bytes; an error when the sender is too slow.
fn steady(body: BodyDataStream) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let window = (Instant::now() + STALL, 0);
    futures_util::stream::unfold((body, Some(window)), |(mut body, window)| async move {
        let (end, received) = window?;
        match tokio::time::timeout_at(end, body.next()).await {
            Err(_) if received < STALL_BYTES => {
                let slow = io::Error::new(io::ErrorKind::TimedOut, "the body is sent too slowly");
                Some((Err(slow), (body, None)))
            }
            Err(_) => Some((Ok(Bytes::new()), (body, Some((Instant::now() + STALL, 0))))),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some((Err(io::Error::other(error)), (body, None))),
            Ok(Some(Ok(bytes))) => {
                let received = received + bytes.len() as u64;
                let is_over = Instant::now() >= end;
                let window =
                    if is_over && received >= STALL_BYTES { (Instant::now() + STALL, 0) } else { (end, received) };
                Some((Ok(bytes), (body, Some(window))))
            }
        }
    })
}

/// A connection whose bytes are counted, and whose peer is cut off when it takes nothing for [`STALL`].
#[derive(Debug)]
pub(crate) struct Taken<S> {
    stream: S,
    traffic: Traffic,
    /// When the write that waits gives up.
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S> Taken<S> {
    pub(crate) fn new(stream: S, traffic: Traffic) -> Self {
        traffic.connections.inc();
        Self { stream, traffic, waits: None }
    }

    fn sent(&self, wrote: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = wrote {
            self.traffic.sent.inc_by(*bytes as u64);
        }
    }

    /// Notes whether a write moved; an error if none did for too long.
    fn after<T>(&mut self, cx: &mut Context<'_>, wrote: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if wrote.is_ready() {
            self.waits = None;
            return wrote;
        }
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep_until(Instant::now() + STALL)));
        ready!(waits.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S> Drop for Taken<S> {
    fn drop(&mut self) {
        self.traffic.connections.dec();
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taken<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        self.traffic.received.inc_by((into.filled().len() - before) as u64);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taken<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.sent(&wrote);
        self.after(cx, wrote)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.sent(&wrote);
        self.after(cx, wrote)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.after(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.after(cx, shut)
    }
}

/// The bytes with which a client begins HTTP/2.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose peer is cut off when it does not begin within [`HEADERS`]: until it is known which HTTP it speaks, nobody else looks
/// at the time.
#[derive(Debug)]
pub(crate) struct Begun<S> {
    stream: S,
    /// When it ends, and how much of the beginning of HTTP/2 has come; `None` once it is known what is spoken.
    waits: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<S> Begun<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, waits: Some((Box::pin(sleep_until(Instant::now() + HEADERS)), 0)) }
    }

    /// Looks at bytes that have come.
    fn saw(&mut self, bytes: &[u8]) {
        let Some((_, matched)) = &mut self.waits else { return };
        let rest = PREFACE.get(*matched..).unwrap_or_default();
        *matched += bytes.len();
        if !rest.starts_with(bytes) || *matched >= PREFACE.len() {
            self.waits = None;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Begun<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, into);
        if read.is_ready() {
            let bytes = into.filled().get(before..).unwrap_or_default();
            self.saw(bytes);
            return read;
        }
        if let Some((waits, _)) = &mut self.waits {
            ready!(waits.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Begun<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A body that sends `piece` each `pause`, endlessly.
    fn drip(piece: usize, pause: Duration) -> BodyDataStream {
        let pieces = futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((io::Result::Ok(Bytes::from(vec![b'x'; piece])), ()))
        });
        Body::from_stream(pieces).into_data_stream()
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_a_second_is_cut_off_and_a_steady_sender_is_not() {
        let slow: Vec<_> = steady(drip(1, Duration::from_secs(1))).take(1000).collect().await;
        assert_eq!(slow.last().unwrap().as_ref().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(slow.len() <= STALL.as_secs() as usize + 1, "{}", slow.len());
        let mut steady = Box::pin(steady(drip(1 << 10, Duration::from_secs(1))));
        for _ in 0..1000 {
            steady.next().await.unwrap().unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_cut_off() {
        use tokio::io::AsyncWriteExt;
        let (near, far) = tokio::io::duplex(8);
        let traffic = Traffic::default();
        let mut near = Taken::new(near, traffic.clone());
        near.write_all(b"12345678").await.unwrap();
        let error = near.write_all(b"9").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!((traffic.sent.get(), traffic.connections.get()), (8, 1));
        drop((near, far));
        assert_eq!(traffic.connections.get(), 0);
    }

    /// What becomes of a connection whose client sends this and then nothing.
    async fn silent_after(bytes: &[u8]) -> io::Result<usize> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (near, mut far) = tokio::io::duplex(1024);
        far.write_all(bytes).await.unwrap();
        let mut near = Begun::new(near);
        let mut read = vec![0; 1024];
        let mut length = 0;
        while length < bytes.len() {
            length += near.read(&mut read[..1]).await?;
        }
        tokio::time::timeout(HEADERS * 10, near.read(&mut read)).await.unwrap_or(Ok(usize::MAX))
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_begin_is_cut_off() {
        for begun in [&b""[..], b"P", b"PRI * HTTP/2.0", &PREFACE[..PREFACE.len() - 1]] {
            assert_eq!(silent_after(begun).await.unwrap_err().kind(), io::ErrorKind::TimedOut, "{begun:?}");
        }
        for begun in [&b"G"[..], b"PUT / HTTP/1.1\r\n", b"PRI * HTTP/1", PREFACE] {
            assert_eq!(
                silent_after(begun).await.unwrap(),
                usize::MAX,
                "{begun:?}: from here on hyper looks at the time"
            );
        }
    }
}
