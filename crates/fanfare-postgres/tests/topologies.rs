//! Deployments of PostgreSQL: encryption with passwords, a pooler, a server that is being recovered.
#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "../../fanfare-cluster/tests/support/certificates.rs"]
mod certificates;
mod support;

use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use certificates::Certificates;
use fanfare_postgres::Postgres as Options;
use fanfare_testing::{until, within};
use support::{Node, Postgres, free_port, is_root};

/// Sends events in both directions, short ones and such that go through the table.
async fn exchange(one: &mut Node, two: &mut Node) {
    one.sees(2).await;
    for expected in 1..=20 {
        assert!(one.send().is_queued());
        assert_eq!(
            (one.number().await, two.number().await),
            (expected, expected)
        );
    }
    let long = "x".repeat(20_000);
    for from in [&one, &two] {
        let sent = from.server.io().emit("long", &long).unwrap();
        assert!(sent.cluster.unwrap().is_queued());
    }
    for node in [one, two] {
        for _ in 0..2 {
            let text = node.client.text().await;
            assert_eq!(
                text.strip_prefix("2[\"long\",\"").map(str::len),
                Some(long.len() + 2)
            );
        }
    }
}

#[cfg(feature = "tls")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_encrypted_and_passwords_are_checked() {
    let Some(mut postgres) = Postgres::prepare() else {
        return;
    };
    let folder = postgres.folder().join("certificates");
    let certificates = Certificates::write(&folder);
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&certificates.key, private).unwrap();
    postgres.hand_over(&folder);
    let files = [
        format!("ssl_cert_file={}", certificates.certificate.display()),
        format!("ssl_key_file={}", certificates.key.display()),
    ];
    postgres
        .run_with(&["-c", "ssl=on", "-c", &files[0], "-c", &files[1]])
        .await;
    let client = postgres.client().await;
    let role = "SET password_encryption = 'scram-sha-256'; CREATE ROLE app LOGIN SUPERUSER PASSWORD 'a secret'";
    client.batch_execute(role).await.unwrap();
    // Only encrypted connections with a password from here on.
    let rules = postgres.folder().join("data/pg_hba.conf");
    std::fs::write(&rules, "hostssl all app 127.0.0.1/32 scram-sha-256\n").unwrap();
    client
        .batch_execute("SELECT pg_reload_conf()")
        .await
        .unwrap();
    let url = |secret: &str| {
        let port = postgres.port();
        format!("postgres://app:{secret}@127.0.0.1:{port}/postgres?sslmode=require")
    };
    until("the rules are in place", || {
        let plain = url("a%20secret").replace("require", "disable");
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime
                .block_on(tokio_postgres::connect(&plain, tokio_postgres::NoTls))
                .is_err()
        })
        .join()
        .unwrap()
    })
    .await;
    let trusted = || Options::new(url("a%20secret")).root_certificates(&*certificates.authority);
    let mut one = Node::start(trusted()).await;
    let mut two = Node::start(trusted()).await;
    exchange(&mut one, &mut two).await;

    // What is wrong is named, without the secret.
    let wrong = Options::new(url("another")).root_certificates(&*certificates.authority);
    let wrong = Node::start(wrong).await;
    let reason = || wrong.adapter.health().to_string();
    until("the reason", || reason().contains("password")).await;
    assert!(!reason().contains("another"));
    let untrusted = Node::start(Options::new(url("a%20secret"))).await;
    let reason = || untrusted.adapter.health().to_string().to_lowercase();
    until("the reason", || reason().contains("certificate")).await;
    let invalid = Options::new(url("x")).root_certificates("no certificate");
    assert!(invalid.adapter().is_err());
}

/// PgBouncer before a server, killed when the value is dropped.
struct Pooler {
    process: Child,
    port: u16,
}

impl Pooler {
    /// Starts it in this mode; `None`, with a message, if it is not installed.
    async fn start(postgres: &Postgres, mode: &str) -> Option<Self> {
        if Command::new("pgbouncer").arg("--version").output().is_err() {
            eprintln!("not run: there is no pgbouncer");
            return None;
        }
        let port = free_port();
        let file = postgres.folder().join("pgbouncer.ini");
        let options = format!(
            "[databases]\npostgres = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\n",
            postgres.port()
        );
        let options = options.replace("port=", "user=postgres port=");
        std::fs::write(&file, options).unwrap();
        let mut command = match is_root() {
            true => {
                let mut command = Command::new("setpriv");
                command.args([
                    "--reuid=postgres",
                    "--regid=postgres",
                    "--clear-groups",
                    "pgbouncer",
                ]);
                command
            }
            false => Command::new("pgbouncer"),
        };
        let process = command
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let pooler = Self {
            process: process.unwrap(),
            port,
        };
        within("the start of PgBouncer", async {
            while tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
        Some(pooler)
    }

    fn url(&self) -> String {
        let port = self.port;
        format!("postgres://postgres@127.0.0.1:{port}/postgres?sslmode=disable")
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pooler_in_session_mode_is_enough() {
    let Some(postgres) = Postgres::start().await else {
        return;
    };
    let Some(pooler) = Pooler::start(&postgres, "session").await else {
        return;
    };
    let mut one = Node::start(Options::new(pooler.url())).await;
    let mut two = Node::start(Options::new(pooler.url())).await;
    exchange(&mut one, &mut two).await;
}

/// A server that is being recovered accepts neither `LISTEN` nor writes. The node works alone, says why, and joins the
/// others when the server is promoted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_in_recovery_is_used_when_it_is_promoted() {
    let Some(mut postgres) = Postgres::prepare() else {
        return;
    };
    let signal = postgres.folder().join("data/standby.signal");
    std::fs::write(&signal, "").unwrap();
    postgres.hand_over(&signal);
    postgres
        .run_with(&["-c", "restore_command=false", "-c", "hot_standby=on"])
        .await;
    let mut one = Node::start(postgres.builder()).await;
    let mut two = Node::start(postgres.builder()).await;
    let reason = || one.adapter.health().to_string();
    until("the reason", || reason().contains("recovery")).await;
    println!("the state: {}", reason());
    one.send();
    assert_eq!(one.number().await, 1, "the own client receives");
    let promoted = postgres.client().await;
    promoted.batch_execute("SELECT pg_promote()").await.unwrap();
    one.sees(2).await;
    within("an event of one at the other", async {
        loop {
            one.send();
            let sent = one.sent();
            assert_eq!(one.number().await, sent);
            let arrived = tokio::time::timeout(Duration::from_millis(100), two.number()).await;
            if arrived.is_ok() {
                break;
            }
        }
    })
    .await;
}
