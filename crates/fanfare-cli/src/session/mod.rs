//! A session with any Socket.IO server: with `fanfare-client`, and with the old protocol where a server speaks only that.

mod legacy;
mod modern;

use std::pin::Pin;
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

    /// The Engine.IO protocol: 4 (Socket.IO v3 and v4), 3 (Socket.IO v1 and v2), or found out.
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
    namespace: String,
}

/// A session.
pub(crate) struct Session {
    handle: Handle,
    notes: mpsc::Receiver<Note>,
    target: Target,
    options: SessionOptions,
    may_be_old: Arc<AtomicBool>,
    /// A note that says no good, and the look at whether that is because the server is old.
    doubt: Option<(Note, Look)>,
}

type Look = Pin<Box<dyn Future<Output = bool> + Send>>;

impl Session {
    /// Begins to connect. Without `reconnect`, the first failure is the last.
    pub(crate) fn open(options: &SessionOptions, reconnect: bool) -> Result<Self, Failure> {
        let target = options.server.target()?;
        let (sender, notes) = mpsc::channel(NOTES);
        let may_be_old = Arc::new(AtomicBool::new(options.eio == "auto"));
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
            namespace: target.namespace.clone(),
        };
        Ok(Self {
            handle,
            notes,
            target,
            options: options.clone(),
            may_be_old,
            doubt: None,
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
            if let Some((_, look)) = &mut self.doubt {
                let old = look.await;
                let (note, _) = self.doubt.take()?;
                return Some(if old && self.fall_back() {
                    Note::Legacy
                } else {
                    note
                });
            }
            let note = self.notes.recv().await?;
            let unknown = self.may_be_old.load(Relaxed);
            match &note {
                Note::Connected { .. } => self.may_be_old.store(false, Relaxed),
                // The client's own words, for want of the id that newer servers send.
                Note::Failed(why) if unknown && why.contains("v2.x") && self.fall_back() => {
                    return Some(Note::Legacy);
                }
                Note::Legacy => {
                    if unknown && self.fall_back() {
                        return Some(note);
                    }
                    continue;
                }
                // What a payload of the old protocol looks like to the new one, perhaps after a WebSocket that was
                // refused; and such servers know nothing of `auth`.
                Note::Failed(why)
                    if unknown
                        && (why.starts_with("parse error")
                            || why.contains("Transport unknown")) =>
                {
                    self.doubt(note);
                    continue;
                }
                Note::Refused { .. } if unknown => {
                    self.doubt(note);
                    continue;
                }
                _ => {}
            }
            return Some(note);
        }
    }

    fn doubt(&mut self, note: Note) {
        let look = legacy::is_old(self.target.clone(), self.options.clone());
        self.doubt = Some((note, Box::pin(look)));
    }

    /// Goes on with the old protocol; `false` if that has been done already.
    fn fall_back(&mut self) -> bool {
        let (sender, notes) = mpsc::channel(NOTES);
        if !self.may_be_old.swap(false, Relaxed) {
            return false;
        }
        let Ok(legacy) = legacy::Legacy::start(&self.target, &self.options, sender) else {
            return false;
        };
        *self.handle.backend.lock() = Backend::Legacy(legacy);
        self.notes = notes;
        true
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
        Failure::new(
            Code::Unreachable,
            format!("cannot connect to {origin}{}", self.target.path),
        )
        .because(why)
        .fix(format!("`fanfare doctor {origin}` finds out what is wrong"))
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
            let path = self.target.namespace.ends_with("/socket.io/")
                || self.target.namespace.ends_with("/socket.io");
            failure.fix(if path {
                "leave the endpoint's path out of the URL, whose path is the namespace; if it is not /socket.io/: --path"
            } else {
                "check the namespace: it is the URL's path, or -n NAME; the endpoint's path is --path"
            })
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
            Backend::Legacy(legacy) if volatile && legacy.status().id.is_none() => Ok(()),
            Backend::Legacy(legacy) => legacy.emit(event, args, None),
        }
    }

    /// Emits an event, and waits for room where [`emit`](Self::emit) fails: a pipe may be faster than the network.
    pub(crate) async fn push(&self, event: &str, args: Vec<Datum>) -> Result<(), Failure> {
        match self.backend() {
            Backend::Modern(socket) => loop {
                match socket.emit(event, Spread(AllArgs(args.clone()))) {
                    Err(fanfare_client::EmitError::Full { .. }) => {
                        socket.flushed(Duration::MAX).await;
                    }
                    result => return result.map_err(emit_failure),
                }
            },
            Backend::Legacy(legacy) => legacy.push(event, args).await,
        }
    }

    /// Waits until all that was emitted has left.
    pub(crate) async fn flushed(&self) {
        match self.backend() {
            Backend::Modern(socket) => {
                socket.flushed(Duration::MAX).await;
            }
            // Disconnecting comes behind all that was emitted.
            Backend::Legacy(_) => {}
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
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let (id, transport, protocol, waiting, acks) = match self.backend() {
            Backend::Modern(socket) => (
                socket.id().map(|id| id.to_string()),
                socket.manager().transport().map(|name| name.to_string()),
                "Socket.IO 5, Engine.IO 4",
                socket.buffered().0,
                socket.pending_acks(),
            ),
            Backend::Legacy(legacy) => {
                let status = legacy.status();
                (
                    status.id,
                    status.transport.map(str::to_owned),
                    "Socket.IO 4, Engine.IO 3 (server v1 or v2)",
                    status.waiting,
                    status.acks,
                )
            }
        };
        let state = if id.is_some() {
            "connected"
        } else {
            "not connected"
        };
        vec![
            ("state", state.to_owned()),
            ("id", or_none(id)),
            ("namespace", self.namespace.clone()),
            ("transport", or_none(transport)),
            ("protocol", protocol.to_owned()),
            ("waiting to be sent", waiting.to_string()),
            ("awaited acks", acks.to_string()),
        ]
    }
}

fn emit_failure(error: fanfare_client::EmitError) -> Failure {
    let code = match error {
        fanfare_client::EmitError::NotSerializable(_) => Code::Usage,
        _ => Code::Failed,
    };
    Failure::new(code, "the event cannot be emitted").because(error)
}
