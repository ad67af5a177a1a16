//! Future of a response.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

use super::get::Get;
use super::pending_handshake::PendingHandshake;
use super::post::Post;
use super::relayed::Relayed;
use super::{EngineBody, Upgrade, answer};
use crate::handler::Handler;
use crate::http_server::Replies;
use crate::reply::{Answer, Reply};

/// The future that [`EngineService`](crate::service::EngineService) returns.
pub struct EngineFuture<H: Handler, B> {
    pub(super) state: State<H, B>,
    /// CORS headers of the response.
    pub(super) cors: Option<Box<HeaderMap>>,
    /// Kind of upgrade, if the request asks for a WebSocket.
    pub(super) upgrade: Option<Upgrade>,
}

pub(super) enum State<H: Handler, B> {
    Ready(Option<Box<Answer>>),
    Get(Get<H>),
    Post(Post<H, B>),
    Gate(Box<PendingHandshake<H, B>>),
    Relayed(Box<Relayed<H>>),
}

impl<H: Handler, B> From<State<H, B>> for EngineFuture<H, B> {
    fn from(state: State<H, B>) -> Self {
        EngineFuture {
            state,
            cors: None,
            upgrade: None,
        }
    }
}

impl<H: Handler, B> From<Answer> for EngineFuture<H, B> {
    fn from(answer: Answer) -> Self {
        State::Ready(Some(Box::new(answer))).into()
    }
}

// The body of a POST is boxed; nothing here is pinned in place.
impl<H: Handler, B> Unpin for EngineFuture<H, B> {}

impl<H, B> Future for EngineFuture<H, B>
where
    H: Handler,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Output = Result<Response<EngineBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_reply(cx).map(|reply| Ok(reply.into()))
    }
}

impl<H, B> Replies for EngineFuture<H, B>
where
    H: Handler,
    B: Body<Data = Bytes> + Send + 'static,
{
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        let reply = loop {
            break match &mut self.state {
                State::Ready(answer) => Reply::Whole(
                    answer
                        .take()
                        .map_or_else(|| answer::empty(StatusCode::OK), |a| *a),
                ),
                State::Get(get) => ready!(get.poll(cx)),
                State::Post(post) => ready!(post.poll(cx)),
                State::Relayed(relayed) => {
                    let (answer, is_whole) = ready!(relayed.poll(cx));
                    if is_whole {
                        self.cors = None;
                    }
                    Reply::Whole(answer)
                }
                State::Gate(gate) => {
                    self.state = ready!(gate.poll(cx));
                    continue;
                }
            };
        };
        let Some(cors) = self.cors.take() else {
            return Poll::Ready(reply);
        };
        let mut answer = Answer::from(reply);
        // As in Node, the rejection of an upgrade has no CORS headers.
        let rejected = match self.upgrade {
            None => false,
            Some(Upgrade::Header) => answer.status() != StatusCode::SWITCHING_PROTOCOLS,
            Some(Upgrade::Connect) => !answer.status().is_success(),
        };
        if !rejected {
            crate::http_options::add(answer.headers_mut(), *cors);
        }
        Poll::Ready(Reply::Whole(answer))
    }
}

impl<H: Handler, B> fmt::Debug for EngineFuture<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFuture").finish_non_exhaustive()
    }
}
