//! Sockets of any node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;

use super::{AdapterError, HandshakeData, SocketData};
use crate::ack::{AckError, BroadcastAckError};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::error::EmitError;
use crate::namespace::NamespaceInner;

/// Why the sockets of a cluster could not be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchSocketsError {
    /// Not all nodes answered in time.
    #[error("timeout reached after {timeout:?}: {missing} servers did not answer")]
    Timeout {
        /// The time that was given.
        timeout: Duration,
        /// How many nodes did not answer.
        missing: usize,
    },
    /// The other nodes could not be reached.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
}

/// A socket of any server of the cluster, as it was when it was fetched.
///
/// ```
/// # async fn f(io: fanfare::SocketIo) -> Result<(), Box<dyn std::error::Error>> {
/// for socket in io.to("lobby").fetch_sockets().await? {
///     println!("{} is in {:?}", socket.id(), socket.rooms());
///     socket.emit("hello", ())?;
///     socket.join("greeted");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteSocket {
    namespace: Arc<NamespaceInner>,
    data: SocketData,
    timeout: Option<Duration>,
}

impl RemoteSocket {
    pub(crate) fn new(namespace: Arc<NamespaceInner>, data: SocketData) -> Self {
        Self {
            namespace,
            data,
            timeout: None,
        }
    }

    fn operator(&self) -> BroadcastOperator {
        let operator = BroadcastOperator::new(self.namespace.clone()).to(self.id());
        match self.timeout {
            Some(timeout) => operator.timeout(timeout),
            None => operator,
        }
    }

    /// The public id.
    pub fn id(&self) -> &str {
        &self.data.id
    }

    /// The first request.
    pub fn handshake(&self) -> &HandshakeData {
        &self.data.handshake
    }

    /// The rooms, that of its own id included.
    pub fn rooms(&self) -> &[String] {
        &self.data.rooms
    }

    /// The data of the application.
    ///
    /// # Errors
    /// If it does not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_value(self.data.data.clone())
    }

    /// Sends an event, wherever the socket is.
    ///
    /// # Errors
    /// As [`BroadcastOperator::emit`].
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<BroadcastReport, EmitError> {
        self.operator().emit(event, args)
    }

    /// How long an acknowledgement may take.
    #[must_use]
    pub fn timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self.clone()
        }
    }

    /// Sends an event and waits for its acknowledgement.
    ///
    /// # Errors
    /// [`AckError`]; [`AckError::Disconnected`] if the socket is gone.
    pub async fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> Result<R, AckError> {
        let answers = self.operator().emit_with_ack(event, args);
        match answers.await {
            Ok(answers) => answers.into_iter().next().ok_or(AckError::Disconnected),
            Err(BroadcastAckError::Timeout { timeout, .. }) => Err(AckError::Timeout(timeout)),
            Err(BroadcastAckError::Emit(error)) => Err(error.into()),
            Err(BroadcastAckError::Adapter(error)) => Err(error.into()),
            Err(BroadcastAckError::Args(error)) => Err(error.into()),
        }
    }

    /// Makes the socket join rooms.
    pub fn join(&self, rooms: impl RoomNames) {
        self.operator().sockets_join(rooms);
    }

    /// Makes the socket leave rooms.
    pub fn leave(&self, rooms: impl RoomNames) {
        self.operator().sockets_leave(rooms);
    }

    /// Disconnects the socket, with `close` also its connection.
    pub fn disconnect(&self, close: bool) {
        self.operator().disconnect_sockets(close);
    }
}

impl fmt::Debug for RemoteSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteSocket")
            .field("id", &self.data.id)
            .field("rooms", &self.data.rooms)
            .finish_non_exhaustive()
    }
}
