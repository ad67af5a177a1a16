//! Decoders of what Redis and other nodes send, for the targets in `fuzz/`.

use bytes::Bytes;
use fanfare_cluster::dialect::AdapterMessage;

use crate::{classic, streams};

/// Reads a message of the classic wire as a broadcast, a request and an answer.
pub fn classic(payload: &Bytes) {
    classic::fuzzing::message(payload);
}

/// Reads a reply of Redis as entries of a stream, as a position, and as the description of a stream. Returns the
/// messages of the entries.
pub fn entries(reply: &[u8]) -> Vec<AdapterMessage> {
    redis::parse_redis_value(reply).map_or_else(|_| Vec::new(), streams::fuzzing::entries)
}

/// Reads a session that another node has stored.
pub fn session(text: &[u8], private_id: &str) {
    streams::fuzzing::session(text, private_id);
}
