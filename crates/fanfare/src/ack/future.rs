use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use fanfare_protocol::socket::ArgsError;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::collector::{Collected, Collector};
use super::kept::{Answer, NotKept};
use crate::adapter::{AdapterError, MissingNodes, RemoteRequest};
use crate::clock;
use crate::error::EmitError;
use crate::namespace::NamespaceInner;
use crate::socket::Socket;
use crate::stats;

/// Reason for which an acknowledgement failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AckError {
    /// The client did not answer in time.
    #[error("operation has timed out after {0:?}")]
    Timeout(Duration),
    /// The socket was disconnected before the client answered.
    #[error("socket has been disconnected")]
    Disconnected,
    /// The number of pending acknowledgements has reached [`Limits::max_pending_acks`](crate::Limits).
    #[error("{limit} acknowledgements are pending already")]
    TooManyPending {
        /// The limit.
        limit: usize,
    },
    /// The answer was discarded: the answers that wait to be read already use the whole share of
    /// [`Limits::ack_bytes`](crate::Limits::ack_bytes) that this client's address may have.
    #[error("no room for the answer: the limit for all that wait to be taken is {limit} bytes")]
    AnswerNotKept {
        /// The limit, in bytes.
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

impl From<NotKept> for AckError {
    fn from(NotKept { limit }: NotKept) -> Self {
        Self::AnswerNotKept { limit }
    }
}

type Inner<R> = Pin<Box<dyn Future<Output = R> + Send>>;

/// Check of the rules of an answer.
type Check<R> = fn(&R) -> Result<(), ArgsError>;

/// Future of the acknowledgement of one client, see [`Socket::emit_with_ack`].
///
/// The event has already been sent when this exists; dropping it only discards the answer.
#[must_use = "the answer arrives only if this is awaited"]
pub struct AckFuture<R> {
    inner: Inner<Result<R, AckError>>,
    check: Option<Check<R>>,
}

impl<R: DeserializeOwned + 'static> AckFuture<R> {
    pub(crate) fn of(answer: impl Future<Output = Result<R, AckError>> + Send + 'static) -> Self {
        Self {
            inner: Box::pin(answer),
            check: None,
        }
    }

    pub(crate) fn failed(error: AckError) -> Self {
        Self::of(async { Err(error) })
    }

    /// Returns the future of an answer that must pass `check`.
    pub(crate) fn checked(self, check: Check<R>) -> Self {
        Self {
            check: Some(check),
            ..self
        }
    }

    pub(crate) fn new(
        socket: Socket,
        id: u64,
        rx: oneshot::Receiver<Result<Answer, NotKept>>,
        timeout: Duration,
    ) -> Self {
        let guard = Forget { socket, id };
        let asked = clock::now();
        Self {
            inner: Box::pin(async move {
                let _guard = guard;
                match tokio::time::timeout(timeout, rx).await {
                    Ok(Ok(answer)) => {
                        stats::acknowledged(clock::now().saturating_duration_since(asked));
                        Ok(answer?.args.decode()?)
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
            check: None,
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
        let answer = ready!(self.inner.as_mut().poll(cx))?;
        if let Some(check) = self.check {
            check(&answer)?;
        }
        Poll::Ready(Ok(answer))
    }
}

impl<R> fmt::Debug for AckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AckFuture").finish_non_exhaustive()
    }
}

/// Reason for which a broadcast was not acknowledged by all its recipients.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BroadcastAckError<R> {
    /// Not all clients answered in time.
    #[error("operation has timed out after {timeout:?}: {} answered, {missing} did not", responses.len())]
    #[non_exhaustive]
    Timeout {
        /// Timeout of the broadcast.
        timeout: Duration,
        /// Answers that arrived.
        responses: Vec<R>,
        /// Number of clients that did not answer, and of servers whose number of clients is not known.
        missing: usize,
        /// Other servers that did not answer, or not for all their clients.
        nodes: MissingNodes,
    },
    /// Some answers were discarded: the answers that wait to be read are bounded by
    /// [`Limits::ack_bytes`](crate::Limits::ack_bytes), for all broadcasts together, and the share of the clients of
    /// one address is bounded as well.
    #[error(
        "{not_kept} answers found no room, the limit for all broadcasts is {limit} bytes: {} were kept, {missing} did not come",
        responses.len()
    )]
    #[non_exhaustive]
    AnswersNotKept {
        /// Answers that were kept.
        responses: Vec<R>,
        /// Number of answers that were discarded.
        not_kept: usize,
        /// Number of clients that did not answer in time.
        missing: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The event could not be sent.
    #[error(transparent)]
    Emit(#[from] EmitError),
    /// The other servers of the cluster could not be reached. Their clients may have received the event.
    #[error("{error}")]
    #[non_exhaustive]
    Unreachable {
        /// Answers that arrived.
        responses: Vec<R>,
        /// Error of the adapter.
        #[source]
        error: AdapterError,
    },
    /// An answer does not fit the type.
    #[error("unexpected acknowledgement: {0}")]
    Args(#[from] ArgsError),
}

/// Future of the acknowledgements of a broadcast, see
/// [`BroadcastOperator::emit_with_ack`](crate::BroadcastOperator::emit_with_ack).
///
/// Recipients that disconnect are no longer waited for. The event has already been sent when this exists.
#[must_use = "the answers arrive only if this is awaited"]
pub struct BroadcastAckFuture<R> {
    inner: Inner<Result<Vec<R>, BroadcastAckError<R>>>,
    check: Option<Check<R>>,
}

impl<R: DeserializeOwned + Send + 'static> BroadcastAckFuture<R> {
    pub(crate) fn failed(error: EmitError) -> Self {
        Self {
            inner: Box::pin(async { Err(error.into()) }),
            check: None,
        }
    }

    /// Returns the future of answers each of which must pass `check`.
    pub(crate) fn checked(self, check: Check<R>) -> Self {
        Self {
            check: Some(check),
            ..self
        }
    }

    pub(crate) fn new(
        namespace: Arc<NamespaceInner>,
        id: u64,
        collector: Arc<Collector>,
        timeout: Duration,
        remote: Option<Result<RemoteRequest, AdapterError>>,
        _types: PhantomData<R>,
    ) -> Self {
        let guard = ForgetBroadcast {
            namespace: namespace.clone(),
            id,
        };
        Self {
            inner: Box::pin(async move {
                let _guard = guard;
                let (remote, mut unreachable) = match remote {
                    None => (None, None),
                    Some(Ok(remote)) => (Some(remote), None),
                    Some(Err(error)) => (None, Some(error)),
                };
                let all = async {
                    let Some(remote) = &remote else {
                        collector.finished().await;
                        return Ok(());
                    };
                    // Both are waited for together, so that the missing answers of both are known in the end.
                    tokio::join!(collector.finished(), remote.finished()).1
                };
                let timed_out = match tokio::time::timeout(timeout, all).await {
                    Ok(Ok(())) => false,
                    Ok(Err(error)) => {
                        unreachable = Some(error);
                        false
                    }
                    Err(_) => true,
                };
                let Collected {
                    responses: own,
                    mut not_kept,
                    mut missing,
                } = collector.take();
                let mut responses = Vec::with_capacity(own.len());
                for answer in own {
                    responses.push(answer.args.decode::<R>()?);
                }
                let mut nodes = MissingNodes::default();
                if let Some(remote) = &remote {
                    nodes = remote.pending.missing_peers();
                    missing = missing.saturating_add(remote.pending.missing());
                    not_kept = not_kept.saturating_add(remote.pending.not_kept());
                    for (value, _kept) in remote.pending.take_values() {
                        if let Some(args) = value.args() {
                            responses.push(args.decode()?);
                        }
                    }
                }
                let missing = if timed_out { missing } else { 0 };
                if not_kept > 0 {
                    return Err(BroadcastAckError::AnswersNotKept {
                        responses,
                        not_kept,
                        missing,
                        limit: namespace.broadcast_acks.budget().limit(),
                    });
                }
                if missing > 0 {
                    stats::unacknowledged("timeout", missing);
                    return Err(BroadcastAckError::Timeout {
                        timeout,
                        responses,
                        missing,
                        nodes,
                    });
                }
                match unreachable {
                    Some(error) => Err(BroadcastAckError::Unreachable { responses, error }),
                    None => Ok(responses),
                }
            }),
            check: None,
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
        let result = ready!(self.inner.as_mut().poll(cx));
        if let Some(check) = self.check {
            let answers = match &result {
                Ok(answers)
                | Err(
                    BroadcastAckError::Timeout {
                        responses: answers, ..
                    }
                    | BroadcastAckError::AnswersNotKept {
                        responses: answers, ..
                    },
                ) => answers,
                Err(_) => return Poll::Ready(result),
            };
            answers.iter().try_for_each(check)?;
        }
        Poll::Ready(result)
    }
}

impl<R> fmt::Debug for BroadcastAckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BroadcastAckFuture").finish_non_exhaustive()
    }
}
