use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use fanfare_protocol::socket::Spread;
use fanfare_protocol::typed::Untyped;
use serde::Serialize;

use super::dynamic::Matcher;
use super::pattern::Pattern;
use super::router::Behaviour;
use crate::handler::{
    ConnectError, EventError, Handler, IntoAck, IntoOutcome, OnConnect, OnDisconnect, OnEvent,
    erase, erase_event, erase_middleware,
};
use crate::socket::{OutgoingEvent, Socket};

/// A namespace and its behaviour: a value built before the server starts.
///
/// ```
/// use fanfare::{Ack, Data, DisconnectReason, Namespace, Socket};
///
/// let chat = Namespace::new("/chat")
///     .on_connect(async |socket: Socket| println!("{} is here", socket.id()))
///     .on("say", async |socket: Socket, Data(text): Data<String>| {
///         socket.broadcast().emit("said", &text)?;
///         Ok::<_, fanfare::EmitError>(Ack(text.len()))
///     })
///     .on_disconnect(async |socket: Socket, reason: DisconnectReason| println!("{} left: {reason}", socket.id()));
/// ```
///
/// `C` is the [`Contract`](crate::typed::Contract) of the namespace, if it has one: see [`typed`](Self::typed).
#[must_use = "a namespace does nothing until it is given to `SocketIo::builder().namespace(…)`"]
pub struct Namespace<C = Untyped> {
    pub(crate) name: String,
    pub(crate) matcher: Matcher,
    pub(crate) behaviour: Behaviour,
    contract: PhantomData<fn() -> C>,
}

impl<C> fmt::Debug for Namespace<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Namespace")
            .field("name", &self.name)
            .field("matcher", &self.matcher)
            .field("behaviour", &self.behaviour)
            .finish()
    }
}

impl Namespace {
    /// Creates a namespace without behaviour. The leading `/` may be omitted, as in Node's `io.of`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: with_slash(name.into()),
            matcher: Matcher::Exact,
            behaviour: Behaviour::default(),
            contract: PhantomData,
        }
    }

    /// Declares namespaces that are created when a client joins them or the application asks for them
    /// ([`SocketIo::of`](crate::SocketIo::of)), and removed when no client is in them and no handle of them is left.
    /// Each has separate sockets and rooms, and this behaviour. [`SocketIo::parent`](crate::SocketIo::parent) reaches
    /// all of them.
    ///
    /// - `{id}` stands for one or more characters other than `/`, as few as possible: `/{a}-{b}` takes `/1-2-3` apart
    ///   into `1` and `2-3`.
    /// - `{*path}`, at the end only, stands for one or more characters of any kind: `/docs/{*path}` takes `/docs/a/b`.
    /// - A pattern has at most 16 parameters, each with a different name, and literal text separates any two of them.
    ///   Everything outside of braces is taken literally.
    /// - A namespace declared by its name takes precedence over patterns, an earlier pattern over a later one.
    ///
    /// [`build`](crate::SocketIoBuilder::build) rejects a pattern that breaks these rules, and one all of whose names
    /// match an earlier one. The time to match a name is linear in its length, for every pattern.
    /// [`Socket::params`](crate::Socket::params) returns the values of the parameters.
    ///
    /// ```
    /// use fanfare::{Namespace, Socket};
    ///
    /// let orders = Namespace::pattern("/orders-{id}")
    ///     .on_connect(async |socket: Socket| println!("watching {}", socket.namespace_name()));
    /// ```
    pub fn pattern(pattern: impl Into<String>) -> Self {
        let namespace = Self::new(pattern);
        Self {
            matcher: Matcher::Pattern(Pattern::parse(&namespace.name)),
            ..namespace
        }
    }

    /// Declares namespaces as [`pattern`](Self::pattern) does, for the names that the function accepts; its second
    /// parameter is the client's `auth` value (`Null` if there was none, and for
    /// [`SocketIo::of`](crate::SocketIo::of)). `label` names the declaration. The function must not block. Unlike in
    /// Node it is called for every client that wants to join, not only for the first.
    pub fn dynamic(
        label: impl Into<String>,
        accepts: impl Fn(&str, &serde_json::Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            matcher: Matcher::Predicate(Arc::new(accepts)),
            ..Self::new(label)
        }
    }

    /// Adds a handler for an event. Several handlers of one event run in the order in which they were added.
    ///
    /// The handlers of one socket *start* in the order in which its events arrive; a pending handler does not delay the
    /// next. The return value of a handler acknowledges the event, see [`Ack`](crate::Ack). A panic is contained and
    /// logged.
    pub fn on<H, T>(mut self, event: impl AsRef<str>, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.behaviour
            .add_event(event.as_ref(), erase_event(handler));
        self
    }

    /// Sets the handler for events that have no other handler. Without one they are dropped, as in Node.
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.behaviour.fallback = Some(erase_event(handler));
        self
    }
}

impl<C> Namespace<C> {
    pub(crate) fn with_contract<D>(self) -> Namespace<D> {
        Namespace {
            name: self.name,
            matcher: self.matcher,
            behaviour: self.behaviour,
            contract: PhantomData,
        }
    }

    /// Adds a middleware: it runs before the connection, after those added earlier, once for each client that joins.
    ///
    /// An error rejects the client: it becomes the client's `connect_error` event with `message` and `data`. The socket
    /// is not connected yet: it may join rooms, and events emitted to it are queued, within the limits of an outbox,
    /// and sent after the CONNECT packet. (So an acknowledgement cannot be awaited here; a volatile event is dropped.)
    /// `Data<T>` extracts the client's `auth`.
    ///
    /// ```
    /// use fanfare::{ConnectError, Data, Namespace, Socket};
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Auth { token: String }
    ///
    /// async fn authenticate(socket: Socket, Data(auth): Data<Auth>) -> Result<(), ConnectError> {
    ///     if auth.token != "secret" {
    ///         return Err(ConnectError::new("not authorized").with_data("bad token"));
    ///     }
    ///     socket.extensions().insert(auth.token);
    ///     Ok(())
    /// }
    ///
    /// let admin = Namespace::new("/admin").middleware(authenticate);
    /// ```
    pub fn middleware<H, T>(mut self, middleware: H) -> Self
    where
        H: Handler<OnConnect, T>,
        H::Output: IntoOutcome<ConnectError>,
        T: 'static,
    {
        self.behaviour
            .middlewares
            .push(erase_middleware(middleware));
        self
    }

    /// Adds a handler for new sockets. The client has already been told that it is connected.
    pub fn on_connect<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<OnConnect, T>,
        H::Output: IntoOutcome<EventError>,
        T: 'static,
    {
        self.behaviour.connect.push(erase(handler));
        self
    }

    /// Adds a middleware for events: it runs before any handler, after those added earlier, for each event of each
    /// socket. An error keeps the event from its handlers; a client that waits for an acknowledgement gets it.
    ///
    /// While a middleware is pending, later events of the socket are processed and may overtake; a middleware that
    /// completes immediately keeps the order.
    ///
    /// ```
    /// use fanfare::extract::EventName;
    /// use fanfare::{EventError, Namespace, Socket};
    ///
    /// struct Admin;
    ///
    /// let ns = Namespace::new("/").packet_middleware(async |socket: Socket, EventName(event): EventName| {
    ///     let admin = socket.extensions().with(|_: &Admin| ()).is_some();
    ///     if event.starts_with("admin:") && !admin { Err(EventError::new("forbidden")) } else { Ok(()) }
    /// });
    /// ```
    pub fn packet_middleware<H, T>(mut self, middleware: H) -> Self
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoOutcome<EventError>,
        T: 'static,
    {
        self.behaviour
            .packet_middlewares
            .push(erase_middleware(middleware));
        self
    }

    /// Adds a handler that sees every event before its middlewares and handlers do, for logs and metrics, including
    /// events that a middleware rejects. It cannot acknowledge (a [`fallback`](Self::fallback) can), and it does not
    /// see acknowledgements. The extractor [`Event`](crate::extract::Event) provides name and arguments. In a namespace
    /// with a contract it sees all events, including those that are not in the contract.
    pub fn on_any<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.behaviour.any.push(erase_event(handler));
        self
    }

    /// Adds a listener for every event that is sent to a socket, broadcasts included: it is called once for each
    /// recipient on this server, before the event leaves. It must not block. It does not see acknowledgements.
    ///
    /// ```
    /// use fanfare::socket::OutgoingEvent;
    /// use fanfare::{Namespace, Socket};
    ///
    /// let ns = Namespace::new("/").on_any_outgoing(|socket: &Socket, event: &OutgoingEvent| {
    ///     println!("{} to {}", event.name(), socket.id());
    /// });
    /// ```
    pub fn on_any_outgoing(
        mut self,
        listener: impl Fn(&Socket, &OutgoingEvent) + Send + Sync + 'static,
    ) -> Self {
        self.behaviour.outgoing.push(Arc::new(listener));
        self
    }

    /// Sets the format of acknowledgements that report an error: one that a handler or a
    /// [`packet_middleware`](Self::packet_middleware) returned, arguments that do not fit, events beyond
    /// [`RateLimits`](crate::limits::RateLimits). As with [`Ack`](crate::Ack), a tuple is several arguments.
    ///
    /// Default: one argument, `{"error": {"message": "…", "data": …}}`.
    ///
    /// ```
    /// use fanfare::{Ack, Data, EventError, Namespace};
    /// use serde_json::json;
    ///
    /// // As Node's callbacks have it, `(err, data)`: errors come first, and are `null` if there are none.
    /// let ns = Namespace::new("/")
    ///     .ack_errors(|error| json!({ "name": "Error", "message": error.message(), "data": error.data() }))
    ///     .on("find", async |Data(id): Data<u32>| match id {
    ///         0 => Err(EventError::new("there is no number 0")),
    ///         id => Ok(Ack((None::<()>, id))),
    ///     });
    /// ```
    pub fn ack_errors<A: Serialize + 'static>(
        mut self,
        shape: impl Fn(&EventError) -> A + Send + Sync + 'static,
    ) -> Self {
        self.behaviour.ack_errors = Some(Arc::new(move |error| {
            let args = Spread(shape(error));
            Box::new(move |ack| ack.send(args))
        }));
        self
    }

    /// Adds a handler for sockets that are leaving and are still in their rooms.
    pub fn on_disconnecting<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<OnDisconnect, T>,
        H::Output: IntoOutcome<EventError>,
        T: 'static,
    {
        self.behaviour.disconnecting.push(erase(handler));
        self
    }

    /// Adds a handler for sockets that have left.
    pub fn on_disconnect<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<OnDisconnect, T>,
        H::Output: IntoOutcome<EventError>,
        T: 'static,
    {
        self.behaviour.disconnect.push(erase(handler));
        self
    }
}

pub(crate) fn with_slash(name: String) -> String {
    if name.starts_with('/') {
        name
    } else {
        format!("/{name}")
    }
}
