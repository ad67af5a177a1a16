//! A Socket.IO client that costs little: one connection, no reconnection, no handlers.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use fanfare_websocket::{
    Decoded, Decoder, DecoderConfig, Event, OpCode, Options, Role, WebSocket, frame, mask,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::net::{self, Dialer, Stream};
use crate::target::Target;

/// Size of one read, in bytes.
const CHUNK_BYTES: usize = 8 << 10;

/// Reason for which there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// The server could not be reached, or its answer is unusable.
    Failed(String),
    /// The server rejected the connection to the namespace.
    Refused(String),
    /// The server speaks only Engine.IO 3.
    Old,
}

impl std::fmt::Display for ConnectError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Failed(why) => f.write_str(why),
            Self::Refused(why) => write!(f, "refused by the server: {why}"),
            Self::Old => f.write_str("the server speaks only Engine.IO 3 (Socket.IO v1 or v2)"),
        }
    }
}

/// Packet received from the server. Pings are answered before they are returned.
#[derive(Debug, PartialEq)]
pub(super) enum Packet<'a> {
    /// A Socket.IO packet, without the Engine.IO type.
    Text(&'a str),
    /// An attachment.
    Binary(&'a [u8]),
    /// A ping that was answered.
    Ping,
    /// The server closes the connection.
    Close,
}

/// An open connection.
pub(super) struct Client {
    io: Stream,
    decoder: Decoder,
    input: BytesMut,
    out: Vec<u8>,
    /// Packet that was returned last; its memory is reused.
    packet: Vec<u8>,
    /// Namespace as written in packets: empty, or `/chat,`.
    pub(super) prefix: String,
}

/// Settings for connecting to the server.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) dialer: Dialer,
    pub(super) target: Target,
    pub(super) patience: Duration,
}

impl Connector {
    /// Returns the namespace as written in packets.
    pub(super) fn prefix(&self) -> String {
        match self.target.namespace.as_str() {
            "/" => String::new(),
            other => format!("{other},"),
        }
    }

    /// Returns the packet that joins the namespace, with the Engine.IO type.
    pub(super) fn connect_packet(&self) -> String {
        let auth = self
            .target
            .auth
            .as_ref()
            .map(|auth| auth.to_string())
            .unwrap_or_default();
        format!("40{}{auth}", self.prefix())
    }

    /// Connects by WebSocket and joins the namespace.
    pub(super) async fn connect(&self) -> Result<Client, ConnectError> {
        let late = |_| ConnectError::Failed(format!("no connection within {:?}", self.patience));
        timeout(self.patience, self.connect_now())
            .await
            .map_err(late)?
    }

    async fn connect_now(&self) -> Result<Client, ConnectError> {
        let dialed = self.dialer.dial().await;
        let io = dialed.map_err(|error| ConnectError::Failed(net::no_connection(&error)))?;
        let uri = self
            .target
            .websocket_uri("EIO=4&transport=websocket")
            .map_err(|error| ConnectError::Failed(error.to_string()))?;
        let options = Options {
            headers: self.target.headers.clone(),
            open_timeout: self.patience,
            ..Options::default()
        };
        let opened = WebSocket::client(io, &uri, &options).await;
        let (io, input) = opened.map_err(upgrade_failure)?.into_parts();
        let config = DecoderConfig::default();
        let decoder = Decoder::new(Role::Client, config);
        let mut client = Client {
            io,
            decoder,
            input: BytesMut::from(input.as_slice()),
            out: Vec::new(),
            packet: Vec::new(),
            prefix: self.prefix(),
        };
        client.join(&self.connect_packet()).await?;
        Ok(client)
    }
}

fn upgrade_failure(error: fanfare_websocket::ConnectError) -> ConnectError {
    use std::error::Error;
    ConnectError::Failed(match error {
        fanfare_websocket::ConnectError::Rejected { status, body } => {
            format!("the upgrade is answered {} {body}", status.as_u16())
        }
        error => match error.source() {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        },
    })
}

impl Client {
    async fn join(&mut self, packet: &str) -> Result<(), ConnectError> {
        let failed = |error: io::Error| ConnectError::Failed(error.to_string());
        self.send_text(packet.as_bytes());
        self.flush().await.map_err(failed)?;
        let joined = format!("0{}", self.prefix);
        let refused = format!("4{}", self.prefix);
        loop {
            while let Some(packet) = self.next().map_err(failed)? {
                match packet {
                    Packet::Text(text) if text.starts_with(&refused) => {
                        return Err(ConnectError::Refused(text[refused.len()..].to_owned()));
                    }
                    // Servers of v1 and v2 join every client to the main namespace unasked, and send no id.
                    Packet::Text("0") => return Err(ConnectError::Old),
                    Packet::Text(text) if text.starts_with(&joined) => return Ok(()),
                    Packet::Close => {
                        return Err(ConnectError::Failed("closed by the server".to_owned()));
                    }
                    _ => {}
                }
            }
            self.fill().await.map_err(failed)?;
        }
    }

    /// Queues an Engine.IO packet as text.
    pub(super) fn send_text(&mut self, packet: &[u8]) {
        frame::encode_masked_into(&mut self.out, OpCode::Text, packet, mask::random_key());
    }

    /// Queues an attachment.
    pub(super) fn send_binary(&mut self, bytes: &[u8]) {
        frame::encode_masked_into(&mut self.out, OpCode::Binary, bytes, mask::random_key());
    }

    /// Writes the queued packets.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            self.io.write_all(&self.out).await?;
            self.io.flush().await?;
            self.out.clear();
        }
        Ok(())
    }

    /// Reads the available bytes. Cancellation-safe.
    pub(super) async fn fill(&mut self) -> io::Result<()> {
        self.input.reserve(CHUNK_BYTES);
        match self.io.read_buf(&mut self.input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Returns the next packet among the bytes read.
    pub(super) fn next(&mut self) -> io::Result<Option<Packet<'_>>> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
        enum Kind {
            Text,
            Binary,
            Ping,
            Close,
        }
        loop {
            let (consumed, found) = match self.decoder.next(&mut self.input) {
                Err(error) => return Err(wrong(error.to_string())),
                Ok(Decoded::Incomplete { .. }) => return Ok(None),
                Ok(Decoded::Event { consumed, event }) => {
                    let found = match event {
                        Event::Text(text) => match text.as_bytes().first() {
                            Some(b'2') => {
                                frame::encode_masked_into(
                                    &mut self.out,
                                    OpCode::Text,
                                    b"3",
                                    mask::random_key(),
                                );
                                Some(Kind::Ping)
                            }
                            Some(b'4') => {
                                self.packet.clear();
                                self.packet.extend_from_slice(&text.as_bytes()[1..]);
                                Some(Kind::Text)
                            }
                            Some(b'1') => Some(Kind::Close),
                            _ => None,
                        },
                        Event::Binary(bytes) => {
                            self.packet.clear();
                            self.packet.extend_from_slice(bytes);
                            Some(Kind::Binary)
                        }
                        Event::Ping(payload) => {
                            frame::encode_masked_into(
                                &mut self.out,
                                OpCode::Pong,
                                payload,
                                mask::random_key(),
                            );
                            None
                        }
                        Event::Close(_) => Some(Kind::Close),
                        _ => None,
                    };
                    (consumed, found)
                }
            };
            let _ = self.input.split_to(consumed);
            if let Some(kind) = found {
                return Ok(Some(match kind {
                    Kind::Text => {
                        Packet::Text(std::str::from_utf8(&self.packet).unwrap_or_default())
                    }
                    Kind::Binary => Packet::Binary(&self.packet),
                    Kind::Ping => Packet::Ping,
                    Kind::Close => Packet::Close,
                }));
            }
        }
    }

    /// Leaves the namespace and closes the connection.
    pub(super) async fn close(mut self) {
        self.send_text(format!("41{}", self.prefix).as_bytes());
        frame::encode_masked_into(
            &mut self.out,
            OpCode::Close,
            &1000u16.to_be_bytes(),
            mask::random_key(),
        );
        let _ = timeout(Duration::from_secs(1), self.flush()).await;
    }

    /// Reads and discards until the server has closed (`true`) or nothing arrives for a while.
    pub(super) async fn was_cut(mut self) -> bool {
        loop {
            self.input.clear();
            match timeout(Duration::from_secs(2), self.fill()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return true,
                Err(_) => return false,
            }
        }
    }
}
