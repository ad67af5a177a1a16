//! Session with any Socket.IO server: by `fanfare-client`, or by the old protocol if the server speaks only that.

mod legacy;
mod limit;
mod modern;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fanfare_client::ack::AckSender;
use fanfare_protocol::socket::{AllArgs, Spread};
use parking_lot::Mutex;
use tokio::sync::mpsc;

use crate::exit::{Code, Failure};
use crate::net;
use crate::target::{Server, Target, TransportChoice};
use crate::values::ArgValue;

/// Maximum number of events queued for a slow reader; beyond it the connection is read more slowly.
const MAX_QUEUED_EVENTS: usize = 1024;

/// Options of sessions.
#[derive(Clone, Debug, Args)]
pub(crate) struct SessionOptions {
    #[command(flatten)]
    pub(crate) server: Server,

    /// Transport to connect with.
    #[arg(long, value_enum, default_value_t = TransportChoice::Auto, help_heading = "Connection")]
    pub(crate) transport: TransportChoice,

    /// Version of the Engine.IO protocol: 4 (Socket.IO v3 and v4), 3 (Socket.IO v1 and v2), or detected.
    #[arg(long, value_name = "3|4|auto", default_value = "auto", value_parser = ["3", "4", "auto"], help_heading = "Connection")]
    pub(crate) eio: String,

    /// Encoding of packets: `msgpack` if the server has the parser `socket.io-msgpack-parser`.
    #[arg(long, value_enum, default_value_t = ParserChoice::Json, help_heading = "Connection")]
    pub(crate) parser: ParserChoice,

    /// Timeout of connecting.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = crate::values::duration, help_heading = "Connection")]
    pub(crate) connect_timeout: Duration,
}

/// Encoding of packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ParserChoice {
    /// The default of Socket.IO.
    Json,
    /// MessagePack.
    Msgpack,
}

/// Event of a session.
#[derive(Debug)]
pub(crate) enum SessionEvent {
    /// The connection is open; the namespace is not joined yet.
    Opened,
    /// The connection ended before the namespace was joined.
    Closed(String),
    /// The namespace was joined.
    Connected {
        id: String,
        recovered: bool,
        transport: String,
    },
    /// The server rejected the connection to the namespace.
    Refused {
        message: String,
        data: Option<ArgValue>,
    },
    /// An attempt to connect failed; another may follow.
    Failed(String),
    /// The connection ended.
    Disconnected { reason: String, reconnects: bool },
    /// The next attempt was scheduled.
    Retry { attempt: u32, delay: Duration },
    /// The transport was upgraded.
    Upgraded(String),
    /// The server speaks only the old protocol, with which the session continues.
    Legacy,
    /// The server emitted an event.
    Event(Incoming),
    /// This number of events was lost because they were not read fast enough.
    Lagged(u64),
}

/// Event from the server.
#[derive(Debug)]
pub(crate) struct Incoming {
    pub(crate) name: String,
    pub(crate) args: Vec<ArgValue>,
    /// Sender of the acknowledgement, if the server asks for one.
    pub(crate) reply: Option<Reply>,
}

/// Sender of an event's acknowledgement.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Modern(AckSender),
    Legacy(legacy::ReplyTo),
}

impl Reply {
    /// Sends the acknowledgement.
    pub(crate) fn send(self, args: Vec<ArgValue>) -> Result<(), Failure> {
        match self {
            Self::Modern(sender) => sender.send(Spread(AllArgs(args))).map_err(emit_failure),
            Self::Legacy(to) => to.send(args),
        }
    }
}

/// Reason for which there was no acknowledgement.
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

/// Emitter of events. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Handle {
    backend: Arc<Mutex<Backend>>,
    namespace: String,
    /// Approximate length of the longest message emitted, in bytes.
    longest: Arc<AtomicUsize>,
}

/// Session with a server.
pub(crate) struct Session {
    handle: Handle,
    notes: mpsc::Receiver<SessionEvent>,
    target: Target,
    options: SessionOptions,
    may_be_old: Arc<AtomicBool>,
    /// Whether the connection is open and the namespace is not joined yet.
    opened: bool,
    /// Failure event held back, and the probe for its cause.
    legacy_probe: Option<(SessionEvent, LegacyProbe)>,
}

/// Probe for the cause of a failure.
type LegacyProbe = Pin<Box<dyn Future<Output = Found> + Send>>;

/// Result of a probe.
enum Found {
    /// The server speaks the old protocol.
    Old,
    /// The disconnection has this reason.
    Reason(String),
    Nothing,
}

impl Session {
    /// Starts connecting. Without `reconnect`, the first failure ends the session.
    pub(crate) fn open(options: &SessionOptions, reconnect: bool) -> Result<Self, Failure> {
        let target = options.server.target()?;
        let (sender, notes) = mpsc::channel(MAX_QUEUED_EVENTS);
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
            longest: Arc::default(),
        };
        Ok(Self {
            handle,
            notes,
            target,
            options: options.clone(),
            may_be_old,
            opened: false,
            legacy_probe: None,
        })
    }

    /// Returns the target.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Returns a handle that emits while events are awaited.
    pub(crate) fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns the next event; `None` at the end of the session. Cancellation-safe.
    pub(crate) async fn next(&mut self) -> Option<SessionEvent> {
        loop {
            if let Some((_, look)) = &mut self.legacy_probe {
                let found = look.await;
                let (note, _) = self.legacy_probe.take()?;
                return Some(match (found, note) {
                    (Found::Old, note) => match self.fall_back() {
                        true => SessionEvent::Legacy,
                        false => note,
                    },
                    (Found::Reason(reason), SessionEvent::Disconnected { reconnects, .. }) => {
                        SessionEvent::Disconnected { reason, reconnects }
                    }
                    (_, note) => note,
                });
            }
            let note = self.notes.recv().await?;
            let unknown = self.may_be_old.load(Relaxed);
            match &note {
                SessionEvent::Opened => {
                    self.opened = true;
                    continue;
                }
                SessionEvent::Connected { .. } => {
                    self.opened = false;
                    self.may_be_old.store(false, Relaxed);
                }
                // Matches the client's own text, because old servers send no id of the error.
                SessionEvent::Failed(why)
                    if unknown && why.contains("v2.x") && self.fall_back() =>
                {
                    return Some(SessionEvent::Legacy);
                }
                SessionEvent::Legacy => {
                    if unknown && self.fall_back() {
                        return Some(note);
                    }
                    continue;
                }
                // The new protocol sees a payload of the old one like this, perhaps after a rejected WebSocket; and
                // such servers do not know `auth`.
                SessionEvent::Failed(why)
                    if unknown
                        && (self.opened
                            || why.starts_with("parse error")
                            || why.contains("Transport unknown")) =>
                {
                    self.probe_legacy(note);
                    continue;
                }
                SessionEvent::Closed(_) => {
                    self.opened = false;
                    if unknown {
                        self.probe_legacy(note);
                        continue;
                    }
                }
                SessionEvent::Refused { .. } if unknown => {
                    self.probe_legacy(note);
                    continue;
                }
                SessionEvent::Disconnected { reason, .. } => {
                    let longest = self.handle.longest.swap(0, Relaxed);
                    if limit::may_be_the_cause(reason, longest) {
                        let (target, options) = (self.target.clone(), self.options.clone());
                        let look = limit::reason(target, options, reason.clone(), longest);
                        self.legacy_probe = Some((note, Box::pin(look)));
                        continue;
                    }
                }
                _ => {}
            }
            return Some(note);
        }
    }

    fn probe_legacy(&mut self, note: SessionEvent) {
        let look = legacy::is_old(self.target.clone(), self.options.clone());
        let look = async {
            if look.await {
                Found::Old
            } else {
                Found::Nothing
            }
        };
        self.legacy_probe = Some((note, Box::pin(look)));
    }

    /// Continues with the old protocol; returns `false` if the session already did.
    fn fall_back(&mut self) -> bool {
        let (sender, notes) = mpsc::channel(MAX_QUEUED_EVENTS);
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
    pub(crate) async fn connected(&mut self) -> Result<SessionEvent, Failure> {
        let patience = self.options.connect_timeout;
        let wait = async {
            while let Some(note) = self.next().await {
                match note {
                    SessionEvent::Connected { .. } => return Ok(note),
                    SessionEvent::Refused { message, data } => {
                        return Err(self.refused(&message, data.as_ref()));
                    }
                    SessionEvent::Closed(why) => return Err(self.not_joined(Code::Lost, &why)),
                    SessionEvent::Failed(why) if self.opened => {
                        return Err(self.not_joined(Code::Lost, &why));
                    }
                    SessionEvent::Failed(why) => return Err(self.unreachable(&why)),
                    _ => {}
                }
            }
            Err(self.unreachable("the connection was closed"))
        };
        match tokio::time::timeout(patience, wait).await {
            Ok(result) => result,
            Err(_) if self.opened => {
                Err(self.not_joined(Code::Timeout, &format!("no answer within {patience:?}")))
            }
            Err(_) => Err(self.unreachable(&format!("no answer within {patience:?}"))),
        }
    }

    /// Returns the failure for a server that answers without joining the namespace.
    fn not_joined(&self, code: Code, why: &str) -> Failure {
        let namespace = &self.target.namespace;
        let what = format!(
            "{} is connected to, but the namespace {namespace} did not answer",
            self.target.origin()
        );
        let failure = Failure::new(code, what);
        match code {
            Code::Timeout => failure
                .because(format!("{why}: a middleware of the namespace waits, or never calls next()"))
                .fix("look into the server's log, or wait longer, with --connect-timeout 60s"),
            _ => failure
                .because(format!("{why}: the server does not understand the packet that joins it, or ends by itself"))
                .fix("--parser msgpack if the server has that parser; else look into its log"),
        }
    }

    fn unreachable(&self, why: &str) -> Failure {
        let origin = self.target.origin();
        Failure::new(
            Code::Unreachable,
            format!("cannot connect to {origin}{}", self.target.path),
        )
        .because(why)
        .fix(net::fix(why, &origin))
    }

    /// Returns the failure for a rejection.
    pub(crate) fn refused(&self, message: &str, data: Option<&ArgValue>) -> Failure {
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

    fn weigh(&self, args: &[ArgValue]) {
        let weight = args.iter().map(ArgValue::weight).sum();
        self.longest.fetch_max(weight, Relaxed);
    }

    /// Returns the number of emitted events that have not been sent.
    pub(crate) fn waiting(&self) -> usize {
        match self.backend() {
            Backend::Modern(socket) => socket.buffered().0,
            Backend::Legacy(legacy) => legacy.status().waiting,
        }
    }

    /// Emits an event; a `volatile` one is dropped while not connected.
    pub(crate) fn emit(
        &self,
        event: &str,
        args: Vec<ArgValue>,
        volatile: bool,
    ) -> Result<(), Failure> {
        self.weigh(&args);
        match self.backend() {
            Backend::Modern(socket) => {
                let args = Spread(AllArgs(args));
                let result = if volatile {
                    socket.volatile().emit(event, args)
                } else {
                    socket.emit(event, args)
                };
                result.map_err(emit_failure)
            }
            Backend::Legacy(legacy) if volatile && legacy.status().id.is_none() => Ok(()),
            Backend::Legacy(legacy) => legacy.emit(event, args, None),
        }
    }

    /// Emits an event, and waits while the queue is full, where [`emit`](Self::emit) fails: a pipe may be faster than
    /// the network.
    pub(crate) async fn push(&self, event: &str, args: Vec<ArgValue>) -> Result<(), Failure> {
        self.weigh(&args);
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

    /// Waits until all emitted events have been sent.
    pub(crate) async fn flushed(&self) {
        match self.backend() {
            Backend::Modern(socket) => {
                socket.flushed(Duration::MAX).await;
            }
            // Disconnecting happens after all queued events.
            Backend::Legacy(_) => {}
        }
    }

    /// Emits an event and waits for its acknowledgement.
    pub(crate) async fn ask(
        &self,
        event: &str,
        args: Vec<ArgValue>,
        patience: Duration,
    ) -> Result<Vec<ArgValue>, AskError> {
        self.weigh(&args);
        match self.backend() {
            Backend::Modern(socket) => {
                let request = socket
                    .timeout(patience)
                    .emit_with_ack::<AllArgs<ArgValue>>(event, Spread(AllArgs(args)));
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

    /// Returns the lines of `info`.
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
