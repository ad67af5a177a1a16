//! The server as a `tower` service or layer, to mount it in axum, hyper and anything made of services.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_engine::EngineService;
pub use fanfare_engine::http::EngineBody;
use fanfare_engine::http::EngineFuture;
use fanfare_engine::proxy::{Peer, Secure, TrustedProxies};
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use tower_layer::Layer;
use tower_service::Service;

use crate::client::Dispatcher;
use crate::clock;
use crate::limits::PER_ADDRESS;
use crate::log_target;
use crate::server::SocketIo;

/// Ways to mount the server.
impl SocketIo {
    /// Returns the server as a [`tower_service::Service`] for hyper, axum and other frameworks made of such services.
    ///
    /// ```no_run
    /// # async fn f(io: fanfare::SocketIo) -> std::io::Result<()> {
    /// let app = axum::Router::new().fallback_service(io.service());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app).await
    /// # }
    /// ```
    pub fn service(&self) -> SocketIoService {
        SocketIoService::new(self.clone())
    }

    /// Returns the server as a [`tower_layer::Layer`]: it answers requests under its path, and passes all others to the
    /// inner service.
    pub fn layer(&self) -> SocketIoLayer {
        SocketIoLayer::new(self.clone())
    }
}

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

    /// Returns the server.
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
        if let Some(peer_of) = &io.peer_of
            && let Some(peer) = io
                .contain("peer", || peer_of(request.extensions()))
                .flatten()
        {
            peer.insert(request.extensions_mut());
        }
        if let Some(proxies) = &io.proxies {
            believe(proxies, &mut request);
        }
        if self.engine.matches(request.uri().path()) {
            let answer = match &io.client_files {
                Some(client_files) => {
                    let config = self.engine.engine().config();
                    // The application's function that decides on the origin may panic.
                    io.contain("cors", || client_files.answer(config, &request))
                        .unwrap_or_else(|| Some(internal_error()))
                }
                None => None,
            };
            if let Some(answer) = answer {
                return SocketIoFuture(State::Ready(Some(Box::new(answer))));
            }
            if let Err((cause, address)) = admit(&self.io, &request) {
                let waiting = match cause {
                    PER_ADDRESS => io.admission.wait(address),
                    _ => None,
                };
                let Some(waiting) = waiting else {
                    let answer = rejection(&self.io, cause, address);
                    return SocketIoFuture(State::Ready(Some(Box::new(answer))));
                };
                let io = self.io.clone();
                let asking = async move {
                    let answer = waiting.ask(&io.0.admission).await;
                    answer.map_err(|cause| Box::new(rejection(&io, cause, address)))
                };
                return SocketIoFuture(State::Waiting(Box::new(Late {
                    asking: Box::pin(asking),
                    engine: self.engine.clone(),
                    request: Some(request),
                })));
            }
        }
        SocketIoFuture(State::Engine(self.engine.call(request)))
    }
}

/// Replaces the address of a trusted proxy by the client's address that the proxy provides.
fn believe<B>(proxies: &TrustedProxies, request: &mut Request<B>) {
    let Some(peer) = Peer::of(request.extensions()) else {
        return;
    };
    let (client, secure) = proxies.client_of(peer, request.headers());
    if let Some(client) = client {
        client.insert(request.extensions_mut());
    }
    if let Some(secure) = secure {
        request.extensions_mut().insert(Secure(secure));
    }
}

fn internal_error() -> Response<EngineBody> {
    let mut response = Response::new(EngineBody::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

/// Logs once that an option needs the address of the peer, and it is not known.
#[cold]
fn warn_missing_address_once(io: &SocketIo) {
    if io.0.without_address.swap(true, Ordering::Relaxed) {
        return;
    }
    let option = match io.0.proxies {
        Some(_) => "trusted_proxies",
        None => "connections_per_address",
    };
    tracing::error!(
        target: log_target::CONNECTION,
        option,
        "this has no effect: the HTTP server does not tell the address of the peer. With axum use \
        `into_make_service_with_connect_info::<SocketAddr>()` and `SocketIoBuilder::peer`, by a Unix socket \
        `.peer(|_| Some(Peer::Unix))`; elsewhere insert a `RemoteAddr` into the extensions of each request"
    );
}

/// Checks whether a request is admitted, as all are that open no connection; the error is the cause and the address.
fn admit<B>(io: &SocketIo, request: &Request<B>) -> Result<(), (&'static str, Option<IpAddr>)> {
    if !EngineService::<Dispatcher>::is_handshake(request) {
        return Ok(());
    }
    let peer = Peer::of(request.extensions());
    let address = peer.and_then(Peer::address).map(|address| address.ip());
    if (peer.is_none() && io.0.proxies.is_some())
        || (address.is_none() && io.0.admission.counts_addresses())
    {
        warn_missing_address_once(io);
    }
    let admitted = if !io.is_ready() {
        Err("draining")
    } else if io.clients_count() >= io.0.limits.max_connections {
        Err("connections")
    } else {
        io.0.admission.ask(address, clock::now())
    };
    admitted.map_err(|cause| (cause, address))
}

/// Returns the response to a handshake that is rejected.
fn rejection(io: &SocketIo, cause: &'static str, address: Option<IpAddr>) -> Response<EngineBody> {
    io.0.stats.rejected(cause);
    tracing::debug!(
        target: log_target::CONNECTION,
        address = address.map(tracing::field::display),
        cause,
        "handshake rejected"
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
    let after = io.0.admission.retry_after;
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// Future of a [`SocketIoService`].
pub struct SocketIoFuture<B>(State<B>);

enum State<B> {
    Engine(EngineFuture<Dispatcher, B>),
    Waiting(Box<Late<B>>),
    Ready(Option<Box<Response<EngineBody>>>),
}

/// Result of waiting for admission; the error is the response to a rejected handshake.
type Admitted = Result<(), Box<Response<EngineBody>>>;

/// A handshake that waits to be admitted or rejected.
struct Late<B> {
    asking: Pin<Box<dyn Future<Output = Admitted> + Send>>,
    engine: EngineService<Dispatcher>,
    request: Option<Request<B>>,
}

// The future of the engine needs no pinning.
impl<B> Unpin for SocketIoFuture<B> {}

impl<B> Future for SocketIoFuture<B>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Output = Result<Response<EngineBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match &mut self.0 {
                State::Engine(future) => return Pin::new(future).poll(cx),
                State::Ready(answer) => {
                    return Poll::Ready(Ok(*answer.take().unwrap_or_default()));
                }
                State::Waiting(late) => {
                    let answer = ready!(late.asking.as_mut().poll(cx));
                    self.0 = match (answer, late.request.take()) {
                        (Ok(()), Some(request)) => State::Engine(late.engine.call(request)),
                        (Ok(()), None) => State::Ready(None),
                        (Err(rejection), _) => State::Ready(Some(rejection)),
                    };
                }
            }
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

/// Body of a response from a service below a [`SocketIoLayer`].
#[derive(Debug)]
pub enum LayeredBody<R> {
    /// Body of a Socket.IO response.
    SocketIo(EngineBody),
    /// Body of a response of the inner service.
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
