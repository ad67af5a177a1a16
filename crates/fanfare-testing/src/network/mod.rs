//! Network of pipes between clients and one server.

mod stream;

use std::collections::HashMap;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Waker;

use fanfare_client::options::ManagerBuilder;
use fanfare_client::{ClientBuilder, Manager};
use parking_lot::Mutex;
pub use stream::Stream;
use stream::{Connection, Side};
use tokio::sync::Notify;

use crate::Peer;

/// Capacity of a connection in each direction, in bytes. The writer waits while this number of written bytes has not
/// been read, as with the buffers of a kernel.
pub const PIPE_BYTES: usize = 64 * 1024;

/// URL of the server. Requests name it, and nothing resolves it.
const URL: &str = "http://fanfare.test";

/// Direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flow {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
    /// Both directions.
    Both,
}

/// Number of bytes that the ends of a [`Link`]'s connections have written, in each direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transferred {
    /// Bytes from clients.
    pub to_server: u64,
    /// Bytes from the server.
    pub to_client: u64,
}

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Function that serves the server's end of a connection.
type Serve = Box<dyn Fn(Stream, SocketAddr) + Send + Sync>;

/// Part of a server's network: all of it ([`TestServer::network`](crate::TestServer::network)), or the connections of
/// one client ([`TestServer::link`](crate::TestServer::link)).
///
/// What is done to a link applies to the links below it, too: a connection moves bytes only if neither its own link nor
/// the network is stalled. Clones are the same link.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_testing::TestServer;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestServer::start(SocketIo::builder().build()?);
/// let (train, office) = (server.link(), server.link());
/// let (passenger, colleague) = (train.client().await?, office.client().await?);
///
/// train.partition(); // a tunnel
/// tokio::time::sleep(std::time::Duration::from_secs(60)).await;
/// assert!(!passenger.is_connected() && colleague.is_connected());
///
/// train.heal();
/// fanfare_testing::until("the passenger is back", || passenger.is_connected()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Link {
    network: Arc<Network>,
    id: usize,
    address: IpAddr,
}

/// Connections and links of one server.
struct Network {
    state: Mutex<State>,
    serve: Serve,
    /// Notified when connections that wait to open must check the conditions again.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// The first is the whole network.
    links: Vec<Conditions>,
    connections: HashMap<u64, Connection>,
    opened: u64,
}

/// Conditions of a link, beside those of the link above it.
#[derive(Debug, Default)]
struct Conditions {
    above: Option<usize>,
    stalls_to_server: bool,
    stalls_to_client: bool,
    partitioned: bool,
    refuses: bool,
    transferred: Transferred,
}

/// Whether a direction or the opening of connections is held up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Held {
    ToServer,
    ToClient,
    Opening,
    Refused,
}

impl State {
    /// Returns the conditions of a link and of all above it.
    fn conditions(&self, link: usize) -> impl Iterator<Item = &Conditions> {
        let at = |id: usize| self.links.get(id);
        std::iter::successors(at(link), move |conditions| conditions.above.and_then(at))
    }

    fn is_held(&self, link: usize, held: Held) -> bool {
        self.conditions(link).any(|conditions| match held {
            Held::ToServer => conditions.stalls_to_server || conditions.partitioned,
            Held::ToClient => conditions.stalls_to_client || conditions.partitioned,
            Held::Opening => conditions.partitioned,
            Held::Refused => conditions.refuses,
        })
    }

    /// Counts bytes for a link and all above it.
    fn count(&mut self, link: usize, side: Side, bytes: usize) {
        let mut next = Some(link);
        while let Some(conditions) = next.and_then(|id| self.links.get_mut(id)) {
            let transferred = &mut conditions.transferred;
            let counter = match side {
                Side::Client => &mut transferred.to_server,
                Side::Server => &mut transferred.to_client,
            };
            *counter += bytes as u64;
            next = conditions.above;
        }
    }

    /// Returns the connections of a link and of all below it.
    fn below(&self, link: usize) -> Vec<u64> {
        let above = |id: &usize| self.links.get(*id).and_then(|conditions| conditions.above);
        let is_below = |id: usize| std::iter::successors(Some(id), above).any(|id| id == link);
        let connections = self.connections.iter();
        let below = connections.filter(|(_, connection)| is_below(connection.link));
        below.map(|(id, _)| *id).collect()
    }
}

impl Link {
    /// Creates the network of any server: `serve` is run for the server's end of each connection, with the client's
    /// address, as a task. [`TestServer`](crate::TestServer) does this for a server of Fanfare; another server may be a
    /// script of the test, or a function that connects to a server elsewhere, so that its connections can be counted
    /// and broken.
    ///
    /// ```no_run
    /// use fanfare_testing::Link;
    /// use tokio::net::TcpStream;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let relay = Link::to(async |mut stream, _| {
    ///     if let Ok(mut server) = TcpStream::connect("127.0.0.1:3000").await {
    ///         let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
    ///     }
    /// });
    /// let socket = relay.client().await?;
    /// let before = relay.transferred();
    /// socket.emit("say", "hello")?;
    /// relay.cut();
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// Outside of a Tokio runtime, when the first connection is opened.
    #[must_use]
    pub fn to<F, S>(serve: F) -> Link
    where
        F: Fn(Stream, SocketAddr) -> S + Send + Sync + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let serve = move |stream, address| drop(tokio::spawn(serve(stream, address)));
        let links = vec![Conditions::default()];
        let network = Network {
            state: Mutex::new(State {
                links,
                ..State::default()
            }),
            serve: Box::new(serve),
            changed: Notify::new(),
        };
        Link {
            network: Arc::new(network),
            id: 0,
            address: address(0),
        }
    }

    /// Creates a link below this one, with a new address.
    #[must_use]
    pub fn link(&self) -> Link {
        let mut state = self.network.state.lock();
        let id = state.links.len();
        state.links.push(Conditions {
            above: Some(self.id),
            ..Conditions::default()
        });
        drop(state);
        Link {
            network: self.network.clone(),
            id,
            address: address(id),
        }
    }

    /// Returns the same link with another address for the connections that are opened by this handle, as for tests of
    /// limits per address.
    #[must_use]
    pub fn with_address(mut self, address: IpAddr) -> Link {
        self.address = address;
        self
    }

    /// Returns the address from which the server sees connections of this link. By default it differs from link to
    /// link, within `10.0.0.0/8`.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Returns a client whose connections use this link.
    pub fn client(&self) -> ClientBuilder {
        fanfare_client::connect(URL).connector(self.connector())
    }

    /// Returns a manager whose connections use this link.
    pub fn manager(&self) -> ManagerBuilder {
        Manager::builder(URL).connector(self.connector())
    }

    /// Returns a function that opens connections over this link.
    fn connector(
        &self,
    ) -> impl Fn() -> BoxFuture<io::Result<Stream>> + Clone + Send + Sync + use<> {
        let link = self.clone();
        move || {
            let link = link.clone();
            Box::pin(async move { link.connect().await })
        }
    }

    /// Connects a [`Peer`] over this link. It has joined no namespace yet.
    ///
    /// # Panics
    /// If the connection does not open.
    pub async fn peer(&self) -> Peer {
        let stream = self.connect().await.expect("the link accepts connections");
        Peer::open(stream).await
    }

    /// Opens a connection to the server. It waits while the link is partitioned.
    ///
    /// # Errors
    /// `ConnectionRefused` if the link [refuses](Self::refuse) connections.
    pub async fn connect(&self) -> io::Result<Stream> {
        loop {
            // Created before the check, so that no change is missed.
            let changed = self.network.changed.notified();
            if let Some(opened) = self.try_open() {
                return opened;
            }
            changed.await;
        }
    }

    /// Opens a connection, unless it has to wait.
    fn try_open(&self) -> Option<io::Result<Stream>> {
        let mut state = self.network.state.lock();
        if state.is_held(self.id, Held::Refused) {
            return Some(Err(ErrorKind::ConnectionRefused.into()));
        }
        if state.is_held(self.id, Held::Opening) {
            return None;
        }
        state.opened += 1;
        let id = state.opened;
        let connection = Connection::new(self.id);
        state.connections.insert(id, connection);
        drop(state);
        let end = |side| Stream::new(self.network.clone(), id, side);
        let (client, server) = (end(Side::Client), end(Side::Server));
        // In the range of ephemeral ports.
        let port = 49_152 + (id % 16_384) as u16;
        (self.network.serve)(server, SocketAddr::new(self.address, port));
        Some(Ok(client))
    }

    /// Returns the number of connections that are not broken and both of whose ends exist.
    #[must_use]
    pub fn connections(&self) -> usize {
        let state = self.network.state.lock();
        let below = state.below(self.id);
        let connections = below.iter().filter_map(|id| state.connections.get(id));
        connections
            .filter(|connection| connection.is_whole())
            .count()
    }

    /// Returns the number of bytes that have been written in each direction so far, including those that have not been
    /// read yet.
    #[must_use]
    pub fn transferred(&self) -> Transferred {
        let state = self.network.state.lock();
        let link = state.links.get(self.id);
        link.map_or_else(Transferred::default, |conditions| conditions.transferred)
    }

    /// Breaks all connections at once, as a reset does: bytes in flight are lost, and both ends get an error
    /// (`ConnectionReset`). New connections can be opened.
    pub fn cut(&self) {
        let mut state = self.network.state.lock();
        let mut wakers = Vec::new();
        for id in state.below(self.id) {
            if let Some(connection) = state.connections.get_mut(&id) {
                wakers.extend(connection.reset());
            }
        }
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Stops the bytes in one direction or both, until [`resume`](Self::resume). Connections stay open, and new ones are
    /// opened, but written bytes do not arrive: neither end learns of it, and a writer waits once
    /// [`PIPE_BYTES`] have been written. A direction that is stalled already stays so.
    pub fn stall(&self, flow: Flow) {
        self.set(|conditions| {
            conditions.stalls_to_server |= flow != Flow::ToClient;
            conditions.stalls_to_client |= flow != Flow::ToServer;
        });
    }

    /// Moves bytes again in both directions, in order and without a loss.
    pub fn resume(&self) {
        self.set(|conditions| {
            conditions.stalls_to_server = false;
            conditions.stalls_to_client = false;
        });
    }

    /// Separates the clients from the server, until [`heal`](Self::heal): open connections stall in both directions,
    /// and new ones wait, as when packets are lost. Each side notices by its timeouts.
    pub fn partition(&self) {
        self.set(|conditions| conditions.partitioned = true);
    }

    /// Ends a partition: connections that both ends kept move their bytes, and those that wait are opened.
    pub fn heal(&self) {
        self.set(|conditions| conditions.partitioned = false);
    }

    /// Rejects new connections, until [`accept`](Self::accept), as a host without a server does. Open connections are
    /// not affected; with [`cut`](Self::cut) it looks like a server that was killed.
    pub fn refuse(&self) {
        self.set(|conditions| conditions.refuses = true);
    }

    /// Accepts new connections again.
    pub fn accept(&self) {
        self.set(|conditions| conditions.refuses = false);
    }

    fn set(&self, change: impl FnOnce(&mut Conditions)) {
        let mut state = self.network.state.lock();
        if let Some(conditions) = state.links.get_mut(self.id) {
            change(conditions);
        }
        // The tasks themselves check whether the change concerns them.
        let connections = state.connections.values_mut();
        let wakers: Vec<Waker> = connections.flat_map(Connection::wakers).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
        self.network.changed.notify_waiters();
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("address", &self.address)
            .field("connections", &self.connections())
            .finish_non_exhaustive()
    }
}

/// Returns the default address of a link.
fn address(link: usize) -> IpAddr {
    let [_, a, b, c] = (link as u32).wrapping_add(1).to_be_bytes();
    Ipv4Addr::new(10, a, b, c).into()
}
