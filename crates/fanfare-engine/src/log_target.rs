//! Targets of log messages: part of the public contract, listed in `book/en/src/guide/observability.md`.

/// Hooks of the application that panicked.
pub(crate) const HOOK: &str = "fanfare::hook";
/// Accepted connections before they become sessions: TLS, HTTP, PROXY protocol, listening.
pub(crate) const SERVE: &str = "fanfare::serve";
/// Engine.IO sessions and their transports.
pub(crate) const SESSION: &str = "fanfare::session";
