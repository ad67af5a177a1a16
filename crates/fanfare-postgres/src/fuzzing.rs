//! Decoders of what PostgreSQL and other nodes send, for the targets in `fuzz/`.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Postgres;
use crate::node::Node;

/// Node that has one namespace and no connection.
#[derive(Clone)]
pub struct Receiver(Arc<Node>);

impl Receiver {
    /// Creates a node with the namespace `/` on the channel `socket.io#/`.
    ///
    /// # Panics
    /// If the default options are invalid.
    #[must_use]
    pub fn new() -> Self {
        let node = Postgres::new("postgres://127.0.0.1")
            .node(false)
            .expect("valid options");
        node.namespace_opened("/");
        Self(node)
    }

    /// Handles a notification: returns the id of the row that has the message, if it names one.
    #[must_use]
    pub fn notification(&self, payload: &Bytes) -> Option<i64> {
        let row = self.0.row_of("socket.io#/", payload);
        if row.is_none() {
            self.row(payload);
        }
        row
    }

    /// Handles the contents of a row.
    pub fn row(&self, payload: &Bytes) {
        let message = ("socket.io#/".to_owned(), payload.clone());
        self.0.receive_all(std::iter::once(message));
    }

    /// Returns the number of the other nodes.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.0.known("/").map_or(0, |peers| peers.len())
    }
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Receiver").field(&self.0).finish()
    }
}
