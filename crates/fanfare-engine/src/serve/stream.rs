//! A connection while it carries HTTP.

use std::any::Any;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Sleep;

/// A stream of whatever kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// What connections are made of.
pub(crate) enum Raw {
    /// Any thread may write to it once it is a WebSocket.
    Tcp(TcpStream),
    Boxed(Pin<Box<dyn Duplex>>),
}

impl Raw {
    /// Finds out whether it is a TCP socket. (Always `Some`.)
    pub(super) fn new<T: AsyncRead + AsyncWrite + Send + 'static>(stream: T) -> Option<Raw> {
        let mut stream = Some(stream);
        let tcp = (&mut stream as &mut dyn Any).downcast_mut::<Option<TcpStream>>();
        match tcp.and_then(Option::take) {
            Some(tcp) => Some(Raw::Tcp(tcp)),
            None => stream.map(|stream| Raw::Boxed(Box::pin(stream))),
        }
    }

    fn pin(&mut self) -> Pin<&mut dyn Duplex> {
        match self {
            Raw::Tcp(tcp) => {
                let tcp: Pin<&mut TcpStream> = Pin::new(tcp);
                tcp
            }
            Raw::Boxed(stream) => stream.as_mut(),
        }
    }
}

/// Fails when the client takes nothing of what is written to it for too long: hyper waits for ever.
///
/// A WebSocket leaves this behind: there the heartbeat notices.
pub(crate) struct HttpStream {
    /// What was read before.
    prefix: Bytes,
    stream: Raw,
    patience: Duration,
    /// Runs while something waits to be written.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl HttpStream {
    /// `prefix`: what was read from the stream already.
    pub(super) fn new(prefix: Bytes, stream: Raw, patience: Duration) -> HttpStream {
        HttpStream {
            prefix,
            stream,
            patience,
            stalled: None,
        }
    }

    /// The stream, and what has to be taken for its beginning.
    pub(crate) fn into_parts(self) -> (Raw, Bytes) {
        (self.stream, self.prefix)
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
        let tcp = match &self.stream {
            Raw::Tcp(tcp) => Some(tcp),
            Raw::Boxed(_) => None,
        };
        poll_stalled(&mut self.stalled, tcp, self.patience, cx).map(Err)
    }
}

/// Polled while something waits to be written. Ready: it has waited too long.
pub(super) fn poll_stalled(
    stalled: &mut Option<Pin<Box<Sleep>>>,
    stream: Option<&TcpStream>,
    patience: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let stalled = stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
    stalled.as_mut().poll(cx).map(|()| {
        // The system would keep for a long time what it could not deliver.
        if let Some(stream) = stream {
            let _ = stream.set_zero_linger();
        }
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
        let this = &mut *self;
        let mut stream = TokioIo::new(this.stream.pin());
        Pin::new(&mut stream).poll_read(cx, buf)
    }
}

impl Write for HttpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.pin().poll_write(cx, buf);
        self.patient(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.pin().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.pin().poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Raw::Tcp(tcp) => tcp.is_write_vectored(),
            Raw::Boxed(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = self.stream.pin().poll_write_vectored(cx, bufs);
        self.patient(cx, written)
    }
}
