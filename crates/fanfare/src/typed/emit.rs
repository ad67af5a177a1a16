//! Events with types, sent from whatever sends events.

use fanfare_protocol::typed::{Answer, Typed, TypedEvent};
use serde::Serialize;

use crate::ack::{AckError, AckFuture, BroadcastAckFuture};
use crate::adapter::RemoteSocket;
use crate::broadcast::{BroadcastOperator, BroadcastReport};
use crate::error::EmitError;
use crate::io::SocketIo;
use crate::namespace::{NamespaceHandle, ParentNamespace};
use crate::socket::{Socket, SocketEmitter};

impl Socket {
    /// Sends an event with its type, which knows its name.
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::{EmitError, Socket, TypedEvent};
    ///
    /// #[derive(serde::Serialize, TypedEvent)]
    /// struct UserJoined<'a>(&'a str);
    ///
    /// fn f(socket: &Socket) -> Result<(), EmitError> {
    ///     socket.emit_event(&UserJoined("Ada")) // as `socket.emit("user_joined", "Ada")`
    /// }
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends an event with its type and waits for the acknowledgement that belongs to it, see
    /// [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
    }
}

impl SocketEmitter {
    /// Sends an event with its type, which knows its name.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends an event with its type and waits for the acknowledgement that belongs to it, see
    /// [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
    }
}

impl BroadcastOperator {
    /// Sends an event with its type, which knows its name.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends an event with its type and gathers the acknowledgement that belongs to it from each recipient, see
    /// [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> BroadcastAckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
    }
}

impl NamespaceHandle {
    /// Sends an event with its type to everyone in the namespace.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.everyone().emit_event(event)
    }
}

impl SocketIo {
    /// Sends an event with its type to everyone in the main namespace.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.of("/").emit_event(event)
    }
}

impl ParentNamespace {
    /// Sends an event with its type to everyone in every one of them.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends an event with its type in every one of them to those whom `choose` leaves, see
    /// [`emit_with`](Self::emit_with).
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event_with<E: TypedEvent + Serialize>(
        &self,
        choose: impl Fn(BroadcastOperator) -> BroadcastOperator,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit_with(choose, E::NAME, Typed(event))
    }
}

impl RemoteSocket {
    /// Sends an event with its type, wherever the socket is.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends an event with its type and waits for the acknowledgement that belongs to it.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub async fn emit_event_with_ack<E>(&self, event: &E) -> Result<E::Ack, AckError>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event)).await
    }
}
