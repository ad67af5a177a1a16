//! Extractors: the parameters of handlers.

use crate::{HandlerKind, Rejection, Requirements};

/// A parameter of a handler, made from the context of the handler kind `M`.
///
/// Implement it for a custom type to use that type in handlers:
///
/// ```
/// use fanfare::extract::{FromContext, Rejection};
/// use fanfare::handler::{HasSocket, HandlerKind};
/// use fanfare::Socket;
///
/// struct UserAgent(Option<String>);
///
/// impl<M: HandlerKind<Socket = Socket>> FromContext<M> for UserAgent {
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
pub trait FromContext<M: HandlerKind>: Sized {
    /// Whether the extractor takes the arguments of the event (or the `auth` of the connection), as [`Data`](crate::Data) does. A
    /// handler may have one such parameter; a second one does not compile.
    const TAKES_DATA: bool = false;

    /// Extracts the value.
    ///
    /// # Errors
    /// Reason for which the value cannot be extracted; then the handler is not called, and a peer that waits for an
    /// acknowledgement gets [`Rejection::public_message`].
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection>;

    /// Registers the values that the extractor needs from the builder.
    fn requirements(_needs: &mut Requirements) {}
}

/// An extractor whose value may be absent: with it, `Option<Self>` is a parameter of a handler.
///
/// ```
/// use fanfare::{Data, Namespace};
///
/// # let _ =
/// Namespace::new("/").on("list", async |page: Option<Data<u32>>| {
///     let page = page.map_or(1, |Data(page)| page);
///     println!("page {page}");
/// });
/// ```
#[diagnostic::on_unimplemented(
    message = "`Option<{Self}>` is not an extractor for `{M}`",
    label = "its value is never absent",
    note = "`Result<{Self}, Rejection>` takes the rejection as a value"
)]
pub trait OptionalFromContext<M: HandlerKind>: FromContext<M> {
    /// Extracts the value, if its source is present.
    ///
    /// # Errors
    /// As [`FromContext::from_context`]: the source is present and does not fit.
    fn optional_from_context(cx: &M::Context<'_>) -> Result<Option<Self>, Rejection>;

    /// Registers the values that the optional extractor needs from the builder.
    fn optional_requirements(_needs: &mut Requirements) {}
}

/// Extracts `None` if the source is absent. A source that is present and does not fit is rejected, as without the
/// `Option`.
impl<M: HandlerKind, T: OptionalFromContext<M>> FromContext<M> for Option<T> {
    const TAKES_DATA: bool = T::TAKES_DATA;

    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        T::optional_from_context(cx)
    }

    fn requirements(needs: &mut Requirements) {
        T::optional_requirements(needs);
    }
}

/// Extracts the rejection as a value, for handlers that answer bad input themselves.
impl<M: HandlerKind, T: FromContext<M>> FromContext<M> for Result<T, Rejection> {
    const TAKES_DATA: bool = T::TAKES_DATA;

    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(T::from_context(cx))
    }

    fn requirements(needs: &mut Requirements) {
        T::requirements(needs);
    }
}
