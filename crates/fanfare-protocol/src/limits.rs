//! The bounds of everything a peer can make us hold.

use std::time::Duration;

/// What a peer may cost, in bytes, counts and time.
///
/// One value is shared by the engine and the Socket.IO server. Where Node's `socket.io` has the limit, the name in
/// brackets is its option and the default is its default; the other limits have no counterpart there and are set so
/// that an ordinary application never meets them.
///
/// ```
/// # use fanfare_protocol::Limits;
/// let mut limits = Limits::default();
/// limits.max_payload = 64 * 1024;
/// limits.max_attachments = 2;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Longest message or request body accepted, in bytes (`maxHttpBufferSize`, 1 000 000). Announced to clients as
    /// `maxPayload`.
    pub max_payload: usize,
    /// Most binary attachments in one packet (`maxAttachments`, 10).
    pub max_attachments: usize,
    /// Most bytes that the attachments of one packet may have together (10 000 000, that is
    /// `max_attachments` × `max_payload` by default).
    pub max_attachment_bytes: usize,
    /// Deepest nesting of arrays and objects in a packet's JSON or msgpack, its outermost array included (128).
    /// Values above [`Limits::JSON_DEPTH_CEILING`] count as that ceiling.
    pub max_json_depth: usize,
    /// Most namespaces one connection may join (256).
    pub max_namespaces_per_client: usize,
    /// Longest namespace name, query included, in bytes (512).
    pub max_namespace_len: usize,
    /// Longest event name, in bytes (1024).
    pub max_event_name_len: usize,
    /// Longest `auth` of a client that joins a namespace, in bytes (64 KiB): it is kept for as long as the socket.
    pub max_auth_len: usize,
    /// Most namespaces that exist because clients asked for them, dynamic ones (100 000).
    pub max_dynamic_namespaces: usize,
    /// Most rooms one socket may be in (10 000).
    pub max_rooms_per_socket: usize,
    /// Longest room name, in bytes (1024).
    pub max_room_len: usize,
    /// Most bytes of events of one connection whose handlers still wait for something (64 MiB). An event counts as
    /// [`Limits::EVENT_OVERHEAD`] more than its arguments, for the handler itself.
    pub handler_bytes: usize,
    /// Most acknowledgements one socket may leave unanswered (1024).
    pub max_pending_acks: usize,
    /// Most connections of one server (unlimited).
    pub max_connections: usize,
    /// Most bytes of the URL and headers of the request that opens a session (16 KiB, Node's
    /// `--max-http-header-size`): they are kept for as long as the session.
    pub max_header_bytes: usize,
    /// Most bytes waiting to be written to one connection (1 MiB). A message larger than that is taken if nothing
    /// else waits.
    pub outbox_bytes: usize,
    /// Most packets waiting to be written to one connection (4096).
    pub outbox_packets: usize,
    /// How long a connection may stay without joining a namespace (`connectTimeout`, 45 s).
    pub connect_timeout: Duration,
    /// How long an upgrade from polling may take (`upgradeTimeout`, 10 s).
    pub upgrade_timeout: Duration,
    /// Most bytes of missed packets kept for connection state recovery, per namespace (16 MiB).
    pub recovery_bytes: usize,
    /// How long a lost connection can be recovered (`maxDisconnectionDuration`, 2 min).
    pub recovery_time: Duration,
}

impl Limits {
    /// Highest effective value of [`Limits::max_json_depth`]: deserialising recurses, and a stack is finite.
    pub const JSON_DEPTH_CEILING: usize = 512;

    /// What an event counts for in [`Limits::handler_bytes`] beside its arguments.
    pub const EVENT_OVERHEAD: usize = 1024;

    /// `max_json_depth`, at most [`Limits::JSON_DEPTH_CEILING`].
    #[must_use]
    pub fn json_depth(&self) -> usize {
        self.max_json_depth.min(Self::JSON_DEPTH_CEILING)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_payload: 1_000_000,
            max_attachments: 10,
            max_attachment_bytes: 10_000_000,
            max_json_depth: 128,
            max_namespaces_per_client: 256,
            max_namespace_len: 512,
            max_event_name_len: 1024,
            max_auth_len: 64 * 1024,
            max_dynamic_namespaces: 100_000,
            max_rooms_per_socket: 10_000,
            max_room_len: 1024,
            handler_bytes: 64 * 1024 * 1024,
            max_pending_acks: 1024,
            max_connections: usize::MAX,
            max_header_bytes: 16 * 1024,
            outbox_bytes: 1024 * 1024,
            outbox_packets: 4096,
            connect_timeout: Duration::from_secs(45),
            upgrade_timeout: Duration::from_secs(10),
            recovery_bytes: 16 * 1024 * 1024,
            recovery_time: Duration::from_secs(120),
        }
    }
}
