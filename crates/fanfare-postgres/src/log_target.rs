//! Targets of log messages, listed in `book/en/src/guide/observability.md`.

/// Messages to and from other servers.
pub(crate) const CLUSTER: &str = "fanfare::cluster";
