//! Engine.IO 3 and Socket.IO protocol 4: servers of v1 and v2.
//!
//! Differences from the current protocol: the client sends the pings, the server joins the main namespace unasked,
//! `auth` is sent as query, binary frames begin with a byte for their type, payloads of polling with lengths, and
//! errors of a namespace are any JSON.

mod connection;
mod detect;
mod link;
mod worker;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub(super) use detect::{is_old, look};

use super::{SessionEvent, SessionOptions};
use crate::exit::{Code, Failure};
use crate::target::Target;
use crate::values::ArgValue;

/// Maximum number of events queued for sending.
const MAX_QUEUED_COMMANDS: usize = 1024;

#[derive(Debug)]
enum Command {
    Emit {
        event: String,
        args: Vec<ArgValue>,
        ack: Option<oneshot::Sender<Vec<ArgValue>>>,
    },
    Reply {
        id: u64,
        args: Vec<ArgValue>,
    },
    Connect,
    Disconnect(oneshot::Sender<()>),
}

/// Status of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// Session id, while connected.
    pub(super) id: Option<String>,
    /// Transport, while connected.
    pub(super) transport: Option<&'static str>,
    /// Number of queued events.
    pub(super) waiting: usize,
    /// Number of pending acknowledgements.
    pub(super) acks: usize,
}

/// Session with an old server. Cheap to clone; dropping the last clone closes the connection.
#[derive(Debug, Clone)]
pub(super) struct Legacy {
    commands: mpsc::Sender<Command>,
    status: Arc<Mutex<Status>>,
}

/// Sender of an event's acknowledgement.
#[derive(Debug, Clone)]
pub(crate) struct ReplyTo {
    id: u64,
    commands: mpsc::WeakSender<Command>,
}

impl ReplyTo {
    pub(super) fn send(self, args: Vec<ArgValue>) -> Result<(), Failure> {
        match self.commands.upgrade() {
            Some(commands) => push(&commands, Command::Reply { id: self.id, args }),
            None => Err(closed()),
        }
    }
}

fn closed() -> Failure {
    Failure::new(Code::Lost, "the connection is closed")
}

fn push(commands: &mpsc::Sender<Command>, command: Command) -> Result<(), Failure> {
    commands.try_send(command).map_err(|error| match error {
        mpsc::error::TrySendError::Closed(_) => closed(),
        mpsc::error::TrySendError::Full(_) => Failure::new(
            Code::Failed,
            format!("more than {MAX_QUEUED_COMMANDS} events wait to be sent"),
        ),
    })
}

impl Legacy {
    /// Starts connecting; the events of the session go to `notes`.
    pub(super) fn start(
        target: &Target,
        options: &SessionOptions,
        notes: mpsc::Sender<SessionEvent>,
    ) -> Result<Self, Failure> {
        let (commands, receiver) = mpsc::channel(MAX_QUEUED_COMMANDS);
        let status = Arc::new(Mutex::new(Status::default()));
        let outside = worker::WorkerChannels {
            notes,
            commands: receiver,
            weak: commands.downgrade(),
            status: status.clone(),
        };
        tokio::spawn(worker::Worker::new(target, options, outside)?.run());
        Ok(Self { commands, status })
    }

    /// Returns the current status.
    pub(super) fn status(&self) -> Status {
        self.status.lock().clone()
    }

    pub(super) fn emit(
        &self,
        event: &str,
        args: Vec<ArgValue>,
        ack: Option<oneshot::Sender<Vec<ArgValue>>>,
    ) -> Result<(), Failure> {
        push(
            &self.commands,
            Command::Emit {
                event: event.to_owned(),
                args,
                ack,
            },
        )
    }

    /// Emits like `emit`, but waits while the queue is full.
    pub(super) async fn push(&self, event: &str, args: Vec<ArgValue>) -> Result<(), Failure> {
        let command = Command::Emit {
            event: event.to_owned(),
            args,
            ack: None,
        };
        self.commands.send(command).await.map_err(|_| closed())
    }

    /// Connects again after a disconnection; otherwise does nothing.
    pub(super) fn connect(&self) -> Result<(), Failure> {
        push(&self.commands, Command::Connect)
    }

    /// Sends the queued events, and disconnects.
    pub(super) async fn disconnect(&self) {
        let (sender, done) = oneshot::channel();
        if self
            .commands
            .send(Command::Disconnect(sender))
            .await
            .is_ok()
        {
            let _ = done.await;
        }
    }
}
