//! A server on a free port, and a client that shows every packet.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use fanfare::{Namespace, SocketIo, SocketIoBuilder};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Nothing that is expected takes longer, on however busy a machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

pub(crate) async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} did not happen within {DEADLINE:?}"),
    }
}

/// Waits until something is so that nobody tells us about.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    within(what, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// One answer of a connection that stays open: its head and body.
pub(crate) async fn answer(stream: &mut (impl Duplex + Unpin)) -> (String, String) {
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
        tokio::spawn(fanfare::serve_listener(listener, io.clone()));
        Self { io, addr }
    }

    pub(crate) async fn with(namespace: Namespace) -> Self {
        Self::start(SocketIo::builder().namespace(namespace)).await
    }

    pub(crate) async fn peer(&self) -> Peer {
        Peer::open(self.addr).await
    }

    /// A peer that has joined the main namespace.
    pub(crate) async fn joined(&self) -> Peer {
        let mut peer = self.peer().await;
        peer.join("/").await;
        peer
    }
}

/// What a peer sees.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Bytes),
    Closed,
}

pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}

pub(crate) struct Peer {
    ws: WebSocketStream<Pin<Box<dyn Duplex>>>,
    pub(crate) open: serde_json::Value,
    /// The public id in the namespace that was joined last.
    pub(crate) sid: String,
}

impl Peer {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        // Small messages must not wait for each other.
        stream.set_nodelay(true).unwrap();
        Self::over(stream).await
    }

    /// Over a stream that leads to the server.
    pub(crate) async fn over(stream: impl Duplex + 'static) -> Self {
        let url = "ws://localhost/socket.io/?EIO=4&transport=websocket";
        let stream: Pin<Box<dyn Duplex>> = Box::pin(stream);
        let (ws, _) = within("the upgrade", tokio_tungstenite::client_async(url, stream))
            .await
            .unwrap();
        let mut peer = Self {
            ws,
            open: serde_json::Value::Null,
            sid: String::new(),
        };
        let Seen::Text(open) = peer.raw().await else {
            panic!("no open packet")
        };
        peer.open = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
        peer
    }

    async fn raw(&mut self) -> Seen {
        loop {
            match within("a message", self.ws.next()).await {
                Some(Ok(Message::Text(text))) => return Seen::Text(text.to_string()),
                Some(Ok(Message::Binary(data))) => return Seen::Binary(data),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Seen::Closed,
                Some(Ok(_)) => {}
            }
        }
    }

    /// The next Socket.IO packet (without the leading `4`), attachment or end; pings are answered.
    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            match self.raw().await {
                Seen::Text(text) if text == "2" => self.ws.send("3".into()).await.unwrap(),
                Seen::Text(text) => {
                    return Seen::Text(
                        text.strip_prefix('4')
                            .unwrap_or_else(|| panic!("{text}"))
                            .into(),
                    );
                }
                seen => return seen,
            }
        }
    }

    /// Sends a Socket.IO packet.
    pub(crate) async fn send(&mut self, packet: &str) {
        self.ws.send(format!("4{packet}").into()).await.unwrap();
    }

    pub(crate) async fn send_binary(&mut self, data: &[u8]) {
        self.ws
            .send(Message::Binary(Bytes::copy_from_slice(data)))
            .await
            .unwrap();
    }

    /// Expects exactly this packet next.
    pub(crate) async fn expect(&mut self, packet: &str) {
        assert_eq!(self.next().await, Seen::Text(packet.into()));
    }

    pub(crate) async fn text(&mut self) -> String {
        match self.next().await {
            Seen::Text(text) => text,
            seen => panic!("expected a text, not {seen:?}"),
        }
    }

    /// Expects the end of the connection; what comes before it is returned.
    pub(crate) async fn until_closed(&mut self) -> Vec<Seen> {
        let mut seen = Vec::new();
        loop {
            match self.next().await {
                Seen::Closed => return seen,
                other => seen.push(other),
            }
        }
    }

    /// Joins a namespace.
    pub(crate) async fn join(&mut self, namespace: &str) {
        let prefix = if namespace == "/" {
            String::new()
        } else {
            format!("{namespace},")
        };
        self.send(&format!("0{prefix}")).await;
        let reply = self.text().await;
        let body = reply
            .strip_prefix(&format!("0{prefix}"))
            .unwrap_or_else(|| panic!("{reply}"));
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        self.sid = body["sid"].as_str().unwrap().to_owned();
    }

    /// Shows that nothing came before the answer to a question that was asked now: the server has an `echo` handler.
    pub(crate) async fn quiet(&mut self) {
        self.send(r#"2999["echo"]"#).await;
        self.expect("3999[]").await;
    }

    /// Goes away without a word.
    pub(crate) fn vanish(self) {
        drop(self.ws);
    }
}
