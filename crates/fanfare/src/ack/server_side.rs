use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use fanfare_protocol::deadline as after;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::adapter::{RemoteRequest, ServerSideEmitError};
use crate::namespace::NamespaceInner;

/// Time within which the other servers have to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

type Answers<R> = Result<Vec<R>, ServerSideEmitError<R>>;

/// Future of the answers of the other servers, see
/// [`NamespaceHandle::server_side_emit_with_ack`](crate::NamespaceHandle::server_side_emit_with_ack).
///
/// The event has already been sent when this exists; dropping it only discards the answers.
#[must_use = "the answers arrive only if this is awaited"]
pub struct ServerSideAckFuture<R> {
    inner: Pin<Box<dyn Future<Output = Answers<R>> + Send>>,
}

impl<R: Send + 'static> ServerSideAckFuture<R> {
    pub(crate) fn of(answers: impl Future<Output = Answers<R>> + Send + 'static) -> Self {
        Self {
            inner: Box::pin(answers),
        }
    }

    pub(crate) fn ready(answers: Answers<R>) -> Self {
        Self::of(std::future::ready(answers))
    }
}

impl<R: DeserializeOwned + Send + 'static> ServerSideAckFuture<R> {
    pub(crate) fn new(namespace: Arc<NamespaceInner>, request: RemoteRequest) -> Self {
        let deadline = Instant::from_std(after(Instant::now().into_std(), ANSWER_TIMEOUT));
        Self::of(async move {
            let finished = tokio::time::timeout_at(deadline, request.finished()).await;
            let missing = request.pending.missing_peers();
            let values = request.pending.take_values();
            let answers = values.iter().filter_map(|(value, _)| value.args());
            let responses = answers
                .map(|answer| answer.decode())
                .collect::<Result<Vec<R>, _>>()?;
            let not_kept = request.pending.not_kept();
            if not_kept > 0 {
                return Err(ServerSideEmitError::AnswersNotKept {
                    responses,
                    not_kept,
                    limit: namespace.broadcast_acks.budget().limit(),
                });
            }
            match finished {
                Ok(Ok(())) => Ok(responses),
                Ok(Err(error)) => Err(ServerSideEmitError::Unreachable { responses, error }),
                Err(_) => Err(ServerSideEmitError::Timeout {
                    timeout: ANSWER_TIMEOUT,
                    responses,
                    missing,
                }),
            }
        })
    }
}

impl<R> Future for ServerSideAckFuture<R> {
    type Output = Answers<R>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.inner.as_mut().poll(cx)
    }
}

impl<R> fmt::Debug for ServerSideAckFuture<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSideAckFuture")
            .finish_non_exhaustive()
    }
}
