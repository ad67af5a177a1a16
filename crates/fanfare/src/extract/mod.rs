//! Extractors: what handlers take as parameters.

mod data;
mod event;
mod handshake;
mod rejection;
mod state;

pub use data::Data;
pub use event::{Attachments, Event, EventName};
pub use handshake::Handshake;
pub use rejection::Rejection;
pub use state::State;
pub(crate) use state::StateMap;

use crate::ack::AckSender;
use crate::handler::{EventContext, HasSocket, Moment, OnDisconnect, OnEvent, Requirements};
use crate::io::SocketIo;
use crate::reason::DisconnectReason;
use crate::socket::Socket;

/// A parameter of a handler, made from what is known at the moment `M`.
///
/// Implement it for a type of your own to use that type in handlers:
///
/// ```
/// use fanfare::extract::{FromContext, Rejection};
/// use fanfare::handler::{HasSocket, Moment};
///
/// struct UserAgent(Option<String>);
///
/// impl<M: Moment> FromContext<M> for UserAgent {
///     fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
///         Ok(Self(cx.socket().handshake().header("user-agent").map(str::to_owned)))
///     }
/// }
///
/// async fn hello(UserAgent(agent): UserAgent) {
///     println!("hello from {agent:?}");
/// }
/// # let _ = fanfare::Namespace::new("/").on_connect(hello);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an extractor for `{M}`",
    label = "not an extractor here",
    note = "to receive the arguments of an event, wrap the type: `Data<T>`"
)]
pub trait FromContext<M: Moment>: Sized {
    /// Makes the value.
    ///
    /// # Errors
    /// Why it cannot be made; the handler is not called then, and a client that waits for an acknowledgement gets the
    /// text of the rejection.
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection>;

    /// Says what the extractor needs of the builder.
    fn requirements(_needs: &mut Requirements) {}
}

impl<M: Moment> FromContext<M> for Socket {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.socket().clone())
    }
}

impl<M: Moment> FromContext<M> for SocketIo {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.socket().io())
    }
}

impl FromContext<OnEvent> for AckSender {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self::new(cx.socket, cx.ack, cx.answered))
    }
}

impl FromContext<OnDisconnect> for DisconnectReason {
    fn from_context(cx: &<OnDisconnect as Moment>::Context<'_>) -> Result<Self, Rejection> {
        Ok(cx.reason)
    }
}

/// `None` in place of a rejection.
impl<M: Moment, T: FromContext<M>> FromContext<M> for Option<T> {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(T::from_context(cx).ok())
    }
}

/// The rejection as a value, for handlers that answer bad input in their own way.
impl<M: Moment, T: FromContext<M>> FromContext<M> for Result<T, Rejection> {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(T::from_context(cx))
    }

    fn requirements(needs: &mut Requirements) {
        T::requirements(needs);
    }
}
