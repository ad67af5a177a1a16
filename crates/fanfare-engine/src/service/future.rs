//! The future of an answer.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use http_body::Body;

use super::answer::Answer;
use super::gate::Gate;
use super::get::Get;
use super::post::Post;
use super::{EngineBody, answer};
use crate::Handler;

/// The future that [`EngineService`](crate::EngineService) returns.
pub struct EngineFuture<H: Handler, B> {
    pub(super) state: State<H, B>,
    /// Headers for other origins.
    pub(super) cors: Option<Box<HeaderMap>>,
    /// It is to become a WebSocket.
    pub(super) upgrade: bool,
}

pub(super) enum State<H: Handler, B> {
    Ready(Option<Box<Answer>>),
    Get(Get<H>),
    Post(Post<H, B>),
    Gate(Box<Gate<H, B>>),
}

impl<H: Handler, B> From<State<H, B>> for EngineFuture<H, B> {
    fn from(state: State<H, B>) -> Self {
        EngineFuture {
            state,
            cors: None,
            upgrade: false,
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
        let mut answer = loop {
            break match &mut self.state {
                State::Ready(answer) => answer
                    .take()
                    .map_or_else(|| answer::empty(StatusCode::OK), |a| *a),
                State::Get(get) => ready!(get.poll(cx)),
                State::Post(post) => ready!(post.poll(cx)),
                State::Gate(gate) => {
                    self.state = ready!(gate.poll(cx));
                    continue;
                }
            };
        };
        // As in Node, a refused upgrade has none.
        if let Some(cors) = self.cors.take()
            && (!self.upgrade || answer.status() == StatusCode::SWITCHING_PROTOCOLS)
        {
            crate::http_options::add(answer.headers_mut(), *cors);
        }
        Poll::Ready(Ok(answer))
    }
}

impl<H: Handler, B> fmt::Debug for EngineFuture<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFuture").finish_non_exhaustive()
    }
}
