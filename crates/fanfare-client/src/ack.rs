//! Awaiting acknowledgements.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use crate::core::AckResult;
use crate::error::{AckError, EmitError};
use crate::protocol::{AckKey, EmitOptions, Payload};
use crate::socket::Socket;

/// An event that asks for an acknowledgement: see [`Socket::emit_with_ack`].
///
/// It is sent when first polled. Cancellation-safe: dropping it stops the waiting, and withdraws the event if it is still
/// buffered.
#[derive(Debug)]
#[must_use = "nothing is sent before this is awaited, or `send` is called"]
pub struct AckRequest<R> {
    socket: Socket,
    options: EmitOptions,
    state: State,
    kind: PhantomData<fn() -> R>,
}

#[derive(Debug)]
enum State {
    Unsent(Result<Payload, EmitError>),
    Waiting(AckKey, oneshot::Receiver<AckResult>),
    Done,
}

impl<R> AckRequest<R> {
    pub(crate) fn new(socket: Socket, payload: Result<Payload, EmitError>) -> Self {
        Self {
            socket,
            options: EmitOptions::new().ack(None),
            state: State::Unsent(payload),
            kind: PhantomData,
        }
    }

    /// How long to wait, over the socket's [`ack_timeout`](crate::ClientBuilder::ack_timeout). Without either it waits
    /// until the connection is lost.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// Drops the event if it cannot be written right now; the result is [`AckError::Dropped`] then.
    pub fn volatile(mut self) -> Self {
        self.options.volatile = true;
        self
    }

    /// Whether the event may be compressed, as by [`Socket::compress`].
    pub fn compress(mut self, compress: bool) -> Self {
        self.options.compress = compress;
        self
    }

    /// Sends the event now, to await the acknowledgement later.
    ///
    /// # Errors
    ///
    /// As [`Socket::emit`], and [`EmitError::TooManyAcks`].
    pub fn send(mut self) -> Result<Self, EmitError> {
        self.start()?;
        Ok(self)
    }

    fn start(&mut self) -> Result<(), EmitError> {
        if !matches!(self.state, State::Unsent(_)) {
            return Ok(());
        }
        let State::Unsent(payload) = std::mem::replace(&mut self.state, State::Done) else {
            return Ok(());
        };
        let payload = payload?;
        let (tx, rx) = oneshot::channel();
        let (id, options) = (self.socket.id_in_manager(), self.options);
        let key = self.socket.core().with(|state, now| {
            let (_, key) = state.manager.emit(now, id, payload, options)?;
            if let Some(key) = key {
                state.acks.insert(key, tx);
            }
            Ok::<_, EmitError>(key)
        })?;
        if let Some(key) = key {
            self.state = State::Waiting(key, rx);
        }
        Ok(())
    }
}

impl<R: DeserializeOwned> Future for AckRequest<R> {
    type Output = Result<R, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.start()?;
        let State::Waiting(_, rx) = &mut self.state else {
            return Poll::Ready(Err(AckError::Closed));
        };
        let result = ready!(Pin::new(rx).poll(cx));
        self.state = State::Done;
        Poll::Ready(match result {
            Ok(Ok(args)) => args.decode().map_err(AckError::Args),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(AckError::Closed),
        })
    }
}

impl<R> Drop for AckRequest<R> {
    fn drop(&mut self) {
        if let State::Waiting(key, _) = self.state {
            let id = self.socket.id_in_manager();
            self.socket.core().with(|state, now| {
                if state.acks.remove(&key).is_some() {
                    state.manager.cancel_ack(now, id, key);
                }
            });
        }
    }
}
