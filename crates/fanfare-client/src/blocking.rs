//! Blocking client: a thin layer over [`Socket`](crate::Socket), for scripts, threads and tests.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = fanfare_client::blocking::connect(fanfare_client::connect("http://localhost:3000"))?;
//! socket.emit("hello", "world")?;
//! let sum: u32 = socket.call("add", (1, 2), Duration::from_secs(5))?;
//! while let Some(event) = socket.recv(Duration::from_secs(10)) {
//!     println!("{event:?}");
//! }
//! socket.disconnect();
//! # Ok(())
//! # }
//! ```
//!
//! All blocking sockets share one background thread. Do not use them inside async code.

use std::future::IntoFuture;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use fanfare_protocol::socket::IntoArgs;
use fanfare_protocol::typed::{Answer, TypedEvent};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use crate::error::{AckError, BuildError, EmitError, StartError};
use crate::event::{Events, SocketEvent};
use crate::manager::Manager;
use crate::options::ManagerBuilder;

fn runtime() -> Result<&'static Runtime, BuildError> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let build = || {
        let mut builder = Builder::new_multi_thread();
        builder
            .worker_threads(1)
            .enable_all()
            .thread_name("fanfare-client");
        builder.build().ok()
    };
    RUNTIME
        .get_or_init(build)
        .as_ref()
        .ok_or(BuildError::NoRuntime)
}

/// Builder of sockets: [`ClientBuilder`](crate::ClientBuilder) or [`SocketBuilder`](crate::options::SocketBuilder).
pub trait Connect: sealed::Builder {}
impl<T: sealed::Builder> Connect for T {}

mod sealed {
    use crate::error::BuildError;
    use crate::options::{ClientBuilder, SocketBuilder};
    use crate::socket::Socket;

    pub trait Builder {
        fn fail_fast(&self) -> bool;
        fn build_socket(self) -> Result<Socket, BuildError>;
    }

    impl Builder for ClientBuilder {
        fn fail_fast(&self) -> bool {
            self.socket.fail_fast
        }

        fn build_socket(self) -> Result<Socket, BuildError> {
            self.build()
        }
    }

    impl Builder for SocketBuilder {
        fn fail_fast(&self) -> bool {
            self.socket.fail_fast
        }

        fn build_socket(self) -> Result<Socket, BuildError> {
            self.build()
        }
    }
}

/// Builds a connection for several namespaces. It connects when one of its sockets does.
///
/// ```no_run
/// use fanfare_client::{Manager, blocking};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = blocking::manager(Manager::builder("http://localhost:3000"))?;
/// let chat = blocking::connect(manager.socket("/chat"))?;
/// let admin = blocking::connect(manager.socket("/admin"))?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// The same as [`ManagerBuilder::build`].
pub fn manager(builder: ManagerBuilder) -> Result<Manager, BuildError> {
    let _entered = runtime()?.enter();
    builder.build()
}

/// Connects and waits until the socket is connected; handlers of the builder run on the background thread.
///
/// # Errors
///
/// The same as awaiting the builder.
pub fn connect(builder: impl Connect) -> Result<Socket, StartError> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let fail_fast = builder.fail_fast();
    let socket = builder.build_socket()?;
    // Created before the connection, so that no event is missed.
    let events = socket.events();
    runtime.block_on(socket.start(fail_fast))?;
    Ok(Socket {
        socket,
        events: Mutex::new(events),
        runtime,
    })
}

/// Socket with blocking methods.
#[derive(Debug)]
#[must_use = "the socket is disconnected when it is dropped"]
pub struct Socket {
    socket: crate::Socket,
    events: Mutex<Events>,
    runtime: &'static Runtime,
}

impl Socket {
    /// Emits an event as [`crate::Socket::emit`] does; never blocks.
    ///
    /// # Errors
    ///
    /// The same as [`crate::Socket::emit`].
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.socket.emit(event, args)
    }

    /// Emits an event and waits for its acknowledgement.
    ///
    /// # Errors
    ///
    /// The same as awaiting [`crate::Socket::emit_with_ack`].
    pub fn call<R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let request = self.socket.timeout(timeout).emit_with_ack(event, args);
        self.runtime.block_on(request.into_future())
    }

    /// Emits a typed event and waits for its acknowledgement.
    ///
    /// # Errors
    ///
    /// The same as [`call`](Self::call).
    pub fn call_event<E>(&self, event: &E, timeout: Duration) -> Result<E::Ack, AckError>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        let request = self.socket.timeout(timeout).emit_event_with_ack(event);
        self.runtime.block_on(request.into_future())
    }

    /// Waits for the socket's next event, starting before its first connection; returns `None` after the timeout, also
    /// if another thread was receiving until then.
    pub fn recv(&self, timeout: Duration) -> Option<SocketEvent> {
        let begin = Instant::now();
        // Another thread may be receiving.
        let mut events = self.events.try_lock_for(timeout)?;
        let left = timeout.saturating_sub(begin.elapsed());
        self.runtime.block_on(async {
            tokio::time::timeout(left, events.next())
                .await
                .ok()
                .flatten()
        })
    }

    /// Disconnects, and waits until all earlier emits are sent.
    pub fn disconnect(&self) {
        self.runtime.block_on(self.socket.disconnect());
    }

    /// Returns the async socket, for methods that do not block: handlers, catch-all listeners, state.
    pub fn inner(&self) -> &crate::Socket {
        &self.socket
    }
}
