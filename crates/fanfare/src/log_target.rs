//! Targets of log messages: part of the public contract, listed in `book/en/src/guide/observability.md`.

/// Messages to and from other servers.
pub(crate) const CLUSTER: &str = "fanfare::cluster";
/// Connections: malformed packets, timeouts, limits that were reached.
pub(crate) const CONNECTION: &str = "fanfare::connection";
/// Draining and closing the server.
pub(crate) const DRAIN: &str = "fanfare::drain";
/// Events and acknowledgements, one message each.
pub(crate) const EVENT: &str = "fanfare::socket::event";
/// Handlers that failed, panicked or were not called.
pub(crate) const HANDLER: &str = "fanfare::handler";
/// Hooks of the application that panicked.
pub(crate) const HOOK: &str = "fanfare::hook";
/// Creation and removal of namespaces.
pub(crate) const NAMESPACE: &str = "fanfare::namespace";
/// Connection state recovery.
pub(crate) const RECOVERY: &str = "fanfare::recovery";
/// Sockets: connected, disconnected, rejected, rooms not joined.
pub(crate) const SOCKET: &str = "fanfare::socket";
