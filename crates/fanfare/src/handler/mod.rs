//! Handlers: async functions of extractors.

mod context;
mod erased;
mod output;
pub(crate) mod reports;
mod requirements;

pub use context::{
    ConnectContext, DisconnectContext, EventContext, HasSocket, Moment, OnConnect, OnDisconnect,
    OnEvent,
};
pub(crate) use erased::{
    ConnectHandler, DisconnectHandler, EventHandler, Middleware, PacketMiddleware, erase,
    erase_event, erase_guard,
};
pub use output::{Ack, Acknowledges, ConnectError, EventError, IntoAck, IntoOutcome, Unused};
pub(crate) use reports::Reports;
pub(crate) use requirements::ContractId;
pub use requirements::Requirements;

use crate::extract::{FromContext, Rejection};

/// An async function whose parameters are extractors of the moment `M`.
///
/// Implemented for `async fn` and closures of up to eight parameters. `T` is the tuple of the parameters' types; it is
/// inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for `{M}`",
    label = "not a handler",
    note = "a handler is an `async fn` of up to eight extractors, whose future is `Send + 'static`",
    note = "extractors for events: `Socket`, `Data<T>`, `State<S>`, `SocketIo`, `AckSender`, `EventName`, `Handshake`, …",
    note = "extractors for connections take `Data<T>` from the client's `auth`; for disconnections there is `DisconnectReason`",
    note = "`#[fanfare::debug_handler]` on the function (feature `macros`) says which part of it is wrong"
)]
pub trait Handler<M: Moment, T>: Send + Sync + 'static {
    /// What the future resolves to.
    type Output;
    /// The future that the function returns.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    /// The rejection of the first extractor that failed; the function was not called then.
    fn call(&self, cx: &M::Context<'_>) -> Result<Self::Future, Rejection>;

    /// Collects what the extractors need, so that a missing state is found when the server is built.
    fn requirements(&self, needs: &mut Requirements);
}

macro_rules! impl_handler {
    ($($ty:ident),*) => {
        impl<M, F, Fut, $($ty,)*> Handler<M, ($($ty,)*)> for F
        where
            M: Moment,
            F: Fn($($ty,)*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            $($ty: FromContext<M>,)*
        {
            type Output = Fut::Output;
            type Future = Fut;

            #[allow(unused_variables, reason = "there may be no parameters")]
            fn call(&self, cx: &M::Context<'_>) -> Result<Fut, Rejection> {
                Ok(self($($ty::from_context(cx)?,)*))
            }

            #[allow(unused_variables, reason = "there may be no parameters")]
            fn requirements(&self, needs: &mut Requirements) {
                $($ty::requirements(needs);)*
            }
        }
    };
}

impl_handler!();
impl_handler!(A);
impl_handler!(A, B);
impl_handler!(A, B, C);
impl_handler!(A, B, C, D);
impl_handler!(A, B, C, D, E);
impl_handler!(A, B, C, D, E, G);
impl_handler!(A, B, C, D, E, G, H);
impl_handler!(A, B, C, D, E, G, H, I);
