//! The task that holds the connection to an old server, makes it again when it is lost, and ends with its handles.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::sleep;

use super::connection::End;
use super::{COMMANDS, Command, Status};
use crate::exit::Failure;
use crate::net::{Dialer, Tls};
use crate::session::{Note, SessionOptions};
use crate::target::{Target, TransportChoice};
use crate::values::Datum;

/// How the worker and the handles reach each other.
pub(super) struct Outside {
    pub(super) notes: mpsc::Sender<Note>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) weak: mpsc::WeakSender<Command>,
    pub(super) status: Arc<Mutex<Status>>,
}

pub(super) struct Worker {
    pub(super) dialer: Dialer,
    pub(super) target: Target,
    pub(super) transport: TransportChoice,
    pub(super) patience: Duration,
    pub(super) outside: Outside,
    /// What is to be sent once the namespace is joined.
    waiting: VecDeque<Command>,
    pub(super) acks: HashMap<u64, oneshot::Sender<Vec<Datum>>>,
    pub(super) next_ack: u64,
}

/// What ends waiting for a connection.
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
        outside: Outside,
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
                    let note = Note::Disconnected {
                        reason: why,
                        reconnects: true,
                    };
                    self.pause(note, attempt).await
                }
                End::Lost { why, joined: false } => {
                    attempt += 1;
                    self.pause(Note::Failed(why), attempt).await
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// We disconnected: what was to be sent is void.
    async fn left(&mut self, done: oneshot::Sender<()>) -> bool {
        self.waiting.clear();
        self.publish();
        let _ = done.send(());
        self.disconnected("io client disconnect".to_owned()).await
    }

    /// Says so, and waits until `connect` is asked for. `false`: nobody is left to ask.
    async fn disconnected(&mut self, reason: String) -> bool {
        let note = Note::Disconnected {
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

    /// Waits before the next attempt. `false`: nobody is left who wants it.
    async fn pause(&mut self, note: Note, attempt: u32) -> bool {
        let delay = Duration::from_secs(attempt.min(5).into());
        for note in [note, Note::Retry { attempt, delay }] {
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

    /// Keeps what is emitted while there is no connection, until one is no longer wanted. Cancellation-safe.
    pub(super) async fn interrupt(&mut self) -> Interrupt {
        loop {
            match self.outside.commands.recv().await {
                None => return Interrupt::Gone,
                Some(Command::Disconnect(done)) => return Interrupt::Disconnect(done),
                Some(command) => self.keep(command),
            }
        }
    }

    /// What does not fit is dropped, and who waits for its acknowledgement is told.
    fn keep(&mut self, command: Command) {
        let to_send = matches!(command, Command::Emit { .. });
        if to_send && self.waiting.len() < COMMANDS {
            self.waiting.push_back(command);
        }
        self.publish();
    }

    /// What is to be done next once the namespace is joined; before, only what ends the waiting. Cancellation-safe.
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

    /// Lets the handles know whether there is a connection.
    pub(super) fn connected_as(&self, id: Option<String>, transport: Option<&'static str>) {
        let mut status = self.outside.status.lock();
        (status.id, status.transport) = (id, transport);
        status.acks = self.acks.len();
    }

    /// Lets the handles know how much waits.
    pub(super) fn publish(&self) {
        let mut status = self.outside.status.lock();
        (status.waiting, status.acks) = (self.waiting.len(), self.acks.len());
    }

    /// `auth` as query: what servers before v3 have instead.
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
