//! Writing of responses.

use std::cell::RefCell;
use std::future::Future;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};

use super::{CONTINUE, Connection, End, MAX_COPIED_BODY_BYTES, MAX_DISCARDED_BODY_BYTES, State};
use crate::http_server::HttpService;
use crate::http_server::body::BodyFeed;
use crate::http_server::response::{self, Form};
use crate::http_server::wire::Looked;
use crate::rejection::HttpRejection;
use crate::reply::Reply;
use crate::stream::{Raw, Turn, poll_stalled};

impl<S: HttpService> Connection<S> {
    /// Writes as much of a response as possible at once.
    pub(super) fn write(
        &mut self,
        answer: Reply,
        mut form: Form,
        feed: Option<BodyFeed>,
        cx: &Context<'_>,
    ) -> Poll<()> {
        thread_local! {
            static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(wire) = &mut self.wire else {
            return self.becomes(State::Over);
        };
        let mut drain = false;
        if let Some(feed) = feed {
            let missing = feed
                .missing()
                .filter(|&missing| missing <= MAX_DISCARDED_BODY_BYTES);
            drain = missing.is_none();
            form.close |= drain;
            wire.discard = missing.unwrap_or(0);
        }
        form.close |= wire.slot.called(cx).is_some();
        let left = OUT.with_borrow_mut(|out| {
            out.clear();
            let mut body = match answer {
                Reply::Plain(answer) => response::write_plain(out, answer, &form),
                Reply::Whole(answer) => response::write_head(out, answer, &mut form),
            };
            let written = match &wire.stream {
                // Other streams are written to in the state `Writing`.
                Raw::Boxed(_) => Ok(0),
                Raw::Tcp(tcp) if body.len() <= MAX_COPIED_BODY_BYTES => {
                    out.extend_from_slice(&body);
                    body = Bytes::new();
                    tcp.try_write(out)
                }
                Raw::Tcp(tcp) => tcp.try_write_vectored(&[IoSlice::new(out), IoSlice::new(&body)]),
            };
            let written = match written {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(error),
            };
            if written == out.len() + body.len() {
                return Ok(None);
            }
            let head = Bytes::copy_from_slice(&out[written.min(out.len())..]);
            body.advance(written.saturating_sub(out.len()));
            Ok(Some((head, body)))
        });
        let end = match (form.close, drain) {
            (false, _) => End::No,
            (true, false) => End::Yes,
            (true, true) => End::Drain,
        };
        match left {
            Ok(None) => self.next(end),
            Ok(Some((head, body))) => self.becomes(State::Writing {
                head,
                body,
                end,
                stalled: None,
            }),
            Err(_) => self.becomes(State::Over),
        }
    }

    /// Continues after a response: with the next request, or with the end of the connection.
    pub(super) fn next(&mut self, end: End) -> Poll<()> {
        if end != End::No {
            self.behind.clear();
            return match end {
                End::Drain => self.becomes(State::ending(true)),
                _ => self.over(),
            };
        }
        if let Some(next) = self.behind.pop_front() {
            return self.becomes(State::Answering(next));
        }
        if let Some(wire) = &mut self.wire {
            wire.slot.handle().idle();
            if wire.looked == Looked::Later {
                wire.looked = Looked::No;
            }
        }
        self.becomes(State::Reading)
    }

    /// Ends a connection on which nothing is left to do. Streams other than sockets are shut down first.
    pub(super) fn over(&mut self) -> Poll<()> {
        self.becomes(match &self.wire {
            Some(wire) if matches!(wire.stream, Raw::Boxed(_)) => State::ending(false),
            _ => State::Over,
        })
    }

    /// Continues a write, or the end of the connection, that could not be completed at once.
    #[inline(never)]
    pub(super) fn poll_writing(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<()> {
        let Some(wire) = &mut self.wire else {
            return self.becomes(State::Over);
        };
        match &mut self.state {
            State::Inviting(_, written) => {
                let invited = ready!(wire.poll_write_all(cx, CONTINUE, written));
                let state = std::mem::replace(&mut self.state, State::Over);
                match state {
                    State::Inviting(exchange, _) if invited.is_ok() => {
                        self.becomes(State::Answering(exchange))
                    }
                    _ => Poll::Ready(()),
                }
            }
            State::Writing {
                head,
                body,
                end,
                stalled,
            } => {
                let left = head.len() + body.len();
                match wire.poll_write(cx, head, body) {
                    Poll::Ready(Ok(())) => {
                        let end = *end;
                        self.next(end)
                    }
                    Poll::Ready(_) => self.becomes(State::Over),
                    Poll::Pending => {
                        if head.len() + body.len() < left {
                            *stalled = None;
                        }
                        let patience = self.shared.options.write_timeout;
                        let tcp = wire.stream.tcp();
                        ready!(poll_stalled(stalled, tcp, patience, cx));
                        self.rejected(HttpRejection::WriteTimeout);
                        self.becomes(State::Over)
                    }
                }
            }
            State::Ending { drain, late } => {
                if late.as_mut().poll(cx).is_pending() {
                    ready!(wire.poll_end(cx, *drain, turn));
                }
                self.becomes(State::Over)
            }
            _ => self.becomes(State::Over),
        }
    }
}
