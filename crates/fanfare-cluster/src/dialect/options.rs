//! Values that both dialects share.

use std::time::Duration;

use super::DialectError;

/// Maximum timeout that a peer can ask for, in milliseconds: that of JavaScript's timers.
const MAX_TIMEOUT_MS: f64 = 2_147_483_647.0;

/// Returns the timeout of this many milliseconds; `None` if it is no number.
pub(super) fn milliseconds(timeout: f64) -> Option<Duration> {
    let timeout = (!timeout.is_nan()).then(|| timeout.clamp(0.0, MAX_TIMEOUT_MS))?;
    Some(Duration::from_secs_f64(timeout / 1000.0))
}

/// Checks that a packet is an event. A binary event needs no other treatment, because its binary values are in the
/// packet.
pub(super) fn check_packet_type(kind: u64) -> Result<(), DialectError> {
    match kind {
        2 | 5 => Ok(()),
        _ => Err(DialectError::Member("packet.type")),
    }
}
