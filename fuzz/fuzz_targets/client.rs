//! Input of the client from a server: lines are WebSocket texts, binary messages (`!`), bodies of long-polling answers
//! (`<`), seconds that pass (`~`), of either revision of the protocol. On any input the client continues, answers, or reconnects.
#![no_main]

use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_protocol::client::{Action, Config, ConnectionId, Event, Input, Manager, SocketConfig, SocketEvent};
use fanfare_protocol::engine::{Protocol, Transport};
use fanfare_protocol::socket::AllArgs;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

const OPEN: &[u8] = br#"0{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}"#;

const OPEN_V3: &[u8] = br#"78:0{"sid":"s","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}2:40"#;

fuzz_target!(|data: (u8, &str)| {
    let (options, text) = data;
    let polling = options & 1 != 0;
    let protocol = if options & 2 != 0 { Protocol::V3 } else { Protocol::V4 };
    let first = if polling { Transport::Polling } else { Transport::WebSocket };
    let mut config = Config::default();
    config.protocol = protocol;
    config.transports = vec![first];
    config.limits.max_payload = 4096;
    config.limits.max_attachment_bytes = 4096;
    let mut manager = Manager::new(config);
    let mut now = Instant::now();
    let socket = manager.add_socket("/", SocketConfig::default()).unwrap();
    manager.connect(now, socket);
    let mut connection = carry_out(&mut manager, protocol, now);
    for line in text.split('\n') {
        let body = |rest: &str| Bytes::copy_from_slice(rest.as_bytes());
        let input = match line.as_bytes().first() {
            Some(b'!') => Input::Binary(body(&line[1..])),
            Some(b'<') => Input::Get(Ok(body(&line[1..]))),
            Some(b'~') => {
                now += Duration::from_secs(line.len() as u64);
                manager.handle_timeout(now);
                connection = carry_out(&mut manager, protocol, now).or(connection);
                continue;
            }
            _ => Input::Text(body(line)),
        };
        if let Some(connection) = connection {
            manager.handle(now, connection, input);
        }
        connection = carry_out(&mut manager, protocol, now).or(connection);
        assert!(manager.pending_bytes() <= text.len() + 4096, "what a server says makes the client hold no more");
    }
});

/// Body of the answer to the handshake.
fn opened(protocol: Protocol) -> &'static [u8] {
    match protocol {
        Protocol::V3 => OPEN_V3,
        Protocol::V4 => OPEN,
    }
}

/// Executes the client's actions, with a server that opens at once. Returns the connection that is open now.
fn carry_out(manager: &mut Manager, protocol: Protocol, now: Instant) -> Option<ConnectionId> {
    let mut open = None;
    for _ in 0..64 {
        while let Some(event) = manager.poll_event() {
            if let Event::Socket(_, SocketEvent::Event(event)) = event {
                let _ = event.args.decode::<AllArgs<Value>>();
            }
        }
        let Some(action) = manager.poll_action() else { break };
        let (connection, input) = match action {
            Action::Authenticate { socket, attempt } => {
                manager.authenticated(now, socket, attempt, Ok(None));
                continue;
            }
            Action::Get { connection, sid: None } => (connection, Input::Get(Ok(Bytes::from_static(opened(protocol))))),
            Action::OpenWebSocket { connection, sid } => {
                manager.handle(now, connection, Input::Open);
                let hello = if sid.is_none() { OPEN } else { b"3probe" };
                (connection, Input::Text(Bytes::from_static(hello)))
            }
            Action::Post { connection, .. } => (connection, Input::Post(Ok(()))),
            Action::Write { connection, .. } => (connection, Input::Written),
            _ => continue,
        };
        manager.handle(now, connection, input);
        open = Some(connection);
    }
    open
}
