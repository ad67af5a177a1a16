//! Log messages.

use std::sync::{Arc, Mutex};

use axum::http::Extensions;
use fanfare::limits::ConnectionLimits;
use fanfare::proxy::{Networks, Peer, TrustedProxies};
use fanfare::{Ack, ConnectError, Data, EventError, Namespace, SocketIo};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::recorder::Sums;
use crate::support::{self, Server, until};

/// Collects level, target and message of each event.
#[derive(Clone, Default)]
struct Log(
    Arc<Mutex<Vec<(Level, String, String)>>>,
    Arc<Mutex<Vec<String>>>,
);

/// Fields of one message, as formatted.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0 += &format!("{}={value} ", field.name());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{}={value:?} ", field.name());
    }
}

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
        let mut line = Line::default();
        event.record(&mut line);
        self.1.lock().unwrap().push(line.0);
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
    let serve = fanfare::serve(io.clone()).max_idle_connections(5);
    tokio::spawn(serve.listener(listener));
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(tokio::net::TcpStream::connect(addr).await.unwrap());
    }
    until("they are cut", || io.stats().rejected == 45).await;
    let log = log.0.lock().unwrap();
    let warnings: Vec<_> = log.iter().filter(|line| line.0 <= Level::WARN).collect();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
}

/// Limits per address have no effect without addresses: that is logged once, and only then.
#[tokio::test]
async fn limits_by_address_without_addresses_are_an_error_in_the_log() {
    let limits = || ConnectionLimits::new().connections_per_address(1000);
    let proxies = || TrustedProxies::new(Networks::private());
    let peer = |_: &Extensions| Some(Peer::Address(([192, 0, 2, 1], 80).into()));
    for (builder, expected) in [
        (
            SocketIo::builder().admission(limits()),
            Some("option=connections_per_address "),
        ),
        (
            SocketIo::builder().trusted_proxies(proxies()),
            Some("option=trusted_proxies "),
        ),
        (SocketIo::builder(), None),
        (SocketIo::builder().admission(limits()).peer(peer), None),
        (
            SocketIo::builder().trusted_proxies(proxies()).peer(peer),
            None,
        ),
    ] {
        let log = Log::default();
        let _guard = tracing::subscriber::set_default(log.clone());
        let app = axum::Router::<()>::new().layer(builder.build().unwrap().layer());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        for _ in 0..3 {
            support::Peer::open(addr).await.join("/").await;
        }
        let (levels, lines) = (log.0.lock().unwrap(), log.1.lock().unwrap());
        let errors = levels.iter().zip(lines.iter());
        let errors: Vec<_> = errors.filter(|(line, _)| line.0 == Level::ERROR).collect();
        assert_eq!(errors.len(), usize::from(expected.is_some()), "{errors:?}");
        for (_, fields) in errors {
            assert!(fields.contains(expected.unwrap()), "{fields}");
            assert!(fields.contains("SocketIoBuilder::peer"), "{fields}");
        }
    }
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
    // Names that a client invents gain it nothing.
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
    // In this order, each under the target of its crate; none at a level that a production log shows.
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

#[tokio::test]
async fn what_a_client_writes_cannot_forge_a_line() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    let namespace = Namespace::new("/")
        .on("number", async |_: Data<u8>| ())
        .on("echo", async || Ack(()))
        .on("told", async |Data(text): Data<String>| {
            Err::<(), _>(EventError::new(format!("no such thing: {text}")))
        })
        .on_any(
            async |fanfare::extract::EventName(name): fanfare::extract::EventName| {
                Err::<(), _>(EventError::new(name))
            },
        );
    let refusing = Namespace::dynamic("any", |name, _| name.starts_with("/refused")).middleware(
        async |socket: fanfare::Socket| Err::<(), _>(ConnectError::new(socket.namespace_name())),
    );
    let builder = SocketIo::builder().namespace(namespace).namespace(refusing);
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    let nasty = r"x\r\n2026-11-30 ERROR fanfare: all is lost \u001b[2J\u009b\u202e";
    let long = "y".repeat(900);
    for text in [nasty, &long] {
        peer.send(&format!(r#"2["{text}"]"#)).await;
        peer.send(&format!(r#"2["number","{text}"]"#)).await;
        peer.send(&format!(r#"2["told","{text}"]"#)).await;
    }
    peer.quiet().await;
    let raw = format!("0/refused\r\n\u{1b}[2J{},", "z".repeat(400));
    peer.send(&raw).await;
    peer.text().await;
    let lines = log.1.lock().unwrap();
    assert!(lines.iter().any(|line| line.contains("all is lost")));
    assert!(lines.iter().any(|line| line.contains("zzzz")));
    for line in lines.iter() {
        assert!(
            !line.contains(|c: char| c.is_control() || c == '\u{202e}'),
            "{line:?}"
        );
        assert!(line.len() < 1000, "{line:?}");
    }
}

#[tokio::test]
async fn lines_of_handlers_name_the_event_and_its_namespace() {
    let log = Log::default();
    let _guard = tracing::subscriber::set_default(log.clone());
    fn fail() -> std::io::Error {
        std::io::Error::other("disk full")
    }
    let namespace = Namespace::new("/")
        .on_connect(async || Err::<(), _>(fail()))
        .on("typed", async |_: Data<u8>| ())
        .on("now", async || Err::<(), _>(fail()))
        .on("later", async || {
            tokio::task::yield_now().await;
            Err::<(), _>(fail())
        })
        .on("panics", async || {
            if std::hint::black_box(true) {
                std::panic::resume_unwind(Box::new("as expected"));
            }
        })
        .on_disconnect(async || Err::<(), _>(fail()));
    let refusing = Namespace::new("/refusing").middleware(async || Err::<(), _>(fail()));
    let builder = SocketIo::builder().namespace(namespace).namespace(refusing);
    let server = Server::start(builder).await;
    let mut peer = server.joined().await;
    for event in ["typed", "now", "later", "panics"] {
        peer.send(&format!(r#"2["{event}"]"#)).await;
    }
    peer.send("0/refusing,").await;
    peer.text().await;
    peer.send("1").await;
    let has = |words: &[&str]| {
        let lines = log.1.lock().unwrap();
        lines
            .iter()
            .any(|line| words.iter().all(|word| line.contains(word)))
    };
    for (event, what) in [
        ("connect", "handler failed"),
        ("typed", "handler not called"),
        ("now", "handler failed"),
        ("later", "handler failed"),
        ("panics", "a handler panicked"),
        ("disconnect", "handler failed"),
    ] {
        let words = [what, &format!("event={event} "), "namespace=/ "];
        until(event, || has(&words)).await;
    }
    until("the refusal", || {
        has(&[
            "handler failed",
            "event=connect ",
            "namespace=/refusing ",
            "disk full",
        ])
    })
    .await;
}
