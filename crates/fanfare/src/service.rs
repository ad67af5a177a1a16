//! Mounting the server: as a `tower` service, as a layer, or alone.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_engine::{EngineBody, EngineService};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use crate::client::Dispatcher;
use crate::io::SocketIo;

/// The server as a service, see [`SocketIo::service`]. Requests outside its path are answered with 404.
#[derive(Debug, Clone)]
pub struct SocketIoService {
    io: SocketIo,
    engine: EngineService<Dispatcher>,
}

impl SocketIoService {
    pub(crate) fn new(io: SocketIo) -> Self {
        let engine = io.engine().service();
        Self { io, engine }
    }

    /// The server.
    pub fn io(&self) -> &SocketIo {
        &self.io
    }
}

impl<B> Service<Request<B>> for SocketIoService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<EngineBody>;
    type Error = Infallible;
    type Future = <EngineService<Dispatcher> as Service<Request<B>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <EngineService<Dispatcher> as Service<Request<B>>>::poll_ready(&mut self.engine, cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.engine.call(request)
    }
}

/// The server as a layer, see [`SocketIo::layer`].
#[derive(Debug, Clone)]
pub struct SocketIoLayer {
    io: SocketIo,
}

impl SocketIoLayer {
    pub(crate) fn new(io: SocketIo) -> Self {
        Self { io }
    }
}

impl<S> Layer<S> for SocketIoLayer {
    type Service = Layered<S>;

    fn layer(&self, inner: S) -> Layered<S> {
        Layered {
            socket_io: self.io.service(),
            inner,
        }
    }
}

/// A service below a [`SocketIoLayer`].
#[derive(Debug, Clone)]
pub struct Layered<S> {
    socket_io: SocketIoService,
    inner: S,
}

impl<S, B, R> Service<Request<B>> for Layered<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<LayeredBody<R>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.socket_io.engine.matches(request.uri().path()) {
            let answer = self.socket_io.call(request);
            return Box::pin(async move {
                match answer.await {
                    Ok(response) => Ok(response.map(LayeredBody::SocketIo)),
                    Err(never) => match never {},
                }
            });
        }
        let answer = self.inner.call(request);
        Box::pin(async move { Ok(answer.await?.map(LayeredBody::Inner)) })
    }
}

/// The body of an answer from behind a [`SocketIoLayer`].
#[derive(Debug)]
pub enum LayeredBody<R> {
    /// From Socket.IO.
    SocketIo(EngineBody),
    /// From the service inside.
    Inner(R),
}

impl<R: Body<Data = Bytes> + Unpin> Body for LayeredBody<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::SocketIo(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Inner(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::SocketIo(body) => body.is_end_stream(),
            Self::Inner(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::SocketIo(body) => body.size_hint(),
            Self::Inner(body) => body.size_hint(),
        }
    }
}
