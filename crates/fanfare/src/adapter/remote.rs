//! Sockets of any node.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;

use super::{AdapterError, HandshakeData, MissingNodes, SocketData};
use crate::ack::{AckError, AckFuture, BroadcastAckError};
use crate::broadcast::{BroadcastOperator, BroadcastReport, RoomNames};
use crate::error::{EmitError, TooManyRooms};
use crate::namespace::NamespaceInner;

/// Reason for which not all sockets of a cluster could be listed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchSocketsError {
    /// Not all nodes answered in time.
    #[error("timeout reached after {timeout:?}: {missing} did not answer")]
    #[non_exhaustive]
    Timeout {
        /// Timeout of the request.
        timeout: Duration,
        /// Sockets of the nodes that answered, and of this one.
        sockets: Vec<RemoteSocket>,
        /// Nodes that did not answer.
        missing: MissingNodes,
    },
    /// The other nodes could not be reached.
    #[error("{error}")]
    #[non_exhaustive]
    Unreachable {
        /// Sockets of this node, and of those that answered.
        sockets: Vec<RemoteSocket>,
        /// Error of the adapter.
        #[source]
        error: AdapterError,
    },
    /// Other servers listed more than [`Limits::fetch_sockets_bytes`](crate::Limits::fetch_sockets_bytes).
    #[error("{missing} listed more sockets than {limit} bytes can hold")]
    #[non_exhaustive]
    TooManySockets {
        /// Sockets of the other nodes, and of this one.
        sockets: Vec<RemoteSocket>,
        /// Nodes whose lists were discarded.
        missing: MissingNodes,
        /// The limit, in bytes, for all calls together.
        limit: usize,
    },
    /// More rooms were named than the limit allows.
    #[error(transparent)]
    TooManyRooms(#[from] TooManyRooms),
}

impl FetchSocketsError {
    /// Returns the sockets that were found nevertheless.
    ///
    /// ```
    /// # async fn f(io: fanfare::SocketIo) {
    /// let sockets = io.fetch_sockets().await.unwrap_or_else(|error| {
    ///     println!("some sockets may be missing: {error}");
    ///     error.into_sockets()
    /// });
    /// # }
    /// ```
    pub fn into_sockets(self) -> Vec<RemoteSocket> {
        match self {
            Self::Timeout { sockets, .. }
            | Self::Unreachable { sockets, .. }
            | Self::TooManySockets { sockets, .. } => sockets,
            Self::TooManyRooms(_) => Vec::new(),
        }
    }
}

/// Snapshot of a socket of any server of the cluster, taken when it was fetched.
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

    /// Returns the public id.
    pub fn id(&self) -> &str {
        &self.data.id
    }

    /// Returns the first request of the connection.
    pub fn handshake(&self) -> &HandshakeData {
        self.data.handshake()
    }

    /// Returns the rooms, including that of the socket's id.
    pub fn rooms(&self) -> &[String] {
        &self.data.rooms
    }

    /// Deserializes the data of the application.
    ///
    /// # Errors
    /// If it does not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        self.data.data()
    }

    /// Sends an event to the socket on whichever server it is connected to.
    ///
    /// # Errors
    /// As [`BroadcastOperator::emit`].
    pub fn emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<BroadcastReport, EmitError> {
        self.operator().emit(event, args)
    }

    /// Sets the timeout of acknowledgements.
    #[must_use]
    pub fn timeout(&self, timeout: Duration) -> Self {
        Self {
            timeout: Some(timeout),
            ..self.clone()
        }
    }

    /// Sends an event and waits for its acknowledgement. The event is sent at once; the answer arrives when the future is
    /// awaited.
    ///
    /// # Errors
    /// The future fails with [`AckError`]: [`AckError::Disconnected`] if the socket has disconnected.
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        let answers = self.operator().emit_with_ack(event, args);
        AckFuture::of(async move {
            match answers.await {
                Ok(answers) => answers.into_iter().next().ok_or(AckError::Disconnected),
                Err(BroadcastAckError::Timeout { timeout, .. }) => Err(AckError::Timeout(timeout)),
                Err(BroadcastAckError::AnswersNotKept { limit, .. }) => {
                    Err(AckError::AnswerNotKept { limit })
                }
                Err(BroadcastAckError::Emit(error)) => Err(error.into()),
                Err(BroadcastAckError::Unreachable { error, .. }) => Err(error.into()),
                Err(BroadcastAckError::Args(error)) => Err(error.into()),
            }
        })
    }

    /// Makes the socket join rooms.
    pub fn join(&self, rooms: impl RoomNames) {
        self.operator().sockets_join(rooms);
    }

    /// Makes the socket leave rooms.
    pub fn leave(&self, rooms: impl RoomNames) {
        self.operator().sockets_leave(rooms);
    }

    /// Disconnects the socket; with `close`, also closes its connection.
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
