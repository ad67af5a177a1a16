//! What is logged.

use std::sync::{Arc, Mutex};

use fanfare::{Ack, Data, Namespace, SocketIo};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::recorder::Sums;
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
async fn what_clients_cause_in_handlers_does_not_fill_the_log() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let sums = Sums::default();
    let _local = metrics::set_default_local_recorder(&sums);
    let handlers = |namespace: Namespace| {
        namespace
            .on("typed", async |_: Data<u32>| ())
            .on("fails", async || {
                Err::<(), _>(fanfare::EventError::new("no"))
            })
            .on("panics", async || {
                if std::hint::black_box(true) {
                    std::panic::resume_unwind(Box::new("as expected")); // without the message
                }
            })
            .on("echo", async || Ack(()))
    };
    let builder = SocketIo::builder()
        .namespace(handlers(Namespace::new("/")))
        .namespace(handlers(Namespace::pattern("/of-{n}")));
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    for _ in 0..30 {
        for event in [r#"2["typed","no"]"#, r#"2["fails"]"#, r#"2["panics"]"#] {
            peer.send(event).await;
        }
    }
    peer.quiet().await;
    // Names that a client thinks of are of no use to it.
    for n in 0..10 {
        peer.join(&format!("/of-{n}")).await;
        for event in ["typed", "fails", "panics"] {
            peer.send(&format!(r#"2/of-{n},["{event}"]"#)).await;
        }
    }
    peer.quiet().await;
    let count = |level: Level, line: &str| {
        let log = log.0.lock().unwrap();
        log.iter()
            .filter(|seen| seen.0 == level && seen.2 == line)
            .count()
    };
    for (level, line) in [
        (Level::WARN, "handler not called"),
        (Level::WARN, "handler failed"),
        (Level::ERROR, "a handler panicked"),
    ] {
        assert_eq!(count(level, line), 2, "{line}, for each declaration");
        assert_eq!(count(Level::DEBUG, line), 38, "{line}");
    }
    let rejected = "fanfare_events_rejected_total{reason=args}";
    assert_eq!(sums.get(rejected), 40.0);
    assert_eq!(sums.get("fanfare_handler_errors_total{}"), 40.0);
    assert_eq!(sums.get("fanfare_handler_panics_total{}"), 40.0);
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
