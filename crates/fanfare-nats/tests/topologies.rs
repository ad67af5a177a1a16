//! Deployments of NATS: clusters of three servers, encryption, credentials.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../fanfare-cluster/tests/support/certificates.rs"]
mod certificates;
mod support;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use certificates::Certificates;
use fanfare::SocketIo;
use fanfare::recovery::ConnectionStateRecovery;
use fanfare_nats::{ConfigError, JetStream, Nats as Options};
use fanfare_testing::{until, within};
use support::{Nats, Node, free_port};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Three servers of NATS that are one cluster, with JetStream.
struct Cluster {
    servers: Vec<Member>,
    folder: std::path::PathBuf,
}

struct Member {
    port: u16,
    monitor: u16,
    process: Child,
}

impl Cluster {
    /// Starts the servers; `None`, with a message, if there is no `nats-server`.
    async fn start() -> Option<Self> {
        Nats::prepare()?;
        let places: Vec<[u16; 3]> = (0..3).map(|_| [(); 3].map(|()| free_port())).collect();
        let folder = std::env::temp_dir().join(format!("fanfare-nats-cluster-{}", places[0][0]));
        let routes: Vec<String> = places
            .iter()
            .map(|[_, _, route]| format!("nats://127.0.0.1:{route}"))
            .collect();
        let mut servers = Vec::new();
        for [port, monitor, route] in &places {
            let process = Command::new("nats-server")
                .args(["-a", "127.0.0.1", "-p", &port.to_string()])
                .args(["-m", &monitor.to_string(), "-js", "-sd"])
                .arg(folder.join(port.to_string()))
                .args([
                    "--name",
                    &format!("server-{port}"),
                    "--cluster_name",
                    "test",
                ])
                .args(["--cluster", &format!("nats://127.0.0.1:{route}")])
                .args(["--routes", &routes.join(",")])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            servers.push(Member {
                port: *port,
                monitor: *monitor,
                process,
            });
        }
        let cluster = Self { servers, folder };
        within("a leader of JetStream", async {
            while cluster.monitor("/jsz").await["meta_cluster"]["leader"]
                .as_str()
                .is_none_or(str::is_empty)
            {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        Some(cluster)
    }

    /// Returns the answer of the first server that has one.
    async fn monitor(&self, path: &str) -> serde_json::Value {
        for server in &self.servers {
            let Ok(mut stream) = TcpStream::connect(("127.0.0.1", server.monitor)).await else {
                continue;
            };
            let request = format!("GET {path} HTTP/1.0\r\n\r\n");
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            if let Some((_, body)) = answer.split_once("\r\n\r\n") {
                return serde_json::from_str(body).unwrap();
            }
        }
        serde_json::Value::Null
    }

    /// Returns the description of the cluster that stores a stream.
    async fn stream(&self, name: &str) -> serde_json::Value {
        let body = self.monitor("/jsz?streams=true&config=true").await;
        let streams = &body["account_details"][0]["stream_detail"];
        let found = streams.as_array().into_iter().flatten();
        let mut found = found.filter(|found| found["name"] == name);
        found.next().cloned().unwrap_or_default()
    }

    fn urls(&self) -> String {
        let urls = self.servers.iter();
        let urls: Vec<_> = urls
            .map(|server| format!("nats://127.0.0.1:{}", server.port))
            .collect();
        urls.join(",")
    }

    /// Kills the server with this name.
    fn kill(&mut self, name: &str) {
        let named = |server: &&mut Member| format!("server-{}", server.port) == name;
        let server = self.servers.iter_mut().find(named).unwrap();
        server.process.kill().unwrap();
        server.process.wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.process.kill();
            let _ = server.process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Kills the server that leads the log while events are sent: those that are stored arrive once and in order, and nothing
/// that the log had is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_leader_of_the_log_may_die() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let options = || {
        Options::new(cluster.urls())
            .prefix("three")
            .max_outage(Duration::from_secs(60))
            .jetstream(JetStream::new().replicas(3).in_memory(true))
    };
    let recovery =
        || SocketIo::builder().connection_state_recovery(ConnectionStateRecovery::default());
    let mut one = Node::with(options(), recovery()).await;
    let mut two = Node::with(options(), recovery()).await;
    within("both are ready", async {
        one.adapter.ready().await;
        two.adapter.ready().await;
    })
    .await;
    one.sees(2).await;
    let stream = cluster.stream("FANFARE_LOG_three").await;
    assert_eq!(stream["config"]["num_replicas"], 3, "{stream}");
    for _ in 0..50 {
        assert!(one.send().is_queued());
    }
    let leader = stream["cluster"]["leader"].as_str().unwrap().to_owned();
    cluster.kill(&leader);
    for _ in 0..50 {
        assert!(one.send().is_queued());
    }
    for expected in 1..=one.sent() {
        assert_eq!(one.number().await, expected, "the own client");
        assert_eq!(two.number().await, expected, "the other client");
    }
    until("both work as before", || {
        one.adapter.health().label() == "up" && two.adapter.health().label() == "up"
    })
    .await;
    let leader = cluster.stream("FANFARE_LOG_three").await["cluster"]["leader"].clone();
    println!("the log has the leader {leader} now");
    one.send();
    let last = one.sent();
    assert_eq!((one.number().await, two.number().await), (last, last));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_of_copies_that_nats_does_not_have_is_an_error() {
    for copies in [0, 6, usize::MAX] {
        let nats = Options::new("nats://127.0.0.1:1").jetstream(JetStream::new().replicas(copies));
        let error = nats.adapter().unwrap_err();
        assert_eq!(error, ConfigError::Replicas(copies));
        assert!(error.to_string().contains(&copies.to_string()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_copies_than_servers_are_a_state_that_says_so() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let options = nats.builder().jetstream(JetStream::new().replicas(3));
    let mut node = Node::start(options).await;
    until("the reason", || {
        node.adapter.health().to_string().contains("replicas")
    })
    .await;
    node.send();
    assert_eq!(node.number().await, 1, "the own client receives");
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_and_have_credentials() {
    let Some(mut nats) = Nats::prepare() else {
        return;
    };
    let certificates = Certificates::write(&nats.folder().join("certificates"));
    let files = [&certificates.certificate, &certificates.key].map(|path| path.to_str().unwrap());
    nats.run_with(&[
        "--tls",
        "--tlscert",
        files[0],
        "--tlskey",
        files[1],
        "--user",
        "shop",
        "--pass",
        "a secret",
    ])
    .await;
    let url = nats.url().replace("nats://", "tls://");
    let options = || {
        Options::new(&*url)
            .root_certificates(&*certificates.authority)
            .jetstream(JetStream::new())
    };
    let trusted = || options().user_and_password("shop", "a secret");
    let mut one = Node::start(trusted()).await;
    let mut two = Node::start(trusted()).await;
    one.sees(2).await;
    within("both are ready", async {
        one.adapter.ready().await;
        two.adapter.ready().await;
    })
    .await;
    for expected in 1..=20 {
        assert!(one.send().is_queued());
        assert_eq!(
            (one.number().await, two.number().await),
            (expected, expected)
        );
    }
    let emitter = trusted().emitter().unwrap();
    emitter.to("room").emit("number", 99).unwrap();
    assert_eq!((one.number().await, two.number().await), (99, 99));

    // What is wrong is named, without the secret.
    let wrong = Node::start(options().user_and_password("shop", "another")).await;
    until("the reason", || {
        wrong.adapter.health().to_string().contains("Authorization")
    })
    .await;
    assert!(!wrong.adapter.health().to_string().contains("another"));
    let untrusted = Options::new(&*url).user_and_password("shop", "a secret");
    let untrusted = Node::start(untrusted).await;
    until("the reason", || {
        untrusted
            .adapter
            .health()
            .to_string()
            .contains("certificate")
    })
    .await;
}
