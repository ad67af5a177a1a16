//! Client protocol of NATS, without I/O: <https://docs.nats.io/reference/reference-protocols/nats-protocol>.

mod parser;
mod write;

pub(crate) use parser::{Incoming, Operation, Parser, ProtocolError};
use serde::Deserialize;
pub(crate) use write::{Connect, publish, subscribe, unsubscribe};

/// First message of a server.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ServerInfo {
    /// Longest payload that the server accepts, headers included, in bytes.
    pub(crate) max_payload: usize,
    /// Whether the server understands headers.
    pub(crate) headers: bool,
    /// Whether the connection has to be encrypted.
    pub(crate) tls_required: bool,
    /// Whether the server offers JetStream.
    pub(crate) jetstream: bool,
    /// Addresses of the servers of its cluster.
    pub(crate) connect_urls: Vec<String>,
    /// Whether the server is about to stop.
    pub(crate) ldm: bool,
}
