//! The future of an answer.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::Body;

use super::answer::Answer;
use super::get::Get;
use super::post::Post;
use super::{EngineBody, answer};
use crate::Handler;

/// The future that [`EngineService`](crate::EngineService) returns.
pub struct EngineFuture<H: Handler, B>(pub(super) State<H, B>);

pub(super) enum State<H: Handler, B> {
    Ready(Option<Box<Answer>>),
    Get(Get<H>),
    Post(Post<H, B>),
}

impl<H: Handler, B> From<Answer> for EngineFuture<H, B> {
    fn from(answer: Answer) -> Self {
        EngineFuture(State::Ready(Some(Box::new(answer))))
    }
}

// The body of a POST is boxed; nothing here is pinned in place.
impl<H: Handler, B> Unpin for EngineFuture<H, B> {}

impl<H, B> Future for EngineFuture<H, B>
where
    H: Handler,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<EngineBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Ready(answer) => Poll::Ready(Ok(answer
                .take()
                .map_or_else(|| answer::empty(http::StatusCode::OK), |a| *a))),
            State::Get(get) => get.poll(cx).map(Ok),
            State::Post(post) => post.poll(cx).map(Ok),
        }
    }
}

impl<H: Handler, B> fmt::Debug for EngineFuture<H, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineFuture").finish_non_exhaustive()
    }
}
