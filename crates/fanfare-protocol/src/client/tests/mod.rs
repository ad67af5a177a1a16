//! The manager in virtual time.

mod acks;
mod bounds;
mod connection;
mod failures;
mod faults;
mod legacy;
mod membership;
mod namespaces;
mod packets;
mod upgrade;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::*;

/// Manager with a virtual clock, driven by the test.
pub(super) struct Driver {
    pub(super) now: Instant,
    pub(super) manager: Manager,
    pub(super) actions: VecDeque<Action>,
    pub(super) events: Vec<Event>,
    /// Answer of the `auth` callback.
    pub(super) auth: Result<Option<String>, AuthError>,
    /// Every text written; `plain` before texts that must not be compressed.
    pub(super) written: Vec<String>,
    /// Whether to complete writes at once.
    pub(super) auto_write: bool,
    /// Whether to answer pings of the WebSocket at once.
    pub(super) auto_pong: bool,
    /// Whether to answer requests for `auth` at once.
    pub(super) auto_auth: bool,
}

pub(super) const OPEN: &str =
    r#"0{"sid":"s1","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}"#;
pub(super) const OPEN_UPGRADE: &str = r#"0{"sid":"s1","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":100}"#;

pub(super) fn config() -> Config {
    Config {
        randomization_factor: 0.0,
        ..Config::default()
    }
}

pub(super) fn websocket_only() -> Config {
    Config {
        transports: vec![Transport::WebSocket],
        ..config()
    }
}

pub(super) fn polling_only() -> Config {
    Config {
        transports: vec![Transport::Polling],
        upgrade: false,
        ..config()
    }
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn event(json: &'static str) -> Payload {
    Payload::from_json(json, Vec::new())
}

impl Driver {
    pub(super) fn new(config: Config) -> Self {
        Self {
            now: Instant::now(),
            manager: Manager::new(config),
            actions: VecDeque::new(),
            events: Vec::new(),
            auth: Ok(None),
            written: Vec::new(),
            auto_write: true,
            auto_pong: true,
            auto_auth: true,
        }
    }

    /// Creates a manager over WebSocket whose socket of `/` is connected.
    pub(super) fn connected() -> (Self, SocketId) {
        Self::connected_with(websocket_only(), SocketConfig::default())
    }

    pub(super) fn connected_with(config: Config, socket: SocketConfig) -> (Self, SocketId) {
        let mut driver = Self::new(config);
        let id = driver.manager.add_socket("/", socket).unwrap();
        driver.manager.connect(driver.now, id);
        driver.open_websocket();
        driver.text(r#"40{"sid":"a"}"#);
        assert!(driver.manager.is_connected(id));
        (driver, id)
    }

    /// Answers `OpenWebSocket` with an open WebSocket and the Engine.IO handshake.
    pub(super) fn open_websocket(&mut self) -> ConnectionId {
        self.run();
        let connection = match self.next() {
            Action::OpenWebSocket {
                connection,
                sid: None,
            } => connection,
            other => panic!("{other:?}"),
        };
        self.input(connection, Input::Open);
        self.input(connection, Input::Text(Bytes::from_static(OPEN.as_bytes())));
        connection
    }

    /// Polls actions; auth and writes are carried out at once.
    pub(super) fn run(&mut self) {
        loop {
            while let Some(event) = self.manager.poll_event() {
                self.events.push(event);
            }
            let Some(action) = self.manager.poll_action() else {
                return;
            };
            match action {
                Action::Authenticate { socket, attempt } if self.auto_auth => {
                    self.manager
                        .authenticated(self.now, socket, attempt, self.auth.clone());
                }
                Action::Write {
                    connection,
                    packets,
                    ..
                } => {
                    for packet in packets {
                        let mark = if packet.compress { "" } else { "plain " };
                        let body = match packet.body {
                            Body::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
                            Body::Binary(data) => format!("<{} bytes>", data.len()),
                        };
                        self.written.push(format!("{mark}{body}"));
                    }
                    if self.auto_write {
                        self.manager.handle(self.now, connection, Input::Written);
                    }
                }
                Action::Ping { connection } if self.auto_pong => {
                    self.manager.handle(self.now, connection, Input::Pong);
                }
                action => self.actions.push_back(action),
            }
        }
    }

    /// Answers the pending ping.
    pub(super) fn pong(&mut self) {
        self.run();
        let ping = |action: &Action| matches!(action, Action::Ping { .. });
        let at = self.actions.iter().position(ping).expect("a ping");
        if let Some(Action::Ping { connection }) = self.actions.remove(at) {
            self.input(connection, Input::Pong);
        }
    }

    pub(super) fn next(&mut self) -> Action {
        self.run();
        self.actions.pop_front().expect("an action")
    }

    pub(super) fn no_action(&mut self) {
        self.run();
        assert!(self.actions.is_empty(), "{:?}", self.actions);
    }

    pub(super) fn input(&mut self, connection: ConnectionId, input: Input) {
        self.run();
        self.manager.handle(self.now, connection, input);
        self.run();
    }

    /// Id of the newest connection.
    pub(super) fn connection(&self) -> ConnectionId {
        self.manager.current_connection().expect("a connection")
    }

    pub(super) fn text(&mut self, text: &str) {
        let connection = self.connection();
        self.input(
            connection,
            Input::Text(Bytes::copy_from_slice(text.as_bytes())),
        );
    }

    pub(super) fn lose(&mut self) {
        let connection = self.connection();
        self.input(connection, Input::Closed(Ok(None)));
    }

    /// Advances the clock, calling `handle_timeout` whenever it is due.
    pub(super) fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.manager.poll_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.manager.handle_timeout(self.now);
            self.run();
        }
        self.now = until;
    }

    pub(super) fn take_events(&mut self) -> Vec<Event> {
        self.run();
        std::mem::take(&mut self.events)
    }

    /// Returns socket events as short texts.
    pub(super) fn log(&mut self) -> Vec<String> {
        self.take_events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Socket(_, SocketEvent::Connect { id, recovered }) => Some(format!(
                    "connect {id}{}",
                    if recovered { " recovered" } else { "" }
                )),
                Event::Socket(_, SocketEvent::ConnectError(error)) => {
                    Some(format!("connect_error {error}"))
                }
                Event::Socket(_, SocketEvent::Disconnect { reason, .. }) => {
                    Some(format!("disconnect {reason}"))
                }
                Event::Socket(_, SocketEvent::Event(event)) => Some(format!(
                    "event {} {}",
                    event.name,
                    event.args.as_args().raw_json().unwrap_or("?")
                )),
                Event::Ack(_, Ok(args)) => {
                    Some(format!("ack {}", args.as_args().raw_json().unwrap_or("?")))
                }
                Event::Ack(_, Err(error)) => Some(format!("ack error: {error}")),
                Event::Manager(_) | Event::Socket(_, SocketEvent::Outgoing(_)) => None,
            })
            .collect()
    }

    /// Returns manager events as short texts.
    pub(super) fn manager_log(&mut self) -> Vec<String> {
        self.take_events()
            .into_iter()
            .filter_map(|event| match event {
                Event::Manager(ManagerEvent::Open { transport }) => {
                    Some(format!("open {transport}"))
                }
                Event::Manager(ManagerEvent::Upgrade { transport }) => {
                    Some(format!("upgrade {transport}"))
                }
                Event::Manager(ManagerEvent::UpgradeError(error)) => {
                    Some(format!("upgrade_error {error}"))
                }
                Event::Manager(ManagerEvent::Error(error)) => Some(format!("error {error}")),
                Event::Manager(ManagerEvent::Close { reason, .. }) => {
                    Some(format!("close {reason}"))
                }
                Event::Manager(ManagerEvent::ReconnectAttempt(n)) => {
                    Some(format!("reconnect_attempt {n}"))
                }
                Event::Manager(ManagerEvent::ReconnectError(error)) => {
                    Some(format!("reconnect_error {error}"))
                }
                Event::Manager(ManagerEvent::Reconnect(n)) => Some(format!("reconnect {n}")),
                Event::Manager(ManagerEvent::ReconnectFailed) => Some("reconnect_failed".into()),
                Event::Manager(ManagerEvent::Idle) => Some("idle".into()),
                _ => None,
            })
            .collect()
    }

    pub(super) fn emit(&mut self, id: SocketId, payload: &'static str) -> Emitted {
        let (emitted, _) = self
            .manager
            .emit(self.now, id, event(payload), EmitOptions::new())
            .unwrap();
        self.run();
        emitted
    }

    pub(super) fn emit_ack(
        &mut self,
        id: SocketId,
        payload: &'static str,
        timeout: Option<Duration>,
    ) -> AckKey {
        let options = EmitOptions::new().ack(timeout);
        let (_, key) = self
            .manager
            .emit(self.now, id, event(payload), options)
            .unwrap();
        self.run();
        key.unwrap()
    }

    pub(super) fn written(&mut self) -> Vec<String> {
        self.run();
        std::mem::take(&mut self.written)
    }
}
