//! Fixture server of the interop and differential tests, specified in `tests/interop/CONTRACT.md`.

mod options;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fanfare::ack::BroadcastAckError;
use fanfare::extract::EventName;
use fanfare::{
    Ack, AckError, AllArgs, BroadcastOperator, ConnectError, Data, DisconnectReason, EmitError,
    EventError, JoinError, Namespace, Socket, SocketIo, SocketIoBuilder, Value,
};
use serde::Deserialize;
use serde_json::json;

use options::Options;
use tokio::net::{TcpListener, UnixListener};
use tokio::signal::unix::{SignalKind, signal};

type Args = AllArgs<Value>;
type Emitted = Result<(), EmitError>;

/// Features of this implementation beyond the basics; tests of others are skipped.
const FEATURES: &[&str] = &[
    "connectionError",
    "cookie",
    "cors",
    "deflate",
    "dynamic",
    "eio3",
    "fetchSockets",
    "hooks",
    "httpCompression",
    "msgpack",
    "packetMiddleware",
    "randomIds",
    "recovery",
    "serveClient",
];

/// Flags of an event: the contract's `how`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct How {
    via: Via,
    to: Vec<String>,
    except: Vec<String>,
    local: bool,
    volatile: bool,
    compress: Option<bool>,
    timeout: Option<u64>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Via {
    #[default]
    Namespace,
    Socket,
    #[serde(rename = "self")]
    Itself,
}

impl How {
    fn operator(&self, socket: &Socket) -> BroadcastOperator {
        let mut operator = match self.via {
            Via::Socket => socket.broadcast(),
            _ => socket.namespace().everyone(),
        };
        // An empty list would select no socket.
        if !self.to.is_empty() {
            operator = operator.to(&self.to);
        }
        operator = operator.except(&self.except);
        if self.local {
            operator = operator.local();
        }
        if self.volatile {
            operator = operator.volatile();
        }
        if let Some(compress) = self.compress {
            operator = operator.compress(compress);
        }
        if let Some(timeout) = self.timeout {
            operator = operator.timeout(Duration::from_millis(timeout));
        }
        operator
    }
}

/// Writes an observation.
pub(crate) fn say(kind: &str, members: serde_json::Value) {
    let mut line = json!({ "type": kind });
    if let (Some(line), serde_json::Value::Object(members)) = (line.as_object_mut(), members) {
        line.extend(members);
    }
    println!("{line}");
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn joined(socket: &Socket) -> Ack<Vec<String>> {
    let id = socket.id().to_string();
    let rooms = socket.rooms().into_iter().filter(|room| *room != id);
    Ack(sorted(rooms.collect()))
}

/// Returns the text that Node's errors have.
fn node_message(error: &AckError) -> String {
    match error {
        AckError::Timeout(_) => "operation has timed out".to_owned(),
        other => other.to_string(),
    }
}

async fn request(
    socket: &Socket,
    timeout: u64,
    event: &str,
    args: Vec<Value>,
) -> Result<Value, AckError> {
    socket
        .timeout(Duration::from_millis(timeout))
        .emit_with_ack(event, AllArgs(args))
        .await
}

async fn call_me(
    socket: Socket,
    Data((timeout, event, args)): Data<(u64, String, Vec<Value>)>,
) -> Ack<Value> {
    let (error, response) = match request(&socket, timeout, &event, args).await {
        Ok(value) => (Value::Null, value),
        Err(error) => (Value::String(node_message(&error)), Value::Null),
    };
    Ack(Value::Object(vec![
        ("error".to_owned(), error),
        ("response".to_owned(), response),
    ]))
}

async fn call_later(socket: Socket, Data((timeout, event, args)): Data<(u64, String, Vec<Value>)>) {
    let id = socket.id();
    let error = request(&socket, timeout, &event, args).await.err();
    say(
        "ack",
        json!({ "id": id.to_string(), "error": error.as_ref().map(node_message) }),
    );
}

async fn emit(
    socket: Socket,
    Data((how, event, args)): Data<(How, String, Vec<Value>)>,
) -> Result<Ack<&'static str>, EmitError> {
    let args = AllArgs(args);
    if how.via == Via::Itself {
        let mut emitter = socket.compress(how.compress.unwrap_or(true));
        if how.volatile {
            emitter = emitter.volatile();
        }
        emitter.emit(&event, args)?;
    } else {
        how.operator(&socket).emit(&event, args)?;
    }
    Ok(Ack("ok"))
}

async fn ask(
    socket: Socket,
    Data((how, event, args)): Data<(How, String, Vec<Value>)>,
) -> Ack<Value> {
    let asked = how
        .operator(&socket)
        .emit_with_ack::<Value>(&event, AllArgs(args))
        .await;
    let (error, responses) = match asked {
        Ok(responses) => (Value::Null, responses),
        Err(BroadcastAckError::Timeout { responses, .. }) => (
            Value::String("operation has timed out".to_owned()),
            responses,
        ),
        Err(error) => (Value::String(error.to_string()), Vec::new()),
    };
    Ack(Value::Object(vec![
        ("error".to_owned(), error),
        ("responses".to_owned(), Value::Array(responses)),
    ]))
}

async fn handshake(socket: Socket) -> Result<Ack<serde_json::Value>, EventError> {
    let handshake = socket.handshake();
    let path = handshake.url().split('?').next();
    let query: BTreeMap<String, String> = handshake
        .query_params()
        .filter(|(name, _)| !["EIO", "transport", "t", "sid", "b64"].contains(&name.as_str()))
        .collect();
    Ok(Ack(json!({
        "auth": match handshake.auth::<serde_json::Value>()? {
            // Node's `auth` is an empty object if the client sent none.
            serde_json::Value::Null => json!({}),
            auth => auth,
        },
        "query": query,
        "url": path,
        "address": handshake.address().map(|address| address.ip().to_string()),
        "secure": handshake.is_secure(),
        "xdomain": handshake.is_xdomain(),
        "time": "string",
        "issued": if handshake.issued() <= SystemTime::now() { "number" } else { "in the future" },
        "transport": socket.transport().name(),
        "protocol": socket.protocol().number(),
        "recovered": socket.is_recovered(),
    })))
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.encode_utf16().count(),
        Value::Binary(bytes) => bytes.len(),
        Value::Array(values) => values.len(),
        _ => 0,
    }
}

fn data_of(socket: &Socket) -> serde_json::Map<String, serde_json::Value> {
    socket.data().unwrap_or_default()
}

/// Adds the events of the contract.
fn serve(namespace: Namespace) -> Namespace {
    namespace
        .on_connect(async |socket: Socket| {
            say("connection", json!({ "nsp": socket.namespace_name(), "id": socket.id().to_string(), "recovered": socket.is_recovered() }));
        })
        .on_disconnecting(async |socket: Socket, reason: DisconnectReason| {
            say("disconnecting", json!({
                "nsp": socket.namespace_name(), "id": socket.id().to_string(), "reason": reason.as_str(),
                "rooms": sorted(socket.rooms()),
            }));
        })
        .on_disconnect(async |socket: Socket, reason: DisconnectReason| {
            say("disconnect", json!({
                "nsp": socket.namespace_name(), "id": socket.id().to_string(), "reason": reason.as_str(),
            }));
        })
        .on("echo", async |socket: Socket, Data(args): Data<Args>| -> Emitted { socket.emit("echo", args) })
        .on("echo-ack", async |Data(args): Data<Args>| Ack(args))
        .on("silent", async || ())
        .on("message", async |socket: Socket, Data(args): Data<Args>| -> Emitted { socket.send(args) })
        .on("call-me", call_me)
        .on("call-later", call_later)
        .on("join", async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.join(rooms)?;
            Ok::<_, JoinError>(joined(&socket))
        })
        .on("leave", async |socket: Socket, Data(rooms): Data<Vec<String>>| {
            socket.leave(rooms);
            joined(&socket)
        })
        .on("rooms", async |socket: Socket| Ack(sorted(socket.rooms())))
        .on("emit", emit)
        .on("ask", ask)
        .on("count", async |socket: Socket, Data(n): Data<u32>| -> Result<Ack<u32>, EmitError> {
            (0..n).try_for_each(|i| socket.emit("count", i))?;
            Ok(Ack(n))
        })
        .on("size", async |socket: Socket, Data(n): Data<usize>| -> Emitted { socket.emit("size", "x".repeat(n)) })
        .on("blob", async |socket: Socket, Data(n): Data<usize>| -> Emitted {
            let bytes: Vec<u8> = (0..n).map(|i| (i % 256) as u8).collect();
            socket.emit("blob", Bytes::from(bytes))
        })
        .on("length", async |Data(value): Data<Value>| Ack(length(&value)))
        .on("set-data", async |socket: Socket, Data(value): Data<serde_json::Value>| {
            let mut data = data_of(&socket);
            data.insert("value".to_owned(), value);
            socket.set_data(&data)?;
            Ok::<_, serde_json::Error>(Ack("ok"))
        })
        .on("get-data", async |socket: Socket| Ack(json!(data_of(&socket))))
        .on("handshake", handshake)
        .on("header", async |socket: Socket, Data(name): Data<String>| {
            Ack(socket.handshake().header(&name).map(ToOwned::to_owned))
        })
        .on("kick", async |socket: Socket, Data(close): Data<bool>| socket.disconnect(close))
        .on("kick-all", async |socket: Socket, Data((how, close)): Data<(How, bool)>| {
            how.operator(&socket).disconnect_sockets(close);
        })
        .on("sockets", async |socket: Socket, Data(how): Data<How>| {
            let mut found = how.operator(&socket).sockets();
            found.sort_by_key(|socket| socket.id().to_string());
            let list = found.iter().map(|socket| {
                json!({ "id": socket.id().to_string(), "rooms": sorted(socket.rooms()), "data": data_of(socket) })
            });
            Ack(list.collect::<Vec<_>>())
        })
        .on("sockets-join", async |socket: Socket, Data((how, rooms)): Data<(How, Vec<String>)>| {
            how.operator(&socket).sockets_join(&rooms);
            Ack("ok")
        })
        .on("sockets-leave", async |socket: Socket, Data((how, rooms)): Data<(How, Vec<String>)>| {
            how.operator(&socket).sockets_leave(&rooms);
            Ack("ok")
        })
        .on("clients", async |io: SocketIo| Ack(io.clients_count()))
}

async fn welcome(socket: Socket) -> Emitted {
    let id = Value::String(socket.id().to_string());
    let nsp = Value::String(socket.namespace_name().to_owned());
    socket.emit(
        "welcome",
        Value::Object(vec![("nsp".to_owned(), nsp), ("id".to_owned(), id)]),
    )
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    token: Option<serde_json::Value>,
    fail: Option<String>,
    burst: Option<(u32, usize)>,
}

fn auth_of(socket: &Socket) -> Auth {
    socket.handshake().auth().unwrap_or_default()
}

async fn burst(socket: Socket) -> Emitted {
    let (count, size) = auth_of(&socket).burst.unwrap_or_default();
    let text = "x".repeat(size);
    (0..count).try_for_each(|n| socket.emit("burst", (n, &text)))
}

async fn authenticate(socket: Socket) -> Result<(), ConnectError> {
    let token = auth_of(&socket).token;
    if token == Some("secret".into()) {
        return Ok(());
    }
    Err(ConnectError::new("not authorized").with_data(json!({ "code": "E_TOKEN", "token": token })))
}

async fn step(socket: Socket, name: &str) -> Result<(), ConnectError> {
    tokio::task::yield_now().await;
    if auth_of(&socket).fail.as_deref() == Some(name) {
        return Err(ConnectError::new(format!("refused by {name}")));
    }
    let mut data = data_of(&socket);
    if let Some(order) = data
        .entry("order")
        .or_insert_with(|| json!([]))
        .as_array_mut()
    {
        order.push(name.into());
    }
    Ok(socket.set_data(&data)?)
}

fn app(builder: SocketIoBuilder) -> SocketIoBuilder {
    let packet =
        Namespace::new("/packet").packet_middleware(async |EventName(event): EventName| {
            if event == "forbidden" {
                Err(EventError::new("refused"))
            } else {
                Ok(())
            }
        });
    let dynamic = Namespace::dynamic("/dynamic", |name, _| {
        let number = name.strip_prefix("/dynamic-").unwrap_or_default();
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    let mw = Namespace::new("/mw")
        .middleware(async |socket: Socket| step(socket, "a").await)
        .middleware(async |socket: Socket| step(socket, "b").await);
    let stuck = Namespace::new("/stuck").middleware(async || std::future::pending::<()>().await);
    builder
        .namespace(serve(Namespace::new("/")))
        .namespace(serve(Namespace::new("/chat").on_connect(welcome)))
        .namespace(serve(Namespace::new("/burst").on_connect(burst)))
        .namespace(serve(Namespace::new("/auth").middleware(authenticate)))
        .namespace(serve(mw))
        .namespace(stuck)
        .namespace(serve(packet))
        .namespace(serve(dynamic))
}

/// Serves the connections of a Unix socket.
async fn accept(listener: UnixListener, io: SocketIo) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(fanfare::serve(io.clone()).connection(stream, None));
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let port = std::env::var("PORT")
        .ok()
        .filter(|port| !port.is_empty())
        .map_or(Ok(0), |port| port.parse::<u16>())?;
    let options = std::env::var("OPTIONS").unwrap_or_else(|_| "{}".to_owned());
    let options: Options = serde_json::from_str(&options).unwrap_or_else(|error| {
        eprintln!("OPTIONS: {error}");
        std::process::exit(2);
    });
    let io = options.apply(app(SocketIo::builder()))?;
    // Before the server reports that it listens, so that a signal sent immediately is not fatal.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listening = |port: Option<u16>| {
        say(
            "listening",
            json!({ "port": port, "server": "rust", "features": FEATURES }),
        );
    };
    let socket = std::env::var_os("SOCKET");
    let server = match &socket {
        Some(path) => {
            let listener = UnixListener::bind(path)?;
            listening(None);
            tokio::spawn(accept(listener, io.clone()))
        }
        None => {
            let listener = TcpListener::bind(("127.0.0.1", port)).await?;
            listening(Some(listener.local_addr()?.port()));
            tokio::spawn(fanfare::serve(io.clone()).listener(listener))
        }
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    io.close().await;
    match socket {
        Some(_) => server.abort(), // it would otherwise accept forever
        None => server.await??,
    }
    Ok(())
}
