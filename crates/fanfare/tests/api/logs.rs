//! What is logged.

use std::sync::{Arc, Mutex};

use fanfare::Namespace;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{Server, until};

/// Collects level, target and message of each event.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String, String)>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("fanfare")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let metadata = event.metadata();
        let entry = (*metadata.level(), metadata.target().to_owned(), message.0);
        self.0.lock().unwrap().push(entry);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_flood_of_connections_is_one_line() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let io = fanfare::SocketIo::builder().build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let mut options = fanfare::ServeOptions::default();
    options.max_idle_connections = 5;
    tokio::spawn(fanfare::serve_with(listener, io.clone(), options));
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(tokio::net::TcpStream::connect(addr).await.unwrap());
    }
    until("they are cut", || io.stats().refused == 45).await;
    let log = log.0.lock().unwrap();
    let warnings: Vec<_> = log.iter().filter(|line| line.0 <= Level::WARN).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

#[tokio::test]
async fn the_life_of_a_client_is_logged_for_those_who_ask() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let server = Server::with(Namespace::new("/").on("e", async || ())).await;
    let mut peer = server.joined().await;
    peer.send(r#"2["e"]"#).await;
    peer.send(r#"2["unknown"]"#).await;
    peer.send("1").await;
    let lines = || log.0.lock().unwrap().clone();
    until("the last line", || {
        lines().iter().any(|(_, _, line)| line == "disconnected")
    })
    .await;
    // In this order, each under the target of its crate; nothing that a production log would show.
    let seen = lines();
    let mut rest = seen
        .iter()
        .filter(|(_, target, _)| target.starts_with("fanfare::"));
    for expected in [
        "connection opened",
        "connected",
        "event received",
        "no handler for this event",
        "disconnected",
    ] {
        assert!(
            rest.any(|(_, _, line)| line == expected),
            "{expected}: {seen:?}"
        );
    }
    assert!(
        seen.iter().all(|(level, ..)| *level >= Level::DEBUG),
        "{seen:?}"
    );
}
