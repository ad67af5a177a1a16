//! Stream of a connection, with the input that was read from it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use fanfare_protocol::deadline;
use tokio::time::Sleep;

use super::Input;
use super::body::BodyFeed;
use super::connection_registry::ConnectionSlot;
use crate::clock;
use crate::scratch::with_scratch;
use crate::stream::{Raw, Turn};

/// Maximum number of bytes that are read ahead while a request is being answered; the rest waits in the kernel.
const MAX_READ_AHEAD_BYTES: usize = 16 * 1024;

pub(super) struct Wire {
    pub(super) stream: Raw,
    /// Input that was read and not handled yet.
    pub(super) rest: Input,
    pub(super) looked: Looked,
    /// Number of the next bytes that are the rest of an unwanted body.
    pub(super) discard: usize,
    /// Whether there has been a request.
    pub(super) asked: bool,
    pub(super) slot: ConnectionSlot,
    /// Deadline for the next head.
    pub(super) deadline: Option<Instant>,
    /// Timer that is set to some time before the deadline: moving it for each request would cost more than an
    /// occasional early wakeup.
    timer: Option<Pin<Box<Sleep>>>,
}

/// Result of parsing the input, if that was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Looked {
    No,
    /// The input is the beginning of a head, and no more than that.
    Incomplete,
    /// The input has to wait until everything before it is answered.
    Later,
}

/// Result of reading while a response is being made.
pub(super) enum Fed {
    More,
    /// The client has ended the connection.
    Gone,
    /// The body is malformed, so that the beginning of the next request is unknown.
    Malformed,
}

impl Wire {
    pub(super) fn new(stream: Raw, slot: ConnectionSlot) -> Wire {
        Wire {
            stream,
            rest: Input::default(),
            looked: Looked::No,
            discard: 0,
            asked: false,
            slot,
            deadline: None,
            timer: None,
        }
    }

    /// Whether the new bytes may complete an incomplete head: there is an empty line.
    pub(super) fn ends_a_head(&self, came: &[u8]) -> bool {
        let rest = self.rest.as_slice();
        let mut seam = [0; 4];
        let (before, after) = (rest.len().min(2), came.len().min(2));
        seam[..before].copy_from_slice(&rest[rest.len() - before..]);
        seam[before..before + after].copy_from_slice(&came[..after]);
        has_empty_line(&seam[..before + after]) || has_empty_line(came)
    }

    /// Whether the head of a request is overdue.
    pub(super) fn is_late(&mut self, cx: &mut Context<'_>, timeout: Duration) -> bool {
        let until = *self
            .deadline
            .get_or_insert_with(|| deadline(clock::now(), timeout));
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until.into())));
        while timer.as_mut().poll(cx).is_ready() {
            if clock::now() >= until {
                return true;
            }
            timer.as_mut().reset(until.into());
        }
        false
    }

    /// Reads more of a body.
    pub(super) fn poll_feed(&mut self, feed: &mut BodyFeed, cx: &mut Context<'_>) -> Poll<Fed> {
        let room = ready!(feed.poll_room(cx));
        with_scratch(|scratch| {
            let n = match ready!(self.stream.poll_read(cx, &mut scratch[..room])) {
                Ok(n) if n > 0 => n,
                _ => return Poll::Ready(Fed::Gone),
            };
            let Ok(consumed) = feed.push(&scratch[..n], cx) else {
                return Poll::Ready(Fed::Malformed);
            };
            // The next request, behind the last chunk.
            self.rest.extend(&scratch[consumed..n]);
            Poll::Ready(Fed::More)
        })
    }

    /// Reads ahead while a response is being made.
    pub(super) fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Fed> {
        if self.rest.len() >= MAX_READ_AHEAD_BYTES {
            return Poll::Pending;
        }
        let mut chunk = [0; 1024];
        let n = match ready!(self.stream.poll_read(cx, &mut chunk)) {
            Ok(n) if n > 0 => n,
            _ => return Poll::Ready(Fed::Gone),
        };
        if self.looked == Looked::Incomplete && self.ends_a_head(&chunk[..n]) {
            self.looked = Looked::No;
        }
        self.rest.extend(&chunk[..n]);
        Poll::Ready(Fed::More)
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut Bytes,
        body: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        while head.has_remaining() || body.has_remaining() {
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            let slices = &slices[usize::from(head.is_empty())..];
            let written = ready!(self.stream.poll_write(cx, slices))?;
            let of_head = written.min(head.len());
            head.advance(of_head);
            body.advance(written - of_head);
        }
        self.stream.poll_flush(cx)
    }

    /// Writes the rest of `data`.
    pub(super) fn poll_write_all(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        written: &mut usize,
    ) -> Poll<io::Result<()>> {
        while *written < data.len() {
            let slice = [IoSlice::new(&data[*written..])];
            *written += ready!(self.stream.poll_write(cx, &slice))?;
        }
        self.stream.poll_flush(cx)
    }

    /// Ends our direction; then waits for the end of the client's, if requested.
    pub(super) fn poll_end(
        &mut self,
        cx: &mut Context<'_>,
        drain: bool,
        turn: &mut Turn,
    ) -> Poll<()> {
        if ready!(self.stream.poll_shutdown(cx)).is_err() || !drain {
            return Poll::Ready(());
        }
        loop {
            ready!(turn.poll(cx));
            let mut waste = [0; 2048];
            match ready!(self.stream.poll_read(cx, &mut waste)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(()),
            }
        }
    }
}

fn has_empty_line(bytes: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', bytes)
        .any(|at| matches!(&bytes[at + 1..], [b'\n', ..] | [b'\r', b'\n', ..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_head_is_seen_however_it_is_cut() {
        for line in ["a\r\n\r\nb", "a\n\nb", "a\n\r\nb"] {
            assert!(has_empty_line(line.as_bytes()), "{line:?}");
        }
        for line in ["a\r\nb\r\n", "\r\n", "\n", "a\n\r"] {
            assert!(!has_empty_line(line.as_bytes()), "{line:?}");
        }
    }
}
