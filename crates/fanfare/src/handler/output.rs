//! What handlers return.

use std::fmt;

use fanfare_protocol::socket::Spread;
use fanfare_protocol::typed::NoAck;
use serde::Serialize;
use serde_json::Value;

use crate::ack::AckSender;
use crate::broadcast::BroadcastReport;
use crate::error::EmitError;

/// A handler's return value that acknowledges the event: a tuple (an array counts as one) is several arguments, `()`
/// none, any other serializable value one.
///
/// If the sender did not ask for an acknowledgement, the value is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack<T = ()>(pub T);

/// What an event handler may return: nothing, [`Ack`], or a `Result` of these.
///
/// An `Err` is sent to a client that asked for an acknowledgement as one argument
/// `{"error": {"message": "...", "data": ...}}`, and is logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by an event handler",
    note = "return `()`, `Ack<T>`, `Result<(), E>` or `Result<Ack<T>, E>`, where `E` is an error or `EventError`"
)]
pub trait IntoAck {
    /// Sends the acknowledgement, if there is one. An error comes back to be logged and counted.
    ///
    /// # Errors
    /// The error that the handler returned; it has been sent to the client if that was waiting.
    fn into_ack(self, ack: AckSender) -> Result<(), EventError>;
}

impl IntoAck for () {
    fn into_ack(self, _: AckSender) -> Result<(), EventError> {
        Ok(())
    }
}

impl<T: Serialize> IntoAck for Ack<T> {
    fn into_ack(self, ack: AckSender) -> Result<(), EventError> {
        match ack.send(Spread(self.0)) {
            Err(error @ EmitError::NotSerializable(_)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

impl<T: IntoAck, E: Into<EventError>> IntoAck for Result<T, E> {
    fn into_ack(self, ack: AckSender) -> Result<(), EventError> {
        match self {
            Ok(value) => value.into_ack(ack),
            Err(error) => {
                let error = error.into();
                // The peer is gone or slow if this fails: both are reported where they are noticed.
                let _ = ack.send(&error);
                Err(error)
            }
        }
    }
}

/// What a handler of an event with a type may return: what acknowledges that event, `A` of
/// [`TypedEvent::Ack`](crate::TypedEvent::Ack).
///
/// That is [`Ack<A>`](Ack); for events that are not acknowledged ([`NoAck`]) nothing; and a `Result` of these. A handler
/// that answers before it ends, by an [`AckSender`], is added by the event's name, with [`on`](crate::Namespace::on).
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not acknowledge the event with `{A}`",
    label = "not the acknowledgement of the event",
    note = "the handler of an event with `#[event(ack = A)]` returns `Ack<A>` or `Result<Ack<A>, E>`, where `E` is an error or `EventError`",
    note = "that of an event without, whose `Ack` is `NoAck`, returns `()` or `Result<(), E>`"
)]
pub trait Acknowledges<A>: IntoAck {}

impl Acknowledges<NoAck> for () {}
impl Acknowledges<NoAck> for BroadcastReport {}
impl<A: Serialize> Acknowledges<A> for Ack<A> {}
impl<A, T: Acknowledges<A>, E: Into<EventError>> Acknowledges<A> for Result<T, E> {}

/// An error that an event handler returns to the client.
#[derive(Debug, Clone, Serialize)]
#[serde(into = "ErrorArg")]
pub struct EventError {
    message: String,
    data: Option<Value>,
}

#[derive(Serialize)]
struct ErrorArg {
    error: ErrorBody,
}

#[derive(Serialize)]
struct ErrorBody {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl From<EventError> for ErrorArg {
    fn from(EventError { message, data }: EventError) -> Self {
        Self {
            error: ErrorBody { message, data },
        }
    }
}

impl EventError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds details for the client.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for EventError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Any error can be returned with `?`; the client sees its text.
impl<E: std::error::Error> From<E> for EventError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// Why a connection to a namespace is refused: `message` and `data` of the client's `connect_error` event.
#[derive(Debug, Clone, Serialize)]
pub struct ConnectError {
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

impl ConnectError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds details for the client (`err.data`).
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// The text.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The details.
    pub fn data(&self) -> Option<&Value> {
        self.data.as_ref()
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Any error can be returned with `?`; the client sees its text.
impl<E: std::error::Error> From<E> for ConnectError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// What middlewares, connect and disconnect handlers may return: `()` or a `Result`.
///
/// The error of a middleware refuses the client ([`ConnectError`]) or the event ([`EventError`]); that of the others is
/// logged.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned here",
    note = "return `()` or `Result<(), E>`, where `E` is an error or `{E}`"
)]
pub trait IntoOutcome<E> {
    /// The result.
    ///
    /// # Errors
    /// What went wrong.
    fn into_outcome(self) -> Result<(), E>;
}

impl<E> IntoOutcome<E> for () {
    fn into_outcome(self) -> Result<(), E> {
        Ok(())
    }
}

impl<E, T: Unused, X: Into<E>> IntoOutcome<E> for Result<T, X> {
    fn into_outcome(self) -> Result<(), E> {
        self.map(drop).map_err(Into::into)
    }
}

/// Values that a handler may return for the sake of brevity, and that are dropped.
pub trait Unused: sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for () {}
impl Unused for () {}
impl sealed::Sealed for BroadcastReport {}
impl Unused for BroadcastReport {}

impl IntoAck for BroadcastReport {
    fn into_ack(self, _: AckSender) -> Result<(), EventError> {
        Ok(())
    }
}
