//! Typed events between servers.

use std::fmt;
use std::marker::PhantomData;

use fanfare_protocol::socket::{ArgsError, EncodeError};
use fanfare_protocol::typed::{Answer, BetweenServers, Typed, TypedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ack::ServerSideAckFuture;
use crate::adapter::{ServerEvent, ServerSideEmitError};
use crate::namespace::{Namespace, NamespaceHandle};
use crate::server::SocketIo;

/// A [`ServerEvent`] whose arguments and answer have types.
pub struct TypedServerEvent<E> {
    event: ServerEvent,
    kind: PhantomData<fn() -> E>,
}

impl<E: TypedEvent> TypedServerEvent<E> {
    /// Deserializes the event.
    ///
    /// # Errors
    /// If the arguments do not fit the type.
    pub fn data(&self) -> Result<E, ArgsError>
    where
        E: DeserializeOwned,
    {
        self.event.data().map(|Typed(event)| event)
    }

    /// Answers the event. Does nothing if no answer is wanted.
    ///
    /// # Errors
    /// If the answer cannot be serialized.
    pub fn ack(self, answer: &E::Ack) -> Result<(), EncodeError>
    where
        E::Ack: Serialize,
    {
        self.event.ack(answer)
    }
}

impl<E> TypedServerEvent<E> {
    /// Returns the event without its type.
    pub fn untyped(&self) -> &ServerEvent {
        &self.event
    }

    /// Returns the namespace, see [`ServerEvent::namespace`].
    pub fn namespace(&self) -> &NamespaceHandle {
        self.event.namespace()
    }

    /// Returns the server, see [`ServerEvent::io`].
    pub fn io(&self) -> Option<SocketIo> {
        self.event.io()
    }
}

impl<E> fmt::Debug for TypedServerEvent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.fmt(f)
    }
}

impl<C> Namespace<C> {
    /// Adds a handler for a typed event from another server of the cluster, see
    /// [`on_server_event`](Namespace::on_server_event).
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::typed::{TypedEvent, TypedServerEvent};
    /// use fanfare::Namespace;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize, TypedEvent)]
    /// #[event(ack = usize)]
    /// struct Count;
    ///
    /// let ns = Namespace::new("/").on_typed_server_event(async |event: TypedServerEvent<Count>| {
    ///     let clients = event.namespace().len();
    ///     event.ack(&clients).ok();
    /// });
    /// # }
    /// ```
    pub fn on_typed_server_event<E, F, Fut>(self, handler: F) -> Self
    where
        E: BetweenServers<C> + 'static,
        F: Fn(TypedServerEvent<E>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.add_server_event(E::NAME, move |event| {
            handler(TypedServerEvent {
                event,
                kind: PhantomData,
            })
        })
    }
}

impl NamespaceHandle {
    /// Sends a typed event to the *other* servers of the cluster, where
    /// [`on_typed_server_event`](Namespace::on_typed_server_event) receives it, see
    /// [`server_side_emit`](Self::server_side_emit).
    ///
    /// # Errors
    /// As [`server_side_emit`](Self::server_side_emit).
    pub fn server_side_emit_event<E: TypedEvent + Serialize>(
        &self,
        event: &E,
    ) -> Result<(), ServerSideEmitError> {
        self.server_side_emit(E::NAME, Typed(event))
    }

    /// Sends an event as [`server_side_emit_event`](Self::server_side_emit_event) does, at once, and collects the answer
    /// of each of the other servers, see [`server_side_emit_with_ack`](Self::server_side_emit_with_ack).
    ///
    /// # Errors
    /// As [`server_side_emit_with_ack`](Self::server_side_emit_with_ack).
    pub fn server_side_emit_event_with_ack<E>(&self, event: &E) -> ServerSideAckFuture<E::Ack>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        // The answer is one value, even if it is a tuple.
        let answers = self.server_side_emit_with_ack::<(E::Ack,)>(E::NAME, Typed(event));
        let check_one: fn(&E::Ack) -> Result<(), ArgsError> = E::check_ack;
        let check = move |answers: &[(E::Ack,)]| {
            let mut answers = answers.iter();
            answers.try_for_each(|(answer,)| check_one(answer))
        };
        ServerSideAckFuture::of(async move {
            match answers.await {
                Ok(answers) => {
                    check(&answers)?;
                    Ok(alone(answers))
                }
                Err(error) => {
                    check(error.responses())?;
                    Err(error.map(alone))
                }
            }
        })
    }
}

fn alone<R>(answers: Vec<(R,)>) -> Vec<R> {
    answers.into_iter().map(|(answer,)| answer).collect()
}
