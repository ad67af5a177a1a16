//! Task that owns the connection to an old server, reconnects when it is lost, and ends with its handles.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::connection::End;
use super::{Command, MAX_QUEUED_COMMANDS, Status};
use crate::exit::Failure;
use crate::net::{Dialer, Tls};
use crate::session::{SessionEvent, SessionOptions};
use crate::target::{Target, TransportChoice};
use crate::values::ArgValue;

/// Channels between the worker and the handles.
pub(super) struct WorkerChannels {
    pub(super) notes: mpsc::Sender<SessionEvent>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) weak: mpsc::WeakSender<Command>,
    pub(super) status: Arc<Mutex<Status>>,
}

pub(super) struct Worker {
    pub(super) dialer: Dialer,
    pub(super) target: Target,
    pub(super) transport: TransportChoice,
    pub(super) patience: Duration,
    pub(super) outside: WorkerChannels,
    /// Commands to be sent once the namespace is joined.
    waiting: VecDeque<Command>,
    pub(super) acks: HashMap<u64, oneshot::Sender<Vec<ArgValue>>>,
    pub(super) next_ack: u64,
}

/// Command that ends waiting for a connection.
pub(super) enum Interrupt {
    Gone,
    Disconnect(oneshot::Sender<()>),
}

impl From<Interrupt> for End {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Gone => Self::Gone,
            Interrupt::Disconnect(done) => Self::Client(done),
        }
    }
}

impl Worker {
    pub(super) fn new(
        target: &Target,
        options: &SessionOptions,
        outside: WorkerChannels,
    ) -> Result<Self, Failure> {
        let tls = Tls::new(options.server.ca.as_deref(), options.server.insecure)?;
        Ok(Self {
            dialer: Dialer::new(target, &tls, options.connect_timeout),
            target: target.clone(),
            transport: options.transport,
            patience: options.connect_timeout,
            outside,
            waiting: VecDeque::new(),
            acks: HashMap::new(),
            next_ack: 0,
        })
    }

    pub(super) async fn run(mut self) {
        let mut attempt = 0;
        loop {
            let end = self.connection().await;
            self.acks.clear();
            self.connected_as(None, None);
            let goes_on = match end {
                End::Gone => false,
                End::Client(done) => self.left(done).await,
                End::Server(reason) => self.disconnected(reason).await,
                End::Lost { why, joined: true } => {
                    attempt = 1;
                    let note = SessionEvent::Disconnected {
                        reason: why,
                        reconnects: true,
                    };
                    self.pause(note, attempt).await
                }
                End::Lost { why, joined: false } => {
                    attempt += 1;
                    self.pause(SessionEvent::Failed(why), attempt).await
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Handles a disconnection by the client: discards the queued commands.
    async fn left(&mut self, done: oneshot::Sender<()>) -> bool {
        self.waiting.clear();
        self.publish();
        let _ = done.send(());
        self.disconnected("io client disconnect".to_owned()).await
    }

    /// Reports the disconnection, and waits until `connect` is called. Returns `false` if all handles are dropped.
    async fn disconnected(&mut self, reason: String) -> bool {
        let note = SessionEvent::Disconnected {
            reason,
            reconnects: false,
        };
        if self.outside.notes.send(note).await.is_err() {
            return false;
        }
        loop {
            match self.outside.commands.recv().await {
                None => return false,
                Some(Command::Connect) => return true,
                Some(Command::Disconnect(done)) => _ = done.send(()),
                Some(command) => self.keep(command),
            }
        }
    }

    /// Waits before the next attempt. Returns `false` if all handles are dropped.
    async fn pause(&mut self, note: SessionEvent, attempt: u32) -> bool {
        let delay = Duration::from_secs(attempt.min(5).into());
        for note in [note, SessionEvent::Retry { attempt, delay }] {
            if self.outside.notes.send(note).await.is_err() {
                return false;
            }
        }
        let interrupt = tokio::select! {
            () = sleep(delay) => return true,
            interrupt = self.interrupt() => interrupt,
        };
        match interrupt {
            Interrupt::Gone => false,
            Interrupt::Disconnect(done) => self.left(done).await,
        }
    }

    /// Queues commands while there is no connection, until one is no longer wanted. Cancellation-safe.
    pub(super) async fn interrupt(&mut self) -> Interrupt {
        loop {
            match self.outside.commands.recv().await {
                None => return Interrupt::Gone,
                Some(Command::Disconnect(done)) => return Interrupt::Disconnect(done),
                Some(command) => self.keep(command),
            }
        }
    }

    /// Queues a command. If the queue is full it is dropped, which fails a pending acknowledgement.
    fn keep(&mut self, command: Command) {
        let to_send = matches!(command, Command::Emit { .. });
        if to_send && self.waiting.len() < MAX_QUEUED_COMMANDS {
            self.waiting.push_back(command);
        }
        self.publish();
    }

    /// Returns the next command once the namespace is joined; before, only one that ends the waiting.
    /// Cancellation-safe.
    pub(super) async fn next_command(&mut self, joined: bool) -> Option<Command> {
        if !joined {
            return match self.interrupt().await {
                Interrupt::Gone => None,
                Interrupt::Disconnect(done) => Some(Command::Disconnect(done)),
            };
        }
        match self.waiting.pop_front() {
            Some(command) => Some(command),
            None => self.outside.commands.recv().await,
        }
    }

    /// Publishes to the handles whether there is a connection.
    pub(super) fn connected_as(&self, id: Option<String>, transport: Option<&'static str>) {
        let mut status = self.outside.status.lock();
        (status.id, status.transport) = (id, transport);
        status.acks = self.acks.len();
    }

    /// Publishes to the handles how many commands and acknowledgements are pending.
    pub(super) fn publish(&self) {
        let mut status = self.outside.status.lock();
        (status.waiting, status.acks) = (self.waiting.len(), self.acks.len());
    }

    /// Returns `auth` as query, which servers before v3 expect.
    pub(super) fn query(&self) -> String {
        let Some(Value::Object(auth)) = &self.target.auth else {
            return String::new();
        };
        let pairs: Vec<String> = auth
            .iter()
            .map(|(name, value)| {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                format!("{}={}", escape(name), escape(&value))
            })
            .collect();
        pairs.join("&")
    }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
