use std::any::type_name;

use super::{FromContext, OptionalFromContext, Rejection};
use crate::handler::{HandlerKind, HasSocket, Requirements};
use crate::socket::Socket;

/// A clone of a value that was given to [`SocketIoBuilder::state`](crate::SocketIoBuilder::state).
///
/// The server keeps one value of each type. Each call of a handler clones it, so give the server something that is cheap to
/// clone: an [`Arc`](std::sync::Arc), a connection pool, a sender of a channel. What changes lies behind a lock or an atomic,
/// because handlers run at the same time.
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
///
/// # Missing state
///
/// [`build`](crate::SocketIoBuilder::build) knows what the handlers and middlewares of every namespace take, and fails if a
/// value was not given; no event is needed to find that out. `Option<State<S>>` takes a value that may be missing.
///
/// ```
/// use fanfare::{Namespace, SocketIo, State};
///
/// #[derive(Clone)]
/// struct Database;
///
/// let io = SocketIo::builder()
///     .namespace(Namespace::new("/").on("save", async |State(_): State<Database>| {}));
/// let error = io.build().unwrap_err().to_string();
/// assert!(error.contains("Database") && error.contains("no such state was given"), "{error}");
/// ```
///
/// # Several values, and parts of one
///
/// Different types are different values. Two of the same type, such as two pools, need a type around each. A handler that
/// takes a part of a larger value implements [`FromContext`] for the part.
///
/// ```
/// use fanfare::{Namespace, SocketIo, State};
///
/// #[derive(Clone)]
/// struct Reads(String);
/// #[derive(Clone)]
/// struct Writes(String);
///
/// let save = async |State(Reads(_from)): State<Reads>, State(Writes(_to)): State<Writes>| {};
/// let io = SocketIo::builder()
///     .namespace(Namespace::new("/").on("save", save))
///     .state(Reads("replica".to_owned()))
///     .state(Writes("primary".to_owned()))
///     .build()?;
/// # Ok::<(), fanfare::BuildError>(())
/// ```
///
/// Data of one socket belongs into its [extensions](crate::Socket::extensions), which [`Extension`](crate::Extension)
/// extracts.
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
