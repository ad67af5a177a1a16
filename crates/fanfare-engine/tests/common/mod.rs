//! A server that reports its events, and clients that speak raw HTTP and WebSocket.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use fanfare_engine::{
    CloseReason, Connection, Engine, EngineConfig, Handler, HandshakeRequest, ServeOptions, serve,
};
use fanfare_websocket::deflate::{self, Compressor, Params};
use fanfare_websocket::{Decoded, Decoder, DecoderConfig, Event as Frame, OpCode, Role, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;

pub const PATIENCE: Duration = Duration::from_secs(60);

pub type Conn = Arc<Connection<()>>;

#[derive(Debug)]
pub enum Event {
    Open(Conn),
    Text(String),
    Binary(Vec<u8>),
    Upgrading,
    Upgraded,
    Heartbeat,
    Deadline,
    Close(CloseReason),
}

/// Callback for the text of each message.
pub type OnText = Box<dyn Fn(&Conn, &str) + Send + Sync>;

pub struct Recorder {
    events: mpsc::UnboundedSender<Event>,
    on_text: Option<OnText>,
    /// Whether the start of upgrades and heartbeats are reported too.
    tells_all: bool,
}

impl Handler for Recorder {
    type State = ();

    fn accept(&self, _: &HandshakeRequest) {}

    fn open(&self, conn: &Conn) {
        let _ = self.events.send(Event::Open(conn.clone()));
    }

    fn text(&self, conn: &Conn, data: &str) {
        if let Some(on_text) = &self.on_text {
            on_text(conn, data);
        }
        let _ = self.events.send(Event::Text(data.to_owned()));
    }

    fn binary(&self, _: &Conn, data: &[u8]) {
        let _ = self.events.send(Event::Binary(data.to_vec()));
    }

    fn adds_headers(&self, _: bool) -> bool {
        false
    }

    fn upgrading(&self, _: &Conn) {
        if self.tells_all {
            let _ = self.events.send(Event::Upgrading);
        }
    }

    fn heartbeat(&self, _: &Conn) {
        if self.tells_all {
            let _ = self.events.send(Event::Heartbeat);
        }
    }

    fn upgraded(&self, _: &Conn) {
        let _ = self.events.send(Event::Upgraded);
    }

    fn deadline(&self, _: &Conn) {
        let _ = self.events.send(Event::Deadline);
    }

    fn close(&self, _: &Conn, reason: CloseReason) {
        let _ = self.events.send(Event::Close(reason));
    }
}

pub struct Server {
    pub engine: Arc<Engine<Recorder>>,
    pub address: SocketAddr,
    events: mpsc::UnboundedReceiver<Event>,
}

impl Server {
    pub async fn start() -> Server {
        Server::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut EngineConfig)) -> Server {
        Server::handling(configure, None).await
    }

    /// As [`with`](Server::with), and reports more events.
    pub async fn telling_all(configure: impl FnOnce(&mut EngineConfig)) -> Server {
        Server::recording(configure, None, true).await
    }

    pub async fn handling(
        configure: impl FnOnce(&mut EngineConfig),
        on_text: Option<OnText>,
    ) -> Server {
        Server::recording(configure, on_text, false).await
    }

    async fn recording(
        configure: impl FnOnce(&mut EngineConfig),
        on_text: Option<OnText>,
        tells_all: bool,
    ) -> Server {
        let mut config = EngineConfig::default();
        config.path = "/engine.io/".to_owned();
        configure(&mut config);
        let (sender, events) = mpsc::unbounded_channel();
        let engine = Engine::new(
            Recorder {
                events: sender,
                on_text,
                tells_all,
            },
            config,
        );
        let options = ServeOptions::new().answer_sessions_of(&engine);
        let address = served(&engine, options).await;
        Server {
            engine,
            address,
            events,
        }
    }

    /// Serves the engine a second time, in such a way that its service gets all requests.
    pub async fn serve_usually(&self) -> SocketAddr {
        served(&self.engine, ServeOptions::default()).await
    }

    pub async fn event(&mut self) -> Event {
        timeout(PATIENCE, self.events.recv())
            .await
            .expect("an event")
            .expect("the engine lives")
    }

    pub async fn opened(&mut self) -> Conn {
        match self.event().await {
            Event::Open(conn) => conn,
            other => panic!("expected an opening, got {other:?}"),
        }
    }

    pub async fn text(&mut self) -> String {
        match self.event().await {
            Event::Text(text) => text,
            other => panic!("expected a text, got {other:?}"),
        }
    }

    pub async fn closed(&mut self) -> CloseReason {
        match self.event().await {
            Event::Close(reason) => reason,
            other => panic!("expected a close, got {other:?}"),
        }
    }

    pub fn events_so_far(&mut self) -> impl Iterator<Item = Event> {
        std::iter::from_fn(|| self.events.try_recv().ok())
    }

    pub fn no_event(&mut self) {
        if let Ok(event) = self.events.try_recv() {
            panic!("unexpected {event:?}");
        }
    }

    pub async fn http(&self) -> Http {
        Http::connect(self.address).await
    }

    /// Sends one request on a separate connection.
    pub async fn request(&self, method: &str, query: &str, headers: &str, body: &str) -> Response {
        let mut http = self.http().await;
        http.send(method, query, headers, body).await;
        http.response().await
    }

    /// Opens a polling session and returns its id.
    pub async fn polling(&self) -> String {
        let response = self.request("GET", "EIO=4&transport=polling", "", "").await;
        assert_eq!(response.status, 200);
        sid_of(response.text())
    }

    pub async fn websocket(&self) -> WebSocket {
        let mut ws = WebSocket::connect(self.address, "EIO=4&transport=websocket", "")
            .await
            .unwrap();
        let open = ws.text().await;
        assert!(open.starts_with("0{\"sid\":\""), "{open}");
        ws.sid = sid_of(&open);
        ws
    }
}

async fn served(engine: &Arc<Engine<Recorder>>, options: ServeOptions) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = engine.service();
    tokio::spawn(serve(listener, service, options, std::future::pending()));
    address
}

pub fn sid_of(open: &str) -> String {
    let (_, rest) = open
        .split_once("\"sid\":\"")
        .unwrap_or_else(|| panic!("no sid in {open}"));
    rest[..rest.find('"').unwrap()].to_owned()
}

#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }
}

/// A connection that speaks HTTP/1.1; the test controls every byte.
pub struct Http {
    pub stream: TcpStream,
    input: Vec<u8>,
}

impl Http {
    pub async fn connect(address: SocketAddr) -> Http {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Http {
            stream,
            input: Vec::new(),
        }
    }

    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a request. `headers`: whole lines, each with its `\r
    /// `.
    pub async fn send(&mut self, method: &str, query: &str, headers: &str, body: &str) {
        let path = if query.starts_with('/') {
            query.to_owned()
        } else {
            format!("/engine.io/?{query}")
        };
        let length = if body.is_empty() {
            String::new()
        } else {
            format!("Content-Length: {}\r\n", body.len())
        };
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: test\r\n{headers}{length}\r\n{body}");
        self.raw(request.as_bytes()).await;
    }

    pub async fn response(&mut self) -> Response {
        timeout(PATIENCE, self.read_response())
            .await
            .expect("an answer in time")
    }

    async fn read_response(&mut self) -> Response {
        let end = loop {
            if let Some(end) = self.input.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(
                self.fill().await > 0,
                "the connection ended: {:?}",
                String::from_utf8_lossy(&self.input)
            );
        };
        let head = String::from_utf8(self.input.drain(..end).collect()).unwrap();
        let status: u16 = head[9..12].parse().unwrap();
        let mut response = Response {
            status,
            head,
            body: Vec::new(),
        };
        if status != 101 {
            let length: usize = response
                .header("content-length")
                .unwrap_or("0")
                .parse()
                .unwrap();
            while self.input.len() < length {
                assert!(self.fill().await > 0, "the connection ended in a body");
            }
            response.body = self.input.drain(..length).collect();
        }
        response
    }

    async fn fill(&mut self) -> usize {
        self.stream.read_buf(&mut self.input).await.unwrap_or(0)
    }

    /// Waits for the end of the connection.
    pub async fn ended(&mut self) {
        timeout(PATIENCE, async { while self.fill().await > 0 {} })
            .await
            .expect("the end of the connection");
    }
}

pub struct WebSocket {
    pub http: Http,
    pub sid: String,
    decoder: Decoder,
    compressor: Option<Compressor>,
    /// First byte and length of each frame with content.
    pub frames: Vec<(u8, usize)>,
}

/// Input of a WebSocket.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// Code of the close frame; 1005 if it had none.
    Close(u16),
    /// End of the stream without a close frame.
    End,
}

pub const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

impl WebSocket {
    pub async fn connect(
        address: SocketAddr,
        query: &str,
        headers: &str,
    ) -> Result<WebSocket, Response> {
        let mut http = Http::connect(address).await;
        http.send("GET", query, &format!("{UPGRADE}{headers}"), "")
            .await;
        let response = http.response().await;
        if response.status != 101 {
            return Err(response);
        }
        assert_eq!(
            response.header("sec-websocket-accept"),
            Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
        );
        let decoder = Decoder::new(Role::Client, DecoderConfig::default());
        Ok(WebSocket {
            http,
            sid: String::new(),
            decoder,
            compressor: None,
            frames: Vec::new(),
        })
    }

    /// Connects and offers permessage-deflate; `None` if the server declines it.
    pub async fn deflating(
        address: SocketAddr,
        query: &str,
        config: &deflate::Config,
    ) -> Option<WebSocket> {
        let mut http = Http::connect(address).await;
        let offer = format!("{UPGRADE}Sec-WebSocket-Extensions: {}\r\n", config.offer());
        http.send("GET", query, &offer, "").await;
        let response = http.response().await;
        assert_eq!(response.status, 101);
        let mut headers = http::HeaderMap::new();
        let answer = response.header("sec-websocket-extensions")?;
        headers.insert("sec-websocket-extensions", answer.parse().unwrap());
        let params = Params::from_answer(&headers, Some(config)).unwrap()?;
        let decoder = Decoder::new(
            Role::Client,
            DecoderConfig {
                permessage_deflate: Some(params),
                ..DecoderConfig::default()
            },
        );
        Some(WebSocket {
            http,
            sid: String::new(),
            decoder,
            compressor: Compressor::new(&params, Role::Client, config.level),
            frames: Vec::new(),
        })
    }

    /// Sends a compressed message.
    pub async fn send_compressed(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut compressed = Vec::new();
        let compressor = self.compressor.as_mut().expect("deflate was negotiated");
        compressor.compress(payload, &mut compressed);
        let mut out = Vec::new();
        frame::encode_masked_rsv_into(&mut out, opcode, true, &compressed, [1, 2, 3, 4]);
        self.http.raw(&out).await;
    }

    pub async fn send(&mut self, text: &str) {
        self.frame(OpCode::Text, text.as_bytes()).await;
    }

    pub async fn binary(&mut self, data: &[u8]) {
        self.frame(OpCode::Binary, data).await;
    }

    pub async fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        let mut out = Vec::new();
        frame::encode_masked_into(&mut out, opcode, payload, [1, 2, 3, 4]);
        self.http.raw(&out).await;
    }

    pub async fn got(&mut self) -> Got {
        timeout(PATIENCE, self.read())
            .await
            .expect("a frame in time")
    }

    async fn read(&mut self) -> Got {
        loop {
            let first = self.http.input.first().copied();
            let (got, consumed) = match self.decoder.next(&mut self.http.input).unwrap() {
                Decoded::Event { consumed, event } => {
                    let got = match event {
                        Frame::Text(text) => Some(Got::Text(text.to_owned())),
                        Frame::Binary(data) => Some(Got::Binary(data.to_vec())),
                        Frame::Pong(data) => Some(Got::Pong(data.to_vec())),
                        Frame::Close(frame) => Some(Got::Close(frame.map_or(1005, |f| f.code.0))),
                        Frame::Ping(_) | Frame::Fragment => None,
                    };
                    (got, consumed)
                }
                Decoded::Incomplete { .. } => (None, 0),
            };
            self.http.input.drain(..consumed);
            if let Some(got) = got {
                self.frames.push((first.unwrap_or(0), consumed));
                return got;
            }
            if consumed == 0 && self.http.fill().await == 0 {
                return Got::End;
            }
        }
    }

    pub async fn text(&mut self) -> String {
        match self.got().await {
            Got::Text(text) => text,
            other => panic!("expected text, got {other:?}"),
        }
    }
}
