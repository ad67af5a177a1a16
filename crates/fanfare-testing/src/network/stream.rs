//! Connections: two pipes, and the streams of both ends.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::MutexGuard;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Held, Network, PIPE_BYTES, State};

/// Connection of a client and the server.
pub(super) struct Connection {
    pub(super) link: usize,
    to_server: Pipe,
    to_client: Pipe,
    broken: bool,
    /// Whether the other end has been dropped already.
    half_dropped: bool,
}

/// Bytes in one direction.
#[derive(Default)]
struct Pipe {
    bytes: VecDeque<u8>,
    /// Whether the writer has ended the stream.
    ended: bool,
    /// Whether the reading end has been dropped.
    unread: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Connection {
    pub(super) fn new(link: usize) -> Self {
        Self {
            link,
            to_server: Pipe::default(),
            to_client: Pipe::default(),
            broken: false,
            half_dropped: false,
        }
    }

    /// Whether both ends exist, and the connection is not broken.
    pub(super) fn is_whole(&self) -> bool {
        !self.broken && !self.half_dropped
    }

    /// Breaks the connection; returns the wakers of the tasks that wait for it.
    pub(super) fn reset(&mut self) -> impl Iterator<Item = Waker> + use<> {
        self.broken = true;
        self.wakers()
    }

    fn pipe(&mut self, side: Side, task: Task) -> &mut Pipe {
        match (side, task) {
            (Side::Client, Task::Read) | (Side::Server, Task::Write) => &mut self.to_client,
            (Side::Client, Task::Write) | (Side::Server, Task::Read) => &mut self.to_server,
        }
    }

    /// Takes the wakers of the tasks of both ends, to be woken once the state is unlocked.
    pub(super) fn wakers(&mut self) -> impl Iterator<Item = Waker> + use<> {
        let (up, down) = (&mut self.to_server, &mut self.to_client);
        let wakers = [
            &mut up.reader,
            &mut up.writer,
            &mut down.reader,
            &mut down.writer,
        ];
        wakers.map(Option::take).into_iter().flatten()
    }
}

/// End of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Client,
    Server,
}

#[derive(Debug, Clone, Copy)]
enum Task {
    Read,
    Write,
}

/// One end of a connection in memory. Dropping it ends the connection.
pub struct Stream {
    network: Arc<Network>,
    id: u64,
    side: Side,
}

impl Stream {
    pub(super) fn new(network: Arc<Network>, id: u64, side: Side) -> Self {
        Self { network, id, side }
    }

    /// Returns the state, and whether the bytes sent to this end are stalled.
    fn look(&self) -> (MutexGuard<'_, State>, bool) {
        let state = self.network.state.lock();
        let direction = match self.side {
            Side::Client => Held::ToClient,
            Side::Server => Held::ToServer,
        };
        let connection = state.connections.get(&self.id);
        let held = connection.is_some_and(|found| state.is_held(found.link, direction));
        (state, held)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (mut state, held) = self.look();
        let Some(connection) = state.connections.get_mut(&self.id) else {
            return Poll::Ready(Ok(()));
        };
        if connection.broken {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let pipe = connection.pipe(self.side, Task::Read);
        if held || (pipe.bytes.is_empty() && !pipe.ended) {
            pipe.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        while buf.remaining() > 0 && !pipe.bytes.is_empty() {
            let (first, _) = pipe.bytes.as_slices();
            let n = first.len().min(buf.remaining());
            buf.put_slice(&first[..n]);
            pipe.bytes.drain(..n);
        }
        let writer = pipe.writer.take();
        drop(state);
        writer.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // The writer learns of the other end's drop only through the network, as of data.
        let (mut state, unaware) = self.look();
        let Some(connection) = state.connections.get_mut(&self.id) else {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        };
        if connection.broken {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let pipe = connection.pipe(self.side, Task::Write);
        if pipe.ended || (pipe.unread && !unaware) {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let n = bytes.len().min(PIPE_BYTES.saturating_sub(pipe.bytes.len()));
        if n == 0 && !bytes.is_empty() {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        pipe.bytes.extend(&bytes[..n]);
        let reader = pipe.reader.take();
        let link = connection.link;
        state.count(link, self.side, n);
        drop(state);
        reader.into_iter().for_each(Waker::wake);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.network.state.lock();
        if let Some(connection) = state.connections.get_mut(&self.id) {
            let pipe = connection.pipe(self.side, Task::Write);
            pipe.ended = true;
            let reader = pipe.reader.take();
            drop(state);
            reader.into_iter().for_each(Waker::wake);
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        let mut state = self.network.state.lock();
        let Some(connection) = state.connections.get_mut(&self.id) else {
            return;
        };
        connection.pipe(self.side, Task::Write).ended = true;
        connection.pipe(self.side, Task::Read).unread = true;
        let wakers = connection.wakers();
        if connection.half_dropped {
            state.connections.remove(&self.id);
        } else {
            connection.half_dropped = true;
        }
        drop(state);
        wakers.for_each(Waker::wake);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}
