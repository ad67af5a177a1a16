//! The operations by which the tests drive a node, over the namespace `/control`; those of `tests/cluster/lib/node.js`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use fanfare::ack::BroadcastAckError;
use fanfare::adapter::{Adapter, ServerEvent, ServerSideEmitError};
use fanfare::recovery::ConnectionStateRecovery;
use fanfare::{
    Ack, AllArgs, BroadcastOperator, Data, EventError, Namespace, Socket, SocketIo,
    SocketIoBuilder, Value,
};
use fanfare_cluster::Emitter;
use serde::Deserialize;
use serde_json::json;

/// Server-side events that arrived.
type Told = Arc<Mutex<Vec<Vec<Value>>>>;

/// Options of an operation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct How {
    nsp: Option<String>,
    to: Vec<String>,
    except: Vec<String>,
    rooms: Vec<String>,
    local: bool,
    volatile: bool,
    close: bool,
    compress: Option<bool>,
    timeout: Option<u64>,
}

impl How {
    fn namespace(&self) -> &str {
        self.nsp.as_deref().unwrap_or("/")
    }

    fn operator(&self, io: &SocketIo) -> BroadcastOperator {
        let mut operator = io.of(self.namespace()).everyone();
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

/// `auth` payload of a client: the rooms to join, and the socket's data.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Auth {
    rooms: Vec<String>,
    data: Option<serde_json::Value>,
}

async fn joined(socket: Socket) -> Result<(), EventError> {
    let auth: Auth = socket.handshake().auth().unwrap_or_default();
    socket.join(&auth.rooms)?;
    if let Some(data) = auth.data
        && !socket.is_recovered()
    {
        socket.set_data(&data)?;
    }
    socket.emit("welcome", socket.is_recovered())?;
    Ok(())
}

fn with_events(namespace: Namespace, name: &str, told: &Told) -> Namespace {
    let (name, told) = (name.to_owned(), told.clone());
    namespace
        .on_connect(joined)
        .on_server_event("tell", move |event: ServerEvent| {
            if let Ok(mut told) = told.lock() {
                told.push(event.args());
            }
            async {}
        })
        .on_server_event("ask", move |event: ServerEvent| {
            let value = event.args().into_iter().next().unwrap_or_default();
            let answer = vec![Value::String(name.clone()), value];
            // The answer is one argument, a list.
            let _ = event.ack((answer,));
            async {}
        })
}

fn answers(error: bool, answers: Vec<Value>) -> Value {
    Value::Object(vec![
        ("error".to_owned(), Value::Bool(error)),
        ("answers".to_owned(), Value::Array(answers)),
    ])
}

async fn operate(
    io: SocketIo,
    told: Told,
    emitter: Option<Emitter>,
    (operation, how, args): (&str, How, Vec<Value>),
) -> Result<Value, EventError> {
    let mut args = args.into_iter();
    let mut event = || match args.next() {
        Some(Value::String(event)) => event,
        _ => String::new(),
    };
    let operator = how.operator(&io);
    match operation {
        "emit" => {
            let event = event();
            operator.emit(event, AllArgs(args.collect()))?;
        }
        "emitWithAck" => {
            let event = event();
            let asked = operator.emit_with_ack::<Value>(event, AllArgs(args.collect()));
            return Ok(match asked.await {
                Ok(responses) => answers(false, responses),
                Err(BroadcastAckError::Timeout { responses, .. }) => answers(true, responses),
                Err(error) => return Err(EventError::new(error.to_string())),
            });
        }
        "fetch" => {
            let found = operator.fetch_sockets().await;
            let found = found.map_err(|error| EventError::new(error.to_string()))?;
            let sockets = found.iter().map(|socket| {
                let mut rooms = socket.rooms().to_vec();
                rooms.sort();
                let data: serde_json::Value = socket.data().unwrap_or_default();
                json!({ "id": socket.id(), "rooms": rooms, "data": data, "handshake": socket.handshake() })
            });
            return Ok(value(&serde_json::Value::Array(sockets.collect())));
        }
        "join" => operator.sockets_join(&how.rooms),
        "leave" => operator.sockets_leave(&how.rooms),
        "disconnect" => operator.disconnect_sockets(how.close),
        "tell" => {
            let namespace = io.of(how.namespace());
            let sent = namespace.server_side_emit("tell", AllArgs(args.collect()));
            sent.map_err(|error| EventError::new(error.to_string()))?;
        }
        "ask" => {
            let namespace = io.of(how.namespace());
            let all = AllArgs(args.collect());
            let asked = namespace.server_side_emit_with_ack::<Value>("ask", all);
            return Ok(match asked.await {
                Ok(responses) => answers(false, responses),
                Err(ServerSideEmitError::Timeout { responses, .. }) => answers(true, responses),
                Err(error) => return Err(EventError::new(error.to_string())),
            });
        }
        "told" => {
            let told = told.lock().map(|mut told| std::mem::take(&mut *told));
            let told = told.unwrap_or_default();
            return Ok(Value::Array(told.into_iter().map(Value::Array).collect()));
        }
        "count" => {
            let count = io.of(how.namespace()).server_count().await;
            return Ok(value(&json!(count.unwrap_or_default())));
        }
        "nodes" => {
            let cluster = io.cluster().ok_or_else(|| EventError::new("no cluster"))?;
            let found = cluster.nodes().await;
            let found = found.map_err(|error| EventError::new(error.to_string()))?;
            let nodes = found.iter().map(|node| {
                json!({
                    "name": node.name, "address": node.address, "version": node.version,
                    "clients": node.clients,
                })
            });
            return Ok(value(&serde_json::Value::Array(nodes.collect())));
        }
        other => {
            let emitter = emitter.ok_or_else(|| EventError::new(format!("no {other}")))?;
            let sent = emit(&emitter, other, &how, args.collect());
            sent.map_err(|error| EventError::new(error.to_string()))?;
        }
    }
    Ok(Value::Null)
}

/// Runs an operation with an emitter instead of the server.
fn emit(
    emitter: &Emitter,
    operation: &str,
    how: &How,
    args: Vec<Value>,
) -> Result<(), fanfare_cluster::EmitterError> {
    let mut emitter = emitter.of(how.namespace());
    for room in &how.to {
        emitter = emitter.to(room);
    }
    for room in &how.except {
        emitter = emitter.except(room);
    }
    if how.volatile {
        emitter = emitter.volatile();
    }
    if let Some(compress) = how.compress {
        emitter = emitter.compress(compress);
    }
    match operation {
        "emitter join" => how
            .rooms
            .iter()
            .try_for_each(|room| emitter.sockets_join(room)),
        "emitter leave" => how
            .rooms
            .iter()
            .try_for_each(|room| emitter.sockets_leave(room)),
        "emitter disconnect" => emitter.disconnect_sockets(how.close),
        "emitter tell" => emitter.server_side_emit("tell", AllArgs(args)),
        _ => {
            let mut args = args.into_iter();
            match args.next() {
                Some(Value::String(event)) => emitter.emit(event, AllArgs(args.collect())),
                _ => Ok(()),
            }
        }
    }
}

fn value(json: &serde_json::Value) -> Value {
    serde_json::from_value(json.clone()).unwrap_or_default()
}

/// Returns the server of a node, with recovery if `RECOVERY` is set: its clients join the rooms of their `auth`, and `/control` takes operations.
pub(crate) fn node(name: &str, adapter: impl Adapter, emitter: Option<Emitter>) -> SocketIoBuilder {
    let told = Told::default();
    let handled = told.clone();
    let control = Namespace::new("/control").on(
        "do",
        move |io: SocketIo, Data((operation, how, args)): Data<(String, How, Vec<Value>)>| {
            let (told, emitter) = (handled.clone(), emitter.clone());
            async move {
                let answer = operate(io, told, emitter, (&operation, how, args)).await?;
                Ok::<_, EventError>(Ack((answer,)))
            }
        },
    );
    let server = match std::env::var_os("RECOVERY") {
        Some(_) => {
            SocketIo::builder().connection_state_recovery(ConnectionStateRecovery::default())
        }
        None => SocketIo::builder(),
    };
    server
        .namespace(with_events(Namespace::new("/"), name, &told))
        .namespace(with_events(
            Namespace::pattern("/dynamic-{number}"),
            name,
            &told,
        ))
        .namespace(with_events(Namespace::new("/ünïcode-🎺"), name, &told))
        .namespace(control)
        .adapter(adapter)
}
