mod transfer;

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Sleep,
};

use super::{Error, Message, Options};
use crate::{
    CloseCode, CloseFrame, Decoded, Decoder, Event, OpCode, Role,
    deflate::{Compressor, Params},
    frame, mask,
};

/// Maximum length of one read, in bytes.
const READ_CHUNK_BYTES: usize = 64 << 10;
/// Number of bytes of unwritten pongs at which reading stops: a peer that does not read them gets no more.
const MAX_QUEUED_PONG_BYTES: usize = 64 << 10;
/// Maximum capacity of a buffer that is kept while it is empty, in bytes.
const MAX_KEPT_BUFFER_BYTES: usize = 4 << 10;

/// A WebSocket connection on a tokio stream, as a server or a client.
///
/// [`recv`](WebSocket::recv) answers pings and completes the closing handshake; so keep receiving, even if no message
/// is expected. An idle connection holds no read buffer.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use fanfare_websocket::{Message, connect};
///
/// let mut websocket = connect("ws://127.0.0.1:9001/").await?;
/// websocket.send("hello").await?;
/// while let Some(message) = websocket.recv().await {
///     if let Message::Text(text) = message? {
///         println!("{text}");
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct WebSocket<IO> {
    io: IO,
    role: Role,
    state: State,
    decoder: Decoder,
    compressor: Option<Compressor>,
    threshold: usize,
    /// Received bytes; `input[at..]` is not decoded yet.
    input: Vec<u8>,
    at: usize,
    /// Bytes to send; `output[written..]` is not written yet.
    output: Vec<u8>,
    written: usize,
    /// Number of bytes of `output` that are pongs, which the peer made us queue.
    pongs: usize,
    close_timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    pub(super) protocol: Option<Box<str>>,
}

#[derive(Debug)]
enum State {
    /// Messages go both ways.
    Open,
    /// We sent a close frame and wait for the peer's; messages may arrive before it.
    Closing,
    /// The close frames were exchanged: ours has to be written, then the peer's is delivered.
    Closed(Option<CloseFrame<'static>>),
    /// The peer broke the protocol: our close frame has to be written and the stream ended, then the error is
    /// delivered.
    Failed(Option<Error>),
    /// Everything was delivered; the stream ends.
    Ending,
    /// The stream has ended.
    Ended,
}

impl<IO> WebSocket<IO> {
    /// Returns the underlying stream, for example to ask for the peer's address.
    pub fn get_ref(&self) -> &IO {
        &self.io
    }

    /// Returns the underlying stream. Reading from it or writing to it breaks the connection.
    pub fn get_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// Returns the underlying stream, and the bytes that were received and not decoded. For callers with a separate
    /// [`Decoder`], from the opening handshake on.
    pub fn into_parts(mut self) -> (IO, Vec<u8>) {
        let input = self.input.split_off(self.at);
        (self.io, input)
    }

    /// Negotiated sub-protocol.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Whether messages are compressed.
    pub fn is_compressed(&self) -> bool {
        self.decoder.config().permessage_deflate.is_some()
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// Creates a WebSocket on a stream whose opening handshake is complete, as after an upgrade by an HTTP server.
    ///
    /// `received` is what was read behind the handshake; `permessage_deflate` are the negotiated parameters.
    pub fn new(
        io: IO,
        role: Role,
        received: Vec<u8>,
        permessage_deflate: Option<Params>,
        options: &Options,
    ) -> WebSocket<IO> {
        let config = options.permessage_deflate.unwrap_or_default();
        WebSocket {
            io,
            role,
            state: State::Open,
            decoder: Decoder::new(role, options.decoder(permessage_deflate)),
            compressor: permessage_deflate
                .and_then(|params| Compressor::new(&params, role, config.level)),
            threshold: config.threshold,
            input: received,
            at: 0,
            output: Vec::new(),
            written: 0,
            pongs: 0,
            close_timeout: options.close_timeout,
            deadline: None,
            protocol: None,
        }
    }

    /// Receives the next message, or `None` when the connection has ended.
    ///
    /// Pings are answered before they are delivered. A [`Message::Close`] is the last message; its answer is being
    /// sent. After an error, `None` follows.
    ///
    /// # Cancel safety
    ///
    /// As a branch of `select!`, no message is lost.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Poll variant of [`recv`](WebSocket::recv).
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        loop {
            match &mut self.state {
                State::Open | State::Closing => {
                    if let Some(message) = self.decode() {
                        return Poll::Ready(Some(Ok(message)));
                    }
                    if !matches!(self.state, State::Open | State::Closing) {
                        continue;
                    }
                    match self.poll_write_out(cx) {
                        Poll::Ready(Err(error)) => return self.end(Some(error.into())),
                        Poll::Pending if self.pongs >= MAX_QUEUED_PONG_BYTES => {
                            return self.or_timeout(cx);
                        }
                        _ => {}
                    }
                    match self.poll_read(cx) {
                        Poll::Ready(Ok(0)) => return self.end(Some(Error::Lost)),
                        Poll::Ready(Ok(_)) => {}
                        Poll::Ready(Err(error)) => return self.end(Some(error.into())),
                        Poll::Pending => return self.or_timeout(cx),
                    }
                }
                State::Closed(frame) => {
                    let frame = frame.take();
                    if self.poll_write_out(cx).is_pending() && !self.timed_out(cx) {
                        self.state = State::Closed(frame);
                        return Poll::Pending;
                    }
                    self.state = State::Ending;
                    return Poll::Ready(Some(Ok(Message::Close(frame))));
                }
                State::Failed(error) => {
                    let error = error.take();
                    if self.poll_end(cx).is_pending() {
                        self.state = State::Failed(error);
                        return Poll::Pending;
                    }
                    return self.end(error);
                }
                State::Ending => {
                    ready!(self.poll_end(cx));
                    self.state = State::Ended;
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    /// Sends a message, and everything that was queued before it.
    ///
    /// Sending a [`Message::Close`] begins the closing handshake, which [`recv`](WebSocket::recv) completes.
    ///
    /// # Errors
    ///
    /// If the connection has failed or is closing.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped after its first poll, the message is queued: it is sent with the next one, or while
    /// receiving. Do not send it again.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        self.feed(message)?;
        self.flush().await
    }

    /// Queues a message without sending it: several leave in one write with [`flush`](WebSocket::flush).
    ///
    /// # Errors
    ///
    /// If the connection is closing.
    pub fn feed(&mut self, message: impl Into<Message>) -> Result<(), Error> {
        if !matches!(self.state, State::Open) {
            return Err(Error::Closed);
        }
        match message.into() {
            Message::Text(text) => self.push_data(OpCode::Text, text.as_bytes()),
            Message::Binary(bytes) => self.push_data(OpCode::Binary, &bytes),
            Message::Ping(payload) => return self.push_control(OpCode::Ping, &payload),
            Message::Pong(payload) => return self.push_control(OpCode::Pong, &payload),
            Message::Close(frame) => {
                let (code, reason) = frame.map_or((CloseCode::NO_STATUS, "".into()), |frame| {
                    (frame.code, frame.reason)
                });
                self.begin_close(code, &reason);
            }
        }
        Ok(())
    }

    /// Sends a frame that was encoded by [`frame::prepare`] or [`compress_shared`](crate::deflate::compress_shared),
    /// once for many connections. For servers: a client's frames are masked, each with a separate key.
    ///
    /// # Errors
    ///
    /// If the connection has failed or is closing.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocket::send).
    ///
    /// # Panics
    ///
    /// On a client's connection.
    pub async fn send_prepared(&mut self, prepared: &Bytes) -> Result<(), Error> {
        assert_eq!(
            self.role,
            Role::Server,
            "prepared frames are not masked; only a server may send them"
        );
        if !matches!(self.state, State::Open) {
            return Err(Error::Closed);
        }
        let mut rest = &prepared[..];
        if self.output.is_empty() {
            // Straight from the shared bytes. What is not written at once is queued, so that nothing is lost if this
            // future is dropped.
            poll_fn(|cx| {
                while !rest.is_empty() {
                    match Pin::new(&mut self.io).poll_write(cx, rest) {
                        Poll::Ready(Ok(0)) => {
                            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                        }
                        Poll::Ready(Ok(n)) => rest = &rest[n..],
                        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                        Poll::Pending => break,
                    }
                }
                Poll::Ready(Ok(()))
            })
            .await?;
        }
        self.output.extend_from_slice(rest);
        self.flush().await
    }

    /// Sends a ping with a payload of at most 125 bytes. The answer arrives as [`Message::Pong`].
    ///
    /// # Errors
    ///
    /// If the connection has failed or is closing, or the payload is too long.
    ///
    /// # Cancel safety
    ///
    /// As [`send`](WebSocket::send).
    pub async fn ping(&mut self, payload: impl Into<Bytes>) -> Result<(), Error> {
        self.send(Message::Ping(payload.into())).await
    }

    /// Writes everything that is queued.
    ///
    /// # Errors
    ///
    /// If the connection has failed.
    ///
    /// # Cancel safety
    ///
    /// What is not written yet stays queued.
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|cx| self.poll_write_out(cx)).await?;
        Ok(())
    }

    /// Closes the connection: sends a close frame, waits for the peer's, and ends the stream. Messages that arrive
    /// meanwhile are dropped.
    ///
    /// `reason` is cut to 123 bytes. With a code that may not be sent (see [`CloseCode::is_sendable`]), the frame is
    /// empty.
    ///
    /// # Errors
    ///
    /// If the peer does not complete the closing handshake within [`Options::close_timeout`], or breaks the protocol.
    /// The connection is over in any case.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped after its first poll, the close frame is queued, and the connection takes no more messages;
    /// another call, or [`recv`](WebSocket::recv), completes the handshake.
    pub async fn close(&mut self, code: CloseCode, reason: &str) -> Result<(), Error> {
        if matches!(self.state, State::Open) {
            self.begin_close(code, reason);
        }
        let mut result = Ok(());
        while let Some(received) = self.recv().await {
            if let Err(error) = received {
                result = Err(error);
            }
        }
        result
    }

    fn begin_close(&mut self, code: CloseCode, reason: &str) {
        self.push(OpCode::Close, false, &frame::close_payload(code, reason));
        self.state = State::Closing;
        self.start_deadline();
    }

    /// Decodes the input up to the next message. `None`: more is needed, or the state has changed.
    fn decode(&mut self) -> Option<Message> {
        while self.at < self.input.len() {
            match self.decoder.next(&mut self.input[self.at..]) {
                Ok(Decoded::Incomplete { .. }) => break,
                Ok(Decoded::Event { consumed, event }) => {
                    self.at += consumed;
                    return Some(match event {
                        Event::Text(text) => Message::Text(text.to_owned()),
                        Event::Binary(bytes) => Message::Binary(Bytes::copy_from_slice(bytes)),
                        Event::Ping(payload) => {
                            let payload = Bytes::copy_from_slice(payload);
                            if matches!(self.state, State::Open) {
                                self.push(OpCode::Pong, false, &payload);
                                self.pongs += frame::MAX_HEADER + payload.len();
                            }
                            Message::Ping(payload)
                        }
                        Event::Pong(payload) => Message::Pong(Bytes::copy_from_slice(payload)),
                        Event::Close(close) => {
                            let close = close.map(CloseFrame::into_owned);
                            if matches!(self.state, State::Open) {
                                let code = close
                                    .as_ref()
                                    .map_or(CloseCode::NO_STATUS, |close| close.code);
                                self.push(OpCode::Close, false, &frame::close_payload(code, ""));
                            }
                            self.start_deadline();
                            self.state = State::Closed(close);
                            return None;
                        }
                        Event::Fragment => continue,
                    });
                }
                Err(error) => {
                    if matches!(self.state, State::Open) {
                        self.push(
                            OpCode::Close,
                            false,
                            &frame::close_payload(error.close_code(), ""),
                        );
                    }
                    self.start_deadline();
                    self.state = State::Failed(Some(error.into()));
                    return None;
                }
            }
        }
        // Only a part of a frame is left, or nothing.
        self.input.drain(..self.at);
        self.at = 0;
        // Calls the decoder so that it frees the memory of the last message.
        let _ = self.decoder.next(&mut self.input);
        None
    }

    fn push_data(&mut self, opcode: OpCode, payload: &[u8]) {
        match &mut self.compressor {
            Some(compressor) if payload.len() >= self.threshold => {
                let mut compressed = Vec::new();
                compressor.compress(payload, &mut compressed);
                self.push(opcode, true, &compressed);
            }
            _ => self.push(opcode, false, payload),
        }
    }

    fn push_control(&mut self, opcode: OpCode, payload: &[u8]) -> Result<(), Error> {
        if payload.len() > 125 {
            return Err(Error::ControlTooLong(payload.len()));
        }
        self.push(opcode, false, payload);
        Ok(())
    }

    fn push(&mut self, opcode: OpCode, compressed: bool, payload: &[u8]) {
        match self.role {
            Role::Server => frame::encode_rsv_into(&mut self.output, opcode, compressed, payload),
            Role::Client => {
                let key = mask::random_key();
                frame::encode_masked_rsv_into(&mut self.output, opcode, compressed, payload, key);
            }
        }
    }
}
