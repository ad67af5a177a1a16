//! One connection: reads requests, has them answered, writes the answers.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http::{Extensions, Request, Response, StatusCode};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::Sleep;
use tower_service::Service;

use super::body::BodyFeed;
use super::request::{self, Parsed};
use super::seats::{Call, Seat};
use super::stream::poll_stalled;
use super::{HttpStream, Raw, ServeBody, Served, Shared, fallback, response};
use crate::scratch::{SCRATCH, with_scratch};
use crate::{EngineBody, HttpRefusal, RemoteAddr, Secure};

/// So much is read ahead while a request is being answered; the rest waits with the kernel.
const READ_AHEAD: usize = 16 * 1024;
/// Of the body of a request that was answered before all of it came, so much is read and thrown away, so that the
/// connection can go on.
const DISCARDED: usize = 64 * 1024;
/// Bodies of up to this many bytes are copied behind their head; bigger ones are a second piece of the same write.
const COPIED: usize = 4096;

/// A connection that has left HTTP.
pub(crate) struct Taken {
    pub(crate) stream: TcpStream,
    /// What came right behind the request.
    pub(crate) early: Bytes,
    /// The answer 101, still to be written.
    pub(crate) head: Vec<u8>,
}

type TakeOver = Box<dyn FnOnce(Taken) + Send>;

/// In the extensions of a request that asks for another protocol: who has the connection once the answer is 101.
#[derive(Clone, Default)]
pub(crate) struct Takeover(Arc<Mutex<Option<TakeOver>>>);

impl Takeover {
    pub(crate) fn set(&self, take_over: impl FnOnce(Taken) + Send + 'static) {
        *self.0.lock() = Some(Box::new(take_over));
    }
}

impl fmt::Debug for Takeover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Takeover")
    }
}

/// Tells the service whom a request is from.
pub(super) fn identify(extensions: &mut Extensions, address: Option<SocketAddr>, secure: bool) {
    if let Some(address) = address {
        extensions.insert(RemoteAddr(address));
    }
    if secure {
        extensions.insert(Secure(true));
    }
}

/// The future of one connection. While it waits it holds no buffer.
pub(super) struct Connection<S: Service<Request<ServeBody>>> {
    shared: Arc<Shared>,
    service: S,
    address: Option<SocketAddr>,
    state: State<S::Future>,
    /// Gone when the connection has been handed on.
    wire: Option<Wire>,
}

struct Wire {
    stream: TcpStream,
    /// What was read and not handled yet.
    rest: Vec<u8>,
    /// `rest` is the beginning of a head, and no more than that.
    incomplete: bool,
    /// So much of what comes next is the rest of a body that nobody wants.
    discard: usize,
    /// There has been a request.
    asked: bool,
    seat: Seat,
    /// Until when the next head has to be here.
    deadline: Option<Instant>,
    /// Set to some moment before the deadline: moving it for each request would cost more than waking too early once
    /// in a while.
    timer: Option<Pin<Box<Sleep>>>,
}

enum State<F> {
    Reading,
    Answering {
        answer: F,
        /// The rest of the body goes there.
        feed: Option<BodyFeed>,
        close: bool,
        takeover: Option<Takeover>,
    },
    Writing {
        head: Bytes,
        body: Bytes,
        close: bool,
        /// Runs while the client takes nothing.
        stalled: Option<Pin<Box<Sleep>>>,
    },
    Hyper(Pin<Box<dyn Future<Output = ()> + Send>>),
    Over,
}

impl<S: Served> Connection<S> {
    pub(super) fn new(
        shared: Arc<Shared>,
        service: S,
        stream: Raw,
        address: Option<SocketAddr>,
    ) -> Self {
        let seat = Seat::new(&shared.seats);
        let stream = match stream {
            Raw::Tcp(stream) => stream,
            // It has nothing to gain from what is done here for sockets.
            stream => {
                let patience = shared.options.write_timeout;
                let stream = HttpStream::new(Bytes::new(), stream, patience);
                let serving =
                    fallback::serve(shared.clone(), service.clone(), stream, address, seat);
                return Connection {
                    shared,
                    service,
                    address,
                    state: State::Hyper(Box::pin(serving)),
                    wire: None,
                };
            }
        };
        // Small packets must not wait for the acknowledgement of others. (Where this fails, so will reading.)
        let _ = stream.set_nodelay(true);
        Connection {
            shared,
            service,
            address,
            state: State::Reading,
            wire: Some(Wire {
                stream,
                rest: Vec::new(),
                incomplete: false,
                discard: 0,
                asked: false,
                seat,
                deadline: None,
                timer: None,
            }),
        }
    }

    pub(super) fn header_timeout(&self) -> Duration {
        self.shared.options.header_timeout
    }

    /// For what comes before the first request.
    pub(super) fn peer(&mut self) -> Option<(&mut TcpStream, &mut Option<SocketAddr>, &mut Seat)> {
        let wire = self.wire.as_mut()?;
        Some((&mut wire.stream, &mut self.address, &mut wire.seat))
    }

    pub(super) fn refused(&self, refusal: HttpRefusal) {
        self.shared.refused(self.address, refusal);
    }

    /// Reads until there is a request, or something that is none.
    fn poll_reading(&mut self, cx: &mut Context<'_>) -> Poll<State<S::Future>> {
        let Some(wire) = &mut self.wire else {
            return Poll::Ready(State::Over);
        };
        match wire.seat.called(cx) {
            Some(Call::Cut) => return Poll::Ready(self.cut()),
            Some(Call::Stop) if wire.rest.is_empty() => return Poll::Ready(State::Over),
            _ => {}
        }
        if !wire.rest.is_empty() && !wire.incomplete {
            let input = std::mem::take(&mut wire.rest);
            if let Some(next) = self.look(&input) {
                return Poll::Ready(next);
            }
        }
        loop {
            let read = with_scratch(|scratch| {
                let Some(wire) = &mut self.wire else {
                    return Poll::Ready(Some(State::Over));
                };
                let kept = wire.rest.len();
                let mut buf = ReadBuf::new(&mut scratch[kept..]);
                let read = Pin::new(&mut wire.stream).poll_read(cx, &mut buf);
                let n = buf.filled().len();
                match read {
                    Poll::Pending => Poll::Pending,
                    Poll::Ready(Ok(())) if n > 0 && wire.discard > 0 => {
                        let unwanted = n.min(wire.discard);
                        wire.discard -= unwanted;
                        if unwanted == n {
                            return Poll::Ready(None);
                        }
                        Poll::Ready(self.look(&scratch[unwanted..n]))
                    }
                    Poll::Ready(Ok(())) if n > 0 => {
                        scratch[..kept].copy_from_slice(&wire.rest);
                        if wire.incomplete && !scratch[kept..kept + n].contains(&b'\n') {
                            // No line has ended, so no head has.
                            wire.rest.extend_from_slice(&scratch[kept..kept + n]);
                            return Poll::Ready(self.too_long());
                        }
                        Poll::Ready(self.look(&scratch[..kept + n]))
                    }
                    Poll::Ready(_) => Poll::Ready(Some(State::Over)),
                }
            });
            match read {
                Poll::Ready(Some(next)) => return Poll::Ready(next),
                Poll::Ready(None) => {}
                Poll::Pending => {
                    let timeout = self.header_timeout();
                    let Some(wire) = self.wire.as_mut() else {
                        return Poll::Ready(State::Over);
                    };
                    if !wire.is_late(cx, timeout) {
                        return Poll::Pending;
                    }
                    // Those that have had their requests go in peace.
                    if !wire.asked || wire.incomplete {
                        self.refused(HttpRefusal::HeaderTimeout);
                    }
                    return Poll::Ready(State::Over);
                }
            }
        }
    }

    /// Takes a request off the input and keeps the rest. `None`: more has to come.
    fn look(&mut self, input: &[u8]) -> Option<State<S::Future>> {
        let limit = self.longest_head();
        let wire = self.wire.as_mut()?;
        match request::parse(input, limit) {
            Parsed::Incomplete => {
                wire.rest = input.to_vec();
                wire.incomplete = true;
                self.too_long()
            }
            Parsed::Unusual => {
                wire.rest.clear();
                Some(self.fall_back(Bytes::copy_from_slice(input)))
            }
            Parsed::Request {
                mut request,
                feed,
                consumed,
                close,
                upgrade,
            } => {
                if !wire.seat.occupant().busy() {
                    return Some(self.cut());
                }
                wire.rest = input[consumed..].to_vec();
                wire.incomplete = false;
                wire.asked = true;
                wire.deadline = None;
                let takeover = upgrade.then(Takeover::default);
                let extensions = request.extensions_mut();
                identify(extensions, self.address, self.shared.options.secure);
                if let Some(takeover) = &takeover {
                    extensions.insert(takeover.clone());
                }
                Some(State::Answering {
                    answer: self.service.call(request),
                    feed,
                    close,
                    takeover,
                })
            }
        }
    }

    fn longest_head(&self) -> usize {
        let limit = self.shared.options.max_header_bytes;
        limit.clamp(8 * 1024, SCRATCH / 2)
    }

    /// Too many wait for a request, and this one has waited longest.
    #[cold]
    fn cut(&self) -> State<S::Future> {
        self.refused(HttpRefusal::IdleConnections);
        State::Over
    }

    /// A head that is too long is hyper's business: it says so.
    fn too_long(&mut self) -> Option<State<S::Future>> {
        let limit = self.longest_head();
        let wire = self.wire.as_mut()?;
        if wire.rest.len() <= limit {
            return None;
        }
        let input = std::mem::take(&mut wire.rest);
        Some(self.fall_back(input.into()))
    }

    fn fall_back(&mut self, prefix: Bytes) -> State<S::Future> {
        let Some(wire) = self.wire.take() else {
            return State::Over;
        };
        State::Hyper(Box::pin(fallback::serve(
            self.shared.clone(),
            self.service.clone(),
            HttpStream::new(
                prefix,
                Raw::Tcp(wire.stream),
                self.shared.options.write_timeout,
            ),
            self.address,
            wire.seat,
        )))
    }

    /// Writes an answer as far as it goes at once.
    fn write(
        &mut self,
        answer: Response<EngineBody>,
        mut close: bool,
        takeover: Option<Takeover>,
        cx: &Context<'_>,
    ) -> State<S::Future> {
        thread_local! {
            static OUT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
        }
        let Some(wire) = &mut self.wire else {
            return State::Over;
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let mut head = Vec::with_capacity(320);
            response::write_head(&mut head, answer, &mut close);
            if let Some(take_over) = takeover.and_then(|takeover| takeover.0.lock().take())
                && let Some(wire) = self.wire.take()
            {
                take_over(Taken {
                    stream: wire.stream,
                    early: wire.rest.into(),
                    head,
                });
            }
            return State::Over;
        }
        close |= wire.seat.called(cx).is_some();
        OUT.with_borrow_mut(|out| {
            out.clear();
            let mut body = response::write_head(out, answer, &mut close);
            let written = if body.len() <= COPIED {
                out.extend_from_slice(&body);
                body = Bytes::new();
                wire.stream.try_write(out)
            } else {
                wire.stream
                    .try_write_vectored(&[IoSlice::new(out), IoSlice::new(&body)])
            };
            let written = match written {
                Ok(written) => written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(_) => return State::Over,
            };
            if written == out.len() + body.len() {
                return wire.next(close);
            }
            let head = Bytes::copy_from_slice(&out[written.min(out.len())..]);
            body.advance(written.saturating_sub(out.len()));
            State::Writing {
                head,
                body,
                close,
                stalled: None,
            }
        })
    }
}

impl Wire {
    /// What comes after an answer.
    fn next<F>(&self, close: bool) -> State<F> {
        if close {
            return State::Over;
        }
        self.seat.occupant().idle();
        State::Reading
    }

    /// Whether the head of a request is overdue.
    fn is_late(&mut self, cx: &mut Context<'_>, timeout: Duration) -> bool {
        let deadline = *self
            .deadline
            .get_or_insert_with(|| Instant::now() + timeout);
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())));
        while timer.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            timer.as_mut().reset(deadline.into());
        }
        false
    }

    /// Reads more of a body. `false`: the client is gone.
    fn poll_feed(&mut self, feed: &BodyFeed, cx: &mut Context<'_>) -> Poll<bool> {
        let room = ready!(feed.poll_room(cx));
        with_scratch(|scratch| {
            let mut buf = ReadBuf::new(&mut scratch[..room]);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf));
            let came = read.is_ok() && !buf.filled().is_empty();
            if came {
                feed.push(buf.filled(), cx);
            }
            Poll::Ready(came)
        })
    }

    /// Reads ahead while an answer is being made. Ready: the client is gone.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.rest.len() < READ_AHEAD {
            let mut chunk = [0; 1024];
            let mut buf = ReadBuf::new(&mut chunk);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.rest.extend_from_slice(buf.filled()),
                _ => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        head: &mut Bytes,
        body: &mut Bytes,
    ) -> Poll<io::Result<()>> {
        while head.has_remaining() || body.has_remaining() {
            let slices = [IoSlice::new(head), IoSlice::new(body)];
            let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, &slices))?;
            let of_head = written.min(head.len());
            head.advance(of_head);
            body.advance(written - of_head);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: Served> Future for Connection<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let next = match &mut this.state {
                State::Reading => ready!(this.poll_reading(cx)),
                State::Answering {
                    answer,
                    feed,
                    close,
                    takeover,
                } => match Pin::new(answer).poll(cx) {
                    Poll::Ready(Ok(answer)) => {
                        let (mut close, takeover) = (*close, takeover.take());
                        if let (Some(feed), Some(wire)) = (feed, &mut this.wire) {
                            wire.discard = feed.missing();
                            close |= wire.discard > DISCARDED;
                        }
                        // What answered is done with before the answer is on its way.
                        this.state = State::Over;
                        this.write(answer, close, takeover, cx)
                    }
                    Poll::Ready(Err(never)) => match never {},
                    Poll::Pending => {
                        if let Some(wire) = &mut this.wire {
                            match feed {
                                Some(feed) if feed.missing() > 0 => {
                                    if ready!(wire.poll_feed(feed, cx)) {
                                        continue;
                                    }
                                }
                                _ => ready!(wire.poll_gone(cx)),
                            }
                        }
                        State::Over
                    }
                },
                State::Writing {
                    head,
                    body,
                    close,
                    stalled,
                } => {
                    let Some(wire) = &mut this.wire else {
                        return Poll::Ready(());
                    };
                    let left = head.len() + body.len();
                    match wire.poll_write(cx, head, body) {
                        Poll::Ready(Ok(())) => wire.next(*close),
                        Poll::Ready(_) => State::Over,
                        Poll::Pending => {
                            if head.len() + body.len() < left {
                                *stalled = None;
                            }
                            let patience = this.shared.options.write_timeout;
                            ready!(poll_stalled(stalled, Some(&wire.stream), patience, cx));
                            this.refused(HttpRefusal::WriteTimeout);
                            State::Over
                        }
                    }
                }
                State::Hyper(serving) => return serving.as_mut().poll(cx),
                State::Over => return Poll::Ready(()),
            };
            this.state = next;
        }
    }
}
