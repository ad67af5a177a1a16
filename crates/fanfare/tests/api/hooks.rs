//! A hook that panics affects no other client, and its name is reported.

use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};

use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, ClusterHandle, ClusterMessage, ClusterResponse, EncodedEvent,
    Peers, PublishOutcome, ServerEvent, ServerSideEmit,
};
use fanfare::engine::HandshakeRequest;
use fanfare::http::{Cors, CorsOrigin};
use fanfare::parser::{Messages, Parser, ParserDecoder, ParserError, RawPacket};
use fanfare::{Ack, Namespace, Socket, SocketIo, SocketIoBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::recorder::Sums;
use crate::support::{Peer, Server, until, within};

const POLLING: &str = "GET /socket.io/?EIO=4&transport=polling";
const WEBSOCKET: &str = "GET /socket.io/?EIO=4&transport=websocket";
const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
     Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// Panics without printing a message.
fn bug() -> ! {
    resume_unwind(Box::new("as expected"))
}

/// Hooks whose panics were logged as errors.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

struct Hook<'a>(&'a mut Option<String>);

impl Visit for Hook<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "hook" {
            *self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut hook = None;
        event.record(&mut Hook(&mut hook));
        self.0.lock().unwrap().extend(hook);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// A server with a hook that panics, with its counters and its log.
struct Broken {
    server: Server,
    sums: Sums,
    log: Log,
    _guards: (
        metrics::LocalRecorderGuard<'static>,
        tracing::subscriber::DefaultGuard,
    ),
}

impl Broken {
    async fn start(builder: SocketIoBuilder) -> Self {
        let sums: &'static Sums = Box::leak(Box::default());
        let log = Log::default();
        let guards = (
            metrics::set_default_local_recorder(sums),
            tracing::subscriber::set_default(log.clone()),
        );
        let namespace = Namespace::new("/").on("echo", async || Ack(()));
        Self {
            server: Server::start(builder.namespace(namespace)).await,
            sums: sums.clone(),
            log,
            _guards: guards,
        }
    }

    async fn status(&self, request: &str, headers: &str) -> u16 {
        let mut stream = tokio::net::TcpStream::connect(self.server.addr)
            .await
            .unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        within("an answer", stream.read_exact(&mut answer))
            .await
            .unwrap();
        std::str::from_utf8(&answer[9..]).unwrap().parse().unwrap()
    }

    /// Asserts that the panics were counted under this name and logged once, and that no session is left.
    async fn assert_told(&self, hook: &str, times: f64) {
        let name = format!("fanfare_hook_panics_total{{hook={hook}}}");
        until("all are counted", || self.sums.get(&name) >= times).await;
        assert_eq!(self.sums.get(&name), times, "{hook}");
        assert_eq!(*self.log.0.lock().unwrap(), [hook]);
    }

    async fn assert_empty(&self) {
        until("no session is left", || self.server.io.clients_count() == 0).await;
    }

    /// Asserts that other clients are served.
    async fn assert_served(&self) -> Peer {
        let mut peer = self.server.joined().await;
        peer.quiet().await;
        peer
    }
}

#[tokio::test]
async fn allow_request() {
    for at_once in [true, false] {
        let broken = Broken::start(SocketIo::builder().allow_request(
            move |request: HandshakeRequest| {
                let breaks = request.header_str("x-break").is_some();
                if at_once && breaks {
                    bug();
                }
                async move {
                    tokio::task::yield_now().await;
                    if breaks { bug() } else { Ok::<_, String>(()) }
                }
            },
        ))
        .await;
        assert_eq!(broken.status(POLLING, "x-break: 1\r\n").await, 500);
        let upgrade = format!("{UPGRADE}x-break: 1\r\n");
        assert_eq!(broken.status(WEBSOCKET, &upgrade).await, 500);
        broken.assert_empty().await;
        broken.assert_served().await;
        if at_once {
            broken.assert_told("allow_request", 2.0).await;
        }
    }
}

#[tokio::test]
async fn generate_id() {
    let broken = Broken::start(SocketIo::builder().generate_id(
        async |request: HandshakeRequest| {
            tokio::task::yield_now().await;
            match request.header_str("x-break") {
                Some(_) => bug(),
                None => Ok::<_, String>("an-id".to_owned()),
            }
        },
    ))
    .await;
    assert_eq!(broken.status(POLLING, "x-break: 1\r\n").await, 500);
    let upgrade = format!("{UPGRADE}x-break: 1\r\n");
    assert_eq!(broken.status(WEBSOCKET, &upgrade).await, 500);
    broken.assert_empty().await;
    broken.assert_told("generate_id", 2.0).await;
    broken.assert_served().await;
}

#[tokio::test]
async fn header_hooks() {
    for (name, builder) in [
        (
            "initial_headers",
            SocketIo::builder().initial_headers(|_, request| {
                if request.header_str("x-break").is_some() {
                    bug();
                }
            }),
        ),
        (
            "headers",
            SocketIo::builder().headers(|_, request| {
                if request.header_str("x-break").is_some() {
                    bug();
                }
            }),
        ),
    ] {
        let broken = Broken::start(builder).await;
        assert_eq!(broken.status(POLLING, "x-break: 1\r\n").await, 500);
        let upgrade = format!("{UPGRADE}x-break: 1\r\n");
        assert_eq!(broken.status(WEBSOCKET, &upgrade).await, 500);
        broken.assert_empty().await;
        broken.assert_served().await;
        let counted = format!("fanfare_hook_panics_total{{hook={name}}}");
        assert_eq!(broken.sums.get(&counted), 2.0);
    }
}

#[tokio::test]
async fn on_connection_error() {
    let broken = Broken::start(SocketIo::builder().on_connection_error(|_| bug())).await;
    assert_eq!(
        broken.status("GET /socket.io/?EIO=4&transport=x", "").await,
        400
    );
    broken.assert_told("on_connection_error", 1.0).await;
    broken.assert_served().await;
}

#[tokio::test]
async fn the_cors_predicate() {
    let cors = Cors::new().origin(CorsOrigin::Predicate(Arc::new(|_| bug())));
    let broken = Broken::start(SocketIo::builder().cors(cors)).await;
    assert_eq!(broken.status(POLLING, "Origin: http://x\r\n").await, 500);
    broken.assert_empty().await;
    broken.assert_told("cors", 1.0).await;
    broken.assert_served().await;
}

#[tokio::test]
async fn on_conn_event() {
    let broken = Broken::start(SocketIo::builder().on_conn_event(|_, _| bug())).await;
    broken.assert_served().await.vanish();
    broken.assert_empty().await;
    let counted = || {
        broken
            .sums
            .get("fanfare_hook_panics_total{hook=on_conn_event}")
    };
    until("open, two messages and close", || counted() >= 4.0).await;
    assert_eq!(*broken.log.0.lock().unwrap(), ["on_conn_event"]);
    assert!(broken.server.io.stats().panics >= 4);
}

#[tokio::test]
async fn on_new_namespace() {
    let builder = SocketIo::builder()
        .namespace(Namespace::pattern("/of-{id}"))
        .on_new_namespace(|_| bug());
    let broken = Broken::start(builder).await;
    let mut peer = broken.assert_served().await;
    peer.join("/of-1").await;
    broken.assert_told("on_new_namespace", 1.0).await;
}

#[tokio::test]
async fn share_key() {
    let broken = Broken::start(SocketIo::builder().share_key(|_| -> Option<u8> { bug() })).await;
    broken.assert_served().await;
    broken.assert_told("share_key", 1.0).await;
}

#[tokio::test]
async fn a_predicate() {
    let guarded = Namespace::dynamic("/guarded", |_, auth| auth.is_object() || bug());
    let broken = Broken::start(SocketIo::builder().namespace(guarded)).await;
    let mut peer = broken.assert_served().await;
    peer.send("0/of-1,").await;
    peer.expect(r#"4/of-1,{"message":"internal error"}"#).await;
    assert!(broken.server.io.namespace("/of-1").is_none());
    broken.assert_told("dynamic", 1.0).await;
    peer.send("0/of-1,{}").await;
    assert!(peer.text().await.starts_with(r#"0/of-1,{"sid""#));
}

#[tokio::test]
async fn listeners_for_what_is_sent() {
    let namespace = Namespace::new("/all")
        .on_any_outgoing(|_, _| bug())
        .on_connect(async |socket: Socket| {
            socket.on_any_outgoing(|_, _| bug());
        });
    let broken = Broken::start(SocketIo::builder().namespace(namespace)).await;
    let mut peer = broken.assert_served().await;
    peer.join("/all").await;
    broken.server.io.of("/all").emit("e", 1).unwrap();
    peer.expect(r#"2/all,["e",1]"#).await;
    broken.assert_told("on_any_outgoing", 2.0).await;
}

#[tokio::test]
async fn a_parser() {
    struct Breaks;

    impl Parser for Breaks {
        fn encode(&self, _: &RawPacket, _: &mut Messages) -> Result<(), ParserError> {
            bug()
        }

        fn decoder(&self) -> Box<dyn ParserDecoder> {
            bug()
        }
    }

    let builder = SocketIo::builder().parser(Breaks);
    let broken = Broken::start(builder).await;
    let mut peer = broken.server.peer().await;
    peer.send("0").await;
    assert_eq!(peer.until_closed().await, []);
    broken.assert_empty().await;
    assert!(broken.server.io.of("/").emit("e", 1).is_err());
    broken.assert_told("parser", 2.0).await;
}

#[tokio::test]
async fn an_adapter() {
    struct Breaks(Arc<Mutex<Option<ClusterHandle>>>);

    impl Adapter for Breaks {
        fn start(&self, cluster: ClusterHandle) {
            *self.0.lock().unwrap() = Some(cluster);
        }

        fn namespace_opened(&self, _: &str) {
            bug()
        }

        fn publish(&self, _: &str, _: ClusterMessage) -> PublishOutcome {
            bug()
        }

        fn respond(&self, _: &str, _: &str, _: ClusterResponse) -> PublishOutcome {
            bug()
        }

        fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
            Box::pin(async { bug() })
        }

        fn close(&self) -> BoxFuture<'_, ()> {
            bug()
        }
    }

    let cluster = Arc::default();
    let namespace = Namespace::new("/all").on_server_event("e", async |_: ServerEvent| bug());
    let builder = SocketIo::builder()
        .adapter(Breaks(Arc::clone(&cluster)))
        .namespace(namespace);
    let broken = Broken::start(builder).await;
    let mut peer = broken.assert_served().await;
    let io = &broken.server.io;
    let report = io.emit("e", 1).unwrap();
    assert_eq!(
        (report.recipients, report.cluster),
        (1, Some(PublishOutcome::Down))
    );
    peer.expect(r#"2["e",1]"#).await;
    assert!(io.of("/").server_count().await.is_err());
    let cluster = cluster.lock().unwrap().clone().unwrap();
    cluster.receive(
        "/all",
        "other",
        ServerSideEmit::new(EncodedEvent::new("e", &()).unwrap()),
    );
    let counted = |hook| {
        broken
            .sums
            .get(&format!("fanfare_hook_panics_total{{hook={hook}}}"))
    };
    assert_eq!(counted("on_server_event"), 1.0);
    within("the close", io.close()).await;
    assert!(counted("adapter") >= 5.0);
}
