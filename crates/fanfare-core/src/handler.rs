//! Handlers: async functions of extractors.

use crate::{FromContext, HandlerKind, Rejection, Requirements};

/// Async function whose parameters are extractors for the handler kind `M`.
///
/// Implemented for `async fn` and closures of up to eight parameters. `T` is the tuple of the parameters' types; it is
/// inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a handler for `{M}`",
    label = "not a handler",
    note = "a handler is an `async fn` of up to eight extractors, whose future is `Send + 'static`",
    note = "extractors for events: `Socket`, `Data<T>`, `AckSender`, `EventName`, …, and `State<S>`, `SocketIo`, `Handshake` in a server",
    note = "a server's handlers of connections take `Data<T>` from the client's `auth`; handlers of disconnections take `DisconnectReason`",
    note = "`#[fanfare::debug_handler]` on a server's function (feature `macros`) says which part of it is wrong"
)]
pub trait Handler<M: HandlerKind, T>: Send + Sync + 'static {
    /// Output of the future.
    type Output;
    /// Future that the function returns.
    type Future: Future<Output = Self::Output> + Send + 'static;

    /// Extracts the parameters and calls the function.
    ///
    /// # Errors
    /// The rejection of the first extractor that failed; the function is not called then.
    fn call(&self, cx: &M::Context<'_>) -> Result<Self::Future, Rejection>;

    /// Collects what the extractors need, so that a missing state is found when the server is built.
    fn requirements(&self, needs: &mut Requirements);
}

macro_rules! impl_handler {
    ($($ty:ident),*) => {
        impl<M, F, Fut, $($ty,)*> Handler<M, ($($ty,)*)> for F
        where
            M: HandlerKind,
            F: Fn($($ty,)*) -> Fut + Send + Sync + 'static,
            Fut: Future + Send + 'static,
            $($ty: FromContext<M>,)*
        {
            type Output = Fut::Output;
            type Future = Fut;

            #[allow(unused_variables, reason = "there may be no parameters")]
            fn call(&self, cx: &M::Context<'_>) -> Result<Fut, Rejection> {
                const {
                    assert!(
                        !(0 $(+ <$ty as FromContext<M>>::TAKES_DATA as usize)* > 1),
                        "two parameters of the handler take the arguments, and both would get the first: \
                         take all arguments with one parameter, `Data<(A, B)>`"
                    );
                }
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
