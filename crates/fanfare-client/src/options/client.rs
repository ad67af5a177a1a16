//! Builder of a connection and its socket.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use fanfare_core::{EventError, Handler, IntoAck, IntoOutcome};
use fanfare_protocol::engine::Protocol;
use serde::Serialize;

use super::manager::{ManagerOptions, manager_options};
use super::socket::socket_options;
use super::transport::{TransportOptions, check_namespace, transport_options};
use crate::Transport;
use crate::core::AuthSource;
use crate::error::{BuildError, StartError};
use crate::io::connector::PerMessageDeflate;
use crate::io::tls::Tls;
use crate::protocol::{BufferLimits, BufferPolicy, Parser};
use crate::queue::Bounds;
use crate::socket::erased::{erase, erase_event};
use crate::socket::kinds::{OnConnect, OnConnectError, OnDisconnect, OnEvent};
use crate::socket::{Socket, SocketOptions};

/// Builder of a connection and its socket, returned by [`connect`](crate::connect).
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

    /// Sets the namespace, overriding the URL's path.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    transport_options!();
    manager_options!();
    socket_options!();

    /// Builds the socket without connecting: call [`Socket::connect`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option is invalid.
    pub fn build(self) -> Result<Socket, BuildError> {
        let (manager, url_namespace) = self.manager.build()?;
        let namespace = self.namespace.unwrap_or(url_namespace);
        check_namespace(&namespace)?;
        Socket::new(&manager, &namespace, self.socket)
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
