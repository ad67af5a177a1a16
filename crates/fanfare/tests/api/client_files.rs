//! The browser client's files.

use std::io::Read;
use std::path::PathBuf;

use fanfare::{BuildError, SocketIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Server, within};

/// Creates a directory in npm's layout.
fn package(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("fanfare-client-{}-{name}", std::process::id()));
    let dist = root.join("dist");
    std::fs::create_dir_all(&dist).unwrap();
    std::fs::write(root.join("package.json"), r#"{"version":"4.8.1"}"#).unwrap();
    std::fs::write(dist.join("socket.io.js"), "io()".repeat(500)).unwrap();
    std::fs::write(dist.join("socket.io.js.map"), "{}").unwrap();
    std::fs::write(dist.join("socket.io.js.br"), "brotli").unwrap();
    std::fs::write(dist.join("secret.js"), "no").unwrap();
    dist
}

async fn get(server: &Server, path: &str, headers: &str) -> (String, Vec<u8>) {
    let mut stream = tokio::net::TcpStream::connect(server.addr).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    within("an answer", stream.read_to_end(&mut answer))
        .await
        .unwrap();
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let body = answer.split_off(end + 4);
    (String::from_utf8(answer).unwrap().to_lowercase(), body)
}

#[tokio::test]
async fn the_client_is_served_as_by_node() {
    let dir = package("served");
    let server = Server::start(SocketIo::builder().serve_client(&dir)).await;
    let (head, body) = get(&server, "/socket.io/socket.io.js", "").await;
    for line in [
        "http/1.1 200 ok",
        "cache-control: public, max-age=0",
        "content-type: application/javascript; charset=utf-8",
        "etag: \"4.8.1\"",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(body.len(), 2000);

    let (head, body) = get(
        &server,
        "/socket.io/socket.io.js?v=1",
        "Accept-Encoding: gzip\r\n",
    )
    .await;
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..])
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "io()".repeat(500));
    let (head, body) = get(
        &server,
        "/socket.io/socket.io.js",
        "Accept-Encoding: gzip, br\r\n",
    )
    .await;
    assert!(head.contains("content-encoding: br"), "{head}");
    assert_eq!(body, b"brotli");

    let (head, _) = get(&server, "/socket.io/socket.io.js.map", "").await;
    assert!(
        head.contains("content-type: application/json; charset=utf-8"),
        "{head}"
    );

    for known in ["\"4.8.1\"", "W/\"4.8.1\""] {
        let known = format!("If-None-Match: {known}\r\n");
        let (head, body) = get(&server, "/socket.io/socket.io.js", &known).await;
        assert!(head.starts_with("http/1.1 304 "), "{head}");
        assert!(body.is_empty());
    }
    let (head, _) = get(
        &server,
        "/socket.io/socket.io.js",
        "If-None-Match: \"4.8.0\"\r\n",
    )
    .await;
    assert!(head.starts_with("http/1.1 200 "), "{head}");

    for other in [
        "socket.io.min.js",
        "secret.js",
        "../package.json",
        "dist/socket.io.js",
    ] {
        let (head, _) = get(&server, &format!("/socket.io/{other}"), "").await;
        assert!(
            head.starts_with("http/1.1 400 ") || head.starts_with("http/1.1 404 "),
            "{head}"
        );
    }
    std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_file_is_served_whatever_session_is_named() {
    let dir = package("session");
    let server = Server::start(SocketIo::builder().serve_client(&dir)).await;
    let polling = "EIO=4&transport=polling";
    let (_, open) = get(&server, &format!("/socket.io/?{polling}"), "").await;
    let open = String::from_utf8(open).unwrap();
    let (_, sid) = open.split_once("\"sid\":\"").unwrap();
    let (sid, _) = sid.split_once('"').unwrap();
    let file = format!("/socket.io/socket.io.js?{polling}&sid={sid}");
    let (head, body) = get(&server, &file, "").await;
    assert!(
        head.contains("content-type: application/javascript"),
        "{head}"
    );
    assert_eq!(body.len(), 2000);
    std::fs::remove_dir_all(dir.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn nothing_is_served_unless_it_is_asked_for() {
    let server = Server::start(SocketIo::builder()).await;
    let (head, _) = get(&server, "/socket.io/socket.io.js", "").await;
    assert!(head.starts_with("http/1.1 400 "), "{head}");
}

#[test]
fn a_directory_without_client_is_an_error() {
    let error = SocketIo::builder()
        .serve_client("/nowhere")
        .build()
        .unwrap_err();
    assert!(matches!(error, BuildError::ClientFiles { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere"), "{error}");
}

#[cfg(feature = "client-files")]
#[tokio::test]
async fn the_client_is_part_of_the_program_or_build_says_what_to_do() {
    match SocketIo::builder().serve_embedded_client().build() {
        Err(error) => {
            let text = error.to_string();
            assert!(text.contains("npm install socket.io-client"), "{text}");
            assert!(text.contains("FANFARE_CLIENT_DIR"), "{text}");
        }
        Ok(_) => {
            let server = Server::start(SocketIo::builder().serve_embedded_client()).await;
            let (head, body) = get(&server, "/socket.io/socket.io.min.js", "").await;
            assert!(head.contains("http/1.1 200 ok"), "{head}");
            assert!(body.starts_with(b"/*!\n * Socket.IO v4"));
        }
    }
}
