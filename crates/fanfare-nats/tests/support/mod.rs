//! NATS servers that the tests start.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fanfare::adapter::PublishOutcome;
use fanfare::{Ack, Namespace, SocketIo, SocketIoBuilder};
use fanfare_nats::{Nats as Options, NatsAdapter};
use fanfare_testing::{Peer, TestServer, within};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// NATS server with JetStream, killed when the value is dropped.
pub(crate) struct Nats {
    port: u16,
    monitor: u16,
    folder: PathBuf,
    process: Option<Child>,
}

pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

impl Nats {
    /// Starts a server; `None`, with a message, if there is no `nats-server`.
    pub(crate) async fn start() -> Option<Self> {
        let mut nats = Self::prepare()?;
        nats.run().await;
        Some(nats)
    }

    /// Chooses ports and a folder, and starts nothing.
    pub(crate) fn prepare() -> Option<Self> {
        if Command::new("nats-server").arg("-v").output().is_err() {
            eprintln!("not run: there is no nats-server");
            return None;
        }
        let (port, monitor) = (free_port(), free_port());
        let folder = std::env::temp_dir().join(format!("fanfare-nats-{port}"));
        Some(Self {
            port,
            monitor,
            folder,
            process: None,
        })
    }

    /// Starts the server and waits until it accepts connections. Its stored data are kept.
    pub(crate) async fn run(&mut self) {
        self.run_with(&[]).await;
    }

    /// Starts the server with more options.
    pub(crate) async fn run_with(&mut self, options: &[&str]) {
        std::fs::create_dir_all(&self.folder).unwrap();
        let process = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &self.port.to_string()])
            .args(["-m", &self.monitor.to_string(), "-js", "-sd"])
            .arg(&self.folder)
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let connected = async {
            while TcpStream::connect(("127.0.0.1", self.port)).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within("the start of NATS", connected).await;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Returns the folder of the server's data.
    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Removes the stored data of the server.
    pub(crate) fn forget(&self) {
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    pub(crate) fn builder(&self) -> Options {
        Options::new(self.url())
    }

    async fn ask(&self, path: &str) -> Value {
        let address = ("127.0.0.1", self.monitor);
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap()
    }

    /// Returns the server's view of the connection of this name.
    pub(crate) async fn connection(&self, name: &str) -> Value {
        let body = self.ask("/connz?limit=1000").await;
        let connections = body["connections"].as_array().unwrap();
        let found = connections.iter().find(|found| found["name"] == name);
        found.unwrap().clone()
    }

    /// Returns the last sequence of a stream.
    pub(crate) async fn last_sequence(&self, stream: &str) -> u64 {
        let body = self.ask("/jsz?streams=true&accounts=true").await;
        let streams = body["account_details"][0]["stream_detail"].as_array();
        let found = streams
            .unwrap()
            .iter()
            .find(|found| found["name"] == stream);
        found.unwrap()["state"]["last_seq"].as_u64().unwrap()
    }

    /// Opens a connection for the test's own bytes.
    pub(crate) async fn raw(&self) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        let hello = b"CONNECT {\"verbose\":false,\"headers\":true}\r\n";
        stream.write_all(hello).await.unwrap();
        stream
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A node, and a client in the room `room`.
pub(crate) struct Node {
    pub(crate) server: TestServer,
    pub(crate) adapter: NatsAdapter,
    pub(crate) client: Peer,
    sent: u64,
}

impl Node {
    pub(crate) async fn start(adapter: Options) -> Self {
        Self::with(adapter, SocketIo::builder()).await
    }

    pub(crate) async fn with(adapter: Options, builder: SocketIoBuilder) -> Self {
        let adapter = adapter.adapter().unwrap();
        let namespace = Namespace::new("/").on("echo", async || Ack(()));
        let builder = builder.namespace(namespace).adapter(adapter.clone());
        let server = TestServer::start(builder.build().unwrap());
        let mut client = server.peer().await;
        client.join("/").await;
        let socket = server.io().of("/").socket(client.sid()).unwrap();
        socket.join("room").unwrap();
        Self {
            server,
            adapter,
            client,
            sent: 0,
        }
    }

    /// Waits until this node sees this number of nodes.
    pub(crate) async fn sees(&self, count: usize) {
        within("the nodes see each other", async {
            while self.server.io().of("/").server_count().await.ok() != Some(count) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Sends the next number to all clients in the room.
    pub(crate) fn send(&mut self) -> PublishOutcome {
        self.sent += 1;
        let to = self.server.io().to("room");
        to.emit("number", self.sent).unwrap().cluster.unwrap()
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    /// Returns the next number that arrived at the client.
    pub(crate) async fn number(&mut self) -> u64 {
        number(&self.client.text().await)
    }
}

/// Returns the number in a packet.
pub(crate) fn number(packet: &str) -> u64 {
    let data: Value = serde_json::from_str(packet.strip_prefix('2').unwrap()).unwrap();
    assert_eq!(data[0], "number");
    data[1].as_u64().unwrap()
}
