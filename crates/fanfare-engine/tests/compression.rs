//! Compressed long-polling responses.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::io::Read;
use std::sync::Arc;

use common::{Conn, Server};
use fanfare_engine::http::HttpCompression;
use fanfare_engine::{BroadcastOptions, EncodedMessage, broadcast};
use fanfare_testing::wire::Response;

fn decoded(response: &Response) -> String {
    let mut text = String::new();
    match response.header("content-encoding") {
        None => text.push_str(response.text()),
        Some("gzip") => {
            let mut reader = flate2::read::GzDecoder::new(&response.body[..]);
            reader.read_to_string(&mut text).unwrap();
        }
        Some("deflate") => {
            let mut reader = flate2::read::ZlibDecoder::new(&response.body[..]);
            reader.read_to_string(&mut text).unwrap();
        }
        #[cfg(feature = "brotli")]
        Some("br") => {
            let mut reader = brotli::Decompressor::new(&response.body[..], 4096);
            reader.read_to_string(&mut text).unwrap();
        }
        Some(other) => panic!("{other}"),
    }
    text
}

async fn session(server: &mut Server) -> (String, Conn) {
    let sid = server.polling().await;
    (
        format!("EIO=4&transport=polling&sid={sid}"),
        server.opened().await,
    )
}

#[tokio::test]
async fn long_answers_are_compressed_as_the_client_likes() {
    let mut server = Server::start().await;
    let (query, conn) = session(&mut server).await;
    let long = "a long message ".repeat(200);
    for (accepted, encoding) in [
        ("gzip, deflate, br", Some("gzip")),
        ("deflate", Some("deflate")),
        ("gzip;q=0, *", Some("deflate")),
        ("identity", None),
        #[cfg(not(feature = "brotli"))]
        ("br", None),
        #[cfg(feature = "brotli")]
        ("br", Some("br")),
    ] {
        conn.send(&EncodedMessage::text(&long)).unwrap();
        conn.send(&EncodedMessage::binary(&[1, 2, 3])).unwrap();
        let headers = format!("Accept-Encoding: {accepted}\r\n");
        let response = server.request("GET", &query, &headers, "").await;
        assert_eq!(response.header("content-encoding"), encoding, "{accepted}");
        assert_eq!(
            response.header("content-type"),
            Some("text/plain; charset=UTF-8")
        );
        assert_eq!(decoded(&response), format!("4{long}\u{1e}bAQID"));
        assert_eq!(response.body.len() < 300, encoding.is_some());
    }
    conn.send(&EncodedMessage::text(&long)).unwrap();
    let response = server.request("GET", &query, "", "").await;
    assert_eq!(
        response.header("content-encoding"),
        None,
        "nothing was asked for"
    );
}

#[tokio::test]
async fn short_answers_and_those_not_worth_it_are_not() {
    let mut server = Server::start().await;
    let (query, conn) = session(&mut server).await;
    let gzip = "Accept-Encoding: gzip\r\n";
    let just_under = "x".repeat(1022);
    let long = "x".repeat(3000);
    let targets: Arc<[Conn]> = Arc::new([conn.clone()]);
    let raw = BroadcastOptions::default().compress(false);
    let plain = |message: &str| {
        conn.send(&EncodedMessage::text(message).uncompressed())
            .unwrap();
    };
    let worth = |message: &str| conn.send(&EncodedMessage::text(message)).unwrap();
    let emits: [(&dyn Fn(), bool); 6] = [
        (&|| worth(&just_under), false),
        (&|| worth(&format!("{just_under}x")), true),
        (&|| plain(&long), false),
        (
            &|| {
                let report = broadcast(&targets, &EncodedMessage::text(&long), raw, None);
                assert_eq!(report.recipients, 1);
            },
            false,
        ),
        // One message that is worth compressing is enough.
        (
            &|| {
                plain(&long);
                worth("x");
            },
            true,
        ),
        (
            &|| {
                conn.send_with(|buf| {
                    buf.uncompressed();
                    buf.text(|out| out.extend_from_slice(long.as_bytes()));
                })
                .unwrap();
            },
            false,
        ),
    ];
    for (n, (emit, compressed)) in emits.iter().enumerate() {
        emit();
        let response = server.request("GET", &query, gzip, "").await;
        assert_eq!(
            response.header("content-encoding").is_some(),
            *compressed,
            "{n}"
        );
        assert!(decoded(&response).starts_with("4x"));
    }
}

#[tokio::test]
async fn noise_is_sent_as_it_is() {
    let mut server = Server::with(|config| {
        config.http_compression = Some(HttpCompression::new().threshold(0));
    })
    .await;
    let (query, conn) = session(&mut server).await;
    conn.send(&EncodedMessage::text("q")).unwrap();
    let response = server
        .request("GET", &query, "Accept-Encoding: gzip\r\n", "")
        .await;
    assert_eq!(
        (response.header("content-encoding"), response.text()),
        (None, "4q")
    );
}

#[tokio::test]
async fn it_can_be_switched_off() {
    let mut server = Server::with(|config| config.http_compression = None).await;
    let (query, conn) = session(&mut server).await;
    conn.send(&EncodedMessage::text(&"x".repeat(3000))).unwrap();
    let response = server
        .request("GET", &query, "Accept-Encoding: gzip\r\n", "")
        .await;
    assert_eq!(response.header("content-encoding"), None);
    assert_eq!(response.body.len(), 3001);
}
