use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use fanfare_protocol::typed::Untyped;

use super::dynamic::Matcher;
use super::router::Behaviour;
use crate::handler::{
    ConnectError, EventError, Handler, IntoAck, IntoOutcome, OnConnect, OnDisconnect, OnEvent,
    erase, erase_event, erase_guard,
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
/// `C` is the [`Contract`](crate::Contract) of the namespace, if it has one: see [`typed`](Self::typed).
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
    /// A namespace without behaviour. The leading `/` may be left out, as in Node's `io.of`.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: with_slash(name.into()),
            matcher: Matcher::Exact,
            behaviour: Behaviour::default(),
            contract: PhantomData,
        }
    }

    /// Namespaces that come into being when a client joins them, and go when the last client leaves: in
    /// `/orders-{id}`, `{id}` stands for one or more characters other than `/`. Each has sockets and rooms of its own
    /// and this behaviour; a namespace declared by its name wins. [`SocketIo::parent`](crate::SocketIo::parent)
    /// reaches all of them.
    ///
    /// ```
    /// use fanfare::{Namespace, Socket};
    ///
    /// let orders = Namespace::pattern("/orders-{id}")
    ///     .on_connect(async |socket: Socket| println!("somebody watches {}", socket.namespace()));
    /// ```
    pub fn pattern(pattern: impl Into<String>) -> Self {
        Self {
            matcher: Matcher::Pattern,
            ..Self::new(pattern)
        }
    }

    /// As [`pattern`](Self::pattern), for the names that the function accepts; its second parameter is the client's
    /// `auth` value (`Null` if there was none). `label` names the declaration. The function must not block.
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
    /// The handlers of one socket *start* in the order in which its events arrive; one that waits does not hold up the
    /// next. What a handler returns acknowledges the event, see [`Ack`](crate::Ack). A panic is contained and logged.
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
    /// An error refuses the client: it becomes the client's `connect_error` event with `message` and `data`. The
    /// socket is not connected yet: it may join rooms, but what is emitted to it is sent only after the connection.
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
        self.behaviour.middlewares.push(erase_guard(middleware));
        self
    }

    /// Adds a handler for new sockets. The client knows already that it is connected.
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
    /// socket. An error keeps the event from its handlers; it goes to the client if that waits for an acknowledgement.
    ///
    /// While a middleware waits, later events of the socket go on, so that they may overtake; one that does not wait
    /// keeps the order.
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
            .push(erase_guard(middleware));
        self
    }

    /// Adds a handler that sees every event before its middlewares and handlers do, for logs and metrics: also those
    /// that a middleware refuses. It cannot acknowledge (a [`fallback`](Self::fallback) can), and acknowledgements do
    /// not pass it. The extractor [`Event`](crate::extract::Event) gives name and arguments.
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
    /// recipient on this server, before the event leaves. It must not block. Acknowledgements do not pass it.
    ///
    /// ```
    /// use fanfare::{Namespace, OutgoingEvent, Socket};
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

    /// Sets the handler for events that no other handler takes. Without one they are dropped, as in Node.
    pub fn fallback<H, T>(mut self, handler: H) -> Self
    where
        H: Handler<OnEvent, T>,
        H::Output: IntoAck,
        T: 'static,
    {
        self.behaviour.fallback = Some(erase_event(handler));
        self
    }

    /// Adds a handler for sockets that are leaving: their rooms are still there.
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
