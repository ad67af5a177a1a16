use std::any::type_name;

use super::{FromContext, OptionalFromContext, Rejection};
use crate::handler::{HandlerKind, HasSocket, Requirements};
use crate::socket::Socket;

/// A clone of a value that was given to [`SocketIoBuilder::state`](crate::SocketIoBuilder::state).
///
/// A handler whose state is missing is reported by [`build`](crate::SocketIoBuilder::build).
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use fanfare::{Ack, Namespace, SocketIo, State};
///
/// let counter = Namespace::new("/").on("count", async |State(n): State<Arc<AtomicU64>>| {
///     Ack(n.fetch_add(1, Ordering::Relaxed))
/// });
/// let io = SocketIo::builder().namespace(counter).state(Arc::new(AtomicU64::new(0))).build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct State<S>(pub S);

impl<M: HandlerKind<Socket = Socket>, S: Clone + Send + Sync + 'static> FromContext<M>
    for State<S>
{
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        let states = &cx.socket().io_inner().states;
        states
            .get()
            .cloned()
            .map(Self)
            .ok_or(Rejection::MissingState(type_name::<S>()))
    }

    fn requirements(needs: &mut Requirements) {
        needs.state::<S>();
    }
}

/// Extracts `None` if the builder was given no such state.
impl<M: HandlerKind<Socket = Socket>, S: Clone + Send + Sync + 'static> OptionalFromContext<M>
    for State<S>
{
    fn optional_from_context(cx: &M::Context<'_>) -> Result<Option<Self>, Rejection> {
        let states = &cx.socket().io_inner().states;
        Ok(states.get().cloned().map(Self))
    }
}
