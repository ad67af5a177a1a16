//! Emission of events.

use std::time::Duration;

use fanfare_protocol::socket::IntoArgs;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Socket, SocketEmitter};
use crate::ack::AckFuture;
use crate::error::EmitError;
use crate::protocol::{EmitOptions, Payload};

impl Socket {
    /// Emits an event, or keeps it until the socket is connected. `&T` is one argument, a tuple is several, `()` none.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::EmitError> {
    /// socket.emit("join", "lobby")?;
    /// socket.emit("position", (3.5, 7.25))?;
    /// socket.emit("picture", bytes::Bytes::from_static(b"\x89PNG"))?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EmitError::NotSerializable`], or [`EmitError::Full`] when the buffer is full.
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emitter().emit(event, args)
    }

    /// Emits the event `message`.
    ///
    /// # Errors
    ///
    /// The same as [`emit`](Self::emit).
    pub fn send(&self, args: impl IntoArgs) -> Result<(), EmitError> {
        self.emit("message", args)
    }

    /// Makes the next event volatile: it is dropped if it cannot be written right now, and never buffered.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::EmitError> {
    /// socket.volatile().emit("position", (3.5, 7.25))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn volatile(&self) -> SocketEmitter {
        self.emitter().volatile()
    }

    /// Sets whether the next event may be compressed, as by
    /// [`per_message_deflate`](crate::ClientBuilder::per_message_deflate). By default it may.
    ///
    /// ```no_run
    /// # fn run(socket: &fanfare_client::Socket, picture: bytes::Bytes) -> Result<(), fanfare_client::EmitError> {
    /// socket.compress(false).emit("picture", picture)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn compress(&self, compress: bool) -> SocketEmitter {
        self.emitter().compress(compress)
    }

    /// Sets the timeout of the next event's acknowledgement, in place of
    /// [`ack_timeout`](crate::ClientBuilder::ack_timeout). Without either, [`emit_with_ack`](Self::emit_with_ack) waits
    /// until the connection is lost.
    pub fn timeout(&self, timeout: Duration) -> SocketEmitter {
        self.emitter().timeout(timeout)
    }

    /// Emits an encoded event and returns the future of its acknowledgement.
    pub(crate) fn emit_for_ack<R>(
        &self,
        payload: Result<Payload, EmitError>,
        options: EmitOptions,
    ) -> AckFuture<R> {
        let emitted = payload.and_then(|payload| {
            let (tx, rx) = oneshot::channel();
            self.core().with(|state, now| {
                let key = state.emit(now, self.inner.id, payload, options)?;
                if let Some(key) = key {
                    state.acks.insert(key, tx);
                }
                Ok(key.map(|key| (key, rx)))
            })
        });
        AckFuture::new(self.inner.clone(), emitted)
    }

    fn emitter(&self) -> SocketEmitter {
        SocketEmitter::new(self.clone())
    }

    /// Emits an event and awaits its acknowledgement: the first argument of the answer, several for a tuple.
    ///
    /// The event is emitted at once; the answer arrives when the future is awaited. Dropping the future withdraws the
    /// event if it is still buffered.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// # async fn run(socket: &fanfare_client::Socket) -> Result<(), fanfare_client::AckError> {
    /// let id: u64 = socket.timeout(Duration::from_secs(5)).emit_with_ack("message", "hello").await?;
    /// let (ok, count): (bool, u32) = socket.emit_with_ack("save", ("a", 1)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future fails with [`AckError`](crate::AckError): if the event cannot be emitted, after the
    /// [`timeout`](Self::timeout), or when the connection is lost.
    pub fn emit_with_ack<R: DeserializeOwned>(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> AckFuture<R> {
        self.emitter().emit_with_ack(event, args)
    }

    /// Number of events in the offline buffer and the `retries` queue, and of their bytes.
    #[must_use]
    pub fn buffered(&self) -> (usize, usize) {
        self.core()
            .look(|state| state.manager.buffered(self.inner.id))
    }

    /// Drops the events in the offline buffer (and in the `retries` queue, apart from the one in flight), when they
    /// have become useless. Their acknowledgements fail with [`AckError::Dropped`](crate::AckError::Dropped). Returns
    /// the number of events dropped.
    pub fn clear_buffer(&self) -> usize {
        let id = self.inner.id;
        self.core()
            .with(|state, now| state.manager.clear_buffer(now, id))
    }

    /// Number of pending acknowledgements.
    #[must_use]
    pub fn pending_acks(&self) -> usize {
        self.core()
            .look(|state| state.manager.pending_acks(self.inner.id))
    }

    /// Waits until all emits were handed to the operating system; returns `false` after the timeout. Provides
    /// back-pressure for applications that produce faster than the network sends. Events that wait for a connection
    /// count too.
    pub async fn flushed(&self, timeout: Duration) -> bool {
        let id = self.inner.id;
        let flushed = self.core().wait_until(move |state| {
            state.manager.pending_bytes() == 0 && state.manager.buffered(id).0 == 0
        });
        tokio::time::timeout(timeout, flushed).await.is_ok()
    }
}
