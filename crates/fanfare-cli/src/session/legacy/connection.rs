//! One connection to an old server: Socket.IO on a link.

use std::time::Duration;

use fanfare_protocol::engine::Opened;
use fanfare_protocol::socket::{AllArgs, Args, Decoder, Packet, Spread, encode_ack, encode_event};
use fanfare_protocol::{Limits, deadline, finite};
use tokio::sync::oneshot;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::link::{Event, Link, Packet as Frame, Wire};
use super::worker::Worker;
use super::{Command, ReplyTo};
use crate::session::{Incoming, Reply, SessionEvent};
use crate::values::ArgValue;

/// Cause of a connection's end.
pub(super) enum End {
    /// All handles are dropped.
    Gone,
    /// The client disconnected.
    Client(oneshot::Sender<()>),
    /// The server disconnected the client for good.
    Server(String),
    /// The connection was lost, or failed to open.
    Lost { why: String, joined: bool },
}

/// Open connection.
struct Connection {
    link: Link,
    sid: String,
    decoder: Decoder,
    limits: Limits,
    joined: bool,
    ping: Interval,
    /// Time at which the answer to our ping is due.
    deadline: Option<Instant>,
}

impl Connection {
    fn new(link: Link, opened: &Opened) -> Self {
        let mut ping = interval_at(after(opened.ping_interval), finite(opened.ping_interval));
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            link,
            sid: opened.sid.clone(),
            decoder: Decoder::new(),
            limits: limits(),
            joined: false,
            ping,
            deadline: None,
        }
    }

    fn lost(&self, why: impl ToString) -> End {
        End::Lost {
            why: why.to_string(),
            joined: self.joined,
        }
    }
}

async fn passed(deadline: Option<Instant>) {
    match deadline {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

impl Worker {
    fn wire(&self) -> Wire {
        let query = self.query();
        let main = self.target.namespace == "/" && !query.is_empty();
        Wire {
            dialer: self.dialer.clone(),
            target: self.target.clone(),
            patience: self.patience,
            query: if main {
                format!("&{query}")
            } else {
                String::new()
            },
            cookies: String::new(),
        }
    }

    /// Opens a connection, and drives it until it ends.
    pub(super) async fn connection(&mut self) -> End {
        let opening = Link::open(self.wire(), self.transport);
        let opened = tokio::select! {
            opened = opening => opened,
            interrupt = self.interrupt() => return interrupt.into(),
        };
        let (link, opened) = match opened {
            Ok(opened) => opened,
            Err(why) => return End::Lost { why, joined: false },
        };
        let mut connection = Connection::new(link, &opened);
        loop {
            let (joined, crowded) = (connection.joined, connection.link.is_crowded());
            tokio::select! {
                () = passed(connection.deadline) => return connection.lost("ping timeout"),
                _ = connection.ping.tick() => {
                    connection.deadline = Some(after(opened.ping_timeout));
                    connection.link.send(Frame::Text("2".to_owned()));
                }
                command = self.next_command(joined), if !crowded => match command {
                    None | Some(Command::Disconnect(_)) => {
                        // A server that does not read must not delay the end.
                        let _ = timeout(self.patience, connection.link.close()).await;
                        return match command {
                            Some(Command::Disconnect(done)) => End::Client(done),
                            _ => End::Gone,
                        };
                    }
                    Some(command) => self.command(&mut connection.link, command),
                },
                event = connection.link.next() => {
                    let result = match event {
                        Ok(Event::Packet(frame)) => self.frame(&mut connection, frame).await,
                        Ok(Event::Upgraded) => {
                            let name = connection.link.name();
                            if joined {
                                self.outside.status.lock().transport = Some(name);
                            }
                            self.note(SessionEvent::Upgraded(name.to_owned())).await
                        }
                        Err(why) => Err(connection.lost(why)),
                    };
                    if let Err(end) = result {
                        return end;
                    }
                }
            }
        }
    }

    async fn frame(&mut self, connection: &mut Connection, frame: Frame) -> Result<(), End> {
        // Any packet proves that the server is alive.
        connection.deadline = None;
        match frame {
            Frame::Text(text) => match text.as_bytes().first() {
                Some(b'4') => self.text(connection, &text[1..]).await,
                Some(b'1') => Err(connection.lost("transport close")),
                _ => Ok(()),
            },
            Frame::Binary(bytes) => match connection.decoder.binary(&bytes, &connection.limits) {
                Ok(Some(assembled)) => self.packet(assembled.packet()).await,
                Ok(None) => Ok(()),
                Err(error) => Err(connection.lost(error)),
            },
        }
    }

    async fn text(&mut self, connection: &mut Connection, text: &str) -> Result<(), End> {
        let packet = match connection.decoder.text(text, &connection.limits) {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok(()),
            Err(error) => return Err(connection.lost(error)),
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
            let transport = connection.link.name();
            self.connected_as(Some(id.clone()), Some(transport));
            let note = SessionEvent::Connected {
                id,
                recovered: false,
                transport: transport.to_owned(),
            };
            return self.note(note).await;
        }
        if name == "/" {
            let query = self.query();
            let mark = if query.is_empty() { "" } else { "?" };
            let join = format!("40{wanted}{mark}{query}");
            connection.link.send(Frame::Text(join));
        }
        Ok(())
    }

    async fn note(&self, note: SessionEvent) -> Result<(), End> {
        self.outside.notes.send(note).await.map_err(|_| End::Gone)
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
                        commands: self.outside.weak.clone(),
                    })
                });
                let incoming = Incoming {
                    name: event.name.to_string(),
                    args: data(&event.args),
                    reply,
                };
                self.note(SessionEvent::Event(incoming)).await
            }
            Packet::Ack(ack) => {
                if let Some(sender) = self.acks.remove(&ack.id) {
                    let _ = sender.send(data(&ack.args));
                }
                self.publish();
                Ok(())
            }
            Packet::ConnectError(error) => {
                let body = error.body();
                let data = body.data.and_then(|data| serde_json::from_str(&data).ok());
                self.note(SessionEvent::Refused {
                    message: body.message,
                    data,
                })
                .await
            }
            Packet::Disconnect(_) => Err(End::Server("io server disconnect".to_owned())),
            Packet::Connect(_) => Ok(()),
        }
    }

    fn command(&mut self, link: &mut Link, command: Command) {
        let (mut out, mut attachments) = (vec![b'4'], Vec::new());
        let namespace = &self.target.namespace;
        let encoded = match command {
            Command::Emit { event, args, ack } => {
                let id = ack.map(|ack| {
                    let id = self.next_ack;
                    self.next_ack += 1;
                    self.acks.insert(id, ack);
                    id
                });
                let args = Spread(AllArgs(args));
                encode_event(&mut out, namespace, id, &event, &args, &mut attachments)
            }
            Command::Reply { id, args } => {
                let args = Spread(AllArgs(args));
                encode_ack(&mut out, namespace, id, &args, &mut attachments)
            }
            Command::Connect | Command::Disconnect(_) => return,
        };
        self.publish();
        if encoded.is_err() {
            // Values of a command line can always be encoded; a reserved event name cannot.
            return;
        }
        link.send(Frame::Text(String::from_utf8_lossy(&out).into_owned()));
        for attachment in attachments {
            link.send(Frame::Binary(attachment));
        }
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_payload = 64 << 20;
    limits.max_attachments = 1000;
    limits.max_attachment_bytes = 64 << 20;
    limits
}

fn data(args: &Args<'_>) -> Vec<ArgValue> {
    match args.decode::<AllArgs<ArgValue>>() {
        Ok(AllArgs(args)) => args,
        Err(error) => vec![ArgValue::Plain(
            format!("unreadable arguments: {error}").into(),
        )],
    }
}

fn after(time: Duration) -> Instant {
    Instant::from_std(deadline(std::time::Instant::now(), time))
}
