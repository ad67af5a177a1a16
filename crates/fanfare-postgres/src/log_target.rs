//! Targets of log messages, listed in `docs/observability.md`.

/// Messages to and from other servers.
pub(crate) const CLUSTER: &str = "fanfare::cluster";
