//! Engine.IO 3 and Socket.IO protocol 4: servers of v1 and v2.
//!
//! What differs from today: the client sends the pings, the server joins the main namespace unasked, `auth` travels as
//! query, binary frames begin with a byte for their type, payloads of polling with lengths, and errors of a namespace
//! are any JSON.

mod connection;
mod detect;
mod link;
mod worker;

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

pub(super) use detect::{is_old, look};

use super::{Note, SessionOptions};
use crate::exit::{Code, Failure};
use crate::target::Target;
use crate::values::Datum;

/// Events that may wait to be sent.
const COMMANDS: usize = 1024;

#[derive(Debug)]
enum Command {
    Emit {
        event: String,
        args: Vec<Datum>,
        ack: Option<oneshot::Sender<Vec<Datum>>>,
    },
    Reply {
        id: u64,
        args: Vec<Datum>,
    },
    Connect,
    Disconnect(oneshot::Sender<()>),
}

/// What can be asked about a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Status {
    /// While connected.
    pub(super) id: Option<String>,
    /// While connected.
    pub(super) transport: Option<&'static str>,
    /// Events that wait to be sent.
    pub(super) waiting: usize,
    /// Acknowledgements that are awaited.
    pub(super) acks: usize,
}

/// A session with an old server. Cheap to clone; the last one closes the connection.
#[derive(Debug, Clone)]
pub(super) struct Legacy {
    commands: mpsc::Sender<Command>,
    status: Arc<Mutex<Status>>,
}

/// Acknowledges an event.
#[derive(Debug, Clone)]
pub(crate) struct ReplyTo {
    id: u64,
    commands: mpsc::WeakSender<Command>,
}

impl ReplyTo {
    pub(super) fn send(self, args: Vec<Datum>) -> Result<(), Failure> {
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
            format!("more than {COMMANDS} events wait to be sent"),
        ),
    })
}

impl Legacy {
    /// Starts connecting; what happens goes to `notes`.
    pub(super) fn start(
        target: &Target,
        options: &SessionOptions,
        notes: mpsc::Sender<Note>,
    ) -> Result<Self, Failure> {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let status = Arc::new(Mutex::new(Status::default()));
        let outside = worker::Outside {
            notes,
            commands: receiver,
            weak: commands.downgrade(),
            status: status.clone(),
        };
        tokio::spawn(worker::Worker::new(target, options, outside)?.run());
        Ok(Self { commands, status })
    }

    /// What there is to know.
    pub(super) fn status(&self) -> Status {
        self.status.lock().clone()
    }

    pub(super) fn emit(
        &self,
        event: &str,
        args: Vec<Datum>,
        ack: Option<oneshot::Sender<Vec<Datum>>>,
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

    /// As `emit`, but waits for room.
    pub(super) async fn push(&self, event: &str, args: Vec<Datum>) -> Result<(), Failure> {
        let command = Command::Emit {
            event: event.to_owned(),
            args,
            ack: None,
        };
        self.commands.send(command).await.map_err(|_| closed())
    }

    /// Connects again after a disconnection; does nothing otherwise.
    pub(super) fn connect(&self) -> Result<(), Failure> {
        push(&self.commands, Command::Connect)
    }

    /// Sends what was emitted, and disconnects.
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
