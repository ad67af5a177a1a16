//! Server in memory.

use fanfare::SocketIo;
use fanfare::serve::Serve;
use fanfare_client::ClientBuilder;
use fanfare_client::options::ManagerBuilder;

use crate::{Link, Peer};

/// Server whose clients connect over a network of pipes in memory.
///
/// Each [`client`](Self::client) has its own [`link`](Self::link), and thereby its own address; what is done to the
/// [`network`](Self::network) applies to all links.
///
/// ```
/// use fanfare::{Data, Namespace, Socket, SocketIo};
/// use fanfare_testing::TestServer;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let namespace = Namespace::new("/").on("say", async |socket: Socket, Data(text): Data<String>| {
///     socket.broadcast().emit("said", &text).map(drop)
/// });
/// let server = TestServer::start(SocketIo::builder().namespace(namespace).build()?);
///
/// let (alice, bob) = (server.client().await?, server.client().await?);
/// let mut said = bob.listen::<String>("said");
/// alice.emit("say", "hello")?;
/// assert_eq!(said.next().await.unwrap()?, "hello");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct TestServer {
    io: SocketIo,
    network: Link,
}

impl TestServer {
    /// Starts to serve, with the default options of [`fanfare::serve()`].
    ///
    /// # Panics
    /// Outside of a Tokio runtime, when the first client connects.
    #[must_use]
    pub fn start(io: SocketIo) -> Self {
        Self::with(io, |serve| serve)
    }

    /// Starts to serve, with other options.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use fanfare::SocketIo;
    /// # use fanfare_testing::TestServer;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let io = SocketIo::builder().build()?;
    /// let server = TestServer::with(io, |serve| serve.header_timeout(Duration::from_secs(5)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with(io: SocketIo, options: impl FnOnce(Serve<SocketIo>) -> Serve<SocketIo>) -> Self {
        let serve = options(fanfare::serve(io.clone()));
        let network = Link::to(move |stream, address| serve.clone().connection(stream, address));
        Self { io, network }
    }

    /// Returns the server's handle.
    #[must_use]
    pub fn io(&self) -> &SocketIo {
        &self.io
    }

    /// Returns the link that all connections to the server use.
    #[must_use]
    pub fn network(&self) -> &Link {
        &self.network
    }

    /// Creates a link to the server, for the connections of one client.
    #[must_use]
    pub fn link(&self) -> Link {
        self.network.link()
    }

    /// Returns a client with a new link. [`Link::client`] does the same for a link that the test keeps.
    pub fn client(&self) -> ClientBuilder {
        self.link().client()
    }

    /// Returns a manager with a new link.
    pub fn manager(&self) -> ManagerBuilder {
        self.link().manager()
    }

    /// Connects a [`Peer`] over a new link. It has joined no namespace yet.
    ///
    /// # Panics
    /// If the connection does not open.
    pub async fn peer(&self) -> Peer {
        self.link().peer().await
    }
}
