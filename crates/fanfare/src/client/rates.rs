//! Rate limits of a connection.

use fanfare_protocol::socket::Packet;

use super::Conn;
use super::rejection::reject;
use crate::ack::AckSender;
use crate::clock;
use crate::handler::{AckSink, ConnectError, EventError};
use crate::limits::{RateLimitAction, Verdict};
use crate::log_target;

/// Counts a message against the rate limits. `Some(false)`: the packet that it belongs to must be dropped; `None`: the
/// connection has been closed.
#[inline]
pub(super) fn admit_message(conn: &Conn, len: usize) -> Option<bool> {
    match &conn.state().meter {
        None => Some(true),
        Some(meter) => excess(conn, meter.message(len, clock::now())),
    }
}

/// Applies the action for exceeded rate limits. The result is that of [`admit_message`].
fn excess(conn: &Conn, verdict: Verdict) -> Option<bool> {
    let Verdict::Excess { cause, action, log } = verdict else {
        return Some(true);
    };
    conn.state().io.stats.rejected(cause);
    if log {
        let address = conn.handshake().address().map(tracing::field::display);
        tracing::warn!(target: log_target::CONNECTION, address, cause, ?action, "a client sends too much");
    }
    match action {
        RateLimitAction::Warn => Some(true),
        RateLimitAction::Drop => Some(false),
        RateLimitAction::Disconnect => {
            conn.state().close(conn);
            None
        }
    }
}

/// Whether a packet is to be handled: its bytes are within the rate limits (`admitted`), and so are the events.
#[cold]
pub(super) fn admits(conn: &Conn, packet: &Packet<'_>, namespace: &str, admitted: bool) -> bool {
    if !matches!(packet, Packet::Event(_) | Packet::Connect(_)) {
        return true;
    }
    let client = conn.state();
    let events = || match &client.meter {
        Some(meter) => excess(conn, meter.event(clock::now())),
        None => Some(true),
    };
    match if admitted { events() } else { Some(false) } {
        Some(true) => return true,
        Some(false) => {}
        None => return false,
    }
    match packet {
        Packet::Event(event) => {
            if let (Some(id), Some(socket)) = (event.ack, client.socket(namespace)) {
                AckSender::new(&socket, Some(id), None).fail(&EventError::new("too many events"));
            }
        }
        Packet::Connect(_) => reject(conn, namespace, &ConnectError::new("too many events")),
        _ => {}
    }
    false
}
