//! Events between servers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::socket::{AllArgs, Args, ArgsBuf, ArgsError, EncodeError, IntoArgs};
use fanfare_protocol::{EncodedEvent, EncodedValue, Value};
use serde::de::DeserializeOwned;

use super::{AdapterError, BoxFuture, MissingNodes};
use crate::namespace::NamespaceHandle;
use crate::server::SocketIo;

pub(crate) type ServerHandler = Arc<dyn Fn(ServerEvent) -> BoxFuture<'static, ()> + Send + Sync>;
type Answer = Box<dyn FnOnce(EncodedValue) + Send + Sync>;

/// An event from another server of the cluster, sent with
/// [`server_side_emit`](crate::NamespaceHandle::server_side_emit).
pub struct ServerEvent {
    pub(super) namespace: NamespaceHandle,
    pub(super) event: EncodedEvent,
    pub(super) answer: Option<Answer>,
}

impl ServerEvent {
    /// Returns the name of the event.
    pub fn name(&self) -> &str {
        self.event.name()
    }

    /// Returns the namespace.
    pub fn namespace(&self) -> &NamespaceHandle {
        &self.namespace
    }

    /// Returns this server; `None` if it has been dropped.
    pub fn io(&self) -> Option<SocketIo> {
        self.namespace.0.io().map(SocketIo::from_inner)
    }

    /// Deserializes the arguments: a tuple takes several, any other type the first.
    ///
    /// # Errors
    /// If they do not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        let args = self.event.args();
        args.unwrap_or_else(no_args).decode()
    }

    /// Returns the arguments without types.
    pub fn args(&self) -> Vec<Value> {
        let args = self.data::<AllArgs<Value>>();
        args.map_or_else(|_| Vec::new(), |AllArgs(values)| values)
    }

    /// Answers the event with the first argument. Does nothing if no answer is wanted.
    ///
    /// # Errors
    /// If the answer cannot be serialized.
    pub fn ack(self, answer: impl IntoArgs) -> Result<(), EncodeError> {
        let Some(send) = self.answer else {
            return Ok(());
        };
        send(EncodedValue::of_first(&answer)?);
        Ok(())
    }
}

/// Returns an empty list of arguments, for the handler of an event that cannot be read although it has been checked.
fn no_args() -> ArgsBuf {
    Args::empty().to_buf()
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvent")
            .field("event", &self.event)
            .finish_non_exhaustive()
    }
}

/// Reason for which a server-side event failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerSideEmitError<R = ()> {
    /// The arguments cannot be serialized, or the name is reserved: `connect`, `connection`, `new_namespace` are.
    #[error(transparent)]
    NotSerializable(#[from] EncodeError),
    /// The other nodes could not be reached.
    #[error("{error}")]
    #[non_exhaustive]
    Unreachable {
        /// Answers that arrived.
        responses: Vec<R>,
        /// Error of the adapter.
        #[source]
        error: AdapterError,
    },
    /// Not all nodes answered in time.
    #[error("timeout reached after {timeout:?}: {} servers answered, {missing} did not", responses.len())]
    #[non_exhaustive]
    Timeout {
        /// Timeout of the request.
        timeout: Duration,
        /// Answers that arrived.
        responses: Vec<R>,
        /// Nodes that did not answer.
        missing: MissingNodes,
    },
    /// Some answers were discarded: the answers that wait to be read are bounded by
    /// [`Limits::ack_bytes`](crate::Limits::ack_bytes).
    #[error("{not_kept} answers found no room, the limit is {limit} bytes: {} were kept", responses.len())]
    #[non_exhaustive]
    AnswersNotKept {
        /// Answers that were kept.
        responses: Vec<R>,
        /// Number of answers that were discarded.
        not_kept: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// An answer does not fit the type.
    #[error("unexpected answer: {0}")]
    Args(#[from] ArgsError),
}

impl<R> ServerSideEmitError<R> {
    /// Returns the answers that have arrived.
    pub(crate) fn responses(&self) -> &[R] {
        match self {
            Self::Unreachable { responses, .. }
            | Self::Timeout { responses, .. }
            | Self::AnswersNotKept { responses, .. } => responses,
            Self::NotSerializable(_) | Self::Args(_) => &[],
        }
    }

    pub(crate) fn unreachable(error: impl Into<AdapterError>) -> Self {
        Self::Unreachable {
            responses: Vec::new(),
            error: error.into(),
        }
    }

    /// Returns the same error with its answers replaced.
    pub(crate) fn map<S>(self, change: impl FnOnce(Vec<R>) -> Vec<S>) -> ServerSideEmitError<S> {
        match self {
            Self::NotSerializable(error) => ServerSideEmitError::NotSerializable(error),
            Self::Unreachable { responses, error } => ServerSideEmitError::Unreachable {
                responses: change(responses),
                error,
            },
            Self::Timeout {
                timeout,
                responses,
                missing,
            } => ServerSideEmitError::Timeout {
                timeout,
                responses: change(responses),
                missing,
            },
            Self::AnswersNotKept {
                responses,
                not_kept,
                limit,
            } => ServerSideEmitError::AnswersNotKept {
                responses: change(responses),
                not_kept,
                limit,
            },
            Self::Args(error) => ServerSideEmitError::Args(error),
        }
    }
}
