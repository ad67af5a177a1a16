//! Relay of requests whose session lives on another server: the interface between the engine and the relay.

mod body;
mod stream;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};

pub use crate::sid::SESSION_ID_BYTES;
pub use body::{RelayBody, RelayBodyError};
pub use stream::{RelayStream, RelayUpgrade};

/// Future of the response of another server. `None`: the session is unknown there, or the server is gone.
pub type RelayFuture = Pin<Box<dyn Future<Output = Option<Response<Bytes>>> + Send>>;

/// Sends the requests of a session to the server that it lives on, so that any server behind a load balancer may get
/// any request. See [`EngineConfig::relay`](crate::config::EngineConfig::relay); the crate `fanfare-relay` has an
/// implementation.
///
/// The engine asks only about requests with an id that none of its own sessions has. A panic is contained: the request
/// is answered as one of an unknown session.
pub trait SessionRelay: fmt::Debug + Send + Sync + 'static {
    /// Makes the id of a new session of this server out of random bytes.
    ///
    /// From the id, [`is_elsewhere`](Self::is_elsewhere) of the other servers must be able to tell the server; clients
    /// should not. The id is a secret of the client: at least 80 of the 120 random bits must remain in it.
    fn session_id(&self, random: [u8; SESSION_ID_BYTES]) -> [u8; SESSION_ID_BYTES];

    /// Whether a session that this server does not know may be on another. `sid` is what a client sent; it may be
    /// forged. Called for each such request, so it must be quick.
    fn is_elsewhere(&self, sid: &str, headers: &HeaderMap) -> bool;

    /// Sends a request to the server of its session.
    ///
    /// For a WebSocket there is an `upgrade`: after a response with status 101 it gives the stream to the client.
    fn relay(
        &self,
        sid: &str,
        request: Request<RelayBody>,
        upgrade: Option<RelayUpgrade>,
    ) -> RelayFuture;
}
