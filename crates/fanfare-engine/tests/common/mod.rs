//! Engine that reports its events, and connections to it.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(async_fn_in_trait, clippy::unwrap_used, missing_docs, unreachable_pub)]

use std::net::SocketAddr;
use std::sync::Arc;

use fanfare_engine::serve::{EngineServer, Served};
use fanfare_engine::{
    CloseReason, Connection, Engine, EngineConfig, Handler, HandshakeRequest, PerMessageDeflate,
    serve,
};
use fanfare_testing::wire::{Http, Response, WebSocket};
use fanfare_testing::{Link, within};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

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
    network: Network,
    events: mpsc::UnboundedReceiver<Event>,
}

enum Network {
    Tcp(SocketAddr),
    Memory(Link),
}

impl Server {
    pub async fn start() -> Server {
        Server::with(|_| {}).await
    }

    pub async fn with(configure: impl FnOnce(&mut EngineConfig)) -> Server {
        Server::handling(configure, None).await
    }

    pub async fn handling(
        configure: impl FnOnce(&mut EngineConfig),
        on_text: Option<OnText>,
    ) -> Server {
        let (engine, events) = recorded(configure, on_text, false);
        let address = served(EngineServer::new(engine.clone())).await;
        Server {
            engine,
            network: Network::Tcp(address),
            events,
        }
    }

    /// Serves over a network in memory, as virtual time needs it.
    pub fn in_memory(configure: impl FnOnce(&mut EngineConfig)) -> Server {
        Server::over_memory(recorded(configure, None, false))
    }

    /// As [`in_memory`](Server::in_memory), and reports more events.
    pub fn telling_all(configure: impl FnOnce(&mut EngineConfig)) -> Server {
        Server::over_memory(recorded(configure, None, true))
    }

    fn over_memory(
        (engine, events): (Arc<Engine<Recorder>>, mpsc::UnboundedReceiver<Event>),
    ) -> Server {
        let serve = serve(EngineServer::new(engine.clone()));
        let link = Link::to(move |stream, address| serve.clone().connection(stream, address));
        Server {
            engine,
            network: Network::Memory(link),
            events,
        }
    }

    /// Serves the engine a second time, in such a way that its service gets all requests.
    pub async fn serve_usually(&self) -> SocketAddr {
        served(self.engine.service()).await
    }

    pub fn address(&self) -> SocketAddr {
        match self.network {
            Network::Tcp(address) => address,
            Network::Memory(_) => panic!("a network in memory has no address"),
        }
    }

    pub async fn event(&mut self) -> Event {
        let event = within("an event", self.events.recv()).await;
        event.expect("the engine lives")
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
        match &self.network {
            Network::Tcp(address) => Http::new(tcp(*address).await),
            Network::Memory(link) => Http::new(link.connect().await.unwrap()),
        }
    }

    /// Sends one request on a separate connection.
    pub async fn request(&self, method: &str, query: &str, headers: &str, body: &str) -> Response {
        let mut http = self.http().await;
        http.ask(method, query, headers, body).await;
        http.response().await
    }

    /// Opens a polling session and returns its id.
    pub async fn polling(&self) -> String {
        let response = self.request("GET", "EIO=4&transport=polling", "", "").await;
        assert_eq!(response.status, 200);
        sid_of(response.text())
    }

    /// Opens a WebSocket session.
    pub async fn websocket(&self) -> WebSocket {
        let mut ws = self.connect("EIO=4&transport=websocket", "").await.unwrap();
        let open = ws.text().await;
        assert!(open.starts_with("0{\"sid\":\""), "{open}");
        ws
    }

    /// Opens a WebSocket, without a handshake of Engine.IO.
    pub async fn connect(&self, query: &str, headers: &str) -> Result<WebSocket, Response> {
        match &self.network {
            Network::Tcp(address) => {
                WebSocket::connect(tcp(*address).await, &target(query), headers).await
            }
            Network::Memory(link) => {
                let stream = link.connect().await.unwrap();
                WebSocket::connect(stream, &target(query), headers).await
            }
        }
    }

    /// Opens a WebSocket and offers permessage-deflate; `None` if the server declines it.
    pub async fn deflating(&self, query: &str, config: &PerMessageDeflate) -> Option<WebSocket> {
        let stream = tcp(self.address()).await;
        let ws = WebSocket::connect_compressed(stream, &target(query), config).await;
        Some(ws.unwrap()).filter(WebSocket::is_compressed)
    }
}

fn recorded(
    configure: impl FnOnce(&mut EngineConfig),
    on_text: Option<OnText>,
    tells_all: bool,
) -> (Arc<Engine<Recorder>>, mpsc::UnboundedReceiver<Event>) {
    let mut config = EngineConfig::default();
    config.path = "/engine.io/".to_owned();
    configure(&mut config);
    let (sender, events) = mpsc::unbounded_channel();
    let recorder = Recorder {
        events: sender,
        on_text,
        tells_all,
    };
    (Engine::new(recorder, config), events)
}

async fn served(server: impl Served) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(server).listener(listener));
    address
}

pub fn sid_of(open: &str) -> String {
    let (_, rest) = open
        .split_once("\"sid\":\"")
        .unwrap_or_else(|| panic!("no sid in {open}"));
    rest[..rest.find('"').unwrap()].to_owned()
}

pub async fn tcp(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Returns the target of requests to the engine; a query that is a path stands for itself.
pub fn target(query: &str) -> String {
    match query.starts_with('/') {
        true => query.to_owned(),
        false => format!("/engine.io/?{query}"),
    }
}

/// Requests to the engine.
pub trait Ask {
    async fn ask(&mut self, method: &str, query: &str, headers: &str, body: &str);
}

impl Ask for Http {
    async fn ask(&mut self, method: &str, query: &str, headers: &str, body: &str) {
        self.send_request(method, &target(query), headers, body.as_bytes())
            .await;
    }
}
