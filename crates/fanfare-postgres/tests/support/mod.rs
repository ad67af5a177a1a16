//! PostgreSQL servers that the tests start.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use fanfare::adapter::PublishOutcome;
use fanfare::{Ack, Namespace, SocketIo};
use fanfare_postgres::{Postgres as Options, PostgresAdapter};
use fanfare_testing::{Peer, TestServer, within};
use serde_json::Value;

/// PostgreSQL server, killed when the value is dropped.
pub(crate) struct Postgres {
    port: u16,
    programs: PathBuf,
    folder: PathBuf,
    process: Option<Child>,
}

/// Returns a port that nothing uses.
pub(crate) fn free_port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

/// Finds the folder of PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let installed = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = installed.filter_map(|entry| Some(entry.ok()?.path().join("bin")));
    folders
        .filter(|folder| folder.join("initdb").exists())
        .max()
}

impl Postgres {
    /// Creates a database and starts a server; `None`, with a message, if PostgreSQL is not installed.
    pub(crate) async fn start() -> Option<Self> {
        let mut postgres = Self::prepare()?;
        postgres.run().await;
        Some(postgres)
    }

    /// Creates a database and starts no server.
    pub(crate) fn prepare() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("not run: PostgreSQL is not installed");
            return None;
        };
        let port = free_port();
        let folder = std::env::temp_dir().join(format!("fanfare-postgres-{port}"));
        std::fs::create_dir_all(&folder).unwrap();
        let postgres = Self {
            port,
            programs,
            folder,
            process: None,
        };
        if is_root() {
            let owned = Command::new("chown")
                .arg("postgres")
                .arg(&postgres.folder)
                .status();
            assert!(owned.unwrap().success());
        }
        let created = postgres
            .command("initdb")
            .args(["-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"])
            .stdout(Stdio::null())
            .status();
        assert!(created.unwrap().success());
        Some(postgres)
    }

    /// Returns a command that runs as an ordinary user, as PostgreSQL's programs require.
    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
                command.arg(program);
                command
            }
            false => Command::new(program),
        };
        command.current_dir(&self.folder);
        command.arg("-D").arg(self.folder.join("data"));
        command
    }

    /// Starts the server and waits until it accepts connections.
    pub(crate) async fn run(&mut self) {
        self.run_with(&[]).await;
    }

    /// Starts the server with more options, and waits until it accepts connections.
    pub(crate) async fn run_with(&mut self, options: &[&str]) {
        let process = self
            .command("postgres")
            .args([
                "-h",
                "127.0.0.1",
                "-F",
                "-k",
                "",
                "-p",
                &self.port.to_string(),
            ])
            .args(options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(process.unwrap());
        within("the start of PostgreSQL", async {
            while tokio_postgres::connect(&self.url(), tokio_postgres::NoTls)
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// Kills all processes of the server.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            self.signal_group(&process, "QUIT");
            let _ = process.wait();
        }
    }

    fn signal_group(&self, process: &Child, signal: &str) {
        let id = process.id().to_string();
        let _ = Command::new("kill").args(["-s", signal, &id]).status();
    }

    /// Sends a signal, such as `STOP`, to all processes of the server.
    pub(crate) fn signal(&self, signal: &str) {
        let id = self.process.as_ref().unwrap().id().to_string();
        let _ = Command::new("pkill")
            .args(["-P", &id, "--signal", signal])
            .status();
        let _ = Command::new("kill").args(["-s", signal, &id]).status();
    }

    pub(crate) fn url(&self) -> String {
        format!(
            "postgres://postgres@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    pub(crate) fn builder(&self) -> Options {
        Options::new(self.url())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Gives files to the user as which the server runs.
    pub(crate) fn hand_over(&self, path: &std::path::Path) {
        if is_root() {
            let owned = Command::new("chown")
                .args(["-R", "postgres"])
                .arg(path)
                .status();
            assert!(owned.unwrap().success());
        }
    }

    /// Opens a connection for the test's statements.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        let connected = tokio_postgres::connect(&self.url(), tokio_postgres::NoTls).await;
        let (client, connection) = connected.unwrap();
        tokio::spawn(connection);
        client
    }
}

pub(crate) fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().unwrap();
    id.stdout.starts_with(b"0\n")
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.signal("CONT");
        }
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A node, and a client in the room `room`.
pub(crate) struct Node {
    pub(crate) server: TestServer,
    pub(crate) adapter: PostgresAdapter,
    pub(crate) client: Peer,
    sent: u64,
}

impl Node {
    pub(crate) async fn start(adapter: Options) -> Self {
        let adapter = adapter.adapter().unwrap();
        let namespace = Namespace::new("/").on("echo", async || Ack(()));
        let builder = SocketIo::builder()
            .namespace(namespace)
            .adapter(adapter.clone());
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
        let packet = self.client.text().await;
        let data: Value = serde_json::from_str(packet.strip_prefix('2').unwrap()).unwrap();
        assert_eq!(data[0], "number");
        data[1].as_u64().unwrap()
    }
}
