//! The doctor, where Node answers only Socket.IO requests: no page, no 404.

use fanfare::engine::Transport;
use serde_json::Value;

use super::support::{Node, Server, run};

fn examine(args: &[&str], code: i32) -> Value {
    let all = [&["doctor", "--json", "--quick"], args].concat();
    run(&all).expect(code).json()
}

#[track_caller]
fn assert_only_problem(report: &Value, check: &str, what: &str, fix: &str) {
    let findings = report["findings"].as_array().unwrap();
    let problems: Vec<_> = findings
        .iter()
        .filter(|finding| finding["level"] == "problem")
        .collect();
    assert_eq!(problems.len(), 1, "{report:#}");
    let text = |name: &str| problems[0][name].as_str().unwrap_or_default();
    assert_eq!(text("check"), check, "{report:#}");
    assert!(text("what").contains(what), "{report:#}");
    assert!(!text("why").is_empty(), "{report:#}");
    assert!(text("fix").contains(fix), "{report:#}");
}

#[test]
fn the_wrong_scheme() {
    let Some(node) = Node::start("4", r#"{"bare":true}"#) else {
        return;
    };
    let https = format!("https://127.0.0.1:{}", node.port);
    let report = examine(&[&https, "--timeout", "30s"], 3);
    assert_only_problem(
        &report,
        "reach",
        "speaks plain HTTP, not HTTPS",
        "use http://127.0.0.1",
    );

    let folder = std::env::temp_dir().join(format!("fanfare-scheme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let made = std::process::Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-keyout", &file("key.pem"), "-out", &file("cert.pem")])
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        println!("skipped: openssl is missing");
        return;
    }
    let tls = serde_json::json!({ "key": file("key.pem"), "cert": file("cert.pem") });
    let options = serde_json::json!({ "bare": true, "tls": tls }).to_string();
    let Some(node) = Node::start("4", &options) else {
        return;
    };
    let report = examine(&[&node.url(), "--timeout", "30s"], 3);
    assert_only_problem(
        &report,
        "reach",
        "speaks HTTPS, not HTTP",
        "use https://127.0.0.1",
    );
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn another_path() {
    let Some(node) = Node::start("4", r#"{"bare":true,"path":"/api/socket.io/"}"#) else {
        return;
    };
    let report = examine(&[&node.url(), "--timeout", "3s"], 1);
    assert_only_problem(
        &report,
        "path",
        "nothing at /socket.io/, but /api/socket.io/ is a Socket.IO endpoint",
        "path: \"/api/socket.io\"",
    );
    let Some(node) = Node::start("4", r#"{"bare":true,"path":"/nobody/guesses/"}"#) else {
        return;
    };
    let report = examine(&[&node.url(), "--timeout", "3s"], 1);
    assert_only_problem(
        &report,
        "path",
        "no Socket.IO endpoint at /socket.io/",
        "--path",
    );
}

#[test]
fn a_redirect_is_told_once() {
    let options = r#"{"location":"https://example.com/socket.io/","path":"/elsewhere/"}"#;
    let Some(node) = Node::start("4", options) else {
        return;
    };
    let report = examine(&[&node.url()], 1);
    assert_only_problem(
        &report,
        "reach",
        "redirects to https://example.com",
        "io(\"https://example.com\")",
    );
}

#[test]
fn a_server_without_polling_is_explained_for_both_servers() {
    let Some(node) = Node::start("4", r#"{"bare":true,"transports":["websocket"]}"#) else {
        return;
    };
    let transports = [Transport::WebSocket];
    let fanfare = Server::with(0, |builder| builder.transports(transports));
    for url in [node.url(), fanfare.url()] {
        let report = examine(&[&url], 1);
        assert_only_problem(
            &report,
            "polling",
            "Transport unknown",
            "transports: [\"websocket\"]",
        );
        let fix = report["findings"].to_string();
        assert!(
            fix.contains("Transport::Polling"),
            "Fanfare's line: {report:#}"
        );
    }
}

#[test]
fn fixes_name_the_options_of_both_servers() {
    let options =
        r#"{"cors":{"origin":"https://app.example.com"},"cookie":{"name":"io","sameSite":"none"}}"#;
    let Some(node) = Node::start("4", options) else {
        return;
    };
    let report = examine(&[&node.url(), "--origin", "https://other.example.com"], 1);
    let fix = |check: &str| {
        let findings = report["findings"].as_array().unwrap();
        let found = findings
            .iter()
            .find(|finding| finding["check"] == check && finding["level"] == "problem");
        found.unwrap_or_else(|| panic!("{check}: {report:#}"))["fix"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let cors = fix("cors");
    assert!(
        cors.contains("cors: { origin: [\"https://other.example.com\"] }"),
        "{cors}"
    );
    assert!(
        cors.contains(".origins([\"https://other.example.com\"])"),
        "{cors}"
    );
    let cookies = fix("cookies");
    assert!(
        cookies.contains("sameSite") && cookies.contains("SameSite::None"),
        "{cookies}"
    );
}
