//! Events to a client, and their acknowledgements.

use std::sync::atomic::Ordering;

use fanfare_engine::{EncodedMessage, SendError};
use fanfare_protocol::socket::{ArgsBuf, IntoArgs};
use fanfare_protocol::{EncodedEvent, Escaped};
use serde::de::DeserializeOwned;

use super::{CONNECTING, DISCONNECTED, EmitFlags, Socket, SocketEmitter};
use crate::ack::{AckError, AckFuture};
use crate::adapter::PublishOutcome;
use crate::broadcast::{BroadcastOperator, RoomNames};
use crate::encode;
use crate::error::EmitError;
use crate::id::SocketId;
use crate::log_target;
use crate::namespace::NamespaceInner;
use crate::recovery::{Identity, Keep};

impl Socket {
    /// Sends an event: `&T` is one argument, a tuple is several. In a middleware, before the client is connected, it is
    /// queued and sent after the CONNECT packet; if the client is rejected, it is dropped.
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
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.send_event(None, event.as_ref(), &args, EmitFlags::default())
    }

    /// Sends an event `message`, as Node's `send` does.
    ///
    /// # Errors
    /// As [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Sends an event and waits for its acknowledgement: the first argument of the answer (all of them, if `R` is a
    /// tuple). The event is sent at once; the answer arrives when the future is awaited.
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
    /// the socket disconnects, or when [`Limits::max_pending_acks`](crate::Limits) are pending.
    pub fn emit_with_ack<R: DeserializeOwned + Send + 'static>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        self.timeout(self.io_inner().ack_timeout)
            .emit_with_ack(event, args)
    }

    /// Makes an event volatile: it is dropped if something is queued for the client or no polling request is waiting.
    pub fn volatile(&self) -> SocketEmitter {
        SocketEmitter::new(self.clone()).volatile()
    }

    /// Sets whether the next event is worth compressing, where the transport compresses (see
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

    /// Sets the timeout of acknowledgements.
    pub fn timeout(&self, timeout: std::time::Duration) -> SocketEmitter {
        SocketEmitter::new(self.clone()).timeout(timeout)
    }

    /// Selects all sockets of the namespace but this one.
    pub fn broadcast(&self) -> BroadcastOperator {
        BroadcastOperator::from_sender(self)
    }

    /// Selects the sockets in a room, or in at least one of several, but not this one.
    pub fn to(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().to(rooms)
    }

    /// Selects all sockets but this one and those in these rooms.
    pub fn except(&self, rooms: impl RoomNames) -> BroadcastOperator {
        self.broadcast().except(rooms)
    }

    /// Waits until what is queued for the client takes at most half of `outbox_bytes` and of `outbox_packets` of
    /// [`Limits`](crate::Limits).
    ///
    /// # Errors
    /// [`EmitError::Disconnected`].
    ///
    /// # Cancel safety
    ///
    /// A dropped call has changed nothing.
    pub async fn ready(&self) -> Result<(), EmitError> {
        Ok(self.0.connection.ready().await?)
    }

    /// Returns the number of bytes that wait to be written to the client, over all its namespaces.
    pub fn pending_bytes(&self) -> usize {
        self.0.connection.pending_bytes()
    }

    pub(crate) fn send_event(
        &self,
        ack: Option<u64>,
        event: &str,
        args: &impl IntoArgs,
        how: EmitFlags,
    ) -> Result<(), EmitError> {
        let phase = self.0.phase.load(Ordering::Acquire);
        if phase == DISCONNECTED {
            return Err(EmitError::Disconnected);
        }
        let kept = self.0.namespace.keeps_events && ack.is_none();
        if kept || phase == CONNECTING || self.0.namespace.watches_outgoing() {
            let shared = encode::shared_event(&self.0.namespace.codec, event, args)?;
            return self.send_shared(ack, &shared, how, phase);
        }
        let namespace = &*self.0.namespace.name;
        if how.volatile {
            let codec = &self.0.namespace.codec;
            let message = encode::encode_event(codec, namespace, ack, event, args)?;
            return self.send_message(event, &message, how);
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

    /// Sends an event that is encoded once for listeners, recovery and the client.
    #[cold]
    fn send_shared(
        &self,
        ack: Option<u64>,
        event: &EncodedEvent,
        how: EmitFlags,
        phase: u8,
    ) -> Result<(), EmitError> {
        let NamespaceInner { name, codec, .. } = &*self.0.namespace;
        if self.0.namespace.watches_outgoing() {
            let own = || vec![self.clone()];
            self.0.namespace.outgoing(event, own);
        }
        if phase == CONNECTING {
            let message = encode::packet(codec, name, ack, event, None)?;
            if let Some(kept) = self.send_early(event.name(), message, how) {
                return kept;
            }
        }
        // Events to a socket that cannot be recovered are not kept.
        if let (None, Some(_)) = (ack, self.part()) {
            if let Some(recovery) = &self.0.namespace.recovery {
                let own = [&*self.0.id];
                let keep = match how.volatile {
                    true => Keep::No,
                    false => Keep::For(&own[..], &[], Identity::Local),
                };
                let send = |message: &EncodedMessage, _: &[SocketId]| {
                    self.send_message(event.name(), message, how)
                };
                return recovery.emit((codec, name), event, keep, send)?;
            }
            if self.0.namespace.cluster_recovery.is_some() {
                return self.send_logged(event, how);
            }
        }
        let message = encode::packet(codec, name, ack, event, None)?;
        self.send_message(event.name(), &message, how)
    }

    /// Sends an event through the log of the adapter, so that it can be sent again if the client reconnects to another
    /// node.
    fn send_logged(&self, event: &EncodedEvent, how: EmitFlags) -> Result<(), EmitError> {
        let mut operator = BroadcastOperator::new(self.0.namespace.clone())
            .to(&self.0.id)
            .compress(how.compress);
        if how.volatile {
            operator = operator.volatile();
        }
        match operator.emit_shared(event)?.cluster {
            Some(outcome @ PublishOutcome::Full) => Err(EmitError::NotLogged(outcome)),
            _ => Ok(()),
        }
    }

    fn send_message(
        &self,
        event: &str,
        message: &EncodedMessage,
        how: EmitFlags,
    ) -> Result<(), EmitError> {
        let uncompressed;
        let message = match how.compress {
            true => message,
            false => {
                uncompressed = message.clone().uncompressed();
                &uncompressed
            }
        };
        let sent = match how.volatile {
            true => self.0.connection.send_volatile(message),
            false => self.0.connection.send(message).map(|()| true),
        };
        if sent.map_err(not_sent)? {
            self.sent(event, message.len());
        }
        Ok(())
    }

    #[inline]
    pub(super) fn sent(&self, event: &str, len: usize) {
        self.0.namespace.stats.event_out(1, len);
        tracing::trace!(target: log_target::EVENT, socket = %self.0.id, event = %Escaped(event), "event sent");
    }

    pub(crate) fn send_ack(&self, id: u64, args: impl IntoArgs) -> Result<(), EmitError> {
        if !self.is_connected() {
            return Err(EmitError::Disconnected);
        }
        let mut encoded = Ok(());
        let namespace = &*self.0.namespace.name;
        let sent = self.0.connection.send_with(|buf| {
            encoded = self.0.namespace.codec.write_ack(buf, namespace, id, &args);
        });
        sent.map_err(not_sent)?;
        Ok(encoded?)
    }

    pub(crate) fn request<R: DeserializeOwned + Send + 'static>(
        &self,
        event: &str,
        args: &impl IntoArgs,
        timeout: std::time::Duration,
        compress: bool,
    ) -> AckFuture<R> {
        let how = EmitFlags {
            compress,
            ..EmitFlags::default()
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
            acks.forget(id); // it disconnected after the registration: its removal missed this one
        }
        AckFuture::new(self.clone(), id, answer, timeout)
    }

    pub(crate) fn forget_ack(&self, id: u64) {
        if let Some(extra) = self.0.extra.get() {
            extra.acks.forget(id);
        }
    }

    /// Delivers an acknowledgement that has arrived.
    pub(crate) fn acknowledged(&self, id: u64, payload: impl Fn() -> ArgsBuf) {
        let acks = &self.0.namespace.broadcast_acks;
        let keep = || acks.budget().answer(self.owner(), payload());
        let own = self.0.extra.get();
        let own = own.is_some_and(|extra| extra.acks.resolve(id, keep));
        if !own && !acks.resolve(id, self, &payload) {
            tracing::debug!(target: log_target::EVENT, socket = %self.0.id, id, "no acknowledgement with this id is pending");
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
