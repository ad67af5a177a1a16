//! One connection: reads requests, passes them to the service, writes the responses.

mod writing;

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tower_service::Service;

use super::connection_registry::{CloseSignal, ConnectionSlot};
use super::exchange::Exchange;
use super::request::{self, Incoming, Parsed, Room};
use super::response::Form;
use super::wire::{Fed, Looked, Wire};
use super::{HttpService, Input, ServeBody, Shared, http2, response};
use crate::handshake::Peer;
use crate::rejection::HttpRejection;
use crate::reply::{EngineBody, Reply};
use crate::scratch::with_scratch;
use crate::stream::{HttpStream, Raw, Taken, Takeover, Turn};

/// Maximum number of requests that are accepted before the response to the first one.
const MAX_PIPELINED_REQUESTS: usize = 4;
/// Maximum length of the rest of a body that is read and discarded, in bytes, so that the connection can continue after
/// a response to an incomplete request.
const MAX_DISCARDED_BODY_BYTES: usize = 64 * 1024;
/// Maximum length of a body that is copied behind its head, in bytes; bigger ones are a second buffer of the same
/// write.
const MAX_COPIED_BODY_BYTES: usize = 4096;
/// Time that a client has to close a connection that we have ended, before we close it.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

/// Future of one connection. While it waits it holds no buffer.
pub(super) struct Connection<S: Service<Request<ServeBody>>> {
    shared: Arc<Shared>,
    service: S,
    peer: Option<Peer>,
    state: State<S::Future>,
    /// Requests that arrived before the one in `state` was answered; their responses wait for its response.
    behind: VecDeque<Exchange<S::Future>>,
    /// Stream; `None` when the connection has been handed on.
    wire: Option<Wire>,
}

enum State<F> {
    Reading,
    /// Sends `100 Continue`, which asks for the body; with the number of bytes of it that are written.
    Inviting(Exchange<F>, usize),
    Answering(Exchange<F>),
    Writing {
        head: Bytes,
        body: Bytes,
        end: End,
        /// Timeout that runs while the client reads nothing.
        stalled: Option<Pin<Box<Sleep>>>,
    },
    /// Our direction has ended.
    Ending {
        /// Whether to read the remaining input, so that closing does not reset the connection and lose the response.
        drain: bool,
        late: Pin<Box<Sleep>>,
    },
    Hyper(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

/// State of the connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    No,
    Yes,
    /// The connection ends, and unread input may still arrive.
    Drain,
}

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl<S: HttpService> Connection<S> {
    pub(super) fn new(
        shared: Arc<Shared>,
        service: S,
        stream: Raw,
        peer: Option<Peer>,
        slot: ConnectionSlot,
    ) -> Self {
        if let Raw::Tcp(stream) = &stream {
            // Small packets must not wait for the acknowledgement of others. (If this fails, reading will fail too.)
            let _ = stream.set_nodelay(true);
        }
        Connection {
            shared,
            service,
            peer,
            state: State::Reading,
            behind: VecDeque::new(),
            wire: Some(Wire::new(stream, slot)),
        }
    }

    pub(super) fn header_timeout(&self) -> Duration {
        self.shared.options.header_timeout
    }

    /// Returns the parts that are needed before the first request.
    pub(super) fn before(
        &mut self,
    ) -> Option<(&mut TcpStream, &mut Option<Peer>, &mut ConnectionSlot)> {
        let wire = self.wire.as_mut()?;
        match &mut wire.stream {
            Raw::Tcp(tcp) => Some((tcp, &mut self.peer, &mut wire.slot)),
            Raw::Boxed(_) => None,
        }
    }

    pub(super) fn rejected(&self, rejection: HttpRejection) {
        self.shared.rejected(self.peer, rejection);
    }

    /// Reads until the input begins with a complete request, or cannot become one.
    fn poll_reading(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<()> {
        let Some(wire) = &mut self.wire else {
            return self.becomes(State::Over);
        };
        match wire.slot.called(cx) {
            Some(CloseSignal::Cut) => return self.cut(),
            Some(CloseSignal::Stop) if wire.rest.is_empty() => return self.over(),
            _ => {}
        }
        loop {
            let Some(wire) = &mut self.wire else {
                return self.becomes(State::Over);
            };
            if !wire.rest.is_empty() && wire.looked != Looked::Incomplete {
                ready!(turn.poll(cx));
                let mut input = std::mem::take(&mut wire.rest);
                let (looked, consumed) = self.look(input.as_slice());
                if let Some(wire) = &mut self.wire {
                    input.consume(consumed);
                    wire.rest = input;
                }
                if looked.is_ready() {
                    return Poll::Ready(());
                }
            }
            ready!(turn.poll(cx));
            match self.poll_read(cx) {
                Poll::Ready(Poll::Ready(())) => return Poll::Ready(()),
                Poll::Ready(Poll::Pending) => {}
                Poll::Pending => {
                    let timeout = self.header_timeout();
                    let Some(wire) = self.wire.as_mut() else {
                        return self.becomes(State::Over);
                    };
                    if !wire.is_late(cx, timeout) {
                        return Poll::Pending;
                    }
                    // A connection that had its requests ends without a rejection.
                    if !wire.asked || wire.looked == Looked::Incomplete {
                        self.rejected(HttpRejection::HeaderTimeout);
                    }
                    return self.over();
                }
            }
        }
    }

    /// Reads once, and parses the input.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Poll<()>> {
        with_scratch(|scratch| {
            let Some(wire) = &mut self.wire else {
                return Poll::Ready(self.becomes(State::Over));
            };
            let kept = wire.rest.len();
            let n = match ready!(wire.stream.poll_read(cx, &mut scratch[kept..])) {
                Ok(n) if n > 0 => n,
                _ => return Poll::Ready(self.becomes(State::Over)),
            };
            let unwanted = n.min(wire.discard);
            wire.discard -= unwanted;
            let came = &scratch[kept + unwanted..kept + n];
            if came.is_empty() {
                return Poll::Ready(Poll::Pending);
            }
            if wire.looked == Looked::Incomplete && !wire.ends_a_head(came) {
                wire.rest.extend(came);
                let fits = wire.rest.len() <= self.shared.longest_head();
                return Poll::Ready(match fits {
                    true => Poll::Pending,
                    false => self.bad(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE),
                });
            }
            scratch[unwanted..unwanted + kept].copy_from_slice(wire.rest.as_slice());
            let input = &scratch[unwanted..kept + n];
            let (looked, consumed) = self.look(input);
            if let Some(wire) = &mut self.wire {
                wire.rest = Input::of(&input[consumed..]);
            }
            Poll::Ready(looked)
        })
    }

    /// Parses the input; also returns the number of bytes consumed. Pending: the input is not complete.
    fn look(&mut self, input: &[u8]) -> (Poll<()>, usize) {
        let mut room = Room::new();
        let parsed = request::parse(input, self.shared.longest_head(), &mut room);
        let Some(wire) = &mut self.wire else {
            return (self.becomes(State::Over), 0);
        };
        let looked = match parsed {
            Parsed::Incomplete => {
                wire.looked = Looked::Incomplete;
                Poll::Pending
            }
            Parsed::Http2 if !wire.asked => self.fall_back(input),
            Parsed::Http2 => self.bad(StatusCode::BAD_REQUEST),
            Parsed::Bad(status) => self.bad(status),
            Parsed::Request(incoming) => {
                if !wire.slot.handle().busy() {
                    return (self.cut(), 0);
                }
                wire.looked = Looked::No;
                wire.asked = true;
                wire.deadline = None;
                let (invites, consumed) = (incoming.expects, incoming.consumed);
                let Some(exchange) = self.exchange(incoming) else {
                    return (self.bad(StatusCode::BAD_REQUEST), 0);
                };
                self.state = match invites {
                    true => State::Inviting(exchange, 0),
                    false => State::Answering(exchange),
                };
                return (Poll::Ready(()), consumed);
            }
        };
        (looked, 0)
    }

    /// Passes a request to its session or to the service. `None`: the request is not valid.
    fn exchange(&mut self, incoming: Incoming<'_, '_>) -> Option<Exchange<S::Future>> {
        let (peer, secure) = (self.peer, self.shared.options.secure);
        let sessions = self.shared.direct.0.as_deref();
        Exchange::begin(incoming, &mut self.service, sessions, |extensions| {
            request::identify(extensions, peer, secure);
        })
    }

    /// Accepts a request while others wait for their responses. `false`: none can be accepted now.
    fn take_another(&mut self) -> bool {
        let State::Answering(current) = &self.state else {
            return false;
        };
        let Some(wire) = &mut self.wire else {
            return false;
        };
        let last = self.behind.back().unwrap_or(current);
        if wire.rest.is_empty()
            || wire.looked != Looked::No
            || self.behind.len() == MAX_PIPELINED_REQUESTS
            || !last.may_be_followed()
        {
            return false;
        }
        let mut input = std::mem::take(&mut wire.rest);
        let mut room = Room::new();
        let parsed = request::parse(input.as_slice(), self.shared.longest_head(), &mut room);
        let mut consumed = 0;
        let looked = match parsed {
            Parsed::Incomplete => Looked::Incomplete,
            Parsed::Request(incoming) if !incoming.upgrade && !incoming.expects => {
                let end = incoming.consumed;
                match self.exchange(incoming) {
                    Some(exchange) => {
                        consumed = end;
                        self.behind.push_back(exchange);
                        Looked::No
                    }
                    None => Looked::Later,
                }
            }
            // Handled once the responses before it are written.
            _ => Looked::Later,
        };
        input.consume(consumed);
        if let Some(wire) = &mut self.wire {
            wire.rest = input;
            wire.looked = looked;
        }
        looked == Looked::No
    }

    /// Waits for the response, and reads what the client sends meanwhile.
    fn poll_answering(&mut self, cx: &mut Context<'_>, turn: &mut Turn) -> Poll<()> {
        loop {
            let State::Answering(current) = &mut self.state else {
                return self.becomes(State::Over);
            };
            if let Poll::Ready(answer) = current.poll(cx) {
                let (form, feed) = (current.form(), current.feed.take());
                let takeover = current.takeover.take();
                // Drops the future of the response before the response is written.
                self.state = State::Over;
                return match answer {
                    Reply::Whole(answer) if answer.status() == StatusCode::SWITCHING_PROTOCOLS => {
                        self.leave(answer, form, takeover)
                    }
                    answer => self.write(answer, form, feed, cx),
                };
            }
            for exchange in &mut self.behind {
                exchange.make(cx);
            }
            let last = self.behind.back_mut().unwrap_or(current);
            let Some(wire) = &mut self.wire else {
                return self.becomes(State::Over);
            };
            ready!(turn.poll(cx));
            let fed = if let Some(feed) = last.feed() {
                let fed = ready!(wire.poll_feed(feed, cx));
                if matches!(fed, Fed::Malformed) {
                    last.breaks_off();
                }
                fed
            } else if self.take_another() {
                Fed::More
            } else {
                ready!(self.poll_ahead(cx))
            };
            if matches!(fed, Fed::Gone) {
                return self.becomes(State::Over);
            }
        }
    }

    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<Fed> {
        let Some(wire) = &mut self.wire else {
            return Poll::Ready(Fed::Gone);
        };
        wire.rest.compact();
        wire.poll_ahead(cx)
    }

    /// Sets the state. The connection continues in it at once.
    fn becomes(&mut self, state: State<S::Future>) -> Poll<()> {
        self.state = state;
        Poll::Ready(())
    }

    /// Ends this connection: too many wait for a request, and this one is among those that have waited longest.
    #[cold]
    fn cut(&mut self) -> Poll<()> {
        self.rejected(HttpRejection::IdleConnections);
        self.becomes(State::Over)
    }

    /// Rejects input that is not a request, and ends the connection.
    #[cold]
    fn bad(&mut self, status: StatusCode) -> Poll<()> {
        self.rejected(match status {
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => HttpRejection::HeadTooLong,
            _ => HttpRejection::NotHttp,
        });
        let mut answer = Response::new(EngineBody::default());
        *answer.status_mut() = status;
        let mut head = Vec::new();
        let mut form = response::Form::closing();
        let body = response::write_head(&mut head, answer, &mut form);
        self.becomes(State::Writing {
            head: head.into(),
            body,
            end: End::Drain,
            stalled: None,
        })
    }

    /// Passes the connection and its input so far to hyper.
    #[cold]
    fn fall_back(&mut self, input: &[u8]) -> Poll<()> {
        let Some(wire) = self.wire.take() else {
            return self.becomes(State::Over);
        };
        let patience = self.shared.options.write_timeout;
        let serving = Box::pin(http2::serve(
            self.shared.clone(),
            self.service.clone(),
            HttpStream::new(Bytes::copy_from_slice(input), wire.stream, patience),
            self.peer,
            wire.slot,
        ));
        self.becomes(State::Hyper(serving))
    }

    /// Leaves HTTP with the response 101: the new protocol takes over the stream, and writes the response.
    fn leave(
        &mut self,
        answer: Response<EngineBody>,
        mut form: Form,
        takeover: Option<Takeover>,
    ) -> Poll<()> {
        let mut head = Vec::with_capacity(320);
        response::write_head(&mut head, answer, &mut form);
        if let Some(take_over) = takeover.as_ref().and_then(Takeover::take)
            && let Some(wire) = self.wire.take()
        {
            take_over(Taken {
                stream: wire.stream,
                early: wire.rest.into_vec().into(),
                head,
            });
        }
        self.becomes(State::Over)
    }
}

impl<F> State<F> {
    fn ending(drain: bool) -> Self {
        State::Ending {
            drain,
            late: Box::pin(tokio::time::sleep(LINGER_TIMEOUT)),
        }
    }
}

impl<S: HttpService> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut turn = Turn::default();
        loop {
            match &mut this.state {
                State::Reading => ready!(this.poll_reading(cx, &mut turn)),
                State::Answering(_) => ready!(this.poll_answering(cx, &mut turn)),
                State::Hyper(serving) => return serving.as_mut().poll(cx),
                State::Over => return Poll::Ready(()),
                State::Inviting(..) | State::Writing { .. } | State::Ending { .. } => {
                    ready!(this.poll_writing(cx, &mut turn));
                }
            }
        }
    }
}
