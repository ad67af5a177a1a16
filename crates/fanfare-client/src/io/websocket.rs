//! Driver of one WebSocket, in a separate task.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{BufMut, Bytes};
use fanfare_protocol::deadline as after;
use fanfare_websocket::deflate::{Compressor, Params};
use fanfare_websocket::frame::{close_payload, encode_masked_into, encode_masked_rsv_into};
use fanfare_websocket::mask::random_key;
use fanfare_websocket::{
    ClientHandshake, CloseCode, Decoded, Decoder, DecoderConfig, Event, OpCode, Role,
};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc::UnboundedReceiver;

use super::connector::{Connector, PerMessageDeflate, Requested, unreachable};
use super::http::{chain, start};
use crate::Transport;
use crate::clock;
use crate::protocol::{Body, Input, Packet, TransportError};

/// Timeout for the server's answer to a close frame.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of bytes read at a time.
const READ_CHUNK_BYTES: usize = 16 * 1024;
/// Maximum number of bytes decoded at a time, which also limits the memory of many small decoded messages.
const MAX_READ_BYTES: usize = 256 * 1024;
/// Maximum capacity of an empty buffer, in bytes; a larger one is freed.
const MAX_KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// Timeout for the server's answer to a ping before a DISCONNECT is written.
const PONG_TIMEOUT: Duration = Duration::from_secs(1);

const MESSAGE: &str = "websocket error";

/// Command for the task.
#[derive(Debug)]
pub(crate) enum Command {
    Write {
        packets: Vec<Packet>,
        /// Whether to write only after the server has answered a ping.
        after_pong: bool,
    },
    /// Send a ping and report its answer.
    Ping,
    Close,
}

type Upgraded = TokioIo<hyper::upgrade::Upgraded>;

/// Open WebSocket.
pub(crate) struct Opened {
    io: Upgraded,
    /// Negotiated parameters of permessage-deflate, and the offer.
    deflate: Option<(Params, PerMessageDeflate)>,
}

/// Opens a WebSocket: request, response, upgrade.
pub(crate) async fn open(
    connector: &Connector,
    requested: &Requested,
) -> Result<Opened, TransportError> {
    let failed =
        |error: &dyn std::error::Error| TransportError::new(MESSAGE).with_description(chain(error));
    let io = connector
        .dialer
        .connect()
        .await
        .map_err(|error| unreachable(MESSAGE, &error))?;
    let mut sender = start(io).await.map_err(|error| failed(&error))?;
    let mut handshake = ClientHandshake::new().protocols(&connector.protocols);
    if let Some(deflate) = connector.deflate {
        handshake = handshake.permessage_deflate(deflate);
    }
    let target = connector.path_and_query(Transport::WebSocket, requested);
    let uri = target
        .parse()
        .map_err(|error: http::uri::InvalidUri| failed(&error))?;
    let request: Request<()> = handshake.request(&uri).map_err(|error| failed(&error))?;
    let mut request = request.map(|()| Full::new(Bytes::new()));
    for (name, value) in &connector.request_headers(Transport::WebSocket, clock::now()) {
        // The handshake headers cannot be overridden.
        if !request.headers().contains_key(name) {
            request.headers_mut().append(name, value.clone());
        }
    }
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| failed(&error))?;
    connector.store_cookies(response.headers(), clock::now());
    let accept = match handshake.check(response.status(), response.headers()) {
        Ok(accept) => accept,
        Err(error) => {
            let mut result = TransportError::new(MESSAGE).with_status(response.status().as_u16());
            let mut text = String::new();
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                if let Ok(body) = Limited::new(response.into_body(), 512).collect().await {
                    text = String::from_utf8_lossy(&body.to_bytes()).into_owned();
                }
            } else {
                text = error.to_string();
            }
            if !text.is_empty() {
                result = result.with_description(text);
            }
            return Err(result);
        }
    };
    let upgraded = hyper::upgrade::on(response)
        .await
        .map_err(|error| failed(&error))?;
    Ok(Opened {
        io: TokioIo::new(upgraded),
        deflate: accept.permessage_deflate().zip(connector.deflate),
    })
}

/// Reads and writes until the WebSocket is closed. `deliver` gets the received input.
pub(crate) async fn run(
    Opened { io, deflate }: Opened,
    max_message: usize,
    mut commands: UnboundedReceiver<Command>,
    mut deliver: impl FnMut(Vec<Input>),
) {
    let (reader, writer) = tokio::io::split(io);
    let config = DecoderConfig {
        max_frame: max_message,
        max_message,
        permessage_deflate: deflate.map(|(params, _)| params),
        ..DecoderConfig::default()
    };
    let (compressor, threshold) = match deflate {
        Some((params, ours)) => (
            Compressor::new(&params, Role::Client, ours.level),
            ours.threshold,
        ),
        None => (None, 0),
    };
    let mut socket = Socket {
        reader,
        writer,
        decoder: Decoder::new(Role::Client, config),
        compressor,
        threshold,
        input: Vec::new(),
        output: Vec::new(),
        written: 0,
        writing: false,
        flush: false,
        held: None,
        pings: 0,
        reported: VecDeque::new(),
        ping: None,
        closing: false,
        state: State::Open,
    };
    let result = socket.drive(&mut commands, &mut deliver).await;
    if result.is_err() {
        socket.write_rest().await;
    }
    if !socket.closing {
        deliver(vec![Input::Closed(result)]);
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Open,
    /// The server closed the WebSocket, with this reason.
    Closed(Option<String>),
}

struct Socket {
    reader: ReadHalf<Upgraded>,
    writer: WriteHalf<Upgraded>,
    decoder: Decoder,
    compressor: Option<Compressor>,
    /// Minimum length of a compressed message, in bytes.
    threshold: usize,
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// Whether a `Write` command is in progress, whose end must be reported.
    writing: bool,
    flush: bool,
    /// Number of the ping whose pong the packets wait for, the packets, and the deadline.
    held: Option<(u64, Vec<Packet>, Instant)>,
    /// Number of the last ping.
    pings: u64,
    /// Numbers of pings whose answer must be reported. A server may answer only the last one for all.
    reported: VecDeque<u64>,
    /// Last ping of the server, to be answered when all data are written. One answer is enough for several (RFC 6455,
    /// section 5.5.3), so that a server that does not read cannot make the client keep many.
    ping: Option<Vec<u8>>,
    /// Whether the client has sent a close frame.
    closing: bool,
    state: State,
}

impl Socket {
    async fn drive(
        &mut self,
        commands: &mut UnboundedReceiver<Command>,
        deliver: &mut impl FnMut(Vec<Input>),
    ) -> Result<Option<String>, TransportError> {
        let failed = |error: std::io::Error| {
            TransportError::new(MESSAGE).with_description(error.to_string())
        };
        let mut deadline = None;
        loop {
            let idle = self.written == self.output.len() && !self.flush;
            if idle && std::mem::take(&mut self.writing) {
                deliver(vec![Input::Written]);
            }
            if idle && let Some(data) = self.ping.take() {
                self.frame(OpCode::Pong, &data);
                continue;
            }
            if let (State::Closed(reason), true) = (&self.state, idle) {
                return Ok(reason.clone());
            }
            self.input.reserve(READ_CHUNK_BYTES);
            tokio::select! {
                read = read(&mut self.reader, &mut self.input), if self.state == State::Open => {
                    match read {
                        // No close frame: the connection was lost, which is not an error of the transport.
                        Ok(0) => return Ok(None),
                        Ok(_) => self.decode(deliver)?,
                        Err(error) => return Err(failed(error)),
                    }
                }
                result = write(&mut self.writer, &self.output[self.written..]), if !idle => {
                    match result {
                        Ok(0) if self.written < self.output.len() => {
                            return Err(failed(std::io::ErrorKind::WriteZero.into()));
                        }
                        Ok(0) => self.flush = false,
                        Ok(n) => self.wrote(n),
                        Err(error) => return Err(failed(error)),
                    }
                }
                command = commands.recv(), if idle && !self.closing && self.held.is_none() => {
                    match command {
                        Some(Command::Write { packets, after_pong: true }) => {
                            let ping = self.ping();
                            self.held =
                                Some((ping, packets, after(clock::now(), PONG_TIMEOUT)));
                        }
                        Some(Command::Write { packets, after_pong: false }) => self.encode(&packets),
                        Some(Command::Ping) => {
                            let ping = self.ping();
                            self.reported.push_back(ping);
                        }
                        Some(Command::Close) => {
                            self.closing = true;
                            deadline = Some(after(clock::now(), CLOSE_TIMEOUT));
                            self.frame(OpCode::Close, &close_payload(CloseCode::NORMAL, ""));
                        }
                        None => return Ok(None),
                    }
                }
                () = sleep_until(self.held.as_ref().map(|(_, _, deadline)| *deadline)) => self.release(),
                () = sleep_until(deadline) => return Ok(None),
            }
        }
    }

    /// Writes as much of the remaining output as possible at once. After a failure, the output ends with a close frame
    /// that contains the reason.
    async fn write_rest(&mut self) {
        let rest = &self.output[self.written..];
        let _ = tokio::time::timeout(Duration::ZERO, self.writer.write_all(rest)).await;
    }

    fn wrote(&mut self, n: usize) {
        self.written += n;
        if self.written == self.output.len() {
            self.flush = true;
            self.written = 0;
            self.output.clear();
            if self.output.capacity() > MAX_KEPT_BUFFER_BYTES {
                self.output = Vec::new();
            }
        }
    }

    fn frame(&mut self, opcode: OpCode, payload: &[u8]) {
        encode_masked_into(&mut self.output, opcode, payload, random_key());
    }

    /// Sends a ping; returns its number.
    fn ping(&mut self) -> u64 {
        self.pings += 1;
        self.frame(OpCode::Ping, &self.pings.to_be_bytes());
        self.pings
    }

    /// Handles the pong of this number: the server has read everything before that ping.
    fn ponged(&mut self, data: &[u8], inputs: &mut Vec<Input>) {
        let Ok(number) = data.try_into().map(u64::from_be_bytes) else {
            return;
        };
        while self.reported.front().is_some_and(|ping| *ping <= number) {
            self.reported.pop_front();
            inputs.push(Input::Pong);
        }
        if self.held.as_ref().is_some_and(|(ping, ..)| *ping <= number) {
            self.release();
        }
    }

    fn encode(&mut self, packets: &[Packet]) {
        self.writing = true;
        for packet in packets {
            let (opcode, payload) = match &packet.body {
                Body::Text(text) => (OpCode::Text, text),
                Body::Binary(data) => (OpCode::Binary, data),
            };
            match &mut self.compressor {
                Some(compressor) if packet.compress && payload.len() >= self.threshold => {
                    let mut compressed = Vec::new();
                    compressor.compress(payload, &mut compressed);
                    // With context takeover the server needs it to decode later messages.
                    if compressed.len() < payload.len() || compressor.keeps_context() {
                        let key = random_key();
                        encode_masked_rsv_into(&mut self.output, opcode, true, &compressed, key);
                    } else {
                        self.frame(opcode, payload);
                    }
                }
                _ => self.frame(opcode, payload),
            }
        }
    }

    /// Writes the packets that waited for a pong.
    fn release(&mut self) {
        if let Some((_, packets, _)) = self.held.take() {
            self.encode(&packets);
        }
    }

    /// Decodes all available input and delivers it in one call.
    fn decode(&mut self, deliver: &mut impl FnMut(Vec<Input>)) -> Result<(), TransportError> {
        let mut inputs = Vec::new();
        let mut at = 0;
        let mut output = Vec::new();
        let mut error = None;
        let mut closed = None;
        let mut pong: Option<Vec<u8>> = None;
        while closed.is_none() {
            match self.decoder.next(&mut self.input[at..]) {
                Ok(Decoded::Incomplete { .. }) => break,
                Ok(Decoded::Event { consumed, event }) => {
                    at += consumed;
                    match event {
                        Event::Text(text) => {
                            inputs.push(Input::Text(Bytes::copy_from_slice(text.as_bytes())));
                        }
                        Event::Binary(data) => {
                            inputs.push(Input::Binary(Bytes::copy_from_slice(data)));
                        }
                        Event::Ping(data) => self.ping = Some(data.to_vec()),
                        Event::Close(frame) => {
                            let code = frame.as_ref().map_or(CloseCode::NORMAL, |frame| frame.code);
                            if !self.closing {
                                let answer = close_payload(code, "");
                                encode_masked_into(
                                    &mut output,
                                    OpCode::Close,
                                    &answer,
                                    random_key(),
                                );
                            }
                            let reason = frame.map(|frame| {
                                format!("code {} {}", code.0, frame.reason)
                                    .trim_end()
                                    .to_owned()
                            });
                            closed = Some(reason);
                        }
                        Event::Pong(data) => pong = Some(data.to_vec()),
                        Event::Fragment => {}
                    }
                }
                Err(cause) => {
                    let why = close_payload(cause.close_code(), "");
                    encode_masked_into(&mut output, OpCode::Close, &why, random_key());
                    error = Some(TransportError::new(MESSAGE).with_description(cause.to_string()));
                    break;
                }
            }
        }
        self.input.drain(..at);
        if self.input.is_empty() && self.input.capacity() > MAX_KEPT_BUFFER_BYTES {
            self.input = Vec::new();
        }
        self.output.extend_from_slice(&output);
        if let Some(data) = pong {
            self.ponged(&data, &mut inputs);
        }
        if let Some(reason) = closed {
            self.state = State::Closed(reason);
        }
        // After sending a close frame, the client discards further input.
        if !inputs.is_empty() && !self.closing {
            deliver(inputs);
        }
        error.map_or(Ok(()), Err)
    }
}

/// Reads some bytes. Cancellation-safe.
async fn read(reader: &mut ReadHalf<Upgraded>, input: &mut Vec<u8>) -> std::io::Result<usize> {
    reader.read_buf(&mut input.limit(MAX_READ_BYTES)).await
}

/// Writes some of `data`, or flushes if there is none. Cancellation-safe.
async fn write(writer: &mut WriteHalf<Upgraded>, data: &[u8]) -> std::io::Result<usize> {
    if data.is_empty() {
        writer.flush().await.map(|()| 0)
    } else {
        writer.write(data).await
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
