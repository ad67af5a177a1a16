use std::any::type_name;

use super::{FromContext, OptionalFromContext, Rejection};
use crate::handler::{HandlerKind, HasSocket};
use crate::socket::Socket;

/// A clone of a value of the socket's [`extensions`](crate::Socket::extensions), such as one that a middleware
/// inserted.
///
/// If the value is absent, the handler is not called, and a client that waits for an acknowledgement gets `internal
/// error`. Use `Option<Extension<T>>` for values that may be absent.
///
/// ```
/// use fanfare::{Ack, ConnectError, Data, Extension, Namespace, Socket};
///
/// #[derive(Clone)]
/// struct User(String);
///
/// async fn authenticate(socket: Socket, Data(token): Data<String>) -> Result<(), ConnectError> {
///     let name = token.strip_prefix("token of ").ok_or_else(|| ConnectError::new("not authorized"))?;
///     socket.extensions().insert(User(name.to_owned()));
///     Ok(())
/// }
///
/// let ns = Namespace::new("/")
///     .middleware(authenticate)
///     .on("who am i?", async |Extension(User(name)): Extension<User>| Ack(name));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extension<T>(pub T);

impl<M: HandlerKind<Socket = Socket>, T: Clone + 'static> FromContext<M> for Extension<T> {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        let value = cx.socket().extension();
        value
            .map(Self)
            .ok_or(Rejection::MissingExtension(type_name::<T>()))
    }
}

/// Extracts `None` if the socket has no such value.
impl<M: HandlerKind<Socket = Socket>, T: Clone + 'static> OptionalFromContext<M> for Extension<T> {
    fn optional_from_context(cx: &M::Context<'_>) -> Result<Option<Self>, Rejection> {
        Ok(cx.socket().extension().map(Self))
    }
}
