//! Driver of the state machine on tokio.
//!
//! There is no central task: each source of input (a WebSocket that read, a request that was answered, an `emit`) locks
//! the state machine briefly and carries out the resulting actions. Handlers run elsewhere, so they cannot delay a
//! heartbeat. One small task per manager waits for its timeouts.

mod auth;
mod opening;
mod sent;
mod shared;
mod state;

use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc};
use tokio::task::AbortHandle;

pub(crate) use auth::AuthSource;
use sent::SentEvents;
pub(crate) use shared::Shared;
use state::State;

use crate::ack::{AckConnection, AckSender};
use crate::clock;
use crate::event::{Event, SocketEvent};
use crate::io::connector::{Connector, Requested};
use crate::io::websocket::{self, Command};
use crate::log_target;
use crate::protocol::{
    self, Action, ConnectionId, EmitError, Input, Manager, ManagerEvent, Parser, Payload, SocketId,
};

/// Core of one manager.
#[derive(Debug)]
pub(crate) struct Core {
    state: Mutex<State>,
    connector: Arc<Connector>,
    pub(crate) runtime: Handle,
    pub(crate) parser: Parser,
    /// Wakes the task that waits for timeouts.
    timer: Notify,
    /// Notification of changes that a `disconnect` may wait for.
    changed: Notify,
}

impl Core {
    pub(crate) fn start(
        manager: Manager,
        parser: Parser,
        connector: Connector,
        runtime: Handle,
    ) -> Arc<Self> {
        let core = Arc::new(Self {
            state: Mutex::new(State::new(manager)),
            connector: Arc::new(connector),
            runtime,
            parser,
            timer: Notify::new(),
            changed: Notify::new(),
        });
        core.runtime.spawn(Running(core.clone()).timer());
        core
    }

    /// Calls `f` on the state machine and carries out the resulting actions. Outgoing listeners have been called on
    /// return, unless another thread is calling them.
    pub(crate) fn with<R>(self: &Arc<Self>, f: impl FnOnce(&mut State, Instant) -> R) -> R {
        let mut state = self.state.lock();
        let result = f(&mut state, clock::now());
        self.pump(&mut state);
        let report = state.sent.begin();
        drop(state);
        if report {
            self.report_sent();
        }
        result
    }

    /// Calls the outgoing listeners.
    #[cold]
    fn report_sent(&self) {
        loop {
            let next = self.state.lock().sent.next();
            let Some((socket, payload)) = next else {
                return;
            };
            socket.sent(&payload);
        }
    }

    /// Reads the state without carrying out actions.
    pub(crate) fn look<R>(&self, f: impl FnOnce(&State) -> R) -> R {
        f(&self.state.lock())
    }

    /// Disconnects everything after the last handle was dropped; the timer task ends when that is done.
    pub(crate) fn shut_down(self: &Arc<Self>) {
        self.with(|state, now| {
            state.shutdown = true;
            state.manager.close(now);
        });
        self.timer.notify_one();
    }

    /// Waits until `done` returns true; it is called again after each change.
    pub(crate) async fn wait_until(&self, done: impl Fn(&State) -> bool) {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.look(&done) {
                return;
            }
            changed.await;
        }
    }

    /// Wakes and ends all waiters, because no more events follow.
    fn stop(&self) {
        let mut state = self.state.lock();
        state.gone = true;
        let (acks, observers) = (
            std::mem::take(&mut state.acks),
            std::mem::take(&mut state.observers),
        );
        let connections = std::mem::take(&mut state.connections);
        let sockets: Vec<Arc<Shared>> = state.sockets.values().cloned().collect();
        drop(state);
        drop((acks, observers, connections));
        for socket in sockets {
            socket.close();
        }
        self.changed.notify_waiters();
    }

    async fn timer(self: &Arc<Self>) {
        loop {
            let deadline = {
                let mut state = self.state.lock();
                if state.shutdown && state.manager.is_idle() {
                    return;
                }
                state.armed = state.manager.poll_timeout();
                state.armed
            };
            let sleep = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => self.with(|state, now| state.manager.handle_timeout(now)),
                () = self.timer.notified() => {}
            }
        }
    }

    fn input(self: &Arc<Self>, connection: ConnectionId, input: Input) {
        self.with(|state, now| state.manager.handle(now, connection, input));
    }

    /// Carries out all actions and delivers all events. Nothing here blocks or calls the application.
    fn pump(self: &Arc<Self>, state: &mut State) {
        if state.gone {
            while state.manager.poll_action().is_some() || state.manager.poll_event().is_some() {}
            return;
        }
        loop {
            while let Some(action) = state.manager.poll_action() {
                self.perform(state, action);
            }
            // Taking an event may lead to more actions.
            let Some(event) = state.manager.poll_event() else {
                break;
            };
            self.deliver(state, event);
        }
        let next = state.manager.poll_timeout();
        let sooner = match (next, state.armed) {
            (Some(next), Some(armed)) => next < armed,
            (Some(_), None) => true,
            (None, _) => state.shutdown,
        };
        if sooner {
            state.armed = next;
            self.timer.notify_one();
        }
        self.changed.notify_waiters();
    }

    fn perform(self: &Arc<Self>, state: &mut State, action: Action) {
        match action {
            Action::Get { connection, sid } => {
                let entry = state.connections.entry(connection).or_default();
                let (core, polling) = (self.clone(), entry.polling.clone());
                let task = self.runtime.spawn(async move {
                    let result = match core.requested(sid).await {
                        Ok(requested) => polling.get(&core.connector, &requested).await,
                        Err(error) => Err(error),
                    };
                    core.input(connection, Input::Get(result));
                });
                entry.get = Some(task.abort_handle());
            }
            Action::Post {
                connection,
                sid,
                body,
            } => {
                let entry = state.connections.entry(connection).or_default();
                let (core, polling) = (self.clone(), entry.polling.clone());
                let task = self.runtime.spawn(async move {
                    let requested = Requested::Session(sid);
                    let result = polling.post(&core.connector, &requested, body).await;
                    core.input(connection, Input::Post(result));
                });
                entry.post = Some(task.abort_handle());
            }
            Action::OpenWebSocket { connection, sid } => {
                let (tx, rx) = mpsc::unbounded_channel();
                let task = self
                    .runtime
                    .spawn(self.clone().websocket(connection, sid, rx));
                let entry = state.connections.entry(connection).or_default();
                entry.websocket = Some((tx, task.abort_handle()));
            }
            Action::Write {
                connection,
                packets,
                after_pong,
            } => {
                let websocket = state
                    .connections
                    .get(&connection)
                    .and_then(|entry| entry.websocket.as_ref());
                if let Some((tx, _)) = websocket {
                    // If the task has ended, its `Closed` is in flight.
                    let _ = tx.send(Command::Write {
                        packets,
                        after_pong,
                    });
                }
            }
            Action::Ping { connection } => {
                let entry = state.connections.get(&connection);
                if let Some((tx, _)) = entry.and_then(|entry| entry.websocket.as_ref()) {
                    let _ = tx.send(Command::Ping);
                }
            }
            Action::CloseWebSocket { connection } => {
                if let Some(entry) = state.connections.get_mut(&connection)
                    && let Some((tx, task)) = entry.websocket.take()
                {
                    let _ = tx.send(Command::Close);
                    entry.closing.push(task);
                }
            }
            Action::Abort { connection } => {
                if let Some(entry) = state.connections.remove(&connection) {
                    let tasks = entry.get.into_iter().chain(entry.post).chain(entry.closing);
                    tasks
                        .chain(entry.websocket.map(|(_, task)| task))
                        .for_each(|task| task.abort());
                }
            }
            Action::Authenticate { socket, attempt } => self.authenticate(state, socket, attempt),
            _ => {}
        }
    }

    fn authenticate(self: &Arc<Self>, state: &mut State, socket: SocketId, attempt: u64) {
        let source = state
            .sockets
            .get(&socket)
            .map(|shared| shared.auth.lock().clone());
        match source.unwrap_or_default() {
            AuthSource::None => {
                state
                    .manager
                    .authenticated(clock::now(), socket, attempt, Ok(None));
            }
            AuthSource::Value(json) => {
                state
                    .manager
                    .authenticated(clock::now(), socket, attempt, Ok(Some(json)));
            }
            source @ AuthSource::Callback(_) => {
                let core = self.clone();
                self.runtime.spawn(async move {
                    let auth = source.payload().await;
                    core.with(|state, now| state.manager.authenticated(now, socket, attempt, auth));
                });
            }
        }
    }

    async fn websocket(
        self: Arc<Self>,
        connection: ConnectionId,
        sid: Option<Arc<str>>,
        mut commands: mpsc::UnboundedReceiver<Command>,
    ) {
        let opening = async {
            let requested = self.requested(sid).await?;
            websocket::open(&self.connector, &requested).await
        };
        let opened = tokio::select! {
            opened = opening => opened,
            // Closed before it was open.
            _ = commands.recv() => return self.websocket_ended(connection),
        };
        match opened {
            Ok(opened) => {
                self.input(connection, Input::Open);
                let core = self.clone();
                websocket::run(
                    opened,
                    self.connector.max_message,
                    commands,
                    move |inputs| {
                        core.with(|state, now| {
                            for input in inputs {
                                state.manager.handle(now, connection, input);
                            }
                        });
                    },
                )
                .await;
            }
            Err(error) => self.input(connection, Input::Closed(Err(error))),
        }
        self.websocket_ended(connection);
    }

    fn websocket_ended(self: &Arc<Self>, connection: ConnectionId) {
        self.with(|state, _| {
            if let Some(entry) = state.connections.get_mut(&connection) {
                // This task is still running but does nothing more, so it needs no entry.
                entry.closing.clear();
                if entry
                    .websocket
                    .as_ref()
                    .is_some_and(|(tx, _)| tx.is_closed())
                {
                    entry.websocket = None;
                }
                let ended =
                    |task: &Option<AbortHandle>| task.as_ref().is_none_or(AbortHandle::is_finished);
                if entry.websocket.is_none() && ended(&entry.get) && ended(&entry.post) {
                    state.connections.remove(&connection);
                }
            }
        });
    }

    fn deliver(self: &Arc<Self>, state: &mut State, event: protocol::Event) {
        match event {
            protocol::Event::Ack(key, result) => {
                if let Some(waiting) = state.acks.remove(&key) {
                    // The caller may have dropped the future.
                    let _ = waiting.send(result);
                }
            }
            protocol::Event::Socket(id, event) => {
                let Some(shared) = state.sockets.get(&id) else {
                    return;
                };
                let event = match event {
                    protocol::SocketEvent::Connect { id, recovered } => {
                        SocketEvent::Connect { id, recovered }
                    }
                    protocol::SocketEvent::ConnectError(error) => SocketEvent::ConnectError(error),
                    protocol::SocketEvent::Disconnect { reason, details } => {
                        SocketEvent::Disconnect { reason, details }
                    }
                    protocol::SocketEvent::Event(event) => {
                        let core: Arc<dyn AckConnection> = self.clone();
                        let ack = AckSender::new(Arc::downgrade(&core), id, &event);
                        SocketEvent::Event(Event::new(event, ack))
                    }
                    protocol::SocketEvent::Outgoing(payload) => {
                        return state.sent.push(shared.clone(), payload);
                    }
                    _ => return,
                };
                shared.push(&event, state.manager.is_active(id));
            }
            protocol::Event::Manager(event) => {
                match &event {
                    ManagerEvent::Error(error) => {
                        tracing::debug!(target: log_target::CONNECTION, %error, "connection could not be opened");
                    }
                    ManagerEvent::Close { reason, .. } => {
                        tracing::debug!(target: log_target::CONNECTION, %reason, "connection closed");
                    }
                    ManagerEvent::ReconnectFailed => {
                        for shared in state.sockets.values() {
                            shared.mark_reconnect_failed();
                        }
                    }
                    _ => {}
                }
                state
                    .observers
                    .retain(|observer| observer.push(event.clone()));
            }
            _ => {}
        }
    }
}

impl AckConnection for Core {
    fn parser(&self) -> Parser {
        self.parser
    }

    fn send_ack(
        self: Arc<Self>,
        socket: SocketId,
        epoch: u64,
        id: u64,
        payload: &Payload,
    ) -> Result<(), EmitError> {
        self.with(|state, now| state.manager.ack(now, socket, epoch, id, payload))
            .map(drop)
    }
}

/// Task of a manager. It is dropped when the runtime ends, and notifies all waiters.
struct Running(Arc<Core>);

impl Running {
    async fn timer(self) {
        self.0.timer().await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.stop();
    }
}
