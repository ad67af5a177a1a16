//! The task that holds the connection to an old server, makes it again when it is lost, and ends with its handles.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use fanfare_protocol::Limits;
use fanfare_protocol::engine::{Opened, v3};
use fanfare_protocol::socket::{AllArgs, Args, Decoder, Packet, Spread, encode_ack, encode_event};
use fanfare_websocket::{CloseCode, Message, Options, WebSocket};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use super::{COMMANDS, Command, ReplyTo};
use crate::exit::Failure;
use crate::net::{Dialer, Stream, Tls};
use crate::session::{Incoming, Note, Reply, SessionOptions};
use crate::target::Target;
use crate::values::Datum;

pub(super) struct Worker {
    dialer: Dialer,
    target: Target,
    patience: Duration,
    notes: mpsc::Sender<Note>,
    commands: mpsc::Receiver<Command>,
    weak: mpsc::WeakSender<Command>,
    /// What is to be sent once the namespace is joined.
    waiting: VecDeque<Command>,
    acks: HashMap<u64, oneshot::Sender<Vec<Datum>>>,
    next_ack: u64,
}

/// How one connection ended.
enum End {
    /// No handle is left.
    Gone,
    /// By us.
    Client(oneshot::Sender<()>),
    /// By the server, for good.
    Server(String),
    /// It was lost, or never was.
    Lost(String, bool),
}

impl From<Interrupt> for End {
    fn from(interrupt: Interrupt) -> Self {
        match interrupt {
            Interrupt::Gone => Self::Gone,
            Interrupt::Disconnect(done) => Self::Client(done),
        }
    }
}

/// What ends waiting for a connection.
enum Interrupt {
    Gone,
    Disconnect(oneshot::Sender<()>),
}

impl Worker {
    pub(super) fn new(
        target: &Target,
        options: &SessionOptions,
        notes: mpsc::Sender<Note>,
        commands: mpsc::Receiver<Command>,
        weak: mpsc::WeakSender<Command>,
    ) -> Result<Self, Failure> {
        let tls = Tls::new(options.server.ca.as_deref(), options.server.insecure)?;
        Ok(Self {
            dialer: Dialer::new(target, &tls, options.connect_timeout),
            target: target.clone(),
            patience: options.connect_timeout,
            notes,
            commands,
            weak,
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
            let goes_on = match end {
                End::Gone => false,
                End::Client(done) => {
                    self.waiting.clear();
                    let _ = done.send(());
                    self.disconnected("io client disconnect".to_owned()).await
                }
                End::Server(reason) => self.disconnected(reason).await,
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
                    attempt += 1;
                    self.pause(note, attempt).await
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    /// Says so, and waits until `connect` is asked for. `false`: nobody is left to ask.
    async fn disconnected(&mut self, reason: String) -> bool {
        let note = Note::Disconnected {
            reason,
            reconnects: false,
        };
        if self.notes.send(note).await.is_err() {
            return false;
        }
        loop {
            match self.commands.recv().await {
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
            if self.notes.send(note).await.is_err() {
                return false;
            }
        }
        let interrupt = tokio::select! {
            () = sleep(delay) => return true,
            interrupt = self.interrupt() => interrupt,
        };
        match interrupt {
            Interrupt::Gone => false,
            Interrupt::Disconnect(done) => {
                self.waiting.clear();
                let _ = done.send(());
                self.disconnected("io client disconnect".to_owned()).await
            }
        }
    }

    /// Keeps what is emitted while there is no connection, until one is no longer wanted. Cancellation-safe.
    async fn interrupt(&mut self) -> Interrupt {
        loop {
            match self.commands.recv().await {
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
    }

    /// What is to be done next once the namespace is joined; before, only what ends the waiting. Cancellation-safe.
    async fn next_command(&mut self, joined: bool) -> Option<Command> {
        if !joined {
            return match self.interrupt().await {
                Interrupt::Gone => None,
                Interrupt::Disconnect(done) => Some(Command::Disconnect(done)),
            };
        }
        match self.waiting.pop_front() {
            Some(command) => Some(command),
            None => self.commands.recv().await,
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

    fn open(&self) -> impl Future<Output = Result<WebSocket<Stream>, String>> + Send + use<> {
        let (target, dialer, open_timeout) =
            (self.target.clone(), self.dialer.clone(), self.patience);
        let query = self.query();
        let main = target.namespace == "/" && !query.is_empty();
        let own = if main {
            format!("&{query}")
        } else {
            String::new()
        };
        async move {
            let uri = target
                .websocket_uri(&format!("EIO=3&transport=websocket{own}"))
                .map_err(|error| error.to_string())?;
            let io = dialer.dial().await.map_err(|error| error.to_string())?;
            let options = Options {
                headers: target.headers,
                open_timeout,
                ..Options::default()
            };
            WebSocket::client(io, &uri, &options)
                .await
                .map_err(|error| error.to_string())
        }
    }

    async fn connection(&mut self) -> End {
        let opening = self.open();
        let opened = tokio::select! {
            opened = opening => opened,
            interrupt = self.interrupt() => return interrupt.into(),
        };
        let mut socket = match opened {
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
        let mut connection = Connection {
            socket,
            sid: opened.sid.to_string(),
            decoder: Decoder::new(),
            limits: limits(),
            joined: false,
            deadline: None,
        };
        let mut ping = interval_at(Instant::now() + opened.ping_interval, opened.ping_interval);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let overdue = connection.deadline;
            let overdue = async move {
                match overdue {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            let joined = connection.joined;
            let sent = tokio::select! {
                () = overdue => return End::Lost("ping timeout".to_owned(), joined),
                _ = ping.tick() => {
                    connection.deadline = Some(Instant::now() + opened.ping_timeout);
                    connection.socket.send("2").await
                }
                command = self.next_command(joined) => match command {
                    None => {
                        connection.close().await;
                        return End::Gone;
                    }
                    Some(Command::Disconnect(done)) => {
                        connection.close().await;
                        return End::Client(done);
                    }
                    Some(command) => self.command(&mut connection.socket, command).await,
                },
                message = connection.socket.recv() => match self.message(&mut connection, message).await {
                    Ok(()) => Ok(()),
                    Err(end) => return end,
                }
            };
            if sent.is_err() {
                return End::Lost("transport error".to_owned(), joined);
            }
        }
    }

    async fn message(
        &mut self,
        connection: &mut Connection,
        message: Option<Result<Message, fanfare_websocket::Error>>,
    ) -> Result<(), End> {
        let joined = connection.joined;
        let lost = |why: String| End::Lost(why, joined);
        match message {
            Some(Ok(Message::Text(text))) => {
                connection.deadline = None;
                match text.as_bytes().first() {
                    Some(b'4') => self.text(connection, &text[1..]).await,
                    Some(b'1') => Err(lost("transport close".to_owned())),
                    _ => Ok(()),
                }
            }
            Some(Ok(Message::Binary(bytes))) => {
                connection.deadline = None;
                let bytes = bytes.get(1..).unwrap_or_default();
                match connection.decoder.binary(bytes, &connection.limits) {
                    Ok(Some(assembled)) => self.packet(assembled.packet()).await,
                    Ok(None) => Ok(()),
                    Err(error) => Err(lost(error.to_string())),
                }
            }
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(lost("transport close".to_owned())),
            Some(Ok(_)) => Ok(()),
        }
    }

    async fn text(&mut self, connection: &mut Connection, text: &str) -> Result<(), End> {
        let packet = match connection.decoder.text(text, &connection.limits) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(()),
            Err(error) => return Err(End::Lost(error.to_string(), connection.joined)),
        };
        let Packet::Connect(connect) = &packet else {
            return self.packet(packet).await;
        };
        let wanted = &self.target.namespace;
        let name = connect.namespace.split('?').next().unwrap_or_default();
        if name == wanted {
            connection.joined = true;
            let id = if wanted == "/" {
                connection.sid.clone()
            } else {
                format!("{wanted}#{}", connection.sid)
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
            let sent = connection.socket.send(format!("40{wanted}{query}")).await;
            return sent.map_err(|_| End::Lost("transport error".to_owned(), false));
        }
        Ok(())
    }

    async fn note(&self, note: Note) -> Result<(), End> {
        self.notes.send(note).await.map_err(|_| End::Gone)
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
                    &self.target.namespace,
                    id,
                    &event,
                    &Spread(AllArgs(args)),
                    &mut attachments,
                )
            }
            Command::Reply { id, args } => encode_ack(
                &mut out,
                &self.target.namespace,
                id,
                &Spread(AllArgs(args)),
                &mut attachments,
            ),
            Command::Connect | Command::Disconnect(_) => return Ok(()),
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

/// One connection.
struct Connection {
    socket: WebSocket<Stream>,
    sid: String,
    decoder: Decoder,
    limits: Limits,
    joined: bool,
    /// When the answer to our ping must be there.
    deadline: Option<Instant>,
}

impl Connection {
    async fn close(&mut self) {
        let _ = self.socket.close(CloseCode::NORMAL, "").await;
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
