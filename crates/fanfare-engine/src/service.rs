//! The tower service.

use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};

use crate::{Engine, Handler};

/// The body of an answer: nothing, or one piece.
#[derive(Debug, Default)]
pub struct EngineBody(Option<Bytes>);

impl EngineBody {
    /// A body of these bytes.
    pub fn new(data: impl Into<Bytes>) -> EngineBody {
        let data = data.into();
        EngineBody((!data.is_empty()).then_some(data))
    }
}

impl Body for EngineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// Answers Engine.IO requests: a [`tower_service::Service`].
pub struct EngineService<H: Handler> {
    engine: Arc<Engine<H>>,
}

impl<H: Handler> EngineService<H> {
    pub(crate) fn new(engine: Arc<Engine<H>>) -> Self {
        EngineService { engine }
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Arc<Engine<H>> {
        &self.engine
    }
}

impl<H: Handler> Clone for EngineService<H> {
    fn clone(&self) -> Self {
        EngineService {
            engine: self.engine.clone(),
        }
    }
}

impl<H: Handler> std::fmt::Debug for EngineService<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineService").finish_non_exhaustive()
    }
}

impl<H, B> tower_service::Service<Request<B>> for EngineService<H>
where
    H: Handler,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<EngineBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<EngineBody>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        std::future::ready(Ok(Response::new(EngineBody::default())))
    }
}
