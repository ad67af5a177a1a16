//! The state machine.

use std::time::Instant;

use super::state::Upgrade;
use super::{Actions, Received, SessionConfig, Stage, Tail};
use crate::deadline;
use crate::engine::{CloseReason, Protocol, Transport};

/// One session of an Engine.IO server. See the [module](super) for its use by a driver.
#[derive(Clone, Debug)]
pub struct Session {
    revision: Protocol,
    pub(super) transport: Transport,
    pub(super) stage: Stage,
    pub(super) upgrade: Upgrade,
    pub(super) upgraded: bool,
    pub(super) get: bool,
    pub(super) post: bool,
    pub(super) awaits_pong: bool,
    /// Last packet of the answer to a pending GET if the queue is empty.
    pub(super) tail: Tail,
    reason: CloseReason,
    /// Time of the next ping, or deadline of a pong; in revision 3 the deadline of a ping.
    pub(super) heartbeat: Instant,
    pub(super) upgrade_until: Option<Instant>,
    pub(super) noop_at: Option<Instant>,
    close_until: Option<Instant>,
    /// Deadline for the driver to read again, while it has stopped reading.
    pub(super) paused_until: Option<Instant>,
    /// Whether that deadline passed.
    starved: bool,
}

impl Session {
    /// Creates a session that was just opened. The driver queues the `open` packet.
    #[must_use]
    pub fn new(
        now: Instant,
        transport: Transport,
        revision: Protocol,
        config: &SessionConfig,
    ) -> Session {
        let first = match revision {
            Protocol::V4 => config.ping_interval,
            Protocol::V3 => config.patience(),
        };
        Session {
            revision,
            transport,
            stage: Stage::Open,
            upgrade: Upgrade::No,
            upgraded: false,
            get: false,
            post: false,
            awaits_pong: false,
            tail: Tail::Nothing,
            reason: CloseReason::TransportClose,
            heartbeat: deadline(now, first),
            upgrade_until: None,
            noop_at: None,
            close_until: None,
            paused_until: None,
            starved: false,
        }
    }

    /// Current transport of the session.
    #[inline]
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }

    /// Protocol revision of the client.
    #[inline]
    #[must_use]
    pub fn revision(&self) -> Protocol {
        self.revision
    }

    /// Stage of the session's life cycle.
    #[inline]
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Reason for which the session ended; meaningless before [`Actions::CLOSED`].
    #[must_use]
    pub fn reason(&self) -> CloseReason {
        self.reason
    }

    /// Whether the session moved from polling to WebSocket.
    #[must_use]
    pub fn upgraded(&self) -> bool {
        self.upgraded
    }

    /// Whether a WebSocket is being probed.
    #[must_use]
    pub fn upgrading(&self) -> bool {
        self.upgrade != Upgrade::No
    }

    /// Whether the deadline of a pong is running (in revision 3: of the next ping), so that [`expire`](Session::expire)
    /// may end the session.
    #[inline]
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.stage == Stage::Open
            && self.paused_until.is_none()
            && (self.awaits_pong || self.revision == Protocol::V3)
    }

    /// Whether [`next_deadline`](Session::next_deadline) is only for a ping, which may be a little late. (The deadline
    /// of its pong does not move with it.)
    #[must_use]
    pub fn next_is_ping(&self) -> bool {
        !self.is_timed()
            && self.paused_until.is_none()
            && self.next_deadline() == Some(self.heartbeat)
    }

    /// Ends the session if its heartbeat is overdue. To be called when data arrives, which may be handled before the
    /// next [`tick`](Session::tick).
    pub fn expire(&mut self, now: Instant) -> Actions {
        if self.is_timed() && self.heartbeat <= now {
            return self.end(CloseReason::PingTimeout);
        }
        Actions::NONE
    }

    /// Stops the pong timeout while the driver reads nothing from the client, until [`resume`](Session::resume),
    /// because the client's pongs stay unread. The server still sends pings, so that the client does not time out. The
    /// pause lasts at most as long as the client may be silent.
    ///
    /// The upgrade timeout restarts after the pause. Official clients send the `upgrade` packet only after the response to
    /// their POST, and would be lost if the server had closed the probe before.
    pub fn pause(&mut self, now: Instant, config: &SessionConfig) {
        if self.stage != Stage::Open || self.paused_until.is_some() {
            return;
        }
        self.paused_until = Some(deadline(now, config.patience()));
        self.upgrade_until = None;
        if std::mem::take(&mut self.awaits_pong) {
            let asked = self.heartbeat.checked_sub(config.ping_timeout);
            self.heartbeat = deadline(asked.unwrap_or(now), config.ping_interval);
        }
    }

    /// Handles that the driver reads again: in revision 3, the deadline of the ping restarts.
    pub fn resume(&mut self, now: Instant, config: &SessionConfig) {
        if self.paused_until.take().is_none() {
            return;
        }
        if self.upgrading() {
            self.upgrade_until = Some(deadline(now, config.upgrade_timeout));
        }
        if self.revision == Protocol::V3 {
            self.heartbeat = deadline(now, config.patience());
        }
    }

    /// Whether the session ended because the driver did not read for too long.
    #[must_use]
    pub fn starved(&self) -> bool {
        self.starved
    }

    /// Deadline of the next call of [`tick`](Session::tick); `None` when the session has ended.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let heartbeat = match self.stage {
            Stage::Open => Some(match self.paused_until {
                Some(until) => until.min(self.heartbeat),
                None => self.heartbeat,
            }),
            Stage::Closing => None,
            Stage::Closed => return None,
        };
        [
            heartbeat,
            self.upgrade_until,
            self.noop_at,
            self.close_until,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Handles a packet from a transport of the session.
    pub fn packet(
        &mut self,
        now: Instant,
        lane: Transport,
        packet: Received,
        config: &SessionConfig,
    ) -> Actions {
        let expired = self.expire(now);
        if !expired.is_empty() {
            return expired;
        }
        match self.stage {
            Stage::Open => {}
            // The client has ended the session as well: it will not fetch the queue.
            Stage::Closing if packet == Received::Close => {
                return self.end(CloseReason::ForcedClose);
            }
            Stage::Closing | Stage::Closed => return Actions::NONE,
        }
        match (packet, self.revision) {
            (Received::Message, _) => Actions::DELIVER,
            (Received::Pong, Protocol::V4) => {
                self.awaits_pong = false;
                self.heartbeat = deadline(now, config.ping_interval);
                // The pong deadline was next until now, which may be later than the next ping.
                Actions::RESCHEDULE
            }
            (Received::Ping | Received::Probe, Protocol::V3) => {
                self.heartbeat = deadline(now, config.patience());
                Actions::PONG
            }
            // Heartbeats of this revision go the other way.
            (Received::Ping | Received::Probe, Protocol::V4) | (Received::Pong, Protocol::V3) => {
                self.end(CloseReason::TransportError)
            }
            (Received::Close, _) => {
                let actions = self.end(CloseReason::TransportClose);
                if lane == Transport::Polling {
                    self.tail = Tail::Noop;
                }
                actions
            }
            (Received::Upgrade | Received::Ignored, _) => Actions::NONE,
            (Received::Invalid, _) => self.end(CloseReason::ParseError),
        }
    }

    /// Handles the peer's close of the WebSocket that is the transport, with or without a close frame.
    pub fn websocket_closed(&mut self) -> Actions {
        if self.transport == Transport::WebSocket {
            self.end(CloseReason::TransportClose)
        } else {
            Actions::NONE
        }
    }

    /// Handles a failure of the WebSocket that is the transport: I/O error, violation of RFC 6455, or message too long.
    pub fn websocket_failed(&mut self) -> Actions {
        if self.transport == Transport::WebSocket {
            self.end(CloseReason::TransportError)
        } else {
            Actions::NONE
        }
    }

    /// Closes the session from this side. `queued`: whether packets are queued.
    ///
    /// `discard` drops them; otherwise they are sent first, until the close timeout.
    pub fn close(
        &mut self,
        now: Instant,
        discard: bool,
        queued: bool,
        config: &SessionConfig,
    ) -> Actions {
        match self.stage {
            Stage::Closed => return Actions::NONE,
            Stage::Closing if !discard => return Actions::NONE,
            Stage::Open | Stage::Closing => {}
        }
        if discard || (self.transport == Transport::WebSocket && !queued) {
            return self.end(CloseReason::ForcedClose);
        }
        self.stage = Stage::Closing;
        self.close_until = Some(deadline(now, config.close_timeout));
        if self.get {
            Actions::ANSWER
        } else {
            Actions::FLUSH
        }
    }

    /// Ends the session now, for a reason found by the driver (the outbox is full, for instance).
    pub fn abort(&mut self, reason: CloseReason) -> Actions {
        self.end(reason)
    }

    /// Records that the whole queue has been written to the WebSocket.
    #[inline]
    pub fn drained(&mut self) -> Actions {
        if self.stage == Stage::Closing && self.transport == Transport::WebSocket {
            self.end(CloseReason::ForcedClose)
        } else {
            Actions::NONE
        }
    }

    /// Handles the timers that are due.
    pub fn tick(&mut self, now: Instant, config: &SessionConfig) -> Actions {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let mut actions = Actions::NONE;
        if self.stage == Stage::Closed {
            return actions;
        }
        if due(self.close_until) {
            return self.end(CloseReason::ForcedClose);
        }
        let expired = self.expire(now);
        if !expired.is_empty() {
            return expired;
        }
        if self.stage == Stage::Open && due(self.paused_until) {
            self.starved = true;
            return self.end(CloseReason::ForcedClose);
        }
        if self.stage == Stage::Open && self.heartbeat <= now && self.paused_until.is_some() {
            self.heartbeat = deadline(now, config.ping_interval);
            if self.revision == Protocol::V4 {
                actions |= Actions::PING | Actions::FLUSH;
                if self.get {
                    actions |= Actions::ANSWER;
                }
            }
        } else if self.stage == Stage::Open && self.heartbeat <= now {
            self.awaits_pong = true;
            // The client's timeout starts when the ping was due, so that delays of a coarse timer do not add up; but
            // after a long standstill the client has nearly all of it left.
            let late = now.saturating_duration_since(self.heartbeat);
            let late = late.min(config.ping_timeout / 8);
            self.heartbeat = deadline(now, config.ping_timeout.saturating_sub(late));
            actions |= Actions::PING | Actions::FLUSH;
            if self.get {
                actions |= Actions::ANSWER;
            }
        }
        if due(self.upgrade_until) {
            self.end_upgrade();
            actions |= Actions::CLOSE_PROBE;
        }
        if due(self.noop_at) {
            self.noop_at = Some(deadline(now, config.noop_interval));
            if self.get {
                self.tail = Tail::Noop;
                actions |= Actions::ANSWER;
            }
        }
        actions
    }

    pub(super) fn end_upgrade(&mut self) {
        self.upgrade = Upgrade::No;
        self.upgrade_until = None;
        self.noop_at = None;
        if self.stage == Stage::Open {
            self.tail = Tail::Nothing;
        }
    }

    /// Moves to [`Stage::Closed`]; there is no other way there.
    pub(super) fn end(&mut self, reason: CloseReason) -> Actions {
        if self.stage == Stage::Closed {
            return Actions::NONE;
        }
        self.stage = Stage::Closed;
        self.reason = reason;
        self.close_until = None;
        let mut actions = Actions::CLOSED;
        if self.upgrade != Upgrade::No {
            self.end_upgrade();
            actions |= Actions::CLOSE_PROBE;
        }
        self.tail = Tail::Close;
        if self.get {
            actions |= Actions::ANSWER;
        }
        if self.transport == Transport::WebSocket {
            actions |= Actions::CLOSE_WEBSOCKET;
        }
        actions
    }
}
