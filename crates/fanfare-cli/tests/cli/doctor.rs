//! The doctor: Fanfare alone, and behind nginx with the classic mistakes.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use super::support::{DEADLINE, Node, Process, Server, run};

/// nginx with one server per configuration, each on a separate port; stopped when dropped.
struct Nginx {
    ports: Vec<u16>,
    folder: PathBuf,
    _process: Process,
}

/// Directives that enable WebSocket.
const UPGRADE: &str = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";";

impl Nginx {
    /// Starts nginx; returns `None`, with the reason printed, if it is not installed.
    fn start(name: &str, upstreams: &str, servers: &[String]) -> Option<Self> {
        if Command::new("nginx").arg("-v").output().is_err() {
            println!("skipped: nginx is missing; install it, as with: apt-get install nginx-light");
            return None;
        }
        let folder =
            std::env::temp_dir().join(format!("fanfare-nginx-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        // These ports were free a moment ago; a process that cannot report its ports allows nothing better.
        let listeners: Vec<_> = servers
            .iter()
            .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap())
            .collect();
        let ports: Vec<u16> = listeners
            .iter()
            .map(|listener| listener.local_addr().unwrap().port())
            .collect();
        drop(listeners);
        let at = folder.display();
        let mut config = format!(
            "daemon off; worker_processes 1; pid {at}/pid; error_log stderr; events {{}}\nhttp {{ access_log off;\n"
        );
        for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            config += &format!("{kind}_temp_path {at}/{kind};\n");
        }
        config += upstreams;
        for (port, body) in ports.iter().zip(servers) {
            let (ssl, body) = match body.strip_prefix("ssl ") {
                Some(body) => (" ssl", body),
                None => ("", body.as_str()),
            };
            config += &format!("server {{ listen 127.0.0.1:{port}{ssl}; {body} }}\n");
        }
        config += "}\n";
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).unwrap();
        let mut command = Command::new("nginx");
        command
            .args(["-e", "stderr", "-c"])
            .arg(&file)
            .arg("-p")
            .arg(&folder);
        let process = Process::start(command);
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", ports[0])).is_err() {
            assert!(begin.elapsed() < DEADLINE, "nginx does not listen");
            std::thread::yield_now();
        }
        Some(Self {
            ports,
            folder,
            _process: process,
        })
    }

    fn url(&self, server: usize) -> String {
        format!("http://127.0.0.1:{}", self.ports[server])
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master stops its workers on SIGTERM, not when it is killed.
        if let Ok(pid) = std::fs::read_to_string(self.folder.join("pid")) {
            let _ = Command::new("kill").arg(pid.trim()).status();
        }
        let begin = Instant::now();
        while self.folder.join("pid").exists() && begin.elapsed() < DEADLINE {
            std::thread::yield_now();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn examine(args: &[&str], code: i32) -> Value {
    let all = [&["doctor", "--json", "--timeout", "30s"], args].concat();
    run(&all).expect(code).json()
}

/// Returns the findings of a check: level, what, fix.
#[track_caller]
fn found<'a>(report: &'a Value, check: &str) -> Vec<(&'a str, &'a str, &'a str)> {
    let text = |value: &'a Value| value.as_str().unwrap_or_default();
    let found: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["check"] == check)
        .map(|finding| {
            (
                text(&finding["level"]),
                text(&finding["what"]),
                text(&finding["fix"]),
            )
        })
        .collect();
    assert!(!found.is_empty(), "no finding of {check} in {report:#}");
    found
}

#[track_caller]
fn assert_problem(report: &Value, check: &str, what: &str, fix: &str) {
    let found = found(report, check);
    let matching = found.iter().any(|(level, text, line)| {
        *level == "problem" && text.contains(what) && line.contains(fix)
    });
    assert!(
        matching,
        "{check}: no problem {what:?} with fix {fix:?} in {found:#?}"
    );
}

#[track_caller]
fn assert_ok(report: &Value, checks: &[&str]) {
    for check in checks {
        for (level, what, _) in found(report, check) {
            assert_eq!(level, "ok", "{check}: {what} in {report:#}");
        }
    }
}

#[test]
fn a_healthy_server() {
    let server = Server::start();
    let report = examine(&[&server.url()], 0);
    assert_eq!(report["healthy"], true, "{report:#}");
    assert_ok(
        &report,
        &[
            "reach",
            "path",
            "protocol",
            "caching",
            "polling",
            "websocket",
            "upgrade",
            "affinity",
            "idle",
            "payload",
        ],
    );
    let text = run(&["doctor", &server.url(), "--quick"]).expect(0);
    assert!(text.out.contains("ok      websocket    works"), "{text:#?}");
    assert!(
        text.out.contains("everything is as it should be"),
        "{text:#?}"
    );
}

#[test]
fn nothing_there_the_wrong_scheme_and_a_bad_address() {
    let report = examine(&["http://127.0.0.1:1", "--quick"], 3);
    assert_problem(&report, "reach", "cannot be reached", "start the server");
    let server = Server::start();
    let report = examine(
        &[&format!("https://127.0.0.1:{}", server.port), "--quick"],
        3,
    );
    assert_problem(
        &report,
        "reach",
        "speaks plain HTTP, not HTTPS",
        "use http://",
    );
    let report = examine(&[&server.url(), "--quick", "--path", "/elsewhere/"], 1);
    assert_problem(
        &report,
        "path",
        "nothing at /elsewhere/, but /socket.io/ is",
        "path: \"/socket.io\"",
    );
    assert_eq!(report["problems"], 1, "one cause, one problem: {report:#}");
    // The path may also be part of the URL.
    let report = examine(&[&format!("{}/api/socket.io/", server.url()), "--quick"], 1);
    assert_problem(
        &report,
        "path",
        "nothing at /api/socket.io/, but /socket.io/ is",
        "path: \"/socket.io\"",
    );
}

/// Examines nginx, configured correctly and with the most common mistakes, in front of `port`, or of two servers.
fn classic_mistakes(name: &str, port: u16, two: [u16; 2]) {
    let pass = format!("proxy_pass http://127.0.0.1:{port};");
    let servers = [
        // Correct.
        format!(
            "client_max_body_size 2m; location /socket.io/ {{ {pass} {UPGRADE} proxy_read_timeout 60s; }}"
        ),
        // No upgrade headers.
        format!("location /socket.io/ {{ {pass} }}"),
        // Two servers without affinity.
        format!("location /socket.io/ {{ proxy_pass http://robin; {UPGRADE} }}"),
        // An idle timeout below the ping interval, and a body limit below the server's.
        format!(
            "client_max_body_size 100k; location /socket.io/ {{ {pass} {UPGRADE} proxy_read_timeout 1s; }}"
        ),
        // Two servers with affinity.
        format!("location /socket.io/ {{ proxy_pass http://sticky; {UPGRADE} }}"),
    ];
    let [one, other] = two;
    let upstreams = format!(
        "upstream robin {{ server 127.0.0.1:{one}; server 127.0.0.1:{other}; }}\n\
         upstream sticky {{ hash $remote_addr consistent; server 127.0.0.1:{one}; server 127.0.0.1:{other}; }}\n"
    );
    let Some(nginx) = Nginx::start(name, &upstreams, &servers) else {
        return;
    };

    let report = examine(&[&nginx.url(0)], 0);
    assert_ok(
        &report,
        &[
            "path",
            "polling",
            "websocket",
            "upgrade",
            "affinity",
            "idle",
            "payload",
        ],
    );

    let report = examine(&[&nginx.url(1), "--quick"], 1);
    assert_problem(
        &report,
        "websocket",
        "does not pass on the WebSocket upgrade",
        "proxy_set_header Upgrade $http_upgrade;",
    );
    assert_ok(&report, &["path", "polling", "affinity"]);

    let report = examine(&[&nginx.url(2), "--quick"], 1);
    assert_problem(
        &report,
        "affinity",
        "landed on a server that does not know it",
        "hash $remote_addr consistent;",
    );
    assert_ok(&report, &["path", "websocket"]);

    // Ping interval and timeout, and a few seconds.
    let report = examine(&[&nginx.url(3)], 1);
    for what in [
        "a silent WebSocket is cut after 1",
        "a long poll is cut after 1",
    ] {
        assert_problem(&report, "idle", what, "proxy_read_timeout 27s;");
    }
    assert_problem(
        &report,
        "payload",
        "bodies over about 10",
        "client_max_body_size 1m;",
    );

    let report = examine(&[&nginx.url(4), "--quick"], 0);
    assert_ok(&report, &["affinity", "websocket", "upgrade", "polling"]);
}

#[test]
fn nginx_with_the_classic_mistakes() {
    let (server, one, two) = (Server::start(), Server::start(), Server::start());
    classic_mistakes("fanfare", server.port, [one.port, two.port]);
}

#[test]
fn nginx_in_front_of_node() {
    let start = || Node::start("4", r#"{"pingInterval":2000,"pingTimeout":20000}"#);
    if let (Some(server), Some(one), Some(two)) = (start(), start(), start()) {
        classic_mistakes("node", server.port, [one.port, two.port]);
    }
}

#[test]
fn nginx_that_leads_elsewhere() {
    let server = Server::start();
    let servers = [
        // Another path.
        format!(
            "location /api/ {{ proxy_pass http://127.0.0.1:{}/; {UPGRADE} }}",
            server.port
        ),
        // No server behind the proxy.
        "location /socket.io/ { proxy_pass http://127.0.0.1:1; }".to_owned(),
        // A site that answers every path.
        "location / { default_type text/html; return 200 '<!doctype html><title>app</title>'; }"
            .to_owned(),
        // A redirect to https.
        "location / { return 301 https://example.com$request_uri; }".to_owned(),
    ];
    let Some(nginx) = Nginx::start("elsewhere", "", &servers) else {
        return;
    };
    for (server, check, what, fix) in [
        (
            0,
            "path",
            "but /api/socket.io/ is a Socket.IO endpoint",
            "path: \"/api/socket.io\"",
        ),
        (1, "path", "cannot reach the server behind it", "proxy_pass"),
        (
            2,
            "path",
            "no Socket.IO endpoint at /socket.io/",
            "location /socket.io/",
        ),
        (
            3,
            "reach",
            "redirects to https://example.com",
            "https://example.com",
        ),
    ] {
        let report = examine(&[&nginx.url(server), "--quick"], 1);
        assert_problem(&report, check, what, fix);
    }
}

#[test]
fn nginx_with_tls() {
    let server = Server::start();
    let folder = std::env::temp_dir().join(format!("fanfare-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
        ])
        .args([
            "-addext",
            "subjectAltName=DNS:localhost",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: openssl is missing");
        return;
    }
    let body = format!(
        "ssl ssl_certificate {}; ssl_certificate_key {}; location /socket.io/ {{ proxy_pass http://127.0.0.1:{}; {UPGRADE} }}",
        certificate.display(),
        key.display(),
        server.port
    );
    let Some(nginx) = Nginx::start("tls", "", &[body]) else {
        return;
    };
    let port = nginx.ports[0];
    let report = examine(&[&format!("https://localhost:{port}"), "--quick"], 1);
    assert_problem(
        &report,
        "tls",
        "signed by nobody who is trusted",
        "fullchain.pem",
    );
    assert_ok(&report, &["path", "polling", "websocket", "upgrade"]);
    let ca = certificate.to_str().unwrap();
    let report = examine(
        &[&format!("https://localhost:{port}"), "--quick", "--ca", ca],
        0,
    );
    assert_ok(&report, &["tls", "websocket"]);
    let report = examine(
        &[&format!("https://127.0.0.1:{port}"), "--quick", "--ca", ca],
        1,
    );
    assert_problem(
        &report,
        "tls",
        "certificate is not for 127.0.0.1",
        "get one that names",
    );
    let report = examine(&[&format!("http://localhost:{port}"), "--quick"], 3);
    assert_problem(
        &report,
        "reach",
        "speaks HTTPS, not HTTP",
        "use https://localhost",
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn cors_and_cookies_of_a_node_server() {
    let options = r#"{"cors":{"origin":"https://app.example.com"},"cookie":{"name":"io","sameSite":"none"},"pingInterval":1000}"#;
    let Some(node) = Node::start("4", options) else {
        return;
    };
    let args = [
        "--origin",
        "https://app.example.com",
        "--origin",
        "https://other.example.com",
        "--origin",
        "https://app.example.com/",
    ];
    let report = examine(&[&[node.url().as_str(), "--quick"], &args[..]].concat(), 1);
    let cors = found(&report, "cors");
    assert_eq!(cors[0].0, "ok", "{cors:#?}");
    assert_problem(
        &report,
        "cors",
        "https://other.example.com is not allowed",
        "origin: [\"https://other.example.com\"]",
    );
    assert_problem(
        &report,
        "cors",
        "https://app.example.com/ is no origin",
        "write it like",
    );
    assert_problem(
        &report,
        "cookies",
        "browsers refuse the cookie `io`",
        "secure: true",
    );

    let Some(node) = Node::start("4", r#"{"transports":["websocket"]}"#) else {
        return;
    };
    let report = examine(&[&node.url(), "--quick"], 1);
    assert_problem(
        &report,
        "polling",
        "refused: Transport unknown",
        "transports:",
    );
    assert_ok(&report, &["websocket"]);
}
