//! A session with any Socket.IO server: with `fanfare-client`, and with the old protocol where a server speaks only that.

mod legacy;
mod modern;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use clap::Args;
use fanfare_client::AckSender;
use fanfare_protocol::socket::{AllArgs, Spread};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::exit::{Code, Failure};
use crate::target::{Server, Target, TransportChoice};
use crate::values::Datum;

/// Notes that wait for a slow reader; the connection is read more slowly then.
const NOTES: usize = 1024;

/// Options of sessions.
#[derive(Clone, Debug, Args)]
pub(crate) struct SessionOptions {
    #[command(flatten)]
    pub(crate) server: Server,

    /// How to connect.
    #[arg(long, value_enum, default_value_t = TransportChoice::Auto, help_heading = "Connection")]
    pub(crate) transport: TransportChoice,

    /// The Engine.IO protocol: 4 (Socket.IO v3 and v4), 3 (Socket.IO v1 and v2, over WebSocket only), or found out.
    #[arg(long, value_name = "3|4|auto", default_value = "auto", value_parser = ["3", "4", "auto"], help_heading = "Connection")]
    pub(crate) eio: String,

    /// How long connecting may take.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::values::duration, help_heading = "Connection")]
    pub(crate) connect_timeout: Duration,
}

/// What happens.
#[derive(Debug)]
pub(crate) enum Note {
    /// The namespace was joined.
    Connected {
        id: String,
        recovered: bool,
        transport: String,
    },
    /// The server refused.
    Refused {
        message: String,
        data: Option<Datum>,
    },
    /// An attempt to connect failed; another may follow.
    Failed(String),
    /// The connection ended.
    Disconnected { reason: String, reconnects: bool },
    /// An attempt was scheduled.
    Retry { attempt: u32, delay: Duration },
    /// The transport was upgraded.
    Upgraded(String),
    /// The server speaks only the old protocol; the session goes on with that.
    Legacy,
    /// An event.
    Event(Incoming),
    /// So many events were lost because they were not read fast enough.
    Lagged(u64),
}

/// An event of the server.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) name: String,
    pub(crate) args: Vec<Datum>,
    /// To acknowledge it, if the server asks for that.
    pub(crate) reply: Option<Reply>,
}

/// Acknowledges an event.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Modern(AckSender),
    Legacy(legacy::ReplyTo),
}

impl Reply {
    /// Sends the acknowledgement.
    pub(crate) fn send(self, args: Vec<Datum>) -> Result<(), Failure> {
        match self {
            Self::Modern(sender) => sender.send(Spread(AllArgs(args))).map_err(emit_failure),
            Self::Legacy(to) => to.send(args),
        }
    }
}

/// Why there was no acknowledgement.
#[derive(Debug)]
pub(crate) enum AskError {
    Timeout,
    Lost(String),
}

#[derive(Debug, Clone)]
enum Backend {
    Modern(fanfare_client::Socket),
    Legacy(legacy::Legacy),
}

/// Emits. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    backend: Arc<Mutex<Backend>>,
}

/// A session.
#[derive(Debug)]
pub(crate) struct Session {
    handle: Handle,
    notes: mpsc::Receiver<Note>,
    target: Target,
    options: SessionOptions,
    may_be_old: Arc<AtomicBool>,
}

impl Session {
    /// Begins to connect. Without `reconnect`, the first failure is the last.
    pub(crate) fn open(options: &SessionOptions, reconnect: bool) -> Result<Self, Failure> {
        let target = options.server.target()?;
        let (sender, notes) = mpsc::channel(NOTES);
        let may_be_old = options.eio == "auto" && options.transport != TransportChoice::Polling;
        let may_be_old = Arc::new(AtomicBool::new(may_be_old));
        if may_be_old.load(Relaxed) {
            let look = legacy::look(
                target.clone(),
                options.clone(),
                sender.clone(),
                may_be_old.clone(),
            );
            tokio::spawn(look);
        }
        let backend = if options.eio == "3" {
            Backend::Legacy(legacy::Legacy::start(&target, options, sender)?)
        } else {
            Backend::Modern(modern::start(&target, options, reconnect, sender)?)
        };
        let handle = Handle {
            backend: Arc::new(Mutex::new(backend)),
        };
        Ok(Self {
            handle,
            notes,
            target,
            options: options.clone(),
            may_be_old,
        })
    }

    /// The target.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// To emit while notes are awaited.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// What happens next; `None` when it is over. Cancellation-safe.
    pub(crate) async fn next(&mut self) -> Option<Note> {
        loop {
            let note = self.notes.recv().await?;
            let old = match &note {
                Note::Connected { .. } => {
                    self.may_be_old.store(false, Relaxed);
                    false
                }
                // The client's own words, for want of the id that newer servers send.
                Note::Refused { message: why, .. } | Note::Failed(why) => why.contains("v2.x"),
                Note::Legacy => true,
                _ => false,
            };
            if old
                && self.may_be_old.swap(false, Relaxed)
                && let Some(notes) = self.fall_back()
            {
                self.notes = notes;
                return Some(Note::Legacy);
            }
            if !matches!(note, Note::Legacy) {
                return Some(note);
            }
        }
    }

    /// Goes on with the old protocol.
    fn fall_back(&self) -> Option<mpsc::Receiver<Note>> {
        let (sender, notes) = mpsc::channel(NOTES);
        let legacy = legacy::Legacy::start(&self.target, &self.options, sender).ok()?;
        *self.handle.backend.lock() = Backend::Legacy(legacy);
        Some(notes)
    }

    /// Waits for the connection; the first failure ends it.
    pub(crate) async fn connected(&mut self) -> Result<Note, Failure> {
        let (origin, patience) = (self.target.origin(), self.options.connect_timeout);
        let wait = async {
            while let Some(note) = self.next().await {
                match note {
                    Note::Connected { .. } => return Ok(note),
                    Note::Refused { message, data } => {
                        return Err(self.refused(&message, data.as_ref()));
                    }
                    Note::Failed(why) => return Err(self.unreachable(&why)),
                    _ => {}
                }
            }
            Err(self.unreachable("the connection was closed"))
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(result) => result,
            Err(_) => Err(
                Failure::new(Code::Unreachable, format!("cannot connect to {origin}"))
                    .because(format!("no answer within {patience:?}"))
                    .fix(format!("fanfare doctor {origin}")),
            ),
        }
    }

    fn unreachable(&self, why: &str) -> Failure {
        let origin = self.target.origin();
        let failure = Failure::new(
            Code::Unreachable,
            format!("cannot connect to {origin}{}", self.target.path),
        )
        .because(why);
        // What a payload of the old protocol looks like to the new one.
        if self.options.transport == TransportChoice::Polling && why.starts_with("parse error") {
            return failure.fix(
                "if it is a server of Socket.IO v1 or v2 (Engine.IO 3): leave --transport out, those are spoken to \
                 by WebSocket only",
            );
        }
        failure.fix(format!("`fanfare doctor {origin}` finds out what is wrong"))
    }

    /// The failure for a refusal.
    pub(crate) fn refused(&self, message: &str, data: Option<&Datum>) -> Failure {
        let data = data
            .map(|data| format!(" ({})", data.to_json()))
            .unwrap_or_default();
        let failure = Failure::new(
            Code::Refused,
            format!("the server refused the namespace {}", self.target.namespace),
        )
        .because(format!("{message}{data}"));
        if message == "Invalid namespace" {
            failure.fix("check the namespace: it is the URL's path, or -n NAME; the endpoint's path is --path")
        } else if self.options.server.auth.is_none() {
            failure
                .fix("if it wants credentials: --auth '{\"token\":\"…\"}' or -H 'Authorization: …'")
        } else {
            failure.fix("check the credentials given with --auth")
        }
    }
}

impl Handle {
    fn backend(&self) -> Backend {
        self.backend.lock().clone()
    }

    /// Emits an event; `volatile` ones are dropped while not connected.
    pub(crate) fn emit(
        &self,
        event: &str,
        args: Vec<Datum>,
        volatile: bool,
    ) -> Result<(), Failure> {
        match self.backend() {
            Backend::Modern(socket) => {
                let args = Spread(AllArgs(args));
                let result = if volatile {
                    socket.emit_volatile(event, args).map(drop)
                } else {
                    socket.emit(event, args)
                };
                result.map_err(emit_failure)
            }
            Backend::Legacy(legacy) => legacy.emit(event, args, None),
        }
    }

    /// Emits an event and waits for its acknowledgement.
    pub(crate) async fn ask(
        &self,
        event: &str,
        args: Vec<Datum>,
        patience: Duration,
    ) -> Result<Vec<Datum>, AskError> {
        match self.backend() {
            Backend::Modern(socket) => {
                let request = socket
                    .emit_with_ack::<AllArgs<Datum>>(event, Spread(AllArgs(args)))
                    .timeout(patience);
                match request.await {
                    Ok(AllArgs(answer)) => Ok(answer),
                    Err(fanfare_client::AckError::Timeout) => Err(AskError::Timeout),
                    Err(error) => Err(AskError::Lost(error.to_string())),
                }
            }
            Backend::Legacy(legacy) => {
                let (sender, answer) = tokio::sync::oneshot::channel();
                legacy
                    .emit(event, args, Some(sender))
                    .map_err(|_| AskError::Lost("too much waits to be sent".into()))?;
                match tokio::time::timeout(patience, answer).await {
                    Ok(Ok(answer)) => Ok(answer),
                    Ok(Err(_)) => Err(AskError::Lost("the connection was lost".to_owned())),
                    Err(_) => Err(AskError::Timeout),
                }
            }
        }
    }

    /// Connects again after a disconnection.
    pub(crate) fn connect(&self) -> Result<(), Failure> {
        match self.backend() {
            Backend::Modern(socket) => {
                socket.connect();
                Ok(())
            }
            Backend::Legacy(legacy) => legacy.connect(),
        }
    }

    /// Flushes and disconnects.
    pub(crate) async fn disconnect(&self) {
        match self.backend() {
            Backend::Modern(socket) => socket.disconnect().await,
            Backend::Legacy(legacy) => legacy.disconnect().await,
        }
    }

    /// What `info` shows.
    pub(crate) fn info(&self) -> Vec<(&'static str, String)> {
        match self.backend() {
            Backend::Modern(socket) => vec![
                (
                    "state",
                    if socket.connected() {
                        "connected"
                    } else {
                        "not connected"
                    }
                    .to_owned(),
                ),
                (
                    "id",
                    socket.id().map_or("-".to_owned(), |id| id.to_string()),
                ),
                ("namespace", socket.namespace().to_owned()),
                (
                    "transport",
                    socket
                        .manager()
                        .transport()
                        .map_or("-".to_owned(), |transport| transport.to_string()),
                ),
                ("protocol", "Socket.IO 5, Engine.IO 4".to_owned()),
                ("waiting to be sent", socket.buffered().0.to_string()),
                ("awaited acks", socket.pending_acks().to_string()),
            ],
            Backend::Legacy(_) => vec![
                ("transport", "websocket".to_owned()),
                (
                    "protocol",
                    "Socket.IO 4, Engine.IO 3 (server v1 or v2)".to_owned(),
                ),
            ],
        }
    }
}

fn emit_failure(error: fanfare_client::EmitError) -> Failure {
    Failure::new(Code::Failed, "the event cannot be emitted").because(error)
}
