//! Redis servers that the tests start.
#![allow(dead_code, reason = "each test binary uses a part")]

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

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
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
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
