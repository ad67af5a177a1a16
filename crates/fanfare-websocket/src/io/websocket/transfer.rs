//! Reads and writes of the stream, and the end of the connection.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::sleep;

use super::{Error, MAX_KEPT_BUFFER_BYTES, Message, READ_CHUNK_BYTES, State, WebSocket};
use crate::Role;

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    pub(super) fn poll_write_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.output.len() {
            let n = ready!(Pin::new(&mut self.io).poll_write(cx, &self.output[self.written..]))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
        }
        if self.output.capacity() > MAX_KEPT_BUFFER_BYTES {
            self.output = Vec::new();
        }
        self.output.clear();
        self.written = 0;
        self.pongs = 0;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    /// Reads once and appends to `input`.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if !self.input.is_empty() {
            // Inside a frame: straight into the buffer, which grows with what arrives.
            self.input.reserve(
                self.input
                    .len()
                    .clamp(MAX_KEPT_BUFFER_BYTES, READ_CHUNK_BYTES),
            );
            return pin!(self.io.read_buf(&mut self.input)).poll(cx);
        }
        // Between frames: into a buffer of the thread, so that an idle connection needs none.
        thread_local! {
            static SCRATCH: Cell<Option<Box<[u8]>>> = const { Cell::new(None) };
        }
        let mut scratch = SCRATCH
            .take()
            .unwrap_or_else(|| vec![0; READ_CHUNK_BYTES].into_boxed_slice());
        let mut buf = ReadBuf::new(&mut scratch);
        let result = Pin::new(&mut self.io).poll_read(cx, &mut buf);
        let read = buf.filled();
        if read.is_empty() {
            if self.input.capacity() > 0 {
                self.input = Vec::new();
            }
        } else {
            self.input.extend_from_slice(read);
        }
        let n = read.len();
        SCRATCH.set(Some(scratch));
        result.map_ok(|()| n)
    }

    /// Ends the stream. The server ends first (RFC 6455, section 7.1.1), and later input is dropped, since closing a
    /// stream with unread data could keep our close frame from the peer.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timed_out(cx) {
            return Poll::Ready(());
        }
        if self.poll_write_out(cx).is_pending() {
            return Poll::Pending;
        }
        if self.role == Role::Server && Pin::new(&mut self.io).poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        loop {
            self.input.clear();
            self.at = 0;
            match ready!(self.poll_read(cx)) {
                Ok(n) if n > 0 => {}
                _ => break,
            }
        }
        if self.role == Role::Client && Pin::new(&mut self.io).poll_shutdown(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    pub(super) fn end(&mut self, error: Option<Error>) -> Poll<Option<Result<Message, Error>>> {
        self.state = State::Ended;
        self.input = Vec::new();
        self.at = 0;
        Poll::Ready(error.map(Err))
    }

    /// Pending, unless the closing handshake takes too long.
    pub(super) fn or_timeout(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, Error>>> {
        if self.timed_out(cx) {
            self.end(Some(Error::CloseTimeout(self.close_timeout)))
        } else {
            Poll::Pending
        }
    }

    pub(super) fn start_deadline(&mut self) {
        self.deadline
            .get_or_insert_with(|| Box::pin(sleep(self.close_timeout)));
    }

    pub(super) fn timed_out(&mut self, cx: &mut Context<'_>) -> bool {
        self.deadline
            .as_mut()
            .is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
    }
}
