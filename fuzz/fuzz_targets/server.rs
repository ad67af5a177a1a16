//! Input of a whole server from a client, through every extractor, patterns of namespaces and lists of rooms. Each line
//! is a message over WebSocket, binary after `!`. Lines after `#` come from another server of a cluster. The work is
//! bounded by the length of the input, and the server answers afterwards.
#![no_main]

mod work;

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fanfare::adapter::{
    Adapter, AdapterError, BoxFuture, Broadcast, ClusterHandle, ClusterMessage, ClusterOptions,
    ClusterResponse, DisconnectSockets, EncodedEvent, FetchSockets, Peers, PublishOutcome,
    ServerSideEmit, SocketsJoin, SocketsLeave,
};
use fanfare::extract::{Attachments, Event, Rejection};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{Ack, AllArgs, Data, Namespace, Socket, SocketIo, Value};
use fanfare_websocket::{OpCode, frame};
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;
use work::Work;

/// Adapter whose messages the fuzzer makes up.
#[derive(Clone, Default)]
struct Rumours(Arc<Mutex<Option<ClusterHandle>>>);

impl Adapter for Rumours {
    fn start(&self, cluster: ClusterHandle) {
        *self.0.lock().unwrap() = Some(cluster);
    }

    fn publish(&self, _: &str, _: ClusterMessage) -> PublishOutcome {
        PublishOutcome::Queued
    }

    fn respond(&self, _: &str, _: &str, _: ClusterResponse) -> PublishOutcome {
        PublishOutcome::Queued
    }

    fn peers<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Peers, AdapterError>> {
        Box::pin(async { Ok(Peers::Count(1)) })
    }
}

struct Target {
    runtime: Runtime,
    io: SocketIo,
    rumours: Rumours,
}

fn target() -> &'static Target {
    static TARGET: OnceLock<Target> = OnceLock::new();
    TARGET.get_or_init(|| {
        let main = Namespace::new("/")
            .on_any(async |_: Event| ())
            .on("last", async || Ack(()))
            .on(
                "all",
                async |data: Result<Data<AllArgs<Value>>, Rejection>| {
                    data.map(|Data(all)| Ack(all))
                },
            )
            .on(
                "bytes",
                async |Data((first, rest)): Data<(Bytes, Option<Bytes>)>| Ack((first, rest)),
            )
            .on(
                "list",
                async |Data((list,)): Data<(Vec<Option<Bytes>>,)>| Ack(list),
            )
            .on("attachments", async |Attachments(all): Attachments| {
                Ack(all.len())
            })
            .on(
                "join",
                async |socket: Socket, Data(rooms): Data<Vec<String>>| socket.join(rooms),
            )
            .on(
                "leave",
                async |socket: Socket, Data(rooms): Data<Vec<String>>| socket.leave(rooms),
            )
            .on(
                "to",
                async |io: SocketIo, Data((to, not)): Data<(Vec<String>, Vec<String>)>| {
                    io.to(to)
                        .except(not)
                        .emit("news", ())
                        .map(|report| Ack(report.recipients))
                },
            )
            .fallback(async |event: Event| Ack(event.args));
        let pattern = Namespace::pattern("/p-{a}-{b}-{c}").on("all", async |_: Event| ());
        let rumours = Rumours::default();
        let io = SocketIo::builder()
            .namespace(main)
            .namespace(pattern)
            .connection_state_recovery(ConnectionStateRecovery::default())
            .adapter(rumours.clone())
            .build()
            .unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        Target {
            runtime,
            io,
            rumours,
        }
    })
}

/// Parses `#KIND to,to|except,except|JSON` as a message of another server.
fn rumour(line: &str) -> Option<ClusterMessage> {
    let mut parts = line.splitn(3, '|');
    let (kind, to) = parts.next()?.split_once(' ')?;
    let names = |text: &str| {
        text.split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let options = ClusterOptions::new(names(to)).except(names(parts.next()?));
    let json = parts.next()?;
    let event = || EncodedEvent::from_json(json, Vec::new()).ok();
    let request_id = "1";
    Some(match kind {
        "join" => SocketsJoin::new(options, names(json)).into(),
        "leave" => SocketsLeave::new(options, names(json)).into(),
        "disconnect" => DisconnectSockets::new(options, json == "true").into(),
        "fetch" => FetchSockets::new(options, json.to_owned()).into(),
        "event" => ServerSideEmit::new(event()?).request_id(request_id).into(),
        "ask" => Broadcast::new(event()?, options).request_id(request_id).into(),
        _ => Broadcast::new(event()?, options).into(),
    })
}

const UPGRADE: &[u8] = b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
    Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

fn message(out: &mut Vec<u8>, op: OpCode, data: &[u8]) {
    frame::encode_masked_into(out, op, data, [0x37, 0xfa, 0x21, 0x3d]);
}

fuzz_target!(|data: &[u8]| {
    let Target {
        runtime,
        io,
        rumours,
    } = target();
    let (mut sent, mut cluster) = (UPGRADE.to_vec(), Vec::new());
    message(&mut sent, OpCode::Text, b"40");
    for line in data.split(|byte| *byte == b'\n') {
        match (line, std::str::from_utf8(line)) {
            ([b'!', bytes @ ..], _) => message(&mut sent, OpCode::Binary, bytes),
            ([b'#', ..], Ok(text)) => cluster.extend(rumour(&text[1..])),
            (_, Ok(text)) => message(&mut sent, OpCode::Text, text.as_bytes()),
            _ => {}
        }
    }
    message(&mut sent, OpCode::Text, br#"4277["last"]"#);
    let work = Work::begin();
    runtime.block_on(async {
        let (server, mut client) = tokio::io::duplex(1 << 20);
        let serving = tokio::spawn(fanfare::serve(io.clone()).connection(server, None));
        client.write_all(&sent).await.unwrap();
        if let Some(from) = rumours.0.lock().unwrap().clone() {
            cluster
                .into_iter()
                .for_each(|message| from.receive("/", "other", message));
        }
        let mut seen = Vec::new();
        while !seen.windows(6).any(|part| part == b"4377[]") {
            // A connection that broke the protocol is closed.
            if client.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                break;
            }
        }
        drop(client);
        let _ = serving.await;
        // A separate task reads from the WebSocket.
        let gone = async {
            while !io.of("/").sockets().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), gone)
            .await
            .expect("the socket goes with its connection");
    });
    work.check(data.len());
});
