//! Client that shows every packet.

use std::fmt;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::wire::{Frame, WebSocket};

/// Request target of WebSocket connections.
const TARGET: &str = "/socket.io/?EIO=4&transport=websocket";

/// Input of a [`Peer`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// A text message: a packet of Engine.IO, or of Socket.IO, depending on the method.
    Text(String),
    /// A binary message: an attachment.
    Binary(Bytes),
    /// The connection has ended, with or without a close frame.
    Closed,
}

/// WebSocket connection that sends the test's packets and shows every packet, without the logic of a client: for tests
/// of what is on the wire, and of clients that break the protocol.
///
/// [`send`](Self::send), [`next`](Self::next) and [`expect`](Self::expect) take packets of Socket.IO, such as
/// `2["event","argument"]`, and answer pings while they wait; [`send_engine`](Self::send_engine) and
/// [`next_engine`](Self::next_engine) take packets of Engine.IO, which have another digit in front. Dropping the peer
/// ends the connection without a packet.
///
/// Its methods panic when the connection ends or nothing arrives within [`DEADLINE`](crate::DEADLINE).
///
/// ```
/// use fanfare::{Ack, Namespace, SocketIo};
/// use fanfare_testing::TestServer;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let namespace = Namespace::new("/").on("ping me", async || Ack("pong"));
/// let server = TestServer::start(SocketIo::builder().namespace(namespace).build()?);
///
/// let mut peer = server.peer().await;
/// assert_eq!(peer.handshake()["pingInterval"], 25_000);
/// peer.join("/").await;
/// peer.send(r#"27["ping me"]"#).await;
/// peer.expect(r#"37["pong"]"#).await;
/// # Ok(())
/// # }
/// ```
pub struct Peer {
    ws: WebSocket,
    handshake: Value,
    sid: String,
}

impl Peer {
    /// Connects over a stream that leads to a server, and receives the handshake of Engine.IO.
    ///
    /// # Panics
    /// If the server rejects the connection.
    pub async fn open(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::open_with(stream, TARGET, HeaderMap::new()).await
    }

    /// Connects with another request: its target, such as `/socket.io/?EIO=4&transport=websocket&token=1`, and further
    /// headers.
    ///
    /// # Panics
    /// If the server rejects the connection.
    pub async fn open_with(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &str,
        headers: HeaderMap,
    ) -> Self {
        let mut lines = String::new();
        for (name, value) in &headers {
            let value = String::from_utf8_lossy(value.as_bytes());
            lines.push_str(&format!("{name}: {value}\r\n"));
        }
        let ws = WebSocket::connect(stream, target, &lines).await;
        let rejected = |response| panic!("expected a WebSocket, not {response:?}");
        let mut peer = Self::new(ws.unwrap_or_else(rejected));
        peer.receive_handshake().await;
        peer
    }

    /// Uses a stream on which the WebSocket is open already, as by HTTP/2. The next packet is the server's
    /// first, which is the handshake of Engine.IO if it is a new session: see
    /// [`receive_handshake`](Self::receive_handshake).
    #[must_use]
    pub fn on_websocket(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::new(WebSocket::on_stream(stream))
    }

    fn new(ws: WebSocket) -> Self {
        Self {
            ws,
            handshake: Value::Null,
            sid: String::new(),
        }
    }

    /// Receives the handshake of Engine.IO.
    ///
    /// # Panics
    /// If something else arrives.
    pub async fn receive_handshake(&mut self) {
        let open = match self.next_engine().await {
            Received::Text(text) => text,
            other => panic!("expected a handshake, not {other:?}"),
        };
        let json = open
            .strip_prefix('0')
            .and_then(|json| serde_json::from_str(json).ok());
        self.handshake = json.unwrap_or_else(|| panic!("expected a handshake, not {open:?}"));
    }

    /// Returns the handshake of Engine.IO: `sid`, `upgrades`, `pingInterval`, `pingTimeout`, `maxPayload`.
    #[must_use]
    pub fn handshake(&self) -> &Value {
        &self.handshake
    }

    /// Returns the socket's id in the namespace that was [joined](Self::join) last; empty before.
    #[must_use]
    pub fn sid(&self) -> &str {
        &self.sid
    }

    /// Joins a namespace, without `auth`.
    ///
    /// # Panics
    /// If the server rejects it.
    pub async fn join(&mut self, namespace: &str) {
        let prefix = match namespace {
            "/" => String::new(),
            _ => format!("{namespace},"),
        };
        self.send(&format!("0{prefix}")).await;
        let reply = self.text().await;
        let body = reply.strip_prefix(&format!("0{prefix}"));
        let body = body.and_then(|json| serde_json::from_str::<Value>(json).ok());
        let sid = body.as_ref().and_then(|body| body["sid"].as_str());
        sid.unwrap_or_else(|| panic!("expected to join {namespace}: {reply}"))
            .clone_into(&mut self.sid);
    }

    /// Sends a packet of Engine.IO, with its type: `4…` for a message, `2` for a ping.
    pub async fn send_engine(&mut self, packet: &str) {
        self.ws.send(packet).await;
    }

    /// Sends a packet of Socket.IO, such as `2["event"]`.
    pub async fn send(&mut self, packet: &str) {
        self.send_engine(&format!("4{packet}")).await;
    }

    /// Sends an attachment.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.ws.send_binary(data).await;
    }

    /// Returns the next packet of Engine.IO, attachment, or the end. Pings are not answered.
    pub async fn next_engine(&mut self) -> Received {
        loop {
            match self.ws.next().await {
                Frame::Text(text) => return Received::Text(text),
                Frame::Binary(data) => return Received::Binary(data),
                Frame::Close(_) => {
                    self.ws.send_close(1000).await;
                    return Received::Closed;
                }
                Frame::End => return Received::Closed,
                Frame::Ping(_) | Frame::Pong(_) => {}
            }
        }
    }

    /// Expects this packet of Engine.IO next.
    pub async fn expect_engine(&mut self, packet: &str) {
        let next = self.next_engine().await;
        assert_eq!(next, Received::Text(packet.into()));
    }

    /// Returns the next packet of Socket.IO, attachment, or the end. Pings before it are answered.
    pub async fn next(&mut self) -> Received {
        loop {
            match self.next_engine().await {
                Received::Text(text) if text == "2" => self.send_engine("3").await,
                Received::Text(text) => match text.strip_prefix('4') {
                    Some(packet) => return Received::Text(packet.into()),
                    None => panic!("expected a message, not {text:?}"),
                },
                other => return other,
            }
        }
    }

    /// Returns the next packet of Socket.IO, which must be text.
    pub async fn text(&mut self) -> String {
        match self.next().await {
            Received::Text(text) => text,
            other => panic!("expected a text, not {other:?}"),
        }
    }

    /// Expects this packet of Socket.IO next.
    pub async fn expect(&mut self, packet: &str) {
        let next = self.next().await;
        assert_eq!(next, Received::Text(packet.into()));
    }

    /// Waits for the end of the connection; returns what arrived before it.
    pub async fn until_closed(&mut self) -> Vec<Received> {
        let mut received = Vec::new();
        loop {
            match self.next().await {
                Received::Closed => return received,
                other => received.push(other),
            }
        }
    }

    /// Closes the WebSocket with a close frame.
    pub async fn close(mut self) {
        self.ws.send_close(1000).await;
        self.ws.until_end().await;
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("sid", &self.sid)
            .finish_non_exhaustive()
    }
}
