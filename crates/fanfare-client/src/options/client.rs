//! Connection and socket in one.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use serde::Serialize;

use super::manager::{ManagerOptions, manager_options};
use super::socket::{SocketOptions, auth_callback, auth_json, socket_options};
use super::transport::{TransportOptions, transport_options};
use crate::core::AuthSource;
use crate::error::{BuildError, StartError};
use crate::handler::{Handler, OnConnect, OnConnectError, OnDisconnect, OnEvent, erase};
use crate::io::connector::PerMessageDeflate;
use crate::io::tls::Tls;
use crate::protocol::{BufferLimits, BufferPolicy, Parser, Transport};
use crate::queue::Bounds;
use crate::socket::Socket;

/// Collects all options of a connection and its socket: what [`connect`](crate::connect) returns.
///
/// Await it for a connected socket, or [`build`](Self::build) it to connect later.
#[derive(Debug)]
#[must_use = "nothing happens before `build` or `.await`"]
pub struct ClientBuilder {
    pub(crate) manager: ManagerOptions,
    pub(crate) socket: SocketOptions,
    pub(crate) namespace: Option<String>,
}

impl ClientBuilder {
    pub(crate) fn new(url: &str) -> Self {
        Self {
            manager: ManagerOptions::new(url),
            socket: SocketOptions::default(),
            namespace: None,
        }
    }

    /// The namespace, instead of the URL's path.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    transport_options!();
    manager_options!();
    socket_options!();

    /// The socket, not connected: call [`Socket::connect`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option makes no sense.
    pub fn build(self) -> Result<Socket, BuildError> {
        let (manager, namespace) = self.manager.build()?;
        Socket::new(
            &manager,
            self.namespace.as_deref().unwrap_or(&namespace),
            self.socket,
        )
    }
}

impl IntoFuture for ClientBuilder {
    type Output = Result<Socket, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let fail_fast = self.socket.fail_fast;
            let socket = self.build()?;
            socket.start(fail_fast).await?;
            Ok(socket)
        })
    }
}
