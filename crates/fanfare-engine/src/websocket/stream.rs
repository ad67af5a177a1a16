//! Stream below a WebSocket: a TCP socket that any thread may write to, or any other stream.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use fanfare_websocket::deflate::Params;
use fanfare_websocket::{CloseCode, OpCode, frame};
use hyper::rt::{Read, Write};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::connection::Connection;
use crate::flags::Flags;
use crate::outbox::Sink;
use crate::stream::{Duplex, KeepBusy, Raw, Turn};
use crate::sync::write_half;

/// The stream below a WebSocket.
pub(super) enum Stream {
    /// A TCP socket; the writing half is here until it is attached to a connection.
    Tcp(OwnedReadHalf, Option<OwnedWriteHalf>),
    /// A stream that several threads cannot write to.
    Boxed(Box<Other>),
}

/// A stream that is not a TCP socket.
pub(super) struct Other {
    stream: Pin<Box<dyn Duplex>>,
    turn: Turn,
    /// Marks the HTTP connection below, which may carry other streams, as in use.
    _busy: Option<KeepBusy>,
}

impl Stream {
    /// Takes the socket out of hyper if it is one, together with what was read already.
    pub(super) fn new(upgraded: Upgraded, busy: Option<KeepBusy>) -> (Stream, Bytes) {
        match parts::<TokioIo<TcpStream>>(upgraded) {
            Ok((stream, early)) => {
                let socket = stream.into_inner();
                // Small frames must not wait for the acknowledgement of others.
                let _ = socket.set_nodelay(true);
                (Stream::tcp(socket), early)
            }
            Err(upgraded) => (
                Stream::other(Box::pin(TokioIo::new(upgraded)), busy),
                Bytes::new(),
            ),
        }
    }

    pub(super) fn raw(raw: Raw) -> Stream {
        match raw {
            Raw::Tcp(socket) => Stream::tcp(socket),
            Raw::Boxed(stream) => Stream::other(stream, None),
        }
    }

    fn other(stream: Pin<Box<dyn Duplex>>, busy: Option<KeepBusy>) -> Stream {
        Stream::Boxed(Box::new(Other {
            stream,
            turn: Turn::default(),
            _busy: busy,
        }))
    }

    pub(super) fn tcp(socket: TcpStream) -> Stream {
        let (read, write) = socket.into_split();
        Stream::Tcp(read, Some(write))
    }

    /// Makes this the sink of a connection's outbox, from within the task that will read the stream.
    pub(super) fn attach<S: Send + Sync + 'static>(
        &mut self,
        conn: &Arc<Connection<S>>,
        deflate: Option<Params>,
        cx: &Context<'_>,
    ) {
        self.attach_now(&mut conn.inner.lock(), cx);
        conn.flags.set(Flags::WEBSOCKET);
        conn.deflate.agree(deflate);
    }

    pub(super) fn attach_now(&mut self, inner: &mut crate::connection::Inner, cx: &Context<'_>) {
        inner.outbox.task = Some(cx.waker().clone());
        inner.outbox.sink = match self {
            Stream::Tcp(_, write) => write
                .take()
                .map_or(Sink::Closed, |half| Sink::Tcp(write_half(half))),
            Stream::Boxed(_) => Sink::Task,
        };
    }

    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(read, _) => Pin::new(read).poll_read(cx, buf),
            Stream::Boxed(other) => {
                ready!(other.turn.poll(cx));
                let read = other.stream.as_mut().poll_read(cx, buf);
                other.turn.ends_with(read)
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Stream::Tcp(_, Some(write)) => Pin::new(write).poll_write(cx, data),
            Stream::Tcp(_, None) => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            Stream::Boxed(other) => other.stream.as_mut().poll_write(cx, data),
        }
    }

    /// Writes all of `data`; only before the stream is attached.
    pub(super) async fn write_all(&mut self, mut data: &[u8]) -> io::Result<()> {
        while !data.is_empty() {
            let written = poll_fn(|cx| self.poll_write(cx, data)).await?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            data = &data[written..];
        }
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(..) => Poll::Ready(Ok(())),
            Stream::Boxed(other) => other.stream.as_mut().poll_flush(cx),
        }
    }

    /// Ends our direction of the stream.
    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(_, Some(write)) => Pin::new(write).poll_shutdown(cx),
            Stream::Tcp(_, None) => Poll::Ready(Ok(())),
            Stream::Boxed(other) => other.stream.as_mut().poll_shutdown(cx),
        }
    }

    /// Writes the queue of a connection whose stream cannot be shared. (For TCP the outbox itself does that.)
    pub(super) fn poll_write_queue<S: Send + Sync + 'static>(
        &mut self,
        cx: &mut Context<'_>,
        conn: &Arc<Connection<S>>,
    ) -> Poll<io::Result<()>> {
        ready!(conn.poll_write_queue(|frames| self.poll_write(cx, frames)))?;
        self.poll_flush(cx)
    }

    /// Closes a WebSocket that is rejected, with a close frame behind `head`.
    pub(super) async fn reject(mut self, head: Vec<u8>) {
        let mut out = head;
        frame::encode_into(
            &mut out,
            OpCode::Close,
            &frame::close_payload(CloseCode::NO_STATUS, ""),
        );
        if self.write_all(&out).await.is_ok() {
            self.finish().await;
        }
    }

    /// Ends our direction, and waits briefly for the peer to end the other: closing a socket that has unread input
    /// would reset it, and might lose the close frame.
    async fn finish(mut self) {
        let _ = poll_fn(|cx| self.poll_shutdown(cx)).await;
        let drained = poll_fn(|cx| self.poll_drain(cx));
        let _ = tokio::time::timeout(LINGER, drained).await;
    }

    /// Reads and discards until the end.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut waste = [0; 2048];
        loop {
            let mut buf = ReadBuf::new(&mut waste);
            match ready!(self.poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

/// Returns the stream of this type below hyper, and what was already read from it.
fn parts<T>(upgraded: Upgraded) -> Result<(T, Bytes), Upgraded>
where
    T: Read + Write + Unpin + 'static,
{
    use hyper_util::server::conn::auto::upgrade::downcast;
    match downcast::<T>(upgraded) {
        Ok(parts) => Ok((parts.io, parts.read_buf)),
        Err(upgraded) => {
            let parts = upgraded.downcast::<T>()?;
            Ok((parts.io, parts.read_buf))
        }
    }
}

/// Time that the peer of a closed connection has to close its side.
pub(super) const LINGER: Duration = Duration::from_secs(5);
