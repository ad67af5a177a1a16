//! A Node `socket.io` server as a child process.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Once;
use std::time::Duration;

use serde_json::{Value, json};

/// How long anything expected may take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Installs the fixture's packages once, over all test processes.
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

/// A running server; killed when dropped.
pub struct Node {
    child: Child,
    pub port: u16,
    options: Value,
}

impl Node {
    pub fn start() -> Self {
        Self::with(json!({}))
    }

    pub fn with(options: Value) -> Self {
        install();
        let (child, port) = spawn(&options);
        Self {
            child,
            port,
            options,
        }
    }

    pub fn url(&self, namespace: &str) -> String {
        format!("http://127.0.0.1:{}{namespace}", self.port)
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A new process on the same port.
    pub fn restart(&mut self) {
        self.kill();
        self.options["port"] = self.port.into();
        (self.child, self.port) = spawn(&self.options);
    }

    /// Stops the process as it is: connections stay open, nothing moves.
    pub fn stall(&self) {
        self.signal("STOP");
    }

    pub fn resume(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        let _ = Command::new("kill")
            .args([&format!("-{name}"), &pid])
            .status();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(options: &Value) -> (Child, u16) {
    let mut child = Command::new("node")
        .arg("server.js")
        .arg(options.to_string())
        .current_dir(folder())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    (child, line.trim().parse().unwrap())
}

/// Waits for something that must happen.
pub async fn soon<F: IntoFuture>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("did not happen in time")
}

/// Waits until a condition holds, looking at every change of the clock.
pub async fn until(mut condition: impl FnMut() -> bool) {
    soon(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}
