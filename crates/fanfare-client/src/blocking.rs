//! The same client without async: a thin layer over [`Socket`](crate::Socket), for scripts, threads and tests.
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
//! Everything runs on one background thread shared by all blocking sockets. Do not use it inside of async code.

use std::future::IntoFuture;
use std::sync::OnceLock;
use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use fanfare_protocol::typed::{Answer, Typed, TypedEvent};
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

/// Builders of sockets: [`ClientBuilder`](crate::ClientBuilder) and [`SocketBuilder`](crate::SocketBuilder).
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

/// A connection for several namespaces. It connects when one of its sockets does.
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
/// As [`ManagerBuilder::build`].
pub fn manager(builder: ManagerBuilder) -> Result<Manager, BuildError> {
    let _entered = runtime()?.enter();
    builder.build()
}

/// Connects and waits until the socket is connected; handlers of the builder run on the background thread.
///
/// # Errors
///
/// As awaiting the builder.
pub fn connect(builder: impl Connect) -> Result<Socket, StartError> {
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let fail_fast = builder.fail_fast();
    let socket = builder.build_socket()?;
    // Before the connection, so that no event is missed.
    let events = socket.events();
    runtime.block_on(socket.start(fail_fast))?;
    Ok(Socket {
        socket,
        events: Mutex::new(events),
        runtime,
    })
}

/// A socket whose methods block.
#[derive(Debug)]
pub struct Socket {
    socket: crate::Socket,
    events: Mutex<Events>,
    runtime: &'static Runtime,
}

impl Socket {
    /// As [`crate::Socket::emit`]; never blocks.
    ///
    /// # Errors
    ///
    /// As [`crate::Socket::emit`].
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.socket.emit(event, args)
    }

    /// Emits an event and waits for its acknowledgement.
    ///
    /// # Errors
    ///
    /// As awaiting [`crate::Socket::emit_with_ack`].
    pub fn call<R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
        timeout: Duration,
    ) -> Result<R, AckError> {
        let request = self.socket.emit_with_ack(event, args).timeout(timeout);
        self.runtime.block_on(request.into_future())
    }

    /// Emits an event with its type and waits for the acknowledgement that belongs to it.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub fn call_event<E>(&self, event: &E, timeout: Duration) -> Result<E::Ack, AckError>
    where
        E: TypedEvent<Ack: Answer> + Serialize,
    {
        self.call(E::NAME, Typed(event), timeout)
    }

    /// What happened next to the socket, from before its first connection on; `None` when nothing did in time.
    pub fn recv(&self, timeout: Duration) -> Option<SocketEvent> {
        let mut events = self.events.lock();
        self.runtime.block_on(async {
            tokio::time::timeout(timeout, events.next())
                .await
                .ok()
                .flatten()
        })
    }

    /// Disconnects, and waits until everything emitted before is sent.
    pub fn disconnect(&self) {
        self.runtime.block_on(self.socket.disconnect());
    }

    /// The async socket, for everything that does not block anyway: handlers, catch-all listeners, state.
    #[must_use]
    pub fn inner(&self) -> &crate::Socket {
        &self.socket
    }
}
