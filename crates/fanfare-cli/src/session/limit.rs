//! Detection of connections lost because a message exceeded the server's limit.

use fanfare_protocol::engine::Opened;

use super::{Found, SessionOptions, detect};
use crate::target::{Target, TransportChoice};

/// Message length below which no real server's limit is the cause, in bytes.
const ALWAYS_ACCEPTED_BYTES: usize = 4096;

/// Returns whether a disconnection for `reason` may have been caused by a message of `longest` bytes.
pub(super) fn may_be_the_cause(reason: &str, longest: usize) -> bool {
    longest > ALWAYS_ACCEPTED_BYTES
        && !matches!(reason, "io server disconnect" | "io client disconnect")
}

/// Reads the limit from the server's handshake, and compares.
pub(super) async fn reason(
    target: Target,
    options: SessionOptions,
    reason: String,
    longest: usize,
) -> Found {
    // Long-polling carries bytes as base64.
    let sent = match options.transport {
        TransportChoice::Polling => longest.div_ceil(3) * 4,
        _ => longest,
    };
    match limit(target, options).await {
        Some(limit) if sent > limit => Found::Reason(format!(
            "{reason}: a message of {longest} bytes was sent, and the server takes at most {limit} (its maxPayload: \
             maxHttpBufferSize of Node, max_payload of Fanfare)"
        )),
        _ => Found::Nothing,
    }
}

async fn limit(target: Target, options: SessionOptions) -> Option<usize> {
    let response = detect::handshake(&target, &options).await?;
    let text = response.text();
    let json = text.strip_prefix('0')?.split('\u{1e}').next()?;
    Opened::parse(json).ok()?.max_payload
}
