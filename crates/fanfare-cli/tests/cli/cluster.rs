//! `fanfare cluster`, against servers that share a Redis of the test's.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fanfare::SocketIo;
use fanfare::operations::{Operations, OperationsOptions};
use fanfare_redis::{Classic, RedisAdapter};
use serde_json::Value;
use tokio::runtime::Runtime;

use super::support::{DEADLINE, Process, Ran, fanfare};

const KEY: &str = "a secret of the operators";

/// Redis on a free port; killed when dropped.
struct Redis {
    child: Child,
    url: String,
}

impl Redis {
    /// Starts it; returns `None`, with the reason printed, if it is not installed.
    fn start() -> Option<Self> {
        let port = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let spawned = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .spawn();
        let Ok(child) = spawned else {
            println!("skipped: `redis-server` cannot be run; install the package redis-server");
            return None;
        };
        let url = format!("redis://127.0.0.1:{port}");
        Some(Self { child, url })
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server with operations.
struct Node {
    io: SocketIo,
    url: String,
}

/// Starts a server, with operations on a port of their own until it has drained.
async fn node(name: &str, adapter: Option<RedisAdapter>) -> Node {
    let mut builder = SocketIo::builder();
    if let Some(adapter) = adapter.clone() {
        builder = builder.adapter(adapter);
    }
    let io = builder.build().unwrap();
    if let Some(adapter) = adapter {
        adapter.ready().await;
    }
    let options = OperationsOptions::new(KEY).unwrap().name(name).unwrap();
    let operations = Operations::start(&io, options).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(operations.serve().listener(listener));
    Node { io, url }
}

fn cluster(args: &[&str]) -> Ran {
    let mut command = fanfare(&[&["cluster"], args].concat());
    let output = command.env("FANFARE_OPERATIONS_KEY", KEY).output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn all_servers_are_shown_drained_and_rebalanced_through_one() {
    let Some(redis) = Redis::start() else { return };
    let runtime = runtime();
    let adapter = || Some(Classic::new(redis.url.as_str()).adapter().unwrap());
    let (one, two) = runtime.block_on(async {
        (
            node("web-1", adapter()).await,
            node("web-2", adapter()).await,
        )
    });
    let begin = Instant::now();
    // The subscriptions of both have to reach Redis.
    let status: Value = loop {
        let status = cluster(&["status", &one.url, "--json"]).expect(0).json();
        if status["nodes"].as_array().unwrap().len() == 2 {
            break status;
        }
        assert!(begin.elapsed() < DEADLINE, "{status}");
    };
    let names: Vec<_> = status["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| &node["name"])
        .collect();
    assert_eq!(names, ["web-1", "web-2"]);
    let table = cluster(&["status", &two.url]).expect(0);
    assert!(
        table.out.contains("web-1") && table.out.contains("0 clients on 2 servers"),
        "{table:#?}"
    );
    assert!(!table.out.contains('\x1b'), "a pipe is no terminal");

    let balanced = cluster(&["rebalance", &one.url]).expect(0);
    assert!(balanced.out.contains("nothing to do"), "{balanced:#?}");
    let unknown = cluster(&["drain", &one.url, "web-9"]).expect(1);
    assert!(
        unknown.err.contains("those that do: web-1, web-2"),
        "{unknown:#?}"
    );

    let mut watching = fanfare(&["cluster", "status", &one.url, "--watch=100ms"]);
    watching.env("FANFARE_OPERATIONS_KEY", KEY);
    let watching = Process::start(watching);
    watching.wait("0 clients on 2 servers");
    let drained = cluster(&["drain", &one.url, "web-2", "--within", "1s"]).expect(0);
    assert!(drained.out.contains("web-2 has gone"), "{drained:#?}");
    watching.wait("0 clients on 1 servers");
    assert!(one.io.is_ready() && !two.io.is_ready());
    // The one that is asked itself, which then answers no more.
    let drained = cluster(&["drain", &one.url, "--within", "1s"]).expect(0);
    assert!(drained.out.contains("web-1 has gone"), "{drained:#?}");
    runtime.shutdown_timeout(Duration::from_secs(1));
}

#[test]
fn mistakes_are_explained_to_operators() {
    let runtime = runtime();
    let node = runtime.block_on(node("web-1", None));
    let keyed = |key: &str, args: &[&str]| {
        let mut command = fanfare(&[&["cluster"], args].concat());
        let output = command.env("FANFARE_OPERATIONS_KEY", key).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for (key, args, code, said) in [
        (
            "another secret of operators",
            &["status", &node.url][..],
            4,
            "not that of the server",
        ),
        (
            "",
            &["status", &node.url],
            4,
            "--key-file FILE, or the environment variable FANFARE_OPERATIONS_KEY",
        ),
        (
            KEY,
            &["status", "http://127.0.0.1:1"],
            3,
            "connection refused",
        ),
        (KEY, &["status", "ftp://x"], 2, "no address of a server"),
        (KEY, &["drain", &node.url, "a b"], 2, "no name of a server"),
        (
            KEY,
            &["rebalance", &node.url, "--share", "2"],
            2,
            "at most 1",
        ),
        (
            KEY,
            &["status", &node.url, "--key-file", "/nonexistent"],
            2,
            "cannot read the key",
        ),
    ] {
        let (found, err) = keyed(key, args);
        assert_eq!(found, Some(code), "{args:?}: {err}");
        assert!(err.contains(said), "{err}");
        assert!(!err.contains(KEY), "{err}");
    }
    let server = super::support::Server::start();
    let (code, err) = keyed(KEY, &["status", &server.url()]);
    assert_eq!(code, Some(3), "{err}");
    assert!(err.contains("has no operations of Fanfare"), "{err}");
    runtime.shutdown_timeout(Duration::from_secs(1));
}
