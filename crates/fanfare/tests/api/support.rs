//! A server on a free port, and a client that exposes every packet.

use std::net::SocketAddr;
use std::ops::{Deref, DerefMut};

use fanfare::{Namespace, SocketIo, SocketIoBuilder};
pub(crate) use fanfare_testing::{DEADLINE, until, within};
use http::{HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;

/// Returns one response of a connection that stays open: its head and body.
pub(crate) async fn answer(stream: &mut impl Duplex) -> (String, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within("an answer", stream.read_u8()).await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let (_, len) = head.split_once("content-length: ").unwrap();
    let len: usize = len.split("\r\n").next().unwrap().parse().unwrap();
    let mut body = vec![0; len];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

pub(crate) struct Server {
    pub(crate) io: SocketIo,
    pub(crate) addr: SocketAddr,
}

impl Server {
    pub(crate) async fn start(builder: SocketIoBuilder) -> Self {
        let io = builder.build().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(fanfare::serve(io.clone()).listener(listener));
        Self { io, addr }
    }

    pub(crate) async fn with(namespace: Namespace) -> Self {
        Self::start(SocketIo::builder().namespace(namespace)).await
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer::open(self.addr).await
    }

    /// Returns a peer that has joined the main namespace.
    pub(crate) async fn joined(&self) -> Peer {
        let mut peer = self.peer().await;
        peer.join("/").await;
        peer
    }
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A peer, with what only the tests of this crate need.
pub(crate) struct Peer(fanfare_testing::Peer);

impl Peer {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self::over(tcp(addr).await).await
    }

    /// Connects through a proxy that provides the client's address.
    pub(crate) async fn from_address(addr: SocketAddr, address: &str) -> Self {
        Self::with_headers(tcp(addr).await, &[("x-forwarded-for", address)]).await
    }

    /// Connects over a stream that leads to the server.
    pub(crate) async fn over(stream: impl Duplex + 'static) -> Self {
        Self(fanfare_testing::Peer::open(stream).await)
    }

    /// Connects with further headers.
    pub(crate) async fn with_headers(
        stream: impl Duplex + 'static,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let headers = headers.iter().map(|(name, value)| {
            let value = HeaderValue::from_str(value).unwrap();
            (HeaderName::from_static(name), value)
        });
        let target = "/socket.io/?EIO=4&transport=websocket";
        Self(fanfare_testing::Peer::open_with(stream, target, headers.collect()).await)
    }

    /// Opens a session on a stream that is already a WebSocket.
    pub(crate) async fn on(stream: impl Duplex + 'static) -> Self {
        let mut peer = Self::probing(stream);
        peer.receive_handshake().await;
        peer
    }

    /// Uses a WebSocket as [`on`](Self::on) does, without a new session.
    pub(crate) fn probing(stream: impl Duplex + 'static) -> Self {
        Self(fanfare_testing::Peer::on_websocket(stream))
    }

    /// Asserts that nothing arrived before the answer to a question that is asked now: the server has an `echo`
    /// handler.
    pub(crate) async fn quiet(&mut self) {
        self.send(r#"2999["echo"]"#).await;
        self.expect("3999[]").await;
    }

    /// Drops the connection without sending a packet.
    pub(crate) fn vanish(self) {
        drop(self.0);
    }
}

impl Deref for Peer {
    type Target = fanfare_testing::Peer;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for Peer {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

async fn tcp(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).await.unwrap();
    // Small messages must not wait for each other.
    stream.set_nodelay(true).unwrap();
    stream
}
