//! Streams of connections: while they carry HTTP, and when they leave it for another protocol.

mod takeover;
mod turn;

use std::any::Any;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;

pub(crate) use takeover::{KeepBusy, Taken, Takeover};
pub(crate) use turn::Turn;

/// A stream of any kind.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

/// Underlying stream of a connection.
pub(crate) enum Raw {
    /// A TCP socket, which any thread may write to once it carries a WebSocket.
    Tcp(TcpStream),
    Boxed(Pin<Box<dyn Duplex>>),
}

impl Raw {
    /// Detects whether the stream is a TCP socket, and whether it is a Unix socket. (Always `Some`.)
    pub(crate) fn new<T: AsyncRead + AsyncWrite + Send + 'static>(
        stream: T,
    ) -> Option<(Raw, bool)> {
        let mut stream = Some(stream);
        let any = &mut stream as &mut dyn Any;
        if let Some(tcp) = any
            .downcast_mut::<Option<TcpStream>>()
            .and_then(Option::take)
        {
            return Some((Raw::Tcp(tcp), false));
        }
        #[cfg(unix)]
        let unix = any.is::<Option<tokio::net::UnixStream>>();
        #[cfg(not(unix))]
        let unix = false;
        stream.map(|stream| (Raw::Boxed(Box::pin(stream)), unix))
    }

    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Raw::Tcp(tcp) => Some(tcp),
            Raw::Boxed(_) => None,
        }
    }

    /// Reads; 0 is the end.
    pub(crate) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let read = match self {
            Raw::Tcp(tcp) => Pin::new(tcp).poll_read(cx, &mut buf),
            Raw::Boxed(stream) => stream.as_mut().poll_read(cx, &mut buf),
        };
        read.map_ok(|()| buf.filled().len())
    }

    /// Writes; the result is never 0.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.pin().poll_write_vectored(cx, bufs) {
            Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => written,
        }
    }

    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pin().poll_flush(cx)
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pin().poll_shutdown(cx)
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

/// Stream that fails when the client does not read what is written to it for too long, where hyper would wait forever.
/// It also yields to other tasks, however much input arrives.
pub(crate) struct HttpStream {
    /// Bytes that were read before.
    prefix: Bytes,
    stream: Raw,
    patience: Duration,
    /// Timeout that runs while something waits to be written.
    stalled: Option<Pin<Box<Sleep>>>,
    turn: Turn,
}

impl HttpStream {
    /// Creates a stream. `prefix`: bytes that were already read from `stream`.
    pub(crate) fn new(prefix: Bytes, stream: Raw, patience: Duration) -> HttpStream {
        HttpStream {
            prefix,
            stream,
            patience,
            stalled: None,
            turn: Turn::default(),
        }
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
        poll_stalled(&mut self.stalled, self.stream.tcp(), self.patience, cx).map(Err)
    }
}

/// Polls the timeout of a write that waits. Ready: it has waited too long.
pub(crate) fn poll_stalled(
    stalled: &mut Option<Pin<Box<Sleep>>>,
    stream: Option<&TcpStream>,
    patience: Duration,
    cx: &mut Context<'_>,
) -> Poll<io::Error> {
    let stalled = stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
    stalled.as_mut().poll(cx).map(|()| {
        // The system would keep undelivered data for a long time.
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
        ready!(this.turn.poll(cx));
        let mut stream = TokioIo::new(this.stream.pin());
        let read = Pin::new(&mut stream).poll_read(cx, buf);
        this.turn.ends_with(read)
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
