//! WebSocket.

use std::fmt;

use bytes::Bytes;
use fanfare_websocket::deflate::{self, Compressor, Params};
use fanfare_websocket::handshake::accept_key;
use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Event, OpCode, Role, frame};
use http::{HeaderMap, HeaderValue};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Http, Response};
use crate::within;

/// Header lines of a client's opening handshake, with the key that is the example of RFC 6455, section 1.3.
pub const UPGRADE_HEADERS: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Answer to that key.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Mask of all frames of a client.
const MASK: [u8; 4] = [1, 2, 3, 4];

/// Input of a [`WebSocket`]. A message that came in several frames is one.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Frame {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping. It is not answered.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// A close frame, with its code; 1005 if it has none. It is not answered.
    Close(u16),
    /// The connection has ended.
    End,
}

/// WebSocket connection that sends the test's frames and shows every frame it receives, at the client's or the
/// server's end.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_testing::TestServer;
/// use fanfare_testing::wire::{Frame, WebSocket};
/// use fanfare_websocket::OpCode;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestServer::start(SocketIo::builder().build()?);
/// let stream = server.link().connect().await?;
/// let mut ws = WebSocket::connect(stream, "/socket.io/?EIO=4&transport=websocket", "").await.unwrap();
/// assert!(ws.text().await.starts_with("0{"));
///
/// // Text that is not UTF-8.
/// ws.send_frame(OpCode::Text, b"4\xFF").await;
/// assert_eq!(ws.next().await, Frame::Close(1007));
/// assert_eq!(ws.next().await, Frame::End);
/// # Ok(())
/// # }
/// ```
pub struct WebSocket {
    http: Http,
    role: Role,
    decoder: Decoder,
    compressor: Option<Compressor>,
    last_frame: (u8, usize),
}

impl WebSocket {
    /// Opens a WebSocket as a client. `headers` are further header lines, each with its `\r\n`.
    ///
    /// # Errors
    /// The response, if the server rejects the request.
    ///
    /// # Panics
    /// If the server accepts it without the proof that it has read the request.
    pub async fn connect(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &str,
        headers: &str,
    ) -> Result<Self, Response> {
        let (http, _) = open(stream, target, headers).await?;
        Ok(Self::new(http, Role::Client, None))
    }

    /// Opens a WebSocket as a client and offers permessage-deflate. The server may decline:
    /// [`is_compressed`](Self::is_compressed).
    ///
    /// # Errors
    /// The response, if the server rejects the request.
    ///
    /// # Panics
    /// If the server accepts something that was not offered.
    pub async fn connect_compressed(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        target: &str,
        config: &deflate::Config,
    ) -> Result<Self, Response> {
        let headers = format!("Sec-WebSocket-Extensions: {}\r\n", config.offer());
        let (http, response) = open(stream, target, &headers).await?;
        let mut answer = HeaderMap::new();
        if let Some(value) = response.header("sec-websocket-extensions") {
            let value = HeaderValue::from_str(value).expect("the answer is visible ASCII");
            answer.insert("sec-websocket-extensions", value);
        }
        let params = Params::from_answer(&answer, Some(config));
        let params = params.unwrap_or_else(|error| panic!("{error}"));
        let mut ws = Self::new(http, Role::Client, params);
        ws.compressor =
            params.and_then(|params| Compressor::new(&params, Role::Client, config.level));
        Ok(ws)
    }

    /// Accepts a WebSocket as a server, at any request target. `headers` are further header lines of the
    /// response, each with its `\r\n`. Returns `None` if the connection ends before the request is complete.
    ///
    /// ```
    /// use fanfare_client::Transport;
    /// use fanfare_testing::Link;
    /// use fanfare_testing::wire::{Frame, WebSocket};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let network = Link::to(async |stream, _| {
    ///     let Some(mut ws) = WebSocket::accept(stream, "").await else {
    ///         return;
    ///     };
    ///     ws.send(r#"0{"sid":"1","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#).await;
    ///     assert_eq!(ws.next().await, Frame::Text("40".into()));
    ///     ws.send(r#"40{"sid":"2"}"#).await;
    ///     ws.send(r#"42["greeting","hello"]"#).await;
    ///     ws.next().await;
    /// });
    /// let socket = network.client().transports([Transport::WebSocket]).build()?;
    /// let mut greetings = socket.listen::<String>("greeting");
    /// socket.connect();
    /// assert_eq!(greetings.next().await.unwrap()?, "hello");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the request has no `Sec-WebSocket-Key`.
    pub async fn accept(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        headers: &str,
    ) -> Option<Self> {
        let mut http = Http::new(stream);
        let request = http.request().await?;
        let key = request.header("sec-websocket-key");
        let key = key.unwrap_or_else(|| panic!("expected a WebSocket, not {}", request.head));
        let accept = accept_key(key.as_bytes());
        let accept = String::from_utf8_lossy(&accept);
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n"
        );
        // If the client has disconnected already, the first `next` reports it.
        let _ = http.try_send(head.as_bytes()).await;
        Some(Self::new(http, Role::Server, None))
    }

    /// Uses a stream on which a WebSocket has been opened already, as by HTTP/2, as a client.
    #[must_use]
    pub fn on_stream(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::new(Http::new(stream), Role::Client, None)
    }

    fn new(http: Http, role: Role, permessage_deflate: Option<Params>) -> Self {
        let config = DecoderConfig {
            permessage_deflate,
            ..DecoderConfig::default()
        };
        Self {
            http,
            role,
            decoder: Decoder::new(role, config),
            compressor: None,
            last_frame: (0, 0),
        }
    }

    /// Whether permessage-deflate has been negotiated.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.decoder.config().permessage_deflate.is_some()
    }

    /// Sends a text message.
    ///
    /// # Panics
    /// If the connection has ended. The same holds for all methods that send.
    pub async fn send(&mut self, text: &str) {
        self.send_frame(OpCode::Text, text.as_bytes()).await;
    }

    /// Sends a binary message.
    pub async fn send_binary(&mut self, data: &[u8]) {
        self.send_frame(OpCode::Binary, data).await;
    }

    /// Sends a frame that is the last of its message. A client's is masked.
    pub async fn send_frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let frame = self.encode(opcode, payload);
        self.send_bytes(&frame).await;
    }

    /// Sends a close frame, if the connection has not ended.
    pub(crate) async fn send_close(&mut self, code: u16) {
        let frame = self.encode(OpCode::Close, &code.to_be_bytes());
        let _ = self.http.try_send(&frame).await;
    }

    fn encode(&self, opcode: OpCode, payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        match self.role {
            Role::Client => frame::encode_masked_into(&mut out, opcode, payload, MASK),
            Role::Server => frame::encode_into(&mut out, opcode, payload),
        }
        out
    }

    /// Sends a compressed message.
    ///
    /// # Panics
    /// If the connection has ended, or no compression was negotiated.
    pub async fn send_compressed(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut compressed = Vec::new();
        let compressor = self.compressor.as_mut();
        let compressor = compressor.expect("permessage-deflate was negotiated");
        compressor.compress(payload, &mut compressed);
        let mut out = Vec::new();
        frame::encode_masked_rsv_into(&mut out, opcode, true, &compressed, MASK);
        self.send_bytes(&out).await;
    }

    /// Sends bytes as they are, such as a frame that breaks the protocol.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.http.send(bytes).await;
    }

    /// Returns the next message, control frame, or the end.
    ///
    /// # Panics
    /// If the other end breaks the protocol.
    pub async fn next(&mut self) -> Frame {
        within("a frame", self.read()).await
    }

    /// Returns the next message, control frame, or the end, without a deadline.
    async fn read(&mut self) -> Frame {
        loop {
            let first = self.http.input.first().copied().unwrap_or(0);
            let (found, consumed) = match self.decoder.next(&mut self.http.input) {
                Ok(Decoded::Event { consumed, event }) => (owned(event), consumed),
                Ok(Decoded::Incomplete { .. }) => (None, 0),
                Err(error) => panic!("the other end broke the protocol: {error}"),
            };
            self.http.input.drain(..consumed);
            if let Some(found) = found {
                self.last_frame = (first, consumed);
                return found;
            }
            if consumed == 0 && self.http.fill().await == 0 {
                return Frame::End;
            }
        }
    }

    /// Returns the next message, which must be text.
    ///
    /// # Panics
    /// If it is something else.
    pub async fn text(&mut self) -> String {
        match self.next().await {
            Frame::Text(text) => text,
            other => panic!("expected a text, not {other:?}"),
        }
    }

    /// Waits for the end of the connection; returns what arrived before it.
    pub async fn until_end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Frame::End => return frames,
                other => frames.push(other),
            }
        }
    }

    /// Returns the first byte of the frame that [`next`](Self::next) returned last: `FIN`, `RSV1` (set if the message is
    /// compressed), and the opcode (RFC 6455, section 5.2).
    #[must_use]
    pub fn last_first_byte(&self) -> u8 {
        self.last_frame.0
    }

    /// Returns the length of the frame that [`next`](Self::next) returned last, with its header, in bytes.
    #[must_use]
    pub fn last_frame_bytes(&self) -> usize {
        self.last_frame.1
    }
}

/// Sends the opening handshake; returns the response if it opens the WebSocket.
async fn open(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    target: &str,
    headers: &str,
) -> Result<(Http, Response), Response> {
    let mut http = Http::new(stream);
    let headers = format!("{UPGRADE_HEADERS}{headers}");
    http.send_request("GET", target, &headers, b"").await;
    let response = http.response().await;
    if response.status != 101 {
        return Err(response);
    }
    assert_eq!(response.header("sec-websocket-accept"), Some(ACCEPT));
    Ok((http, response))
}

/// Returns `None` for a fragment.
fn owned(event: Event<'_>) -> Option<Frame> {
    Some(match event {
        Event::Text(text) => Frame::Text(text.to_owned()),
        Event::Binary(data) => Frame::Binary(Bytes::copy_from_slice(data)),
        Event::Ping(data) => Frame::Ping(Bytes::copy_from_slice(data)),
        Event::Pong(data) => Frame::Pong(Bytes::copy_from_slice(data)),
        Event::Close(frame) => Frame::Close(frame.map_or(1005, |frame| frame.code.0)),
        Event::Fragment => return None,
    })
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebSocket")
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}
