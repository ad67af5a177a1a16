//! Deployments of Redis: Sentinel with a failover, Redis Cluster whose master dies, encryption.
#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

#[path = "../../fanfare-cluster/tests/support/certificates.rs"]
mod certificates;
mod support;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use certificates::Certificates;
use fanfare_redis::{Classic, RedisAdapter, RedisServer, Sharded, Streams};
use fanfare_testing::{until, within};
use support::{Node, Redis, free_port};

/// Sentinels that watch the service `chat`, and their folder.
struct Sentinels {
    processes: Vec<Child>,
    ports: Vec<u16>,
    folder: PathBuf,
}

impl Sentinels {
    /// Starts three sentinels, two of which have to agree.
    async fn start(master: u16) -> Self {
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let folder = std::env::temp_dir().join(format!("fanfare-sentinel-{}", ports[0]));
        std::fs::create_dir_all(&folder).unwrap();
        let mut processes = Vec::new();
        for port in &ports {
            let file = folder.join(format!("{port}.conf"));
            let options = format!(
                "port {port}\nbind 127.0.0.1\ndir {}\n\
                 sentinel monitor chat 127.0.0.1 {master} 2\n\
                 sentinel down-after-milliseconds chat 1000\n\
                 sentinel failover-timeout chat 5000\n",
                folder.display()
            );
            std::fs::write(&file, options).unwrap();
            let process = Command::new("redis-server")
                .arg(&file)
                .arg("--sentinel")
                .stdout(Stdio::null())
                .spawn();
            processes.push(process.unwrap());
        }
        let sentinels = Self {
            processes,
            ports,
            folder,
        };
        within("the sentinels know each other, and the replica", async {
            loop {
                let knows = |port: &u16| {
                    let master = sentinels.cli(*port, &["SENTINEL", "MASTER", "chat"]);
                    let field = |name: &str| {
                        let mut lines = master.lines().skip_while(|line| *line != name);
                        lines.nth(1).unwrap_or_default().to_owned()
                    };
                    field("num-other-sentinels") == "2" && field("num-slaves") == "1"
                };
                if sentinels.ports.iter().all(knows) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        sentinels
    }

    fn cli(&self, port: u16, args: &[&str]) -> String {
        let run = Command::new("redis-cli")
            .args(["-p", &port.to_string()])
            .args(args)
            .output();
        String::from_utf8(run.unwrap().stdout).unwrap()
    }

    /// Returns the port of the master.
    fn master(&self) -> String {
        let address = self.cli(
            self.ports[0],
            &["SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chat"],
        );
        address.lines().nth(1).unwrap_or_default().to_owned()
    }

    fn server(&self) -> RedisServer {
        let urls = self.ports.iter();
        RedisServer::sentinel("chat", urls.map(|port| format!("redis://127.0.0.1:{port}")))
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for process in &mut self.processes {
            let _ = process.kill();
            let _ = process.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

type Make = fn(RedisServer) -> RedisAdapter;

/// Each engine, with its default options.
const ENGINES: [(&str, Make); 3] = [
    ("classic", |server| Classic::new(server).adapter().unwrap()),
    ("sharded", |server| Sharded::new(server).adapter().unwrap()),
    ("streams", |server| Streams::new(server).adapter().unwrap()),
];

/// Kills the master while events are sent: local clients receive each of them, and the nodes meet again at the new
/// master, without a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_by_sentinel_is_survived() {
    for (engine, make) in ENGINES {
        let Some(mut first) = Redis::start().await else {
            return;
        };
        let port = first.port().to_string();
        let Some(_second) = Redis::with(&["--replicaof", "127.0.0.1", &port]).await else {
            return;
        };
        let sentinels = Sentinels::start(first.port()).await;
        assert_eq!(sentinels.master(), port);
        let mut one = Node::start(make(sentinels.server())).await;
        let mut two = Node::start(make(sentinels.server())).await;
        one.reaches(&mut two).await;
        two.reaches(&mut one).await;
        first.kill();
        let killed = Instant::now();
        while sentinels.master() == port {
            let (event, _) = one.emit("failover");
            one.gets(&event).await;
            assert!(killed.elapsed() < Duration::from_secs(60), "no new master");
        }
        let elected = Instant::now();
        one.reaches(&mut two).await;
        two.reaches(&mut one).await;
        println!(
            "{engine}: a new master after {:?}, deliveries {:?} later",
            elected - killed,
            elected.elapsed()
        );
        until("the state", || one.adapter.health().is_ready()).await;
    }
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted() {
    let folder = std::env::temp_dir().join(format!("fanfare-redis-tls-{}", free_port()));
    let certificates = Certificates::write(&folder);
    let tls = free_port();
    let (port, certificate, key) = (
        tls.to_string(),
        certificates.certificate.to_str().unwrap(),
        certificates.key.to_str().unwrap(),
    );
    let options = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        certificate,
        "--tls-key-file",
        key,
        "--tls-ca-cert-file",
        certificate,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "a secret",
    ];
    let Some(_redis) = Redis::with(&options).await else {
        return;
    };
    let server = |secret: &str| RedisServer::single(format!("rediss://:{secret}@127.0.0.1:{tls}"));
    for (engine, make) in ENGINES {
        let trusted = || server("a%20secret").root_certificates(&*certificates.authority);
        let mut one = Node::start(make(trusted())).await;
        let mut two = Node::start(make(trusted())).await;
        one.reaches(&mut two).await;
        two.reaches(&mut one).await;
        println!("{engine} works over TLS");
    }
    // What is wrong is named, without the secret.
    let untrusted = Node::start(Classic::new(server("a%20secret")).adapter().unwrap()).await;
    let reason = || untrusted.adapter.health().to_string().to_lowercase();
    until("the reason", || reason().contains("certificate")).await;
    let wrong = server("another").root_certificates(&*certificates.authority);
    let wrong = Node::start(Classic::new(wrong).adapter().unwrap()).await;
    let reason = || wrong.adapter.health().to_string().to_lowercase();
    until("the reason", || reason().contains("password")).await;
    assert!(!reason().contains("another"));
    let invalid = server("x").root_certificates("no certificate");
    assert!(Classic::new(invalid).adapter().is_err());
    let _ = std::fs::remove_dir_all(folder);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_of_fanfare_describe_themselves() {
    type Named = fn(&str, &str) -> RedisAdapter;
    const NAMED: [Named; 3] = [
        |url, name| {
            let classic = Classic::new(url).name(name).address("10.0.0.1:3000");
            classic.adapter().unwrap()
        },
        |url, name| {
            let sharded = Sharded::new(url).name(name).address("10.0.0.1:3000");
            sharded.adapter().unwrap()
        },
        |url, name| {
            let streams = Streams::new(url).name(name).address("10.0.0.1:3000");
            streams.adapter().unwrap()
        },
    ];
    let Some(redis) = Redis::start().await else {
        return;
    };
    for make in NAMED {
        redis.cli(&["FLUSHALL"]);
        let url = redis.url();
        let one = Node::start(make(&url, "one")).await;
        let two = Node::start(make(&url, "two")).await;
        let cluster = one.server.io().cluster().unwrap();
        let node = within("the description", async {
            loop {
                if let [node] = &*cluster.nodes().await.unwrap() {
                    break node.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
        assert_eq!(node.name.as_deref(), Some("two"));
        assert_eq!(node.address.as_deref(), Some("10.0.0.1:3000"));
        assert!(node.version.unwrap().starts_with("fanfare "));
        assert_eq!(cluster.peers().await.unwrap().len(), 1, "counted by Redis");
        two.server.io().close().await;
        within("its leave", async {
            while !cluster.nodes().await.unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}
