//! Subjects and encoding of the messages that are sent.

use fanfare_cluster::dialect::AdapterMessage;
use fanfare_cluster::{ClusterMessage, PublishOutcome};

use crate::connection::Connection;
use crate::log_target;
use crate::parts::{self, PART};
use crate::subject::Subjects;

/// Maximum length of a message that is sent in one part, in bytes: the default limit of a server.
const MAX_PART_BYTES: usize = 1 << 20;

/// Sender of a node's or emitter's messages, under its id.
#[derive(Debug, Clone)]
pub(crate) struct Publisher {
    connection: Connection,
    subjects: Subjects,
    id: String,
}

impl Publisher {
    pub(crate) fn new(connection: Connection, prefix: &str, id: &str) -> Self {
        Self {
            connection,
            subjects: Subjects::new(prefix),
            id: id.to_owned(),
        }
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    #[cfg(feature = "adapter")]
    pub(crate) fn subjects(&self) -> &Subjects {
        &self.subjects
    }

    #[cfg(feature = "adapter")]
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Returns the subject of a message.
    fn subject(&self, namespace: &str, message: &ClusterMessage) -> String {
        let rooms = match message {
            ClusterMessage::Broadcast(message) if message.request_id.is_none() => {
                Some(&message.options.rooms)
            }
            ClusterMessage::SocketsJoin(message) => Some(&message.options.rooms),
            ClusterMessage::SocketsLeave(message) => Some(&message.options.rooms),
            ClusterMessage::DisconnectSockets(message) => Some(&message.options.rooms),
            ClusterMessage::ServerSideEmit(message) if message.request_id.is_none() => {
                Some(const { &Vec::new() })
            }
            // Each node has to answer these, even if it has nothing of the namespace.
            _ => None,
        };
        match rooms {
            Some(rooms) => self.subjects.recipients(namespace, rooms),
            None => self.subjects.requests(),
        }
    }

    /// Sends a message to the nodes that it concerns.
    pub(crate) fn publish(&self, namespace: &str, message: ClusterMessage) -> PublishOutcome {
        let subject = self.subject(namespace, &message);
        self.subjects.record(namespace, &message);
        self.send(&subject, namespace, &message.into())
    }

    /// Appends a message to the log of the nodes.
    pub(crate) fn publish_logged(
        &self,
        namespace: &str,
        message: ClusterMessage,
    ) -> PublishOutcome {
        let subject = self.subjects.logged(&self.subject(namespace, &message));
        let message = AdapterMessage::from(message).encode(&self.id, Some(namespace));
        let (bytes, limit) = (message.as_bytes().len(), self.connection.max_payload());
        if bytes > limit {
            tracing::error!(target: log_target::CLUSTER, bytes, limit, "an event is too long for the log");
            return PublishOutcome::Full;
        }
        self.connection
            .publish(&subject, None, &[], message.as_bytes())
    }

    /// Sends a message, in parts if it is too long for one.
    pub(crate) fn send(
        &self,
        subject: &str,
        namespace: &str,
        message: &AdapterMessage,
    ) -> PublishOutcome {
        let message = message.encode(&self.id, Some(namespace));
        let payload = message.as_bytes();
        if payload.len() > parts::MAX_MESSAGE_BYTES {
            let bytes = payload.len();
            tracing::error!(target: log_target::CLUSTER, bytes, "a message is too long for the cluster");
            return PublishOutcome::Full;
        }
        let limit = self.connection.max_payload().min(MAX_PART_BYTES);
        let Some(mut parts) = parts::divide(payload, limit) else {
            return self.connection.publish(subject, None, &[], payload);
        };
        let failed = parts.find_map(|(header, part)| {
            let headers = [(PART, header.as_str())];
            let outcome = self.connection.publish(subject, None, &headers, part);
            (!outcome.is_queued()).then_some(outcome)
        });
        failed.unwrap_or(PublishOutcome::Queued)
    }
}
