//! Emitters: programs that send events to the clients of a cluster and serve no clients.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_protocol::EncodedEvent;
use fanfare_protocol::socket::{EncodeError, IntoArgs};

use crate::{
    AdapterError, Broadcast, ClusterMessage, ClusterOptions, DisconnectSockets, PublishOutcome,
    ServerSideEmit, SocketsJoin, SocketsLeave,
};

/// Boxed future, as object-safe traits need it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Connection of an [`Emitter`] to the broker of a cluster.
pub trait EmitterTransport: Send + Sync + 'static {
    /// Sends a message to all nodes. Must not block. The messages of one thread keep their order.
    fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome;

    /// Waits until the broker has accepted everything that was published before.
    fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>>;
}

/// Reason for which an [`Emitter`] did not send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmitterError {
    /// The arguments cannot be serialized, or the name is reserved.
    #[error(transparent)]
    NotSerializable(#[from] EncodeError),
    /// The queue is full: the program emits faster than the broker accepts messages.
    #[error("the queue to the broker is full")]
    Full,
    /// There has been no connection to the broker for longer than messages are queued.
    #[error("the broker is out of reach")]
    Down,
}

/// Emitter of events to the clients of a cluster, for a program that serves no clients, such as a job or another
/// service.
///
/// It selects a namespace and rooms as a server does; each method returns a new value. The crates of the brokers create
/// it. Only servers can request acknowledgements.
///
/// ```
/// # fn f(emitter: fanfare_cluster::Emitter) -> Result<(), fanfare_cluster::EmitterError> {
/// emitter.emit("announcement", "to all clients")?;
/// emitter.of("/chat").to("lobby").except("quiet").emit("news", (1, "two"))?;
/// emitter.to("lobby").sockets_join("archive")?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use = "it does nothing without `emit` or another operation"]
pub struct Emitter {
    transport: Arc<dyn EmitterTransport>,
    namespace: Arc<str>,
    options: ClusterOptions,
}

impl Emitter {
    /// Creates an emitter for the main namespace.
    pub fn new(transport: impl EmitterTransport) -> Self {
        Self {
            transport: Arc::new(transport),
            namespace: "/".into(),
            options: ClusterOptions::default(),
        }
    }

    /// Selects a namespace. The leading slash may be omitted.
    pub fn of(&self, namespace: &str) -> Self {
        let namespace = match namespace.starts_with('/') {
            true => namespace.into(),
            false => format!("/{namespace}").into(),
        };
        Self {
            namespace,
            ..self.clone()
        }
    }

    /// Selects the clients of a room. Several calls select the clients in at least one of the rooms.
    pub fn to(&self, room: impl Into<String>) -> Self {
        let mut emitter = self.clone();
        add(&mut emitter.options.rooms, room.into());
        emitter
    }

    /// Excludes the clients of a room.
    pub fn except(&self, room: impl Into<String>) -> Self {
        let mut emitter = self.clone();
        add(&mut emitter.options.except, room.into());
        emitter
    }

    /// Allows the servers to drop the event for clients that are not ready.
    pub fn volatile(&self) -> Self {
        let mut emitter = self.clone();
        emitter.options.flags.volatile = true;
        emitter
    }

    /// Sets whether the event is worth compressing.
    pub fn compress(&self, compress: bool) -> Self {
        let mut emitter = self.clone();
        emitter.options.flags.compress = Some(compress);
        emitter
    }

    /// Sends an event to the selected clients. A tuple is several arguments, any other value one.
    ///
    /// # Errors
    /// [`EmitterError`] if the event cannot be encoded, the queue is full, or there has been no connection for too
    /// long.
    pub fn emit(&self, event: impl AsRef<str>, args: impl IntoArgs) -> Result<(), EmitterError> {
        let event = EncodedEvent::new(event.as_ref(), &args)?;
        self.publish(Broadcast::new(event, self.options.clone()))
    }

    /// Makes the selected clients join a room.
    ///
    /// # Errors
    /// [`EmitterError::Full`] or [`EmitterError::Down`].
    pub fn sockets_join(&self, room: impl Into<String>) -> Result<(), EmitterError> {
        self.publish(SocketsJoin::new(self.options.clone(), vec![room.into()]))
    }

    /// Makes the selected clients leave a room.
    ///
    /// # Errors
    /// [`EmitterError::Full`] or [`EmitterError::Down`].
    pub fn sockets_leave(&self, room: impl Into<String>) -> Result<(), EmitterError> {
        self.publish(SocketsLeave::new(self.options.clone(), vec![room.into()]))
    }

    /// Disconnects the selected clients; with `close`, also closes their connections.
    ///
    /// # Errors
    /// [`EmitterError::Full`] or [`EmitterError::Down`].
    pub fn disconnect_sockets(&self, close: bool) -> Result<(), EmitterError> {
        self.publish(DisconnectSockets::new(self.options.clone(), close))
    }

    /// Sends an event to the servers of the namespace.
    ///
    /// # Errors
    /// The same as [`emit`](Self::emit).
    pub fn server_side_emit(
        &self,
        event: impl AsRef<str>,
        args: impl IntoArgs,
    ) -> Result<(), EmitterError> {
        self.publish(ServerSideEmit::new(EncodedEvent::new(
            event.as_ref(),
            &args,
        )?))
    }

    /// Waits until the broker has accepted all earlier messages. To be called before the program ends.
    ///
    /// # Errors
    /// [`AdapterError`] if a message was dropped, or the connection was lost meanwhile.
    pub async fn flush(&self) -> Result<(), AdapterError> {
        self.transport.flush().await
    }

    fn publish(&self, message: impl Into<ClusterMessage>) -> Result<(), EmitterError> {
        match self.transport.publish(&self.namespace, message.into()) {
            PublishOutcome::Queued => Ok(()),
            PublishOutcome::Full => Err(EmitterError::Full),
            PublishOutcome::Down => Err(EmitterError::Down),
        }
    }
}

/// Adds a room, once.
fn add(rooms: &mut Vec<String>, room: String) {
    if !rooms.contains(&room) {
        rooms.push(room);
    }
}

impl fmt::Debug for Emitter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Emitter")
            .field("namespace", &self.namespace)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default, Clone)]
    struct Record(Arc<Mutex<Vec<(String, ClusterMessage)>>>);

    impl EmitterTransport for Record {
        fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
            let mut messages = self.0.lock();
            if messages.len() == 3 {
                return PublishOutcome::Full;
            }
            messages.push((namespace.to_owned(), message));
            PublishOutcome::Queued
        }

        fn flush(&self) -> BoxFuture<'_, Result<(), AdapterError>> {
            Box::pin(async { Ok(()) })
        }
    }

    #[test]
    fn selections_are_values_and_failures_are_errors() {
        let record = Record::default();
        let emitter = Emitter::new(record.clone());
        let lobby = emitter.of("chat").to("lobby").to("lobby");
        lobby
            .except("quiet")
            .volatile()
            .emit("news", (1, "two"))
            .unwrap();
        lobby.sockets_join("archive").unwrap();
        emitter.server_side_emit("ping", ()).unwrap();
        assert!(matches!(emitter.emit("x", ()), Err(EmitterError::Full)));
        let reserved = emitter.emit("disconnect", ());
        assert!(matches!(reserved, Err(EmitterError::NotSerializable(_))));

        let messages = record.0.lock();
        let (namespace, ClusterMessage::Broadcast(message)) = &messages[0] else {
            panic!("{messages:?}");
        };
        assert_eq!(namespace, "/chat");
        assert_eq!(message.event.data().json(), r#"["news",1,"two"]"#);
        assert_eq!(message.options.rooms, ["lobby"]);
        assert_eq!(message.options.except, ["quiet"]);
        assert!(message.options.flags.volatile);
        let (_, ClusterMessage::SocketsJoin(join)) = &messages[1] else {
            panic!("{messages:?}");
        };
        assert_eq!(
            (&join.rooms[..], join.options.except.len()),
            (&["archive".to_owned()][..], 0)
        );
        assert_eq!(messages[2].0, "/");
    }
}
