use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use fanfare_protocol::socket::{ArgsBuf, ArgsError};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::collector::Collector;
use crate::adapter::{AdapterError, RemoteAcks, from_value};
use crate::error::EmitError;
use crate::namespace::NamespaceInner;
use crate::socket::Socket;
use crate::stats;

/// Why no acknowledgement came.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The client did not answer in time.
    #[error("operation has timed out after {0:?}")]
    Timeout(Duration),
    /// The socket was disconnected before the client answered.
    #[error("socket has been disconnected")]
    Disconnected,
    /// As many acknowledgements are pending as [`Limits::pending_acks`](crate::Limits) allows.
    #[error("{limit} acknowledgements are pending already")]
    TooManyPending {
        /// The limit.
        limit: usize,
    },
    /// The event could not be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The other servers of the cluster could not be reached.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// The answer does not fit the type.
    #[error("unexpected acknowledgement: {0}")]
    Args(#[from] ArgsError),
}

type Inner<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// The acknowledgement of one client, see [`Socket::emit_with_ack`].
///
/// The event has been sent already when this exists; dropping it only forgets the answer.
#[must_use = "the answer arrives only if this is awaited"]
pub struct AckFuture<R> {
    inner: Inner<Result<R, AckError>>,
}

impl<R: DeserializeOwned + 'static> AckFuture<R> {
    pub(crate) fn failed(error: AckError) -> Self {
        Self {
            inner: Box::pin(async { Err(error) }),
        }
    }

    pub(crate) fn new(
        socket: Socket,
        id: u64,
        rx: oneshot::Receiver<ArgsBuf>,
        timeout: Duration,
    ) -> Self {
        let guard = Forget { socket, id };
        let asked = Instant::now();
        Self {
            inner: Box::pin(async move {
                let _guard = guard;
                match tokio::time::timeout(timeout, rx).await {
                    Ok(Ok(payload)) => {
                        stats::acknowledged(asked.elapsed());
                        Ok(payload.decode()?)
                    }
                    Ok(Err(_)) => {
                        stats::unacknowledged("disconnected", 1);
                        Err(AckError::Disconnected)
                    }
                    Err(_) => {
                        stats::unacknowledged("timeout", 1);
                        Err(AckError::Timeout(timeout))
                    }
                }
            }),
        }
    }
}

struct Forget {
    socket: Socket,
    id: u64,
}

impl Drop for Forget {
    fn drop(&mut self) {
        self.socket.forget_ack(self.id);
    }
}

impl<R> Future for AckFuture<R> {
    type Output = Result<R, AckError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for AckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

/// Why a broadcast was not acknowledged by all its recipients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastAckError<R> {
    /// Not all clients answered in time.
    #[error("operation has timed out after {timeout:?}: {} answered, {missing} did not", responses.len())]
    Timeout {
        /// The time that was given.
        timeout: Duration,
        /// The answers that did come.
        responses: Vec<R>,
        /// How many clients did not answer.
        missing: usize,
    },
    /// The event could not be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The other servers of the cluster could not be reached.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// An answer does not fit the type.
    #[error("unexpected acknowledgement: {0}")]
    Args(#[from] ArgsError),
}

/// The acknowledgements of a broadcast, see
/// [`BroadcastOperator::emit_with_ack`](crate::BroadcastOperator::emit_with_ack).
///
/// Recipients that disconnect are no longer waited for. The event has been sent already when this exists.
#[must_use = "the answers arrive only if this is awaited"]
pub struct BroadcastAckFuture<R> {
    inner: Inner<Result<Vec<R>, BroadcastAckError<R>>>,
}

impl<R: DeserializeOwned + Send + 'static> BroadcastAckFuture<R> {
    pub(crate) fn failed(error: EmitError) -> Self {
        Self {
            inner: Box::pin(async { Err(error.into()) }),
        }
    }

    pub(crate) fn new(
        namespace: Arc<NamespaceInner>,
        id: u64,
        collector: Arc<Collector>,
        timeout: Duration,
        remote: Option<RemoteAcks>,
        _types: PhantomData<R>,
    ) -> Self {
        let guard = ForgetBroadcast { namespace, id };
        Self {
            inner: Box::pin(async move {
                let _guard = guard;
                let all = async {
                    let Some(remote) = &remote else {
                        collector.finished().await;
                        return Ok(());
                    };
                    // Both at once: whoever is missing in the end is known of both.
                    tokio::join!(collector.finished(), remote.finished()).1
                };
                let timed_out = match tokio::time::timeout(timeout, all).await {
                    Ok(result) => {
                        result?;
                        false
                    }
                    Err(_) => true,
                };
                let (mut payloads, mut missing, _gone) = collector.take();
                if let Some(remote) = &remote {
                    missing = missing.saturating_add(remote.pending.missing());
                    let values = remote.pending.take_values();
                    payloads.extend(values.iter().filter_map(from_value));
                }
                let responses = payloads
                    .iter()
                    .map(ArgsBuf::decode)
                    .collect::<Result<Vec<R>, _>>()?;
                if timed_out && missing > 0 {
                    stats::unacknowledged("timeout", missing);
                    return Err(BroadcastAckError::Timeout {
                        timeout,
                        responses,
                        missing,
                    });
                }
                Ok(responses)
            }),
        }
    }
}

struct ForgetBroadcast {
    namespace: Arc<NamespaceInner>,
    id: u64,
}

impl Drop for ForgetBroadcast {
    fn drop(&mut self) {
        self.namespace.broadcast_acks.forget(self.id);
    }
}

impl<R> Future for BroadcastAckFuture<R> {
    type Output = Result<Vec<R>, BroadcastAckError<R>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for BroadcastAckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAckFuture").finish_non_exhaustive()
    }
}
