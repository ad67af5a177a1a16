//! Options of one socket.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;

use fanfare_core::{EventError, Handler, IntoAck, IntoOutcome};
use serde::Serialize;

use super::transport::check_namespace;
use crate::core::AuthSource;
use crate::error::{BuildError, StartError};
use crate::manager::Manager;
use crate::protocol::{BufferLimits, BufferPolicy};
use crate::queue::Bounds;
use crate::socket::erased::{erase, erase_event};
use crate::socket::kinds::{OnConnect, OnConnectError, OnDisconnect, OnEvent};
use crate::socket::{Socket, SocketOptions};

macro_rules! socket_options {
    () => {
        /// Sets the `auth` payload sent at each connect: any value that serializes as a JSON object.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000")
        ///     .auth(serde_json::json!({ "token": "secret" }));
        /// ```
        pub fn auth(mut self, auth: impl Serialize) -> Self {
            self.socket.auth = AuthSource::value(&auth);
            self
        }

        /// Sets a callback that returns the `auth` payload at each connect and reconnect, so that a token is always
        /// fresh. An error is reported as `connect_error`, and the callback is called again after the reconnection
        /// delay.
        ///
        /// ```no_run
        /// # async fn fetch_token() -> Result<String, std::io::Error> { Ok(String::new()) }
        /// # async fn run() -> Result<(), fanfare_client::StartError> {
        /// let socket = fanfare_client::connect("http://localhost:3000")
        ///     .auth_with(|| async {
        ///         let token = fetch_token().await?;
        ///         Ok::<_, std::io::Error>(serde_json::json!({ "token": token }))
        ///     })
        ///     .await?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn auth_with<F, Fut, T, E>(mut self, callback: F) -> Self
        where
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: Future<Output = Result<T, E>> + Send + 'static,
            T: Serialize,
            E: std::fmt::Display,
        {
            self.socket.auth = Ok(AuthSource::callback(callback));
            self
        }

        /// Handles an event by an async function of extractors. See [`Handler`](crate::handler::Handler).
        ///
        /// ```no_run
        /// use fanfare_client::{Ack, Data, Socket};
        ///
        /// # async fn run() -> Result<(), fanfare_client::StartError> {
        /// let socket = fanfare_client::connect("http://localhost:3000")
        ///     .on("message", |Data(text): Data<String>| async move { println!("{text}") })
        ///     .on("add", |Data((a, b)): Data<(i64, i64)>| async move { Ack(a + b) })
        ///     .on("ping", async |socket: Socket| { socket.emit("pong", ()).ok(); })
        ///     .await?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn on<T: 'static>(
            self,
            event: impl AsRef<str>,
            handler: impl Handler<OnEvent, T, Output: IntoAck>,
        ) -> Self {
            self.socket.handlers.on(event.as_ref().to_owned(), erase_event(handler));
            self
        }

        /// Handles every event, before the handlers of its name.
        ///
        /// ```
        /// use fanfare_client::event::Event;
        /// use fanfare_client::connect;
        ///
        /// let client = connect("http://localhost:3000")
        ///     .on_any(|event: Event| async move { println!("{}", event.name()) });
        /// ```
        pub fn on_any<T: 'static>(
            self,
            handler: impl Handler<OnEvent, T, Output: IntoAck>,
        ) -> Self {
            self.socket.handlers.on_any(erase_event(handler));
            self
        }

        /// Listens to every event that is sent to the server, see
        /// [`Socket::on_any_outgoing`](crate::Socket::on_any_outgoing).
        ///
        /// ```
        /// use fanfare_client::socket::OutgoingEvent;
        /// use fanfare_client::{Socket, connect};
        ///
        /// let client = connect("http://localhost:3000")
        ///     .on_any_outgoing(|_: &Socket, event: &OutgoingEvent| println!("sent {}", event.name()));
        /// ```
        pub fn on_any_outgoing(
            self,
            listener: impl Fn(&crate::Socket, &crate::socket::OutgoingEvent) + Send + Sync + 'static,
        ) -> Self {
            self.socket
                .handlers
                .add_outgoing(std::sync::Arc::new(listener), false);
            self
        }

        /// Adds a handler that runs after each connect and reconnect: an async function of a [`Socket`](crate::Socket)
        /// and [`Connected`](crate::extract::Connected), both optional.
        ///
        /// ```
        /// use fanfare_client::extract::Connected;
        /// use fanfare_client::{Socket, connect};
        ///
        /// let client = connect("http://localhost:3000").on_connect(
        ///     |socket: Socket, Connected { recovered, .. }: Connected| async move {
        ///         if !recovered {
        ///             socket.emit("join", "lobby").ok();
        ///         }
        ///     },
        /// );
        /// ```
        pub fn on_connect<T: 'static>(
            self,
            handler: impl Handler<OnConnect, T, Output: IntoOutcome<EventError>>,
        ) -> Self {
            self.socket.handlers.on_connect(erase(handler));
            self
        }

        /// Adds a handler that runs after each disconnect: an async function of a [`Socket`](crate::Socket) and
        /// [`Disconnected`](crate::extract::Disconnected), both optional.
        ///
        /// ```
        /// use fanfare_client::extract::Disconnected;
        /// use fanfare_client::connect;
        ///
        /// let client = connect("http://localhost:3000")
        ///     .on_disconnect(|Disconnected { reason, .. }: Disconnected| async move { println!("{reason}") });
        /// ```
        pub fn on_disconnect<T: 'static>(
            self,
            handler: impl Handler<OnDisconnect, T, Output: IntoOutcome<EventError>>,
        ) -> Self {
            self.socket.handlers.on_disconnect(erase(handler));
            self
        }

        /// Adds a handler that runs after each failed attempt to connect: an async function of a
        /// [`Socket`](crate::Socket) and the [`ConnectError`](crate::ConnectError), both optional.
        ///
        /// ```
        /// use fanfare_client::{ConnectError, connect};
        ///
        /// let client = connect("http://localhost:3000")
        ///     .on_connect_error(|error: ConnectError| async move { println!("{error}") });
        /// ```
        pub fn on_connect_error<T: 'static>(
            self,
            handler: impl Handler<OnConnectError, T, Output: IntoOutcome<EventError>>,
        ) -> Self {
            self.socket.handlers.on_connect_error(erase(handler));
            self
        }

        /// Queues non-volatile events until their acknowledgements: one is in flight at a time, and is sent again up to
        /// `retries` times if no acknowledgement arrives within `ack_timeout`. The server must acknowledge every event,
        /// and may receive one more than once.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000").retries(3, Duration::from_secs(10));
        /// ```
        pub fn retries(mut self, retries: u32, ack_timeout: Duration) -> Self {
            self.socket.config.retries = Some(retries);
            self.socket.config.ack_timeout = Some(ack_timeout);
            self
        }

        /// Sets the timeout of acknowledgements that set none. Default: none.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000").ack_timeout(Duration::from_secs(10));
        /// ```
        pub fn ack_timeout(mut self, timeout: Duration) -> Self {
            self.socket.config.ack_timeout = Some(timeout);
            self
        }

        /// Sets the maximum number of events and bytes kept while not connected. Default: 10 000 and 16 MiB.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").offline_buffer(100, 1 << 20);
        /// ```
        pub fn offline_buffer(mut self, count: usize, bytes: usize) -> Self {
            self.socket.config.buffer.count = count;
            self.socket.config.buffer.bytes = bytes;
            self
        }

        /// Sets the maximum age of buffered events; older ones are dropped instead of sent. Default: no limit.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000")
        ///     .offline_buffer_age(Duration::from_secs(60));
        /// ```
        pub fn offline_buffer_age(mut self, age: Duration) -> Self {
            self.socket.config.buffer.age = Some(age);
            self
        }

        /// Sets the policy of a full offline buffer. Default: `emit` returns an error.
        ///
        /// ```
        /// use fanfare_client::options::BufferPolicy;
        /// use fanfare_client::connect;
        ///
        /// let client = connect("http://localhost:3000").offline_buffer_policy(BufferPolicy::DropOldest);
        /// ```
        pub fn offline_buffer_policy(mut self, policy: BufferPolicy) -> Self {
            self.socket.config.buffer.policy = policy;
            self
        }

        /// Sets all limits of the offline buffer at once.
        ///
        /// ```
        /// use fanfare_client::options::BufferLimits;
        /// use fanfare_client::connect;
        ///
        /// let mut limits = BufferLimits::default();
        /// limits.count = 100;
        /// let client = connect("http://localhost:3000").offline_buffer_limits(limits);
        /// ```
        pub fn offline_buffer_limits(mut self, limits: BufferLimits) -> Self {
            self.socket.config.buffer = limits;
            self
        }

        /// Sets the maximum number of pending acknowledgements. Default: 16 384.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").max_pending_acks(100);
        /// ```
        pub fn max_pending_acks(mut self, max: usize) -> Self {
            self.socket.config.max_pending_acks = max;
            self
        }

        /// Sets the timeout for the server's answer for the namespace once the connection is open. Packets replayed by
        /// a recovery postpone the deadline, and the time of the `auth` callback does not count. Default: 45 s;
        /// `Duration::MAX` means no timeout.
        ///
        /// At the deadline, the socket reports [`ConnectError::JoinTimeout`](crate::ConnectError::JoinTimeout). If no
        /// other namespace is connected, a new connection is tried; otherwise a late answer still counts. Both follow
        /// the reconnection options.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let client = fanfare_client::connect("http://localhost:3000").join_timeout(Duration::from_secs(10));
        /// ```
        pub fn join_timeout(mut self, timeout: Duration) -> Self {
            self.socket.config.join_timeout = timeout;
            self
        }

        /// Sets the maximum number of events, and of their bytes, in the queue for slow handlers and in that of each
        /// stream. Further events are dropped and reported as
        /// [`SocketEvent::Lagged`](crate::event::SocketEvent::Lagged). Default: 16,384 events and 64 MiB.
        ///
        /// ```
        /// let client = fanfare_client::connect("http://localhost:3000").inbound_buffer(1000, 8 << 20);
        /// ```
        pub fn inbound_buffer(mut self, count: usize, bytes: usize) -> Self {
            self.socket.inbound = Bounds { count, bytes };
            self
        }

        /// Makes awaiting the builder return an error at the first failure, instead of retrying by the reconnection
        /// options.
        ///
        /// ```
        /// # async fn run() -> Result<(), fanfare_client::StartError> {
        /// let socket = fanfare_client::connect("http://localhost:3000").fail_fast().await?;
        /// # Ok(())
        /// # }
        /// ```
        pub fn fail_fast(mut self) -> Self {
            self.socket.fail_fast = true;
            self
        }
    };
}
pub(super) use socket_options;

impl Manager {
    /// Returns a builder of a socket for a namespace over this connection.
    pub fn socket(&self, namespace: impl Into<String>) -> SocketBuilder {
        SocketBuilder {
            parent: self.clone(),
            namespace: namespace.into(),
            socket: Default::default(),
        }
    }
}

/// Builder of a [`Socket`] of a [`Manager`].
///
/// Await it for a connected socket, or [`build`](Self::build) it to connect later.
#[derive(Debug)]
#[must_use = "nothing happens before `build` or `.await`"]
pub struct SocketBuilder {
    pub(crate) parent: Manager,
    pub(crate) namespace: String,
    pub(crate) socket: SocketOptions,
}

impl SocketBuilder {
    socket_options!();

    /// Builds the socket without connecting: call [`Socket::connect`].
    ///
    /// # Errors
    ///
    /// [`BuildError`] if an option is invalid.
    pub fn build(self) -> Result<Socket, BuildError> {
        check_namespace(&self.namespace)?;
        Socket::new(&self.parent, &self.namespace, self.socket)
    }
}

impl IntoFuture for SocketBuilder {
    type Output = Result<Socket, StartError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let fail_fast = self.socket.fail_fast;
            let socket = self.build()?;
            socket.start(fail_fast).await?;
            Ok(socket)
        })
    }
}
