//! Engine.IO 3 and Socket.IO protocol 4 over WebSocket: servers of v1 and v2.
//!
//! What differs from today: the client sends the pings, the server joins the main namespace unasked, `auth` travels as
//! query, binary frames begin with a byte for their type, and errors of a namespace are any JSON.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use ::http::Method;
use fanfare_protocol::Limits;
use fanfare_protocol::engine::{Opened, v3};
use fanfare_protocol::socket::{AllArgs, Args, Decoder, Packet, Spread, encode_ack, encode_event};
use fanfare_websocket::{CloseCode, Message, Options, WebSocket};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::{Incoming, Note, Reply, SessionOptions};
use crate::exit::{Code, Failure};
use crate::net::{Dialer, Stream, Tls, http};
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
    Close(oneshot::Sender<()>),
}

/// A session with an old server. Cheap to clone; the last one closes the connection.
#[derive(Debug, Clone)]
pub(super) struct Legacy {
    commands: mpsc::Sender<Command>,
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
            None => Err(Failure::new(Code::Lost, "the connection is closed")),
        }
    }
}

fn push(commands: &mpsc::Sender<Command>, command: Command) -> Result<(), Failure> {
    commands.try_send(command).map_err(|_| {
        Failure::new(
            Code::Failed,
            format!("more than {COMMANDS} events wait to be sent"),
        )
    })
}

impl Legacy {
    pub(super) fn start(
        target: &Target,
        options: &SessionOptions,
        notes: mpsc::Sender<Note>,
    ) -> Result<Self, Failure> {
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let tls = Tls::new(options.server.ca.as_deref(), options.server.insecure)?;
        let worker = Worker {
            dialer: Dialer::new(target, &tls, options.connect_timeout),
            target: target.clone(),
            patience: options.connect_timeout,
            notes,
            commands: receiver,
            weak: commands.downgrade(),
            acks: HashMap::new(),
            next_ack: 0,
            namespace: String::new(),
        };
        tokio::spawn(worker.run());
        Ok(Self { commands })
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

    pub(super) async fn close(&self) {
        let (sender, done) = oneshot::channel();
        if self.commands.send(Command::Close(sender)).await.is_ok() {
            let _ = done.await;
        }
    }
}

struct Worker {
    dialer: Dialer,
    target: Target,
    patience: Duration,
    notes: mpsc::Sender<Note>,
    commands: mpsc::Receiver<Command>,
    weak: mpsc::WeakSender<Command>,
    acks: HashMap<u64, oneshot::Sender<Vec<Datum>>>,
    next_ack: u64,
    namespace: String,
}

/// How one connection ended.
enum End {
    /// By us.
    Done,
    /// By the server, for good.
    Server(String),
    /// It was lost, or never was.
    Lost(String, bool),
}

impl Worker {
    async fn run(mut self) {
        let mut attempt = 0;
        loop {
            match self.connection().await {
                End::Done => return,
                End::Server(reason) => {
                    let _ = self
                        .notes
                        .send(Note::Disconnected {
                            reason,
                            reconnects: false,
                        })
                        .await;
                    return;
                }
                End::Lost(reason, connected) => {
                    let note = if connected {
                        attempt = 0;
                        Note::Disconnected {
                            reason,
                            reconnects: true,
                        }
                    } else {
                        Note::Failed(reason)
                    };
                    self.acks.clear();
                    attempt += 1;
                    let delay = Duration::from_secs(attempt.min(5).into());
                    if self.notes.send(note).await.is_err()
                        || self
                            .notes
                            .send(Note::Retry { attempt, delay })
                            .await
                            .is_err()
                    {
                        return;
                    }
                    sleep(delay).await;
                }
            }
        }
    }

    /// `auth` as query: what servers before v3 have instead.
    fn query(&self) -> String {
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

    async fn open(&self) -> Result<WebSocket<Stream>, String> {
        let query = self.query();
        let main = self.target.namespace == "/" && !query.is_empty();
        let own = if main {
            format!("&{query}")
        } else {
            String::new()
        };
        let uri = self
            .target
            .websocket_uri(&format!("EIO=3&transport=websocket{own}"))
            .map_err(|e| e.to_string())?;
        let io = self
            .dialer
            .dial()
            .await
            .map_err(|error| error.to_string())?;
        let options = Options {
            headers: self.target.headers.clone(),
            open_timeout: self.patience,
            ..Options::default()
        };
        WebSocket::client(io, &uri, &options)
            .await
            .map_err(|error| error.to_string())
    }

    async fn connection(&mut self) -> End {
        let mut socket = match self.open().await {
            Ok(socket) => socket,
            Err(why) => return End::Lost(why, false),
        };
        let opened = match tokio::time::timeout(self.patience, socket.recv()).await {
            Ok(Some(Ok(Message::Text(text)))) => text
                .strip_prefix('0')
                .and_then(|json| Opened::parse(json).ok()),
            _ => None,
        };
        let Some(opened) = opened else {
            return End::Lost("the server did not open a session".to_owned(), false);
        };
        let limits = limits();
        let mut decoder = Decoder::new();
        let mut joined = false;
        let mut ping = interval_at(Instant::now() + opened.ping_interval, opened.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut deadline: Option<Instant> = None;
        loop {
            let overdue = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let sent = tokio::select! {
                () = overdue => return End::Lost("ping timeout".to_owned(), joined),
                _ = ping.tick() => {
                    deadline = Some(Instant::now() + opened.ping_timeout);
                    socket.send("2").await
                }
                command = self.commands.recv(), if joined => match command {
                    None => {
                        let _ = socket.close(CloseCode::NORMAL, "").await;
                        return End::Done;
                    }
                    Some(Command::Close(done)) => {
                        let _ = socket.close(CloseCode::NORMAL, "").await;
                        let _ = done.send(());
                        return End::Done;
                    }
                    Some(command) => self.command(&mut socket, command).await,
                },
                message = socket.recv() => {
                    let packet = match message {
                        Some(Ok(Message::Text(text))) => {
                            deadline = None;
                            match text.as_bytes().first() {
                                Some(b'4') => self.text(&mut socket, &mut decoder, &limits, &text[1..], &mut joined, &opened.sid).await,
                                Some(b'1') => return End::Lost("transport close".to_owned(), joined),
                                _ => Ok(()),
                            }
                        }
                        Some(Ok(Message::Binary(bytes))) => {
                            deadline = None;
                            match decoder.binary(bytes.get(1..).unwrap_or_default(), &limits) {
                                Ok(Some(assembled)) => self.packet(assembled.packet()).await,
                                Ok(None) => Ok(()),
                                Err(error) => Err(End::Lost(error.to_string(), joined)),
                            }
                        }
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return End::Lost("transport close".to_owned(), joined),
                        Some(Ok(_)) => Ok(()),
                    };
                    match packet {
                        Ok(()) => Ok(()),
                        Err(end) => return end,
                    }
                }
            };
            if sent.is_err() {
                return End::Lost("transport error".to_owned(), joined);
            }
        }
    }

    async fn text(
        &mut self,
        socket: &mut WebSocket<Stream>,
        decoder: &mut Decoder,
        limits: &Limits,
        text: &str,
        joined: &mut bool,
        sid: &str,
    ) -> Result<(), End> {
        let packet = match decoder.text(text, limits) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(()),
            Err(error) => return Err(End::Lost(error.to_string(), *joined)),
        };
        if let Packet::Connect(connect) = &packet {
            let wanted = self.target.namespace.clone();
            let name = connect.namespace.split('?').next().unwrap_or_default();
            if name == wanted {
                *joined = true;
                self.namespace = wanted.clone();
                let id = if wanted == "/" {
                    sid.to_owned()
                } else {
                    format!("{wanted}#{sid}")
                };
                let note = Note::Connected {
                    id,
                    recovered: false,
                    transport: "websocket".to_owned(),
                };
                return self.note(note).await;
            }
            if name == "/" {
                let query = self.query();
                let query = if query.is_empty() {
                    query
                } else {
                    format!("?{query}")
                };
                let sent = socket.send(format!("40{wanted}{query}")).await;
                return sent.map_err(|_| End::Lost("transport error".to_owned(), false));
            }
            return Ok(());
        }
        self.packet(packet).await
    }

    async fn note(&self, note: Note) -> Result<(), End> {
        self.notes.send(note).await.map_err(|_| End::Done)
    }

    async fn packet(&mut self, packet: Packet<'_>) -> Result<(), End> {
        if packet.namespace().split('?').next().unwrap_or_default() != self.target.namespace {
            return Ok(());
        }
        match packet {
            Packet::Event(event) => {
                let reply = event.ack.map(|id| {
                    Reply::Legacy(ReplyTo {
                        id,
                        commands: self.weak.clone(),
                    })
                });
                let incoming = Incoming {
                    name: event.name.to_string(),
                    args: data(&event.args),
                    reply,
                };
                self.note(Note::Event(incoming)).await
            }
            Packet::Ack(ack) => {
                if let Some(sender) = self.acks.remove(&ack.id) {
                    let _ = sender.send(data(&ack.args));
                }
                Ok(())
            }
            Packet::ConnectError(error) => {
                let body = error.body();
                let data = body.data.and_then(|data| serde_json::from_str(&data).ok());
                self.note(Note::Refused {
                    message: body.message,
                    data,
                })
                .await
            }
            Packet::Disconnect(_) => Err(End::Server("io server disconnect".to_owned())),
            Packet::Connect(_) => Ok(()),
        }
    }

    async fn command(
        &mut self,
        socket: &mut WebSocket<Stream>,
        command: Command,
    ) -> Result<(), fanfare_websocket::Error> {
        let (mut out, mut attachments) = (vec![b'4'], Vec::new());
        let encoded = match command {
            Command::Emit { event, args, ack } => {
                let id = ack.map(|ack| {
                    let id = self.next_ack;
                    self.next_ack += 1;
                    self.acks.insert(id, ack);
                    id
                });
                encode_event(
                    &mut out,
                    &self.namespace,
                    id,
                    &event,
                    &Spread(AllArgs(args)),
                    &mut attachments,
                )
            }
            Command::Reply { id, args } => encode_ack(
                &mut out,
                &self.namespace,
                id,
                &Spread(AllArgs(args)),
                &mut attachments,
            ),
            Command::Close(_) => return Ok(()),
        };
        if encoded.is_err() {
            // Values from a command line can always be encoded; a reserved event name cannot.
            return Ok(());
        }
        socket.feed(String::from_utf8_lossy(&out).into_owned())?;
        for attachment in attachments {
            let mut framed = Vec::with_capacity(attachment.len() + 1);
            v3::encode_binary(&mut framed, &attachment);
            socket.feed(framed)?;
        }
        socket.flush().await
    }
}

/// How long a server may stay silent before it is looked at.
const SILENCE: Duration = Duration::from_millis(1500);

/// Says [`Note::Legacy`] if the server speaks only the old protocol. Such a server may leave the CONNECT of a newer
/// client without an answer, so that the client cannot tell.
pub(super) async fn look(
    target: Target,
    options: SessionOptions,
    notes: mpsc::Sender<Note>,
    unknown: Arc<AtomicBool>,
) {
    sleep(SILENCE).await;
    if !unknown.load(Relaxed) {
        return;
    }
    let Ok(tls) = Tls::new(options.server.ca.as_deref(), options.server.insecure) else {
        return;
    };
    let dialer = Dialer::new(&target, &tls, options.connect_timeout);
    let request = http::request(&target, Method::GET, "EIO=4&transport=polling", "");
    let Ok(response) = http::once(&dialer, request, options.connect_timeout).await else {
        return;
    };
    // `97:0{"sid":…`: a payload of Engine.IO 3 begins with its length.
    let text = response.text();
    let old = text
        .split_once(":0{")
        .is_some_and(|(length, _)| length.parse::<u32>().is_ok());
    if old {
        let _ = notes.send(Note::Legacy).await;
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_payload = 64 << 20;
    limits.max_attachments = 1000;
    limits.max_attachment_bytes = 64 << 20;
    limits
}

fn data(args: &Args<'_>) -> Vec<Datum> {
    match args.decode::<AllArgs<Datum>>() {
        Ok(AllArgs(args)) => args,
        Err(error) => vec![Datum::Plain(
            format!("unreadable arguments: {error}").into(),
        )],
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
