//! Session of `fanfare-client`, and its events.

use fanfare_client::event::{ManagerEvent, ManagerEvents, SocketEvent, TransportError};
use fanfare_client::options::{Parser, Protocol};
use fanfare_client::{ConnectError, Socket, Transport};
use fanfare_protocol::socket::AllArgs;
use tokio::sync::mpsc::Sender;

use super::{Incoming, ParserChoice, Reply, SessionEvent, SessionOptions};
use crate::exit::Failure;
use crate::net;
use crate::target::{Target, TransportChoice};
use crate::values::ArgValue;

/// Starts connecting; the events of the session go to `notes`.
pub(super) fn start(
    target: &Target,
    options: &SessionOptions,
    protocol: Protocol,
    reconnect: bool,
    notes: Sender<SessionEvent>,
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
        .protocol(protocol)
        .namespace(&target.namespace)
        .path(&target.path)
        .transports(transports)
        .parser(match options.parser {
            ParserChoice::Json => Parser::Json,
            ParserChoice::Msgpack => Parser::Msgpack,
        })
        .upgrade(options.transport != TransportChoice::Polling)
        .connect_timeout(options.connect_timeout)
        .reconnection(reconnect);
    for (name, value) in &target.headers {
        builder = builder.header(name.as_str(), String::from_utf8_lossy(value.as_bytes()));
    }
    if let Some(auth) = &target.auth {
        builder = builder.auth(auth);
    }
    let socket = builder
        .tls(net::tls(&options.server)?)
        .build()
        .map_err(|error| Failure::usage("cannot connect").because(error))?;
    pump(&socket, notes);
    socket.connect();
    Ok(socket)
}

/// Forwards events of the socket and of its connection as session events.
fn pump(socket: &Socket, notes: Sender<SessionEvent>) {
    let mut events = socket.events();
    let manager = socket.manager().clone();
    let mut below = manager.events();
    tokio::spawn(async move {
        // Whether the namespace is joined, and whether there is a connection on which it is not joined yet.
        let (mut joined, mut opened) = (false, false);
        let mut held = None;
        loop {
            let note = tokio::select! {
                biased;
                event = events.next() => match event {
                    Some(event) => {
                        match &event {
                            SocketEvent::Connect { .. } => (joined, opened) = (true, false),
                            SocketEvent::Disconnect { .. } => (joined, opened) = (false, false),
                            // Both streams can have events, and this one is polled first: the connection may have
                            // opened before the error.
                            SocketEvent::ConnectError(_) if !joined && !opened && held.is_none() => {
                                held = waiting(&mut below).await;
                                opened = matches!(held, Some(ManagerEvent::Open { .. }));
                                if opened && notes.send(SessionEvent::Opened).await.is_err() {
                                    break;
                                }
                                held = held.filter(|_| !opened);
                            }
                            _ => {}
                        }
                        note(event, manager.transport())
                    }
                    None => break,
                },
                Some(event) = next(&mut held, &mut below) => match event {
                    ManagerEvent::Open { .. } if !joined => {
                        opened = true;
                        Some(SessionEvent::Opened)
                    }
                    ManagerEvent::Upgrade { transport } => Some(SessionEvent::Upgraded(transport.to_string())),
                    ManagerEvent::ReconnectScheduled { attempt, delay } => Some(SessionEvent::Retry { attempt, delay }),
                    // Once the namespace is joined, the socket reports this itself.
                    ManagerEvent::Close { reason, .. } if std::mem::take(&mut opened) => {
                        Some(SessionEvent::Closed(reason.to_string()))
                    }
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

/// Returns the event that was held back, or the next one.
async fn next(held: &mut Option<ManagerEvent>, events: &mut ManagerEvents) -> Option<ManagerEvent> {
    match held.take() {
        Some(event) => Some(event),
        None => events.next().await,
    }
}

/// Returns the next event if it has happened already.
async fn waiting(events: &mut ManagerEvents) -> Option<ManagerEvent> {
    tokio::select! {
        biased;
        event = events.next() => event,
        () = std::future::ready(()) => None,
    }
}

/// Explains the JavaScript client's terms, such as `xhr poll error`.
fn explain(error: &TransportError) -> String {
    let more = error.description.as_deref().unwrap_or_default().trim();
    if more.contains("Connection refused") {
        return "connection refused: nothing listens there, or a firewall says no".to_owned();
    }
    if more.contains("does not speak TLS") {
        return format!("{more}: is it http:// instead of https://?");
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

fn note(event: SocketEvent, transport: Option<Transport>) -> Option<SessionEvent> {
    Some(match event {
        SocketEvent::Connect { id, recovered } => SessionEvent::Connected {
            id: id.to_string(),
            recovered,
            transport: transport.map_or("-".to_owned(), |transport| transport.to_string()),
        },
        SocketEvent::ConnectError(ConnectError::Rejected { message, data }) => {
            SessionEvent::Refused {
                message,
                data: data.and_then(|data| serde_json::from_str(&data).ok()),
            }
        }
        SocketEvent::ConnectError(ConnectError::Transport(error)) => {
            SessionEvent::Failed(explain(&error))
        }
        SocketEvent::ConnectError(error) => SessionEvent::Failed(error.to_string()),
        SocketEvent::Disconnect { reason, .. } => SessionEvent::Disconnected {
            reason: reason.to_string(),
            reconnects: reason.reconnects(),
        },
        SocketEvent::Event(event) => {
            let args = match event.data::<AllArgs<ArgValue>>() {
                Ok(AllArgs(args)) => args,
                Err(error) => vec![ArgValue::Plain(
                    format!("unreadable arguments: {error}").into(),
                )],
            };
            let reply = event.wants_ack().then(|| Reply::new(event.ack()));
            SessionEvent::Event(Incoming {
                name: event.name().to_owned(),
                args,
                reply,
            })
        }
        SocketEvent::Lagged(lost) => SessionEvent::Lagged(lost),
        _ => return None,
    })
}
