//! What is sent to a client, and its acknowledgements.

use std::sync::atomic::Ordering;

use fanfare_engine::{Prepared, SendError};
use fanfare_protocol::socket::{ArgsBuf, IntoArgs};
use serde::de::DeserializeOwned;

use super::{DISCONNECTED, How, Socket, SocketEmitter};
use crate::ack::{AckError, AckFuture};
use crate::broadcast::{BroadcastOperator, RoomNames};
use crate::encode;
use crate::error::EmitError;

impl Socket {
    /// Sends an event: `&T` is one argument, a tuple is several.
    ///
    /// ```
    /// # fn f(socket: &fanfare::Socket) -> Result<(), fanfare::EmitError> {
    /// socket.emit("greeting", "hello")?;
    /// socket.emit("position", (1.5, 2.5))?;
    /// socket.emit("picture", bytes::Bytes::from_static(b"\x89PNG"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`EmitError::NotSerializable`]; [`EmitError::Full`] if the outbox of the connection is full (the event is
    /// dropped); [`EmitError::Disconnected`].
    pub fn emit(&self, event: &str, args: impl IntoArgs) -> Result<(), EmitError> {
        self.send_event(None, event, &args, How::default())
    }

    /// Sends an event `message`, as Node's `send` does.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for its acknowledgement: the first argument of the answer (all of them, if `R` is a
    /// tuple). The event is sent at once; the answer comes when the future is awaited.
    ///
    /// ```
    /// # async fn f(socket: fanfare::Socket) -> Result<(), fanfare::AckError> {
    /// let name: String = socket.emit_with_ack("who are you?", ()).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The future fails with [`AckError`]: after `ack_timeout` of the builder (see [`timeout`](Self::timeout)), when
    /// the socket disconnects, or when [`Limits::max_pending_acks`](crate::Limits) are waiting.
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        self.timeout(self.io_inner().ack_timeout)
            .emit_with_ack(event, args)
    }

    /// Events that may be dropped: they are, if something is queued for the client or no polling request is waiting.
    pub fn volatile(&self) -> SocketEmitter {
        SocketEmitter::new(self.clone()).volatile()
    }

    /// Whether the next event is worth compressing, where the transport compresses (see
    /// [`per_message_deflate`](crate::SocketIoBuilder::per_message_deflate) and
    /// [`http_compression`](crate::SocketIoBuilder::http_compression)). Default: yes.
    ///
    /// ```
    /// # fn f(socket: &fanfare::Socket, jpeg: bytes::Bytes) -> Result<(), fanfare::EmitError> {
    /// socket.compress(false).emit("picture", jpeg)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn compress(&self, compress: bool) -> SocketEmitter {
        SocketEmitter::new(self.clone()).compress(compress)
    }

    /// How long acknowledgements may take.
    pub fn timeout(&self, timeout: std::time::Duration) -> SocketEmitter {
        SocketEmitter::new(self.clone()).timeout(timeout)
    }

    /// Everyone in the namespace but this socket.
    pub fn broadcast(&self) -> BroadcastOperator {
        BroadcastOperator::from_sender(self)
    }

    /// Those in a room, or in at least one of several, but not this socket.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// Everyone but this socket and those in these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// Waits until the client has taken what was sent to it.
    ///
    /// # Errors
    /// [`EmitError::Disconnected`].
    pub async fn ready(&self) -> Result<(), EmitError> {
        Ok(self.0.connection.ready().await?)
    }

    /// How many bytes wait to be written to the client, over all its namespaces.
    pub fn pending_bytes(&self) -> usize {
        self.0.connection.pending_bytes()
    }

    pub(crate) fn send_event(
        &self,
        ack: Option<u64>,
        event: &str,
        args: &impl IntoArgs,
        how: How,
    ) -> Result<(), EmitError> {
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            return Err(EmitError::Disconnected);
        }
        if self.0.namespace.watches_outgoing() {
            let own = || vec![self.clone()];
            self.0.namespace.outgoing(event, args, own);
        }
        let namespace = &*self.0.namespace.name;
        if how.volatile {
            let mut message =
                encode::encode_event(&self.0.namespace.codec, namespace, ack, event, args)?;
            if !how.compress {
                message = message.uncompressed();
            }
            if self.0.connection.send_volatile(&message)? {
                self.sent(event, message.len());
            }
            return Ok(());
        }
        // What goes to a socket that cannot be recovered is not kept.
        if let (Some(recovery), None, Some(_)) = (&self.0.namespace.recovery, ack, self.part()) {
            let own = [&*self.0.id];
            let send = |message: &Prepared| {
                let sent = match how.compress {
                    true => self.0.connection.send(message),
                    false => self.0.connection.send(&message.clone().uncompressed()),
                };
                sent.map_err(not_sent)?;
                self.sent(event, message.len());
                Ok(())
            };
            let codec = &self.0.namespace.codec;
            return recovery.emit((codec, namespace), (event, args), &own, &[], send)?;
        }
        let mut encoded = Ok(0);
        let sent = self.0.connection.send_with(|buf| {
            let codec = &self.0.namespace.codec;
            if !how.compress {
                buf.uncompressed();
            }
            encoded = codec
                .write_event(buf, namespace, ack, event, args)
                .map(|()| buf.len());
        });
        if let Err(error) = sent {
            return Err(not_sent(error));
        }
        self.sent(event, encoded?);
        Ok(())
    }

    #[inline]
    fn sent(&self, event: &str, len: usize) {
        self.0.namespace.stats.event_out(1, len);
        tracing::trace!(socket = %self.0.id, event, "event sent");
    }

    pub(crate) fn send_ack(&self, id: u64, args: impl IntoArgs) -> Result<(), EmitError> {
        if !self.connected() {
            return Err(EmitError::Disconnected);
        }
        let mut encoded = Ok(());
        let namespace = &*self.0.namespace.name;
        self.0.connection.send_with(|buf| {
            encoded = self.0.namespace.codec.write_ack(buf, namespace, id, &args);
        })?;
        Ok(encoded?)
    }

    pub(crate) fn request<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: &impl IntoArgs,
        timeout: std::time::Duration,
        compress: bool,
    ) -> AckFuture<R> {
        let how = How {
            compress,
            ..How::default()
        };
        let id = self.0.namespace.next_ack_id();
        let limit = self.io_inner().limits.max_pending_acks;
        let acks = &self.extra().acks;
        let Some(answer) = acks.register(id, limit) else {
            return AckFuture::failed(AckError::TooManyPending { limit });
        };
        if let Err(error) = self.send_event(Some(id), event, args, how) {
            acks.forget(id);
            return AckFuture::failed(match error {
                EmitError::Disconnected => AckError::Disconnected,
                error => error.into(),
            });
        }
        if self.0.phase.load(Ordering::Acquire) == DISCONNECTED {
            acks.forget(id); // it went between the registration and now: nobody else would
        }
        AckFuture::new(self.clone(), id, answer, timeout)
    }

    pub(crate) fn forget_ack(&self, id: u64) {
        if let Some(extra) = self.0.extra.get() {
            extra.acks.forget(id);
        }
    }

    /// An acknowledgement has arrived.
    pub(crate) fn acknowledged(&self, id: u64, payload: impl Fn() -> ArgsBuf) {
        let own = self
            .0
            .extra
            .get()
            .is_some_and(|extra| extra.acks.resolve(id, &payload));
        if !own
            && !self
                .0
                .namespace
                .broadcast_acks
                .resolve(id, &self.0.id, payload)
        {
            tracing::debug!(socket = %self.0.id, id, "acknowledgement of nothing");
        }
    }
}

#[cold]
fn not_sent(error: SendError) -> EmitError {
    if let SendError::Full { .. } = error {
        crate::stats::outbox_full(1);
    }
    error.into()
}
