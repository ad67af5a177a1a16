//! Events with types between servers.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use fanfare_protocol::socket::{ArgsError, EncodeError};
use fanfare_protocol::typed::{Answer, BetweenServers, Typed, TypedEvent};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapter::{ServerEvent, ServerSideEmitError};
use crate::namespace::{Namespace, NamespaceHandle};

/// A [`ServerEvent`] whose arguments and answer have types.
pub struct TypedServerEvent<E> {
    event: ServerEvent,
    kind: PhantomData<fn() -> E>,
}

impl<E: TypedEvent> TypedServerEvent<E> {
    /// The event.
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
    /// If the answer cannot be serialised.
    pub fn ack(self, answer: &E::Ack) -> Result<(), EncodeError>
    where
        E::Ack: Serialize,
    {
        self.event.ack(answer)
    }
}

impl<E> Deref for TypedServerEvent<E> {
    type Target = ServerEvent;

    fn deref(&self) -> &ServerEvent {
        &self.event
    }
}

impl<E> fmt::Debug for TypedServerEvent<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.fmt(f)
    }
}

impl<C> Namespace<C> {
    /// Adds a handler for an event with a type that another server of the cluster sends, see
    /// [`on_server_event`](Namespace::on_server_event).
    ///
    /// ```
    /// # #[cfg(feature = "macros")] {
    /// use fanfare::typed::TypedServerEvent;
    /// use fanfare::{Namespace, TypedEvent};
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
    /// Sends an event with its type to the *other* servers of the cluster, where
    /// [`on_typed_server_event`](Namespace::on_typed_server_event) gets it, see
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

    /// As [`server_side_emit_event`](Self::server_side_emit_event), and gathers the answer of each of the other servers,
    /// see [`server_side_emit_with_ack`](Self::server_side_emit_with_ack).
    ///
    /// # Errors
    /// As [`server_side_emit_with_ack`](Self::server_side_emit_with_ack).
    pub async fn server_side_emit_event_with_ack<E>(
        &self,
        event: &E,
    ) -> Result<Vec<E::Ack>, ServerSideEmitError<E::Ack>>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        // One value travels, also if it is a tuple.
        let answers = self.server_side_emit_with_ack(E::NAME, Typed(event));
        match answers.await {
            Ok(answers) => Ok(alone(answers)),
            Err(error) => Err(error.map(alone)),
        }
    }
}

fn alone<R>(answers: Vec<(R,)>) -> Vec<R> {
    answers.into_iter().map(|(answer,)| answer).collect()
}
