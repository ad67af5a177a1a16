//! Return types of handlers.

use fanfare_protocol::socket::Spread;
use fanfare_protocol::typed::NoAck;
use serde::Serialize;

use crate::{AckSink, EventError, INTERNAL};

/// Return value of a handler that acknowledges the event: a tuple (or an array) is several arguments, `()` none, any
/// other serializable value one.
///
/// If the sender did not ask for an acknowledgement, the value is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack<T = ()>(pub T);

/// Return types of an event handler: nothing, [`Ack`], or a `Result` of these.
///
/// An `Err` is logged, and a peer that asked for an acknowledgement gets one argument `{"error": {"message": "...",
/// "data": ...}}`, or what `Namespace::ack_errors` of the server makes of it. The message and the data are those of an
/// [`EventError`]; of other errors the peer gets only the message `internal error`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by an event handler",
    note = "return `()`, `Ack<T>`, `Result<(), E>` or `Result<Ack<T>, E>`, where `E` is an error or `EventError`"
)]
pub trait IntoAck {
    /// Sends the acknowledgement, if there is one. An error is returned to be logged and counted.
    ///
    /// # Errors
    /// The error that the handler returned; it has already been sent to a peer that waits.
    fn into_ack<S: AckSink>(self, ack: S) -> Result<(), EventError>;
}

impl IntoAck for () {
    fn into_ack<S: AckSink>(self, _: S) -> Result<(), EventError> {
        Ok(())
    }
}

impl<T: Serialize> IntoAck for Ack<T> {
    fn into_ack<S: AckSink>(self, ack: S) -> Result<(), EventError> {
        let spare = ack.spare();
        ack.answer(Spread(self.0)).inspect_err(|_| {
            if let Some(ack) = spare {
                ack.fail(&EventError::new(INTERNAL)); // the sender waits for an answer
            }
        })
    }
}

impl<T: IntoAck, E: Into<EventError>> IntoAck for Result<T, E> {
    fn into_ack<S: AckSink>(self, ack: S) -> Result<(), EventError> {
        match self {
            Ok(value) => value.into_ack(ack),
            Err(error) => {
                let error = error.into();
                ack.fail(&error);
                Err(error)
            }
        }
    }
}

/// Return types of a handler of a typed event: the acknowledgement of that event, `A` of
/// [`TypedEvent::Ack`](fanfare_protocol::typed::TypedEvent::Ack).
///
/// That is [`Ack<A>`](Ack); nothing, for events that are not acknowledged ([`NoAck`]); and a `Result` of these. A
/// handler that answers before it returns, with an `AckSender`, is added by the event's name, with
/// `on`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not acknowledge the event with `{A}`",
    label = "not the acknowledgement of the event",
    note = "the handler of an event with `#[event(ack = A)]` returns `Ack<A>` or `Result<Ack<A>, E>`, where `E` is an error or `EventError`",
    note = "that of an event without, whose `Ack` is `NoAck`, returns `()` or `Result<(), E>`"
)]
pub trait Acknowledges<A>: IntoAck {}

impl Acknowledges<NoAck> for () {}
impl<A: Serialize> Acknowledges<A> for Ack<A> {}
impl<A, T: Acknowledges<A>, E: Into<EventError>> Acknowledges<A> for Result<T, E> {}

/// Return types of middlewares, connect and disconnect handlers: `()` or a `Result`.
///
/// The error of a middleware rejects the client ([`ConnectError`](crate::ConnectError)) or the event ([`EventError`]);
/// that of the others is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned here",
    note = "return `()` or `Result<(), E>`, where `E` is an error or `{E}`"
)]
pub trait IntoOutcome<E> {
    /// Converts the value to a `Result`.
    ///
    /// # Errors
    /// The error that the handler returned.
    fn into_outcome(self) -> Result<(), E>;
}

impl<E> IntoOutcome<E> for () {
    fn into_outcome(self) -> Result<(), E> {
        Ok(())
    }
}

impl<E, T: Discardable, X: Into<E>> IntoOutcome<E> for Result<T, X> {
    fn into_outcome(self) -> Result<(), E> {
        self.map(drop).map_err(Into::into)
    }
}

/// Values that a handler may return for brevity, and that are dropped.
pub trait Discardable {}

impl Discardable for () {}
