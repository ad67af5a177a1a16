//! Servers as child processes, relays to them, servers that follow a script, and helpers to wait.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, Once};
use std::time::Duration;

use fanfare_client::ClientBuilder;
use fanfare_testing::wire::{Frame, WebSocket};
use fanfare_testing::{Link, Transferred};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// Timeout of everything that is expected to happen.
pub const PATIENCE: Duration = fanfare_testing::DEADLINE;

/// Installs the fixture's packages once for all test processes.
fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let folder = folder();
        let lock = File::create(folder.join(".install-lock")).unwrap();
        lock.lock().unwrap();
        if folder.join("node_modules/socket.io/package.json").exists() {
            return;
        }
        let status = Command::new("npm")
            .args(["ci", "--silent"])
            .current_dir(&folder)
            .status();
        let hint = format!(
            "install Node.js 20 or newer with npm, then: cd {} && npm ci",
            folder.display()
        );
        match status {
            Ok(status) => assert!(status.success(), "`npm ci` failed ({status}); {hint}"),
            Err(error) => panic!("`npm` cannot be run ({error}); {hint}"),
        }
    });
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/node")
}

/// Returns the command of Node's `socket.io`, with `tests/node/server.js`.
fn node(options: &Value) -> Command {
    let mut command = Command::new("node");
    command
        .arg("server.js")
        .arg(options.to_string())
        .current_dir(folder());
    command
}

/// Server in a child process, killed when dropped.
pub struct Server {
    command: fn(&Value) -> Command,
    child: Child,
    /// Output of the server, kept open so that a further line does not kill the server by a closed pipe.
    output: BufReader<ChildStdout>,
    pub port: u16,
    options: Value,
}

impl Server {
    /// Starts Node's `socket.io`; the options are those of `tests/node/server.js`.
    pub fn node(options: Value) -> Self {
        install();
        Self::start(node, options)
    }

    /// Starts a command that prints its port on a separate line, and ends with its standard input.
    pub fn start(command: fn(&Value) -> Command, options: Value) -> Self {
        let (child, output, port) = spawn(command(&options));
        Self {
            command,
            child,
            output,
            port,
            options,
        }
    }

    pub fn url(&self, namespace: &str) -> String {
        format!("http://127.0.0.1:{}{namespace}", self.port)
    }

    /// Kills the process with SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts a new process on the same port.
    pub fn restart(&mut self) {
        self.options["port"] = self.port.into();
        self.replace();
    }

    /// Starts a new process, on another port unless the options name one.
    pub fn replace(&mut self) {
        self.kill();
        (self.child, self.output, self.port) = spawn((self.command)(&self.options));
    }

    /// Suspends the process: connections stay open, and no data move.
    pub fn stall(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
        assert!(status.unwrap().success(), "kill -{name} {pid}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[allow(
    clippy::zombie_processes,
    reason = "`Server` waits for it when it is dropped"
)]
fn spawn(mut command: Command) -> (Child, BufReader<ChildStdout>, u16) {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut seen = String::new();
    loop {
        let begin = seen.len();
        if output.read_line(&mut seen).unwrap_or(0) == 0 {
            panic!("{command:?} printed no port, but {seen:?}");
        }
        if let Ok(port) = seen[begin..].trim().parse() {
            return (child, output, port);
        }
    }
}

/// Starts Node with default options.
pub fn plain_node() -> Server {
    Server::node(json!({}))
}

/// Waits for a future that must complete.
pub async fn soon<F: IntoFuture>(future: F) -> F::Output {
    fanfare_testing::within("what a test waits for", future).await
}

/// Waits until a condition holds, checking it repeatedly.
pub async fn until(condition: impl FnMut() -> bool) {
    fanfare_testing::until("a condition of a test", condition).await;
}

/// Relay that forwards connections to a local port and counts the bytes.
pub struct Relay {
    link: Link,
    taken: Mutex<Transferred>,
}

impl Relay {
    pub fn to(port: u16) -> Self {
        let link = Link::to(move |mut stream, _| async move {
            let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            server.set_nodelay(true).unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut server).await;
        });
        Self {
            link,
            taken: Mutex::default(),
        }
    }

    pub fn client(&self) -> ClientBuilder {
        self.link.client()
    }

    /// Returns the number of bytes from the client and to it since the last call.
    pub fn take(&self) -> (usize, usize) {
        let now = self.link.transferred();
        let before = std::mem::replace(&mut *self.taken.lock().unwrap(), now);
        (
            (now.to_server - before.to_server) as usize,
            (now.to_client - before.to_client) as usize,
        )
    }
}

/// Handshake of Engine.IO.
pub const OPEN: &str = r#"0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

/// Returns the network of a server that opens every WebSocket with these further header lines and a handshake of
/// Engine.IO, sends these bytes when the client requests its namespace, and reads to the end. What it reads behind that
/// request is returned, one `Vec` for each client.
pub fn scripted(headers: &str, bytes: Vec<u8>) -> (Link, mpsc::UnboundedReceiver<Vec<Frame>>) {
    let (tx, rx) = mpsc::unbounded_channel();
    let headers = headers.to_owned();
    let link = Link::to(move |stream, _| {
        let (headers, bytes, tx) = (headers.clone(), bytes.clone(), tx.clone());
        async move {
            let Some(mut ws) = WebSocket::accept(stream, &headers).await else {
                return;
            };
            ws.send(OPEN).await;
            if ws.next().await != Frame::End {
                ws.send_bytes(&bytes).await;
            }
            let _ = tx.send(ws.until_end().await);
        }
    });
    (link, rx)
}
