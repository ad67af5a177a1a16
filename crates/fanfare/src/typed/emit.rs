//! Methods that send typed events.

use fanfare_protocol::typed::{Answer, Typed, TypedEvent};
use serde::Serialize;

use crate::ack::{AckFuture, BroadcastAckFuture};
use crate::adapter::RemoteSocket;
use crate::broadcast::{BroadcastOperator, BroadcastReport};
use crate::error::EmitError;
use crate::namespace::{NamespaceHandle, ParentNamespace};
use crate::server::SocketIo;
use crate::socket::{Socket, SocketEmitter};

impl Socket {
    /// Sends a typed event, whose type provides its name.
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::typed::TypedEvent;
    /// use fanfare::{EmitError, Socket};
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

    /// Sends a typed event and waits for its acknowledgement, see [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
            .checked(E::check_ack)
    }
}

impl SocketEmitter {
    /// Sends a typed event, whose type provides its name.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(&self, event: &E) -> Result<(), EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends a typed event and waits for its acknowledgement, see [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
            .checked(E::check_ack)
    }
}

impl BroadcastOperator {
    /// Sends a typed event, whose type provides its name.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends a typed event and collects its acknowledgement from each recipient, see
    /// [`emit_with_ack`](Self::emit_with_ack).
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> BroadcastAckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
            .checked(E::check_ack)
    }
}

impl NamespaceHandle {
    /// Sends a typed event to all sockets of the namespace.
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
    /// Sends a typed event to all sockets of the main namespace.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.main().emit_event(event)
    }
}

impl ParentNamespace {
    /// Sends a typed event to all sockets of every namespace of the declaration.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends a typed event in every namespace of the declaration to the sockets that `choose` selects, see
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
    /// Sends a typed event to the socket on whichever server it is connected to.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<BroadcastReport, EmitError> {
        self.emit(E::NAME, Typed(event))
    }

    /// Sends a typed event and waits for its acknowledgement.
    ///
    /// # Errors
    /// As [`emit_with_ack`](Self::emit_with_ack).
    pub fn emit_event_with_ack<E>(&self, event: &E) -> AckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.emit_with_ack(E::NAME, Typed(event))
            .checked(E::check_ack)
    }
}
