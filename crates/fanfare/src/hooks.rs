//! Hooks of the application for requests and connections, below the namespaces.

use std::fmt;
use std::future::Future;

use fanfare_engine::HandshakeRequest;
use fanfare_engine::hooks::{AllowFuture, ConnectionError, GenerateIdFuture};
use http::HeaderMap;

use crate::engine::{EngineConnection, EngineConnectionEvent};
use crate::stats::ServerStats;

type AllowRequest = dyn Fn(&HandshakeRequest) -> AllowFuture + Send + Sync;
type GenerateId = dyn Fn(&HandshakeRequest) -> GenerateIdFuture + Send + Sync;
type Headers = dyn Fn(&mut HeaderMap, &HandshakeRequest) + Send + Sync;
type OnConnectionError = dyn Fn(&ConnectionError<'_>) + Send + Sync;
type OnConnEvent = dyn Fn(&EngineConnection, EngineConnectionEvent<'_>) + Send + Sync;

/// Functions that were given to the builder.
#[derive(Default)]
pub(crate) struct Hooks {
    allow_request: Option<Box<AllowRequest>>,
    generate_id: Option<Box<GenerateId>>,
    initial_headers: Option<Box<Headers>>,
    headers: Option<Box<Headers>>,
    connection_error: Option<Box<OnConnectionError>>,
    conn_event: Option<Box<OnConnEvent>>,
}

impl Hooks {
    pub(crate) fn set_allow_request<F, Fut, E>(&mut self, decide: F)
    where
        F: Fn(HandshakeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<String>,
    {
        self.allow_request = Some(Box::new(move |request| {
            let decision = decide(request.clone());
            Box::pin(async move { decision.await.map_err(Into::into) })
        }));
    }

    pub(crate) fn set_generate_id<F, Fut, E>(&mut self, generate: F)
    where
        F: Fn(HandshakeRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, E>> + Send + 'static,
        E: fmt::Display,
    {
        self.generate_id = Some(Box::new(move |request| {
            let id = generate(request.clone());
            Box::pin(async move { id.await.map_err(|error| error.to_string()) })
        }));
    }

    pub(crate) fn has_generate_id(&self) -> bool {
        self.generate_id.is_some()
    }

    pub(crate) fn set_initial_headers(
        &mut self,
        hook: impl Fn(&mut HeaderMap, &HandshakeRequest) + Send + Sync + 'static,
    ) {
        self.initial_headers = Some(Box::new(hook));
    }

    pub(crate) fn set_headers(
        &mut self,
        hook: impl Fn(&mut HeaderMap, &HandshakeRequest) + Send + Sync + 'static,
    ) {
        self.headers = Some(Box::new(hook));
    }

    pub(crate) fn set_connection_error(
        &mut self,
        hook: impl Fn(&ConnectionError<'_>) + Send + Sync + 'static,
    ) {
        self.connection_error = Some(Box::new(hook));
    }

    pub(crate) fn set_conn_event(
        &mut self,
        hook: impl Fn(&EngineConnection, EngineConnectionEvent<'_>) + Send + Sync + 'static,
    ) {
        self.conn_event = Some(Box::new(hook));
    }

    pub(crate) fn allow_request(&self, request: &HandshakeRequest) -> Option<AllowFuture> {
        self.allow_request.as_ref().map(|decide| decide(request))
    }

    pub(crate) fn generate_id(&self, request: &HandshakeRequest) -> Option<GenerateIdFuture> {
        self.generate_id.as_ref().map(|generate| generate(request))
    }

    /// Whether [`headers`](Self::headers) may add something.
    pub(crate) fn adds_headers(&self, initial: bool) -> bool {
        self.headers.is_some() || (initial && self.initial_headers.is_some())
    }

    /// Calls the hooks for response headers; returns `false` if one of them has panicked.
    pub(crate) fn headers(
        &self,
        stats: &ServerStats,
        headers: &mut HeaderMap,
        request: &HandshakeRequest,
        initial: bool,
    ) -> bool {
        let mut made = true;
        if let (true, Some(hook)) = (initial, &self.initial_headers) {
            made &= stats
                .contain("initial_headers", || hook(headers, request))
                .is_some();
        }
        if let (true, Some(hook)) = (made, &self.headers) {
            made &= stats
                .contain("headers", || hook(headers, request))
                .is_some();
        }
        made
    }

    pub(crate) fn connection_error(&self, error: &ConnectionError<'_>) {
        if let Some(hook) = &self.connection_error {
            hook(error);
        }
    }

    /// Whether the application listens to the events of connections.
    #[inline]
    pub(crate) fn watches_conns(&self) -> bool {
        self.conn_event.is_some()
    }

    #[cold]
    pub(crate) fn conn_event(&self, conn: &EngineConnection, event: EngineConnectionEvent<'_>) {
        if let Some(hook) = &self.conn_event {
            hook(conn, event);
        }
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}
