//! Limits of all resources that a peer can use.

use std::time::Duration;

/// Limits of the resources that a peer may use, in bytes, counts and time.
///
/// One value is shared by the engine and the Socket.IO server. Where Node's `socket.io` has the limit, the name in
/// brackets is its option and the default is its default; the other limits have no counterpart there and are set so
/// that an ordinary application never reaches them.
///
/// ```
/// # use fanfare_protocol::Limits;
/// let limits = Limits::new().max_payload(64 * 1024).max_attachments(2);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Maximum length of an accepted message or request body, in bytes (`maxHttpBufferSize`, 1 000 000). Announced to
    /// clients as `maxPayload`.
    pub max_payload: usize,
    /// Maximum number of binary attachments in one packet (`maxAttachments`, 10).
    pub max_attachments: usize,
    /// Maximum total length of the attachments of one packet, in bytes (10 000 000, that is `max_attachments` ×
    /// `max_payload` by default).
    pub max_attachment_bytes: usize,
    /// Maximum number of arguments of one event or acknowledgement (4096).
    pub max_arguments: usize,
    /// Maximum nesting of arrays and objects in a packet's JSON or msgpack, its outermost array included (128). Values
    /// above [`Limits::JSON_DEPTH_CEILING`] count as that ceiling.
    pub max_json_depth: usize,
    /// Maximum number of namespaces one connection may join (256).
    pub max_namespaces_per_client: usize,
    /// Maximum length of a namespace name, query included, in bytes (512).
    pub max_namespace_len: usize,
    /// Maximum length of an event name, in bytes (1024).
    pub max_event_name_len: usize,
    /// Maximum length of the `auth` of a client that joins a namespace, in bytes (64 KiB). The socket keeps it until it
    /// ends.
    pub max_auth_len: usize,
    /// Maximum number of dynamic namespaces, which exist because clients requested them (100 000).
    pub max_dynamic_namespaces: usize,
    /// Maximum number of rooms one socket may be in (10 000).
    pub max_rooms_per_socket: usize,
    /// Maximum number of room names that one call may pass to `to`, `except`, `join`, `sockets_join` or
    /// `sockets_leave`, or that one message of another server of a cluster may have (10 000).
    pub max_rooms_per_call: usize,
    /// Maximum length of a room name, in bytes (1024).
    pub max_room_len: usize,
    /// Maximum number of bytes held for events of one connection whose handlers have not finished (64 MiB), plus one
    /// event. At the limit, nothing is read from the connection until half of it is done. An event counts as the bytes
    /// that its arguments hold once they are deserialized (an estimate, see
    /// [`Args::decoded_bytes`](crate::socket::Args::decoded_bytes)), the handler's future, and
    /// [`Limits::EVENT_OVERHEAD`] more.
    pub max_handler_backlog_bytes: usize,
    /// Maximum number of pending acknowledgements of one socket (1024).
    pub max_pending_acks: usize,
    /// Maximum number of connections of one server (unlimited).
    pub max_connections: usize,
    /// Maximum length of the URL and headers of the request that opens a session, in bytes (16 KiB, Node's
    /// `--max-http-header-size`). The session keeps them until it ends.
    pub max_header_bytes: usize,
    /// Maximum number of bytes in the outbox of one connection (1 MiB). A larger message is accepted if the outbox is
    /// empty.
    pub outbox_bytes: usize,
    /// Maximum number of packets in the outbox of one connection (4096).
    pub outbox_packets: usize,
    /// Limit in place of `outbox_bytes` while a client cannot have read the outbox (4 MiB): with long-polling, during
    /// the upgrade to WebSocket, and from then on until the outbox fits `outbox_bytes` again. A value smaller than
    /// `outbox_bytes` counts as `outbox_bytes`.
    pub burst_bytes: usize,
    /// Limit in place of `outbox_packets` in the same phases (16 384).
    pub burst_packets: usize,
    /// Timeout of a connection that has joined no namespace (`connectTimeout`, 45 s).
    pub connect_timeout: Duration,
    /// Timeout of a packet from its first part to the last of its attachments (1 min), after which the connection is
    /// closed.
    pub packet_timeout: Duration,
    /// Timeout of an upgrade from polling (`upgradeTimeout`, 10 s).
    pub upgrade_timeout: Duration,
    /// Maximum number of bytes of packets kept for connection state recovery, of all namespaces together (32 MiB).
    /// Beyond it, the oldest packets of the namespace with the most bytes are evicted; namespaces that one client
    /// created count as one.
    pub recovery_bytes: usize,
    /// Maximum number of bytes of recoverable sessions, of all namespaces together (32 MiB): ids, rooms and data.
    /// Beyond it, the oldest sessions of the address with the most bytes are evicted.
    pub recovery_session_bytes: usize,
    /// Maximum number of bytes of missed packets that are sent to a client that reconnects (4 MiB); a client that
    /// missed more is not recovered.
    pub recovery_replay_bytes: usize,
    /// Maximum number of bytes of received acknowledgements that the application has not taken, of all sockets together
    /// (32 MiB); those of a broadcast wait until the last has arrived. One address may use at most half of it.
    pub ack_bytes: usize,
    /// Maximum number of bytes of the sockets that other servers of a cluster list for `fetch_sockets`, of all calls
    /// together (64 MiB). The list of a server that exceeds it is discarded, and the server counts as missing.
    pub fetch_sockets_bytes: usize,
}

impl Limits {
    /// Creates the default limits.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    crate::setters! {
        max_payload: usize,
        max_attachments: usize,
        max_attachment_bytes: usize,
        max_arguments: usize,
        max_json_depth: usize,
        max_namespaces_per_client: usize,
        max_namespace_len: usize,
        max_event_name_len: usize,
        max_auth_len: usize,
        max_dynamic_namespaces: usize,
        max_rooms_per_socket: usize,
        max_rooms_per_call: usize,
        max_room_len: usize,
        max_handler_backlog_bytes: usize,
        max_pending_acks: usize,
        max_connections: usize,
        max_header_bytes: usize,
        outbox_bytes: usize,
        outbox_packets: usize,
        burst_bytes: usize,
        burst_packets: usize,
        connect_timeout: Duration,
        packet_timeout: Duration,
        upgrade_timeout: Duration,
        recovery_bytes: usize,
        recovery_session_bytes: usize,
        recovery_replay_bytes: usize,
        ack_bytes: usize,
        fetch_sockets_bytes: usize,
    }

    /// Highest effective value of [`Limits::max_json_depth`]: deserializing recurses, and a stack is finite.
    pub const JSON_DEPTH_CEILING: usize = 512;

    /// Bytes that an event counts for in [`Limits::max_handler_backlog_bytes`] in addition to its arguments.
    pub const EVENT_OVERHEAD: usize = 1024;

    /// Returns `max_json_depth`, at most [`Limits::JSON_DEPTH_CEILING`].
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
            max_arguments: 4096,
            max_json_depth: 128,
            max_namespaces_per_client: 256,
            max_namespace_len: 512,
            max_event_name_len: 1024,
            max_auth_len: 64 * 1024,
            max_dynamic_namespaces: 100_000,
            max_rooms_per_socket: 10_000,
            max_rooms_per_call: 10_000,
            max_room_len: 1024,
            max_handler_backlog_bytes: 64 * 1024 * 1024,
            max_pending_acks: 1024,
            max_connections: usize::MAX,
            max_header_bytes: 16 * 1024,
            outbox_bytes: 1024 * 1024,
            outbox_packets: 4096,
            burst_bytes: 4 * 1024 * 1024,
            burst_packets: 16 * 1024,
            connect_timeout: Duration::from_secs(45),
            packet_timeout: Duration::from_secs(60),
            upgrade_timeout: Duration::from_secs(10),
            recovery_bytes: 32 * 1024 * 1024,
            recovery_session_bytes: 32 * 1024 * 1024,
            recovery_replay_bytes: 4 * 1024 * 1024,
            ack_bytes: 32 * 1024 * 1024,
            fetch_sockets_bytes: 64 << 20,
        }
    }
}
