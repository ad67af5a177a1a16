//! Servers that can be served, and the services that answer their requests.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, pending, ready};
use std::sync::Arc;

use http::{Request, Response};
use tower_service::Service;

use super::ServeBody;
use super::options::IdleConnections;
use super::sessions::{Direct, Sessions};
use crate::rejection::HttpRejection;
use crate::reply::EngineBody;

/// A service that answers the requests of [`Serve`](super::Serve). Implemented for every service that meets the bounds.
pub trait HttpService:
    Service<
        Request<ServeBody>,
        Response = Response<EngineBody>,
        Error = Infallible,
        Future: Send + Unpin,
    > + Clone
    + Send
    + Unpin
    + 'static
{
}

impl<S> HttpService for S
where
    S: Service<Request<ServeBody>, Response = Response<EngineBody>, Error = Infallible>
        + Clone
        + Send
        + Unpin
        + 'static,
    S::Future: Send + Unpin,
{
}

/// A server for [`Serve`](super::Serve): provides the service, signals when it closes, and receives reports of
/// rejections.
///
/// All services implement it, as servers that never close. [`EngineServer`](crate::service::EngineServer) is an engine without layers around it.
pub trait Served: Clone + Send + Sync + 'static {
    /// Service that answers requests.
    type Service: HttpService;

    /// Returns the service.
    fn service(&self) -> Self::Service;

    /// Waits until the server is closed. Then no more connections are accepted, and those without a request in progress
    /// end. WebSockets do not: the engine has to close them. Default: never.
    fn closed(&self) -> impl Future<Output = ()> + Send {
        pending()
    }

    /// Waits, after the last connection, for work that has to be done before [`Serve`](super::Serve) returns. Default:
    /// none.
    fn ended(&self) -> impl Future<Output = ()> + Send {
        ready(())
    }

    /// Returns the group in which connections that wait for a request are counted. Default: one for each
    /// [`serve`](crate::serve()) and its clones.
    fn connections(&self) -> IdleConnections {
        IdleConnections::default()
    }

    /// Returns the sessions whose requests over HTTP/1 are passed to their engine at once, without an `http::Request`
    /// being made of them: they take a third fewer instructions. The service gets all other requests: handshakes,
    /// upgrades, what is rejected, and HTTP/2. Default: none.
    ///
    /// This is for services that would pass these requests to the same engine unchanged. A layer that logs or alters
    /// each request does not see them.
    fn sessions(&self) -> Option<OpenSessions> {
        None
    }

    /// Reports that a connection was closed, or a request rejected, because of the options. Must not block.
    fn rejected(&self, rejection: HttpRejection) {
        let _ = rejection;
    }
}

impl<S: HttpService + Sync> Served for S {
    type Service = S;

    fn service(&self) -> S {
        self.clone()
    }
}

/// Open sessions of an engine, whose requests it answers without its service.
#[derive(Clone)]
pub struct OpenSessions(Arc<dyn Sessions>);

impl OpenSessions {
    pub(crate) fn new(sessions: Arc<dyn Sessions>) -> Self {
        Self(sessions)
    }

    pub(super) fn direct(sessions: Option<Self>) -> Direct {
        Direct(sessions.map(|OpenSessions(sessions)| sessions))
    }
}

impl fmt::Debug for OpenSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenSessions").finish_non_exhaustive()
    }
}
