//! Events between servers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::Value;
use fanfare_protocol::socket::{ArgsError, EncodeError, IntoArgs};
use serde::de::DeserializeOwned;

use super::values::{from_values, to_values};
use super::{AdapterError, BoxFuture};
use crate::io::SocketIo;
use crate::namespace::NamespaceHandle;

pub(crate) type ServerHandler = Arc<dyn Fn(ServerEvent) -> BoxFuture<'static, ()> + Send + Sync>;
type Answer = Box<dyn FnOnce(Value) + Send + Sync>;

/// An event that another server of the cluster has sent with
/// [`server_side_emit`](crate::NamespaceHandle::server_side_emit).
pub struct ServerEvent {
    pub(super) namespace: NamespaceHandle,
    pub(super) name: String,
    pub(super) args: Vec<Value>,
    pub(super) answer: Option<Answer>,
}

impl ServerEvent {
    /// The name of the event.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace.
    pub fn namespace(&self) -> &NamespaceHandle {
        &self.namespace
    }

    /// This server; `None` if it is gone.
    pub fn io(&self) -> Option<SocketIo> {
        self.namespace.0.io().map(SocketIo::from_inner)
    }

    /// The arguments: a tuple takes several, anything else the first.
    ///
    /// # Errors
    /// If they do not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        let args = from_values(&self.args);
        args.unwrap_or_else(no_args).decode()
    }

    /// The arguments without types.
    pub fn args(&self) -> &[Value] {
        &self.args
    }

    /// Answers the event: the first argument travels. Does nothing if no answer is wanted.
    ///
    /// # Errors
    /// If the answer cannot be serialised.
    pub fn ack(self, answer: impl IntoArgs) -> Result<(), EncodeError> {
        let Some(send) = self.answer else {
            return Ok(());
        };
        let mut values = to_values("ack", &answer)?;
        values.truncate(2);
        let value = if values.len() == 2 {
            values.pop()
        } else {
            None
        };
        send(value.unwrap_or_default());
        Ok(())
    }
}

/// What was a value is JSON again without fail; if not, there are no arguments.
fn no_args() -> fanfare_protocol::socket::ArgsBuf {
    fanfare_protocol::socket::Args::empty().to_buf()
}

impl fmt::Debug for ServerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerEvent")
            .field("name", &self.name)
            .field("args", &self.args)
            .finish_non_exhaustive()
    }
}

/// Why a server-side event failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerSideEmitError<R = ()> {
    /// The arguments cannot be serialized, or the name is reserved: `connect`, `connection`, `new_namespace` are.
    #[error(transparent)]
    NotSerializable(#[from] EncodeError),
    /// The other nodes could not be reached.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// Not all nodes answered in time.
    #[error("timeout reached after {timeout:?}: {} servers answered, {missing} did not", responses.len())]
    Timeout {
        /// The time that was given.
        timeout: Duration,
        /// The answers that did come.
        responses: Vec<R>,
        /// How many did not.
        missing: usize,
    },
    /// An answer does not fit the type.
    #[error("unexpected answer: {0}")]
    Args(#[from] ArgsError),
}

impl<R> ServerSideEmitError<R> {
    /// The same error with other answers in it.
    pub(crate) fn map<S>(self, change: impl FnOnce(Vec<R>) -> Vec<S>) -> ServerSideEmitError<S> {
        match self {
            Self::NotSerializable(error) => ServerSideEmitError::NotSerializable(error),
            Self::Adapter(error) => ServerSideEmitError::Adapter(error),
            Self::Timeout {
                timeout,
                responses,
                missing,
            } => ServerSideEmitError::Timeout {
                timeout,
                responses: change(responses),
                missing,
            },
            Self::Args(error) => ServerSideEmitError::Args(error),
        }
    }
}
