//! Requests to the other servers of a cluster.

use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::EncodedEvent;
use serde::{Deserialize, Serialize};

use super::status::{Answer, Answers};
use super::{MAX_SEEN, Node, NodeStatus, Operations, OperationsError};
use crate::adapter::{PublishOutcome, ServerEvent, ServerSideEmit};
use crate::log_target;

/// Name of the server-side event, which handlers of the application do not receive.
pub(super) const EVENT: &str = "fanfare:operations";

/// Time that the other servers have to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum length of a request, in bytes; longer ones are ignored.
const MAX_ORDER_BYTES: usize = 1024;

/// Request to servers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Command {
    /// Each server reports its state.
    Status,
    /// The server with this id drains.
    Drain { node: String, within: Duration },
    /// The server with this id closes this number of connections.
    Rebalance {
        node: String,
        close: usize,
        within: Duration,
    },
}

/// A request as it is sent, with an authentication code beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Order {
    /// Random id, so that it is carried out once.
    id: String,
    command: Command,
}

impl Operations {
    fn event(&self, command: &Command) -> Result<EncodedEvent, OperationsError> {
        let order = Order {
            id: fanfare_cluster::unique_id(),
            command: command.clone(),
        };
        let unreachable = |error: String| OperationsError::Unreachable(error);
        let order =
            serde_json::to_string(&order).map_err(|error| unreachable(error.to_string()))?;
        let code = self.node.key.sign(&order);
        EncodedEvent::new(EVENT, &(order, code)).map_err(|error| unreachable(error.to_string()))
    }

    /// Sends a request to all other servers, and collects their answers. Without an adapter there are none.
    pub(super) async fn ask(&self, command: &Command) -> Result<Answers, OperationsError> {
        let main = self.io.main().0;
        let Some(cluster) = &main.cluster else {
            return Ok(Answers::default());
        };
        let message = ServerSideEmit::new(self.event(command)?);
        let unreachable =
            |error: &dyn std::fmt::Display| OperationsError::Unreachable(error.to_string());
        let request = cluster.request(&main, |id| message.request_id(id));
        let request = request.map_err(|error| unreachable(&error))?;
        // After the timeout, the servers that did not answer are missing.
        if let Ok(Err(error)) = tokio::time::timeout(ANSWER_TIMEOUT, request.finished()).await {
            return Err(unreachable(&error));
        }
        let missing = request.pending.missing_peers();
        let values = request.pending.take_values();
        let nodes = values.iter().filter_map(|(value, _)| {
            let answer: Result<Answer, _> = value.args()?.decode();
            // Of a version that this one does not understand.
            answer.ok()
        });
        Ok(Answers {
            nodes: nodes.collect(),
            missing,
        })
    }

    /// Sends a request to all other servers, without waiting for an answer.
    pub(super) fn tell(&self, command: &Command) -> Result<(), OperationsError> {
        let main = self.io.main().0;
        let Some(cluster) = &main.cluster else {
            return Ok(());
        };
        let message = ServerSideEmit::new(self.event(command)?);
        match cluster.publish(&main.name, message) {
            PublishOutcome::Queued => Ok(()),
            outcome => Err(OperationsError::Unreachable(outcome.to_string())),
        }
    }
}

impl Node {
    /// Handles a request of another server. Invalid ones get no answer.
    pub(super) fn receive(self: &Arc<Self>, event: ServerEvent) {
        let Some(command) = self.verify(&event) else {
            tracing::debug!(target: log_target::CLUSTER, "an invalid request of an operator, or one under another key");
            return;
        };
        let Some((io, mut status)) = NodeStatus::here(self) else {
            return;
        };
        let carried_out = match command {
            Command::Drain { node, within } if node == self.id => {
                status = self.drain(&io, within);
                true
            }
            Command::Rebalance {
                node,
                close,
                within,
            } if node == self.id => {
                self.rebalance(&io, close, within);
                true
            }
            Command::Status => true,
            Command::Drain { .. } | Command::Rebalance { .. } => false,
        };
        let answer = Answer {
            node: status,
            carried_out,
        };
        // Serialization of these types does not fail.
        let _ = event.ack((answer,));
    }

    fn verify(&self, event: &ServerEvent) -> Option<Command> {
        let (order, code): (String, String) = event.data().ok()?;
        if order.len() > MAX_ORDER_BYTES || !self.key.verify(&order, &code) {
            return None;
        }
        let Order { id, command } = serde_json::from_str(&order).ok()?;
        if command == Command::Status {
            return Some(command);
        }
        let mut seen = self.seen.lock();
        if seen.contains(&id) {
            return None;
        }
        if seen.len() >= MAX_SEEN {
            seen.pop_front();
        }
        seen.push_back(id);
        Some(command)
    }
}
