//! A server and one raw connection to it, on one thread.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare::parser::MsgpackParser;
use fanfare::{Ack, Namespace, Socket, SocketIo, SocketIoBuilder};
use fanfare_websocket::{OpCode, frame};
use memchr::memmem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::HEAP;

/// Time after which the benchmark is considered broken; under callgrind everything takes fifty times as long.
const PATIENCE: Duration = Duration::from_secs(300);

/// Encoding of a client's packets.
struct Dialect {
    /// Packet that joins the main namespace.
    join: fn() -> Vec<u8>,
    /// Part of the answer to it.
    joined: &'static [u8],
    /// Event that the server acknowledges when everything before it has been handled.
    last: fn() -> Vec<u8>,
    /// Part of its acknowledgement.
    handled: &'static [u8],
}

const JSON: Dialect = Dialect {
    join: || text("40"),
    joined: b"40{\"sid",
    last: || text(r#"4277["last"]"#),
    handled: b"4377[]",
};

const MSGPACK: Dialect = Dialect {
    join: || binary(b"\x82\xa4type\x00\xa3nsp\xa1/"),
    joined: b"\xa3sid",
    last: || binary(b"\x84\xa4type\x02\xa3nsp\xa1/\xa4data\x91\xa4last\xa2id\x4d"),
    handled: b"\xa4data\x90",
};

/// A server, the input that prepares it, and the input whose cost is measured.
pub(crate) struct Attack {
    server: SocketIo,
    /// Messages, and part of the answer to each.
    before: Vec<(Vec<u8>, &'static [u8])>,
    input: Vec<u8>,
    end: &'static [u8],
    /// Whether the return of the client that has sent the input is measured, instead of the input.
    returns: bool,
}

impl Attack {
    /// Returns an attack by messages of a client that has joined the main namespace over WebSocket.
    pub(crate) fn messages(server: SocketIoBuilder, frames: Vec<u8>) -> Self {
        Self::over_websocket(server, frames, &JSON)
    }

    /// Returns the same attack, encoded by `socket.io-msgpack-parser`.
    pub(crate) fn msgpack(server: SocketIoBuilder, frames: Vec<u8>) -> Self {
        Self::over_websocket(server.parser(MsgpackParser), frames, &MSGPACK)
    }

    fn over_websocket(server: SocketIoBuilder, frames: Vec<u8>, dialect: &Dialect) -> Self {
        Self {
            server: server.build().expect("a server"),
            before: vec![
                (upgrade(), b"\"maxPayload\""),
                ((dialect.join)(), dialect.joined),
            ],
            input: [frames, (dialect.last)()].concat(),
            end: dialect.handled,
            returns: false,
        }
    }

    /// Adds messages that are handled before the input is sent.
    pub(crate) fn after(mut self, frames: Vec<u8>) -> Self {
        self.before
            .push(([frames, (JSON.last)()].concat(), JSON.handled));
        self
    }

    /// Returns an attack by bytes on a connection that is only open; `end` is in the last bytes that the server sends.
    pub(crate) fn bytes(server: SocketIoBuilder, input: Vec<u8>, end: &'static [u8]) -> Self {
        Self {
            server: server.build().expect("a server"),
            before: Vec::new(),
            input,
            end,
            returns: false,
        }
    }

    /// Measures the return of the client after it has lost its connection, per byte that the client has ever sent.
    pub(crate) fn returning(mut self) -> Self {
        self.returns = true;
        self
    }
}

/// Returns the main namespace, with the event that ends an attack.
pub(crate) fn namespace() -> Namespace {
    Namespace::new("/").on("last", async || Ack(()))
}

/// Returns a server with the main namespace.
pub(crate) fn server(namespace: Namespace) -> SocketIoBuilder {
    SocketIo::builder()
        .namespace(namespace)
        .max_payload(8 << 20)
}

/// Cost of an attack.
pub(crate) struct Cost {
    /// Number of bytes sent.
    pub(crate) sent: usize,
    /// Maximum number of bytes on the heap, beyond those before the attack.
    pub(crate) held: usize,
}

/// Sends the input, and waits for the server to have handled it or closed the connection.
pub(crate) fn measure(mut attack: Attack) -> Cost {
    let mut sent = attack.input.len();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let mut connection = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        tokio::spawn(fanfare::serve(attack.server.clone()).listener(listener));
        let (connection, welcome) = Connection::open(address, &attack.before).await;
        if !attack.returns {
            return connection;
        }
        let connection = connection.lost(&attack, address).await;
        (attack.input, attack.end) = (rejoin(&welcome), b"40{\"sid");
        sent += attack.input.len();
        connection
    });
    let before = HEAP.current_usage();
    HEAP.reset_peak_usage();
    measured(&runtime, &mut connection, &attack);
    if attack.returns {
        let sockets = attack.server.of("/").sockets();
        assert!(
            sockets.iter().all(Socket::is_recovered),
            "it is a new session"
        );
    }
    Cost {
        sent,
        held: HEAP.peak_usage() - before,
    }
}

/// Sends the input; callgrind counts the instructions in this function.
#[inline(never)]
fn measured(runtime: &Runtime, connection: &mut Connection, attack: &Attack) {
    runtime.block_on(connection.exchange(&attack.input, attack.end));
}

struct Connection(TcpStream);

impl Connection {
    /// Opens a connection. Also returns the bytes that the server has sent last.
    async fn open(address: SocketAddr, before: &[(Vec<u8>, &'static [u8])]) -> (Self, Vec<u8>) {
        let stream = TcpStream::connect(address).await.expect("a connection");
        let mut connection = Self(stream);
        let mut last = Vec::new();
        for (messages, answer) in before {
            last = connection.exchange(messages, answer).await;
        }
        (connection, last)
    }

    /// Sends the input and drops the connection. Returns another one, which has not joined a namespace yet.
    async fn lost(mut self, attack: &Attack, address: SocketAddr) -> Self {
        self.exchange(&attack.input, attack.end).await;
        drop(self);
        while attack.server.clients_count() > 0 {
            tokio::task::yield_now().await;
        }
        Self::open(address, &attack.before[..1]).await.0
    }

    /// Sends the bytes, and reads until `end` has arrived or the connection is closed. Returns the bytes that were read
    /// last.
    async fn exchange(&mut self, bytes: &[u8], end: &[u8]) -> Vec<u8> {
        let (mut reading, mut writing) = self.0.split();
        let answered = async {
            let mut buffer = [0; 16 * 1024];
            let mut kept = 0;
            while let Ok(read @ 1..) = reading.read(&mut buffer[kept..]).await {
                let seen = kept + read;
                // Not a comparison at each byte: its cost is libc's, and would be counted as the server's.
                if memmem::find(&buffer[..seen], end).is_some() {
                    return buffer[..seen].to_vec();
                }
                // `end` may have arrived only in part.
                kept = seen.min(end.len() - 1);
                buffer.copy_within(seen - kept..seen, 0);
            }
            Vec::new()
        };
        let sent = async {
            // A server that has closed the connection has handled the input as well.
            let _ = writing.write_all(bytes).await;
        };
        tokio::time::timeout(PATIENCE, async { tokio::join!(sent, answered).1 })
            .await
            .expect("the server answers in time")
    }
}

fn upgrade() -> Vec<u8> {
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
      Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        .to_vec()
}

/// Returns a CONNECT packet for the session that is in the server's answer to an earlier one.
fn rejoin(welcome: &[u8]) -> Vec<u8> {
    let welcome = String::from_utf8_lossy(welcome);
    let (_, pid) = welcome.split_once("\"pid\":\"").expect("a private id");
    let (pid, _) = pid.split_once('"').expect("its end");
    text(&format!("40{{\"pid\":\"{pid}\"}}"))
}

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Returns a masked text frame.
pub(crate) fn text(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_masked_into(&mut out, OpCode::Text, text.as_bytes(), KEY);
    out
}

/// Returns a masked binary frame.
pub(crate) fn binary(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::encode_masked_into(&mut out, OpCode::Binary, bytes, KEY);
    out
}

/// Returns `part` repeated, separated by commas.
pub(crate) fn list(part: &str, times: usize) -> String {
    vec![part; times].join(",")
}
