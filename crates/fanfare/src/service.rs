//! Mounting the server: as a `tower` service, as a layer, or alone.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use fanfare_engine::{EngineBody, EngineFuture, EngineService, RemoteAddr, Secure, TrustedProxies};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
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
        let engine = io.engine().service().keeping(io.0.clone());
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
    type Future = SocketIoFuture<B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <EngineService<Dispatcher> as Service<Request<B>>>::poll_ready(&mut self.engine, cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let io = &self.io.0;
        if let Some(proxies) = &io.proxies {
            believe(proxies, &mut request);
        }
        if self.engine.matches(request.uri().path()) {
            let answer = match &io.bundles {
                Some(bundles) => bundles.answer(self.engine.engine().config(), &request),
                None => None,
            };
            if let Some(answer) = answer.or_else(|| refusal(&self.io, &request)) {
                return SocketIoFuture(State::Ready(Some(Box::new(answer))));
            }
        }
        SocketIoFuture(State::Engine(self.engine.call(request)))
    }
}

/// Replaces the address of a proxy by the one that it speaks for.
fn believe<B>(proxies: &TrustedProxies, request: &mut Request<B>) {
    let Some(&RemoteAddr(peer)) = request.extensions().get() else {
        return;
    };
    let (client, secure) = proxies.client(peer, request.headers());
    request.extensions_mut().insert(RemoteAddr(client));
    if let Some(secure) = secure {
        request.extensions_mut().insert(Secure(secure));
    }
}

/// The answer to a handshake that is not let in.
fn refusal<B>(io: &SocketIo, request: &Request<B>) -> Option<Response<EngineBody>> {
    if !EngineService::<Dispatcher>::is_handshake(request) {
        return None;
    }
    let address = request.extensions().get::<RemoteAddr>().map(|a| a.0.ip());
    let cause = if !io.is_ready() {
        "draining"
    } else if io.clients_count() >= io.0.limits.max_connections {
        "connections"
    } else {
        io.0.door.ask(address, Instant::now()).err()?
    };
    io.0.stats.refused(cause);
    tracing::debug!(
        address = address.map(tracing::field::display),
        cause,
        "handshake refused"
    );
    let text = match cause {
        "draining" => "the server is going away",
        _ => "too many connections",
    };
    let mut response = Response::new(EngineBody::new(text));
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    let after = io.0.door.retry_after;
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    Some(response)
}

/// The answer of a [`SocketIoService`].
pub struct SocketIoFuture<B>(State<B>);

enum State<B> {
    Engine(EngineFuture<Dispatcher, B>),
    Ready(Option<Box<Response<EngineBody>>>),
}

// The future of the engine needs no pinning.
impl<B> Unpin for SocketIoFuture<B> {}

impl<B> Future for SocketIoFuture<B>
where
    B: Body<Data = Bytes> + Send + 'static,
{
    type Output = Result<Response<EngineBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            State::Engine(future) => Pin::new(future).poll(cx),
            State::Ready(answer) => Poll::Ready(Ok(*answer.take().unwrap_or_default())),
        }
    }
}

impl<B> fmt::Debug for SocketIoFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketIoFuture").finish_non_exhaustive()
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
