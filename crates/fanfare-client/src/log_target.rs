//! Targets of log messages: part of the public contract, listed in `book/en/src/guide/observability.md`.

/// Target of messages about the connection: opened, lost, reconnecting.
pub(crate) const CONNECTION: &str = "fanfare_client::connection";
/// Target of messages about handlers and listeners that failed, panicked or were not called.
pub(crate) const HANDLER: &str = "fanfare_client::handler";
