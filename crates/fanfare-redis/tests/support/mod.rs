//! Redis servers that the tests start.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::collections::HashSet;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fanfare::adapter::PublishOutcome;
use fanfare::{Namespace, SocketIo};
use fanfare_redis::{Health, RedisAdapter};
use fanfare_testing::{Received, TestServer, until, within};
use tokio::sync::mpsc;

/// Returns a port that nothing uses.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Redis server that is killed when the value is dropped. Without the program `redis-server` the tests of this crate do
/// not run.
pub(crate) struct Redis {
    port: u16,
    options: Vec<String>,
    folder: PathBuf,
    process: Option<Child>,
}

impl Redis {
    /// Starts a server; `None`, with a message, if there is no `redis-server`.
    pub(crate) async fn start() -> Option<Self> {
        Self::with(&[]).await
    }

    /// Starts a server with more options.
    pub(crate) async fn with(options: &[&str]) -> Option<Self> {
        let mut redis = Self::prepare(options);
        if Command::new("redis-server")
            .arg("--version")
            .output()
            .is_err()
        {
            eprintln!("not run: there is no redis-server");
            return None;
        }
        redis.run().await;
        Some(redis)
    }

    /// Chooses a port and a folder, and starts nothing.
    pub(crate) fn prepare(options: &[&str]) -> Self {
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("fanfare-redis-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        Self {
            port,
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            folder,
            process: None,
        }
    }

    /// Starts the server, with empty state, and waits until it accepts connections.
    pub(crate) async fn run(&mut self) {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--save", "", "--port"])
            .arg(self.port.to_string())
            .arg("--dir")
            .arg(&self.folder)
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        let connected = async {
            let address = ("127.0.0.1", self.port);
            while tokio::net::TcpStream::connect(address).await.is_err() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        fanfare_testing::within("the start of Redis", connected).await;
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let sent = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(sent.unwrap().success());
    }

    /// Runs a command of `redis-cli`, and returns its output.
    pub(crate) fn cli(&self, args: &[&str]) -> String {
        let run = Command::new("redis-cli")
            .args(["-p", &self.port.to_string()])
            .args(args)
            .output();
        String::from_utf8(run.unwrap().stdout).unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server with a client.
pub(crate) struct Node {
    pub(crate) server: TestServer,
    pub(crate) adapter: RedisAdapter,
    texts: mpsc::UnboundedReceiver<String>,
    /// Events that the client has received.
    pub(crate) seen: HashSet<String>,
    emitted: usize,
}

impl Node {
    pub(crate) async fn start(adapter: RedisAdapter) -> Self {
        let io = SocketIo::builder()
            .namespace(Namespace::new("/"))
            .adapter(adapter.clone());
        let server = TestServer::start(io.build().unwrap());
        let mut peer = server.peer().await;
        peer.join("/").await;
        let (sender, texts) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Received::Text(text) = peer.next().await {
                let _ = sender.send(text);
            }
        });
        Self {
            server,
            adapter,
            texts,
            seen: HashSet::new(),
            emitted: 0,
        }
    }

    pub(crate) fn io(&self) -> &SocketIo {
        self.server.io()
    }

    fn receive(&mut self, text: String) {
        assert!(self.seen.insert(text.clone()), "twice: {text}");
    }

    /// Emits a unique event; returns its encoding and its outcome.
    pub(crate) fn emit(&mut self, to: &str) -> (String, PublishOutcome) {
        self.emitted += 1;
        let event = format!("{to}-{}-{:p}", self.emitted, &raw const *self);
        let report = self.io().emit(&event, ()).unwrap();
        (format!(r#"2["{event}"]"#), report.cluster.unwrap())
    }

    /// Waits until the client has received an event.
    pub(crate) async fn gets(&mut self, event: &str) {
        within(event, async {
            while !self.seen.contains(event) {
                let text = self.texts.recv().await.unwrap();
                self.receive(text);
            }
        })
        .await;
    }

    /// Emits until the client of another node receives one of the events; this node's client receives each.
    pub(crate) async fn reaches(&mut self, other: &mut Self) {
        let deadline = async {
            let mut sent = HashSet::new();
            loop {
                let (event, _) = self.emit("resumed");
                self.gets(&event).await;
                sent.insert(event);
                let next = tokio::time::timeout(Duration::from_millis(50), other.texts.recv());
                if let Ok(Some(text)) = next.await {
                    let arrived = sent.contains(&text);
                    other.receive(text);
                    if arrived {
                        break;
                    }
                }
            }
        };
        within("an event on the other node", deadline).await;
    }

    pub(crate) async fn health(&self, what: &str, wanted: impl Fn(&Health) -> bool) {
        until(what, || wanted(&self.adapter.health())).await;
    }
}
