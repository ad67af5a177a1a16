//! Session with any Socket.IO server, also with one that speaks only the old protocol.

mod client;
mod detect;
mod failure;
mod handle;
mod limit;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use clap::{Args, ValueEnum};
use fanfare_client::options::Protocol;
use tokio::sync::mpsc;

pub(crate) use handle::{AskError, Handle, Reply};

use crate::exit::{Code, Failure};
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
    /// Sender of the acknowledgement, if the server requests one.
    pub(crate) reply: Option<Reply>,
}

/// Session with a server.
pub(crate) struct Session {
    handle: Handle,
    notes: mpsc::Receiver<SessionEvent>,
    target: Target,
    options: SessionOptions,
    reconnect: bool,
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
            let look = detect::look(
                target.clone(),
                options.clone(),
                sender.clone(),
                may_be_old.clone(),
            );
            tokio::spawn(look);
        }
        let protocol = match options.eio.as_str() {
            "3" => Protocol::V3,
            _ => Protocol::V4,
        };
        let socket = client::start(&target, options, protocol, reconnect, sender)?;
        let handle = Handle::new(socket, protocol, &target.namespace);
        Ok(Self {
            handle,
            notes,
            target,
            options: options.clone(),
            reconnect,
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
                    let longest = self.handle.take_longest();
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
        let look = detect::is_old(self.target.clone(), self.options.clone());
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
        let (target, options, protocol) = (&self.target, &self.options, Protocol::V3);
        let Ok(socket) = client::start(target, options, protocol, self.reconnect, sender) else {
            return false;
        };
        self.handle.replace(socket, protocol);
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
}
