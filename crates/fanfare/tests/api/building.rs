//! Validation by `build`: values that can never work are rejected.

use std::time::Duration;

use fanfare::adapter::ServerEvent;
use fanfare::engine::PerMessageDeflate;
use fanfare::http::{Cookie, Cors, CorsOrigin, HttpCompression, SameSite};
use fanfare::limits::{ConnectionLimits, RateLimits};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Limits, Namespace, SocketIo, SocketIoBuilder};

use crate::support::Server;

fn refusal(builder: SocketIoBuilder) -> Option<String> {
    builder.build().err().map(|error| error.to_string())
}

fn limits(change: impl FnOnce(&mut Limits)) -> SocketIoBuilder {
    let mut limits = Limits::default();
    change(&mut limits);
    SocketIo::builder().limits(limits)
}

fn cors(origin: CorsOrigin) -> Cors {
    Cors::new().origin(origin)
}

/// Returns invalid builders, with words that the error must contain.
#[allow(clippy::too_many_lines, reason = "a table")]
fn impossible() -> Vec<(SocketIoBuilder, [&'static str; 2])> {
    let io = SocketIo::builder;
    let zero = Duration::ZERO;
    let namespace = |name: &str| io().namespace(Namespace::new(name));
    vec![
        (io().path("live"), ["path", "\"live\""]),
        (io().path("/li ve"), ["path", "\"/li ve\""]),
        (io().path("/live?x"), ["path", "\"/live?x\""]),
        (io().transports([]), ["transports", "none"]),
        (namespace("/a,b"), ["\"/a,b\"", "comma"]),
        (namespace("/a?b"), ["\"/a?b\"", "question mark"]),
        (
            io().namespace(Namespace::pattern("/a,{b}")),
            ["\"/a,{b}\"", "comma"],
        ),
        (namespace(&"n".repeat(600)), ["601 bytes", "512"]),
        (
            io().namespace(Namespace::new("/").on("connect", async || ())),
            ["\"connect\"", "reserved"],
        ),
        (
            io().namespace(Namespace::new("/").on("x".repeat(2000), async || ())),
            ["2000 bytes", "1024"],
        ),
        (
            io().namespace(
                Namespace::new("/").on_server_event("connection", async |_: ServerEvent| ()),
            ),
            ["\"connection\"", "reserved"],
        ),
        (io().ping_interval(zero), ["ping_interval", "0"]),
        (
            io().ping_interval(Duration::from_micros(3)),
            ["ping_interval", "3"],
        ),
        (io().ping_timeout(zero), ["ping_timeout", "0"]),
        (io().connect_timeout(zero), ["connect_timeout", "0"]),
        (io().upgrade_timeout(zero), ["upgrade_timeout", "0"]),
        (io().ack_timeout(zero), ["ack_timeout", "0"]),
        (
            io().engine(|c| c.close_timeout = zero),
            ["close_timeout", "0"],
        ),
        (io().max_payload(0), ["max_payload", "0"]),
        (limits(|l| l.max_json_depth = 0), ["max_json_depth", "0"]),
        (
            limits(|l| l.max_namespaces_per_client = 0),
            ["max_namespaces_per_client", "0"],
        ),
        (
            limits(|l| l.max_namespace_len = 0),
            ["max_namespace_len", "0"],
        ),
        (
            limits(|l| l.max_event_name_len = 0),
            ["max_event_name_len", "0"],
        ),
        (limits(|l| l.max_connections = 0), ["max_connections", "0"]),
        (
            limits(|l| l.max_header_bytes = 0),
            ["max_header_bytes", "0"],
        ),
        (limits(|l| l.outbox_bytes = 0), ["outbox_bytes", "0"]),
        (limits(|l| l.outbox_packets = 0), ["outbox_packets", "0"]),
        (
            io().connection_state_recovery(
                ConnectionStateRecovery::new().max_disconnection_duration(zero),
            ),
            ["max_disconnection_duration", "0"],
        ),
        (io().cookie(Cookie::new("a b")), ["cookie", "a b"]),
        (
            io().cookie(Cookie::new("io").same_site(SameSite::None)),
            ["cookie", "secure"],
        ),
        (
            io().cors(cors(CorsOrigin::Any).credentials(true)),
            ["cors", "credentials"],
        ),
        (
            io().cors(cors(CorsOrigin::List(vec!["https://a.example/".into()]))),
            ["cors", "https://a.example/"],
        ),
        (
            io().cors(cors(CorsOrigin::List(vec!["a.example".into()]))),
            ["cors", "a.example"],
        ),
        (
            io().cors(Cors::new().options_success_status(99)),
            ["cors", "99"],
        ),
        (
            io().http_compression(HttpCompression::new().level(10)),
            ["http_compression", "10"],
        ),
        (
            io().per_message_deflate(PerMessageDeflate::new().level(10)),
            ["per_message_deflate", "10"],
        ),
        (
            io().admission(ConnectionLimits::new().connections_per_second(0)),
            ["connections_per_second", "0"],
        ),
        (
            io().admission(ConnectionLimits::new().connections_per_address(0)),
            ["connections_per_address", "0"],
        ),
        (
            io().rate_limits(RateLimits::new().events_per_second(0)),
            ["events_per_second", "0"],
        ),
        (
            io().rate_limits(RateLimits::new().bytes_per_second(0)),
            ["bytes_per_second", "0"],
        ),
        (
            io().rate_limits(RateLimits::new().events_per_second(5).burst(zero)),
            ["burst", "0"],
        ),
    ]
}

#[test]
fn what_can_never_work_is_refused_with_the_reason() {
    let mut wrong = Vec::new();
    for (builder, words) in impossible() {
        match refusal(builder) {
            Some(text) if words.iter().all(|word| text.contains(word)) => {}
            other => wrong.push((words, other)),
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_unusual_but_works_is_built() {
    for builder in [
        SocketIo::builder().path("/"),
        SocketIo::builder().path("/live/v1"),
        SocketIo::builder().cors(cors(CorsOrigin::Mirror).credentials(true)),
        SocketIo::builder().cors(cors(CorsOrigin::List(Vec::new()))),
        limits(|l| l.max_attachments = 0),
        limits(|l| l.max_rooms_per_socket = 0),
        limits(|l| l.max_pending_acks = 0),
    ] {
        assert_eq!(refusal(builder), None);
    }
}

#[tokio::test]
async fn limits_are_the_same_wherever_they_are_set() {
    for builder in [
        SocketIo::builder().max_payload(4321),
        SocketIo::builder().engine(|config| config.limits.max_payload = 4321),
        limits(|l| l.max_payload = 4321),
    ] {
        let peer = Server::start(builder).await.peer().await;
        assert_eq!(peer.handshake()["maxPayload"], 4321);
    }
    let builder = SocketIo::builder()
        .engine(|config| config.limits.max_event_name_len = 3)
        .namespace(Namespace::new("/").on("e", async || fanfare::Ack(())));
    let mut peer = Server::start(builder).await.joined().await;
    peer.send(r#"21["e"]"#).await;
    peer.expect("31[]").await;
    peer.send(r#"2["long"]"#).await;
    peer.until_closed().await;
}

#[tokio::test]
async fn what_a_middleware_emits_comes_after_the_connection() {
    let namespace = Namespace::new("/")
        .middleware(async |socket: fanfare::Socket| {
            socket.emit("first", 1)?;
            tokio::task::yield_now().await;
            socket.emit("second", bytes::Bytes::from_static(b"x"))?;
            socket.volatile().emit("dropped", ())?;
            Ok::<_, fanfare::EmitError>(())
        })
        .on_connect(async |socket: fanfare::Socket| socket.emit("third", 3));
    let refusing = Namespace::new("/refused").middleware(async |socket: fanfare::Socket| {
        socket.emit("never", ())?;
        Err::<(), _>(fanfare::ConnectError::new("no"))
    });
    let builder = SocketIo::builder().namespace(namespace).namespace(refusing);
    let mut peer = Server::start(builder).await.peer().await;
    peer.join("/").await;
    peer.expect(r#"2["first",1]"#).await;
    peer.expect(r#"51-["second",{"_placeholder":true,"num":0}]"#)
        .await;
    assert_eq!(
        peer.next().await,
        fanfare_testing::Received::Binary(bytes::Bytes::from_static(b"x"))
    );
    peer.expect(r#"2["third",3]"#).await;
    peer.send("0/refused,").await;
    peer.expect(r#"4/refused,{"message":"no"}"#).await;
}

#[tokio::test]
async fn what_a_middleware_emits_is_bounded() {
    let mut limits = Limits::default();
    limits.outbox_packets = 3;
    let namespace = Namespace::new("/").middleware(async |socket: fanfare::Socket| {
        for n in 0..3 {
            socket.emit("e", n)?;
        }
        match socket.emit("e", 3) {
            Err(fanfare::EmitError::Full { .. }) => Ok(()),
            other => other,
        }
    });
    let builder = SocketIo::builder().limits(limits).namespace(namespace);
    let mut peer = Server::start(builder).await.joined().await;
    for n in 0..3 {
        peer.expect(&format!(r#"2["e",{n}]"#)).await;
    }
    peer.send("1").await;
}
