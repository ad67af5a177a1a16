//! What handlers return.

use fanfare_protocol::socket::Spread;
use fanfare_protocol::typed::NoAck;
use serde::Serialize;
use serde_json::Value;

use super::{EventContext, Moment, OnEvent};

/// A handler's return value that acknowledges the event: a tuple (an array counts as one) is several arguments, `()`
/// none, any other serializable value one.
///
/// If the server did not ask for an acknowledgement, the value is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ack<T = ()>(pub T);

/// An error that a handler returns. A server that awaits an acknowledgement gets one argument
/// `{"error": {"message": "...", "data": ...}}`.
///
/// Any error converts into it, so handlers can use `?`.
#[derive(Debug, Clone)]
pub struct EventError {
    message: String,
    data: Option<Value>,
}

#[derive(Serialize)]
struct ErrorArg<'a> {
    error: ErrorBody<'a>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
}

impl EventError {
    /// An error with this text.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            data: None,
        }
    }

    /// Adds details.
    #[must_use]
    pub fn with_data(mut self, data: impl Into<Value>) -> Self {
        self.data = Some(data.into());
        self
    }

    /// The text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Tells the server, if it awaits an acknowledgement.
    pub(crate) fn send(&self, cx: &EventContext) {
        let error = ErrorBody {
            message: &self.message,
            data: self.data.as_ref(),
        };
        // A string and a JSON value can always be serialized.
        let _ = cx.event.ack().send(&ErrorArg { error });
    }
}

impl std::fmt::Display for EventError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl<E: std::error::Error> From<E> for EventError {
    fn from(error: E) -> Self {
        Self::new(error.to_string())
    }
}

/// What a handler may return: `()`, [`Ack<T>`](Ack) (of an event), or a `Result` of these whose error converts into
/// [`EventError`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be returned by this handler",
    note = "event handlers return `()`, `Ack<T>`, `Result<(), E>` or `Result<Ack<T>, E>`; others `()` or `Result<(), E>`; \
            `E` is an error or `EventError`"
)]
pub trait IntoReply<M: Moment> {
    #[doc(hidden)]
    fn into_reply(self, cx: &M::Context) -> Result<(), EventError>;
}

impl<M: Moment> IntoReply<M> for () {
    fn into_reply(self, _: &M::Context) -> Result<(), EventError> {
        Ok(())
    }
}

impl<T: Serialize> IntoReply<OnEvent> for Ack<T> {
    fn into_reply(self, cx: &EventContext) -> Result<(), EventError> {
        cx.event
            .ack()
            .send(Spread(self.0))
            .map_err(EventError::from)
    }
}

impl<M: Moment, R: IntoReply<M>, E: Into<EventError>> IntoReply<M> for Result<R, E> {
    fn into_reply(self, cx: &M::Context) -> Result<(), EventError> {
        self.map_err(Into::into)?.into_reply(cx)
    }
}

/// What a handler of an event with a type may return: what acknowledges that event, `A` of
/// [`TypedEvent::Ack`](crate::TypedEvent::Ack).
///
/// That is [`Ack<A>`](Ack); for events that are not acknowledged ([`NoAck`]) nothing; and a `Result` of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not acknowledge the event with `{A}`",
    label = "not the acknowledgement of the event",
    note = "the handler of an event with `#[event(ack = A)]` returns `Ack<A>` or `Result<Ack<A>, E>`, where `E` is an error or `EventError`",
    note = "that of an event without, whose `Ack` is `NoAck`, returns `()` or `Result<(), E>`"
)]
pub trait Acknowledges<A>: IntoReply<OnEvent> {}

impl Acknowledges<NoAck> for () {}
impl<A: Serialize> Acknowledges<A> for Ack<A> {}
impl<A, R: Acknowledges<A>, E: Into<EventError>> Acknowledges<A> for Result<R, E> {}
