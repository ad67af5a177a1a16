//! A TCP connection while it carries HTTP.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// Fails when the client takes nothing of what is written to it for too long: hyper waits for ever.
///
/// A WebSocket leaves this behind: there the heartbeat notices.
pub(crate) struct HttpStream {
    /// What was read before.
    prefix: Bytes,
    stream: TokioIo<TcpStream>,
    patience: Duration,
    /// Runs while something waits to be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl HttpStream {
    /// `prefix`: what was read from the stream already.
    pub(super) fn new(prefix: Bytes, stream: TcpStream, patience: Duration) -> HttpStream {
        HttpStream {
            prefix,
            stream: TokioIo::new(stream),
            patience,
            stalled: None,
        }
    }

    /// The stream, and what has to be taken for its beginning.
    pub(crate) fn into_parts(self) -> (TcpStream, Bytes) {
        (self.stream.into_inner(), self.prefix)
    }

    fn patient<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        poll_stalled(&mut self.stalled, self.stream.inner(), self.patience, cx).map(Err)
    }
}

/// Polled while something waits to be written. Ready: it has waited too long.
pub(super) fn poll_stalled(
    stalled: &mut Option<Pin<Box<Sleep>>>,
    stream: &TcpStream,
    patience: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let stalled = stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
    stalled.as_mut().poll(cx).map(|()| {
        // The system would keep for a long time what it could not deliver.
        let _ = stream.set_zero_linger();
        let message = format!("the client took nothing of the answer for {patience:?}");
        io::Error::new(io::ErrorKind::TimedOut, message)
    })
}

impl Read for HttpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.prefix.is_empty() {
            let n = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(n));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl Write for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.patient(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.patient(cx, written)
    }
}
