//! Engine.IO 4, with `fanfare-client`.

use fanfare_client::{
    ConnectError, ManagerEvent, Socket, SocketEvent, Tls, Transport, TransportError,
};
use fanfare_protocol::socket::AllArgs;
use tokio::sync::mpsc::Sender;

use super::{Incoming, Note, Reply, SessionOptions};
use crate::exit::Failure;
use crate::target::{Target, TransportChoice};
use crate::values::Datum;

/// Starts connecting; what happens goes to `notes`.
pub(super) fn start(
    target: &Target,
    options: &SessionOptions,
    reconnect: bool,
    notes: Sender<Note>,
) -> Result<Socket, Failure> {
    let mut url = format!("{}/", target.origin());
    if !target.query.is_empty() {
        url = format!("{url}?{}", target.query);
    }
    let transports = match options.transport {
        TransportChoice::Auto => vec![Transport::WebSocket, Transport::Polling],
        TransportChoice::Websocket => vec![Transport::WebSocket],
        TransportChoice::Polling => vec![Transport::Polling],
        TransportChoice::Upgrade => vec![Transport::Polling, Transport::WebSocket],
    };
    let mut builder = fanfare_client::connect(url)
        .namespace(&target.namespace)
        .path(&target.path)
        .transports(transports)
        .upgrade(options.transport != TransportChoice::Polling)
        .connect_timeout(options.connect_timeout)
        .reconnection(reconnect);
    for (name, value) in &target.headers {
        builder = builder.header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    if let Some(auth) = &target.auth {
        builder = builder.auth(auth);
    }
    let mut tls = Tls::new();
    if let Some(file) = &options.server.ca {
        let pem = std::fs::read(file).map_err(|error| {
            Failure::usage(format!("cannot read {}", file.display())).because(error)
        })?;
        tls = tls.root_certificate(pem);
    }
    if options.server.insecure {
        tls = tls.danger_accept_any_certificate();
    }
    let socket = builder
        .tls(tls)
        .build()
        .map_err(|error| Failure::usage("cannot connect").because(error))?;
    pump(&socket, notes);
    socket.connect();
    Ok(socket)
}

/// Turns the events of the socket and of its connection into notes.
fn pump(socket: &Socket, notes: Sender<Note>) {
    let mut events = socket.events();
    let manager = socket.manager().clone();
    let mut below = manager.events();
    tokio::spawn(async move {
        loop {
            let note = tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => note(event, manager.transport()),
                    None => break,
                },
                Some(event) = below.next() => match event {
                    ManagerEvent::Upgrade { transport } => Some(Note::Upgraded(transport.to_string())),
                    ManagerEvent::ReconnectScheduled { attempt, delay } => Some(Note::Retry { attempt, delay }),
                    _ => None,
                },
            };
            if let Some(note) = note
                && notes.send(note).await.is_err()
            {
                break;
            }
        }
    });
}

/// Says in plain words what the browser's client calls `xhr poll error` and the like.
fn explain(error: &TransportError) -> String {
    let more = error.description.as_deref().unwrap_or_default().trim();
    if more.contains("Connection refused") {
        return "connection refused: nothing listens there, or a firewall says no".to_owned();
    }
    if more.contains("InvalidContentType") {
        return "what answers does not speak TLS: is it http:// instead of https://?".to_owned();
    }
    if more.contains("connection closed before message completed") {
        return "the server closed the connection in the handshake: is this the path of its endpoint?"
            .to_owned();
    }
    if error.unreachable && !more.is_empty() {
        return more.to_owned();
    }
    if let Some(status) = error.status
        && status >= 300
    {
        let name = http::StatusCode::from_u16(status).ok();
        let name = name.and_then(|status| status.canonical_reason());
        let status = format!("{status} {}", name.unwrap_or_default());
        let start: String = more.chars().take(100).collect();
        let what = match &*error.message {
            "websocket error" => "the WebSocket handshake",
            _ => "the handshake",
        };
        return format!("{what} is answered {}: {start}", status.trim())
            .trim_end_matches(": ")
            .to_owned();
    }
    if more.is_empty() {
        error.message.to_string()
    } else {
        format!("{}: {more}", error.message)
    }
}

fn note(event: SocketEvent, transport: Option<Transport>) -> Option<Note> {
    Some(match event {
        SocketEvent::Connect { id, recovered } => Note::Connected {
            id: id.to_string(),
            recovered,
            transport: transport.map_or("-".to_owned(), |transport| transport.to_string()),
        },
        SocketEvent::ConnectError(ConnectError::Refused { message, data }) => Note::Refused {
            message,
            data: data.and_then(|data| serde_json::from_str(&data).ok()),
        },
        SocketEvent::ConnectError(ConnectError::Transport(error)) => Note::Failed(explain(&error)),
        SocketEvent::ConnectError(error) => Note::Failed(error.to_string()),
        SocketEvent::Disconnect { reason, .. } => Note::Disconnected {
            reason: reason.to_string(),
            reconnects: reason.reconnects(),
        },
        SocketEvent::Event(event) => {
            let args = match event.data::<AllArgs<Datum>>() {
                Ok(AllArgs(args)) => args,
                Err(error) => vec![Datum::Plain(
                    format!("unreadable arguments: {error}").into(),
                )],
            };
            let reply = event.wants_ack().then(|| Reply::Modern(event.ack()));
            Note::Event(Incoming {
                name: event.name().to_owned(),
                args,
                reply,
            })
        }
        SocketEvent::Lagged(lost) => Note::Lagged(lost),
        _ => return None,
    })
}
