//! The state machine.

use std::time::Instant;

use super::upgrade::Upgrade;
use super::{
    Actions, Answer, Lane, Received, Refused, Revision, SessionConfig, Stage, Tail, TransportKind,
};
use crate::engine::CloseReason;

/// One session of an Engine.IO server. See the [module](super) for how to drive it.
#[derive(Clone, Debug)]
pub struct Session {
    revision: Revision,
    pub(super) transport: TransportKind,
    pub(super) stage: Stage,
    pub(super) upgrade: Upgrade,
    pub(super) upgraded: bool,
    pub(super) get: bool,
    post: bool,
    pub(super) awaits_pong: bool,
    /// What a waiting GET gets if nothing is queued.
    pub(super) tail: Tail,
    reason: CloseReason,
    /// The next ping, or the end of the wait for a pong; in revision 3 the end of the wait for a ping.
    pub(super) heartbeat: Instant,
    pub(super) upgrade_until: Option<Instant>,
    pub(super) noop_at: Option<Instant>,
    close_until: Option<Instant>,
}

impl Session {
    /// A session that was just opened. The driver queues the `open` packet.
    #[must_use]
    pub fn new(
        now: Instant,
        transport: TransportKind,
        revision: Revision,
        config: &SessionConfig,
    ) -> Session {
        let first = match revision {
            Revision::V4 => config.ping_interval,
            Revision::V3 => config.ping_interval + config.ping_timeout,
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
            heartbeat: now + first,
            upgrade_until: None,
            noop_at: None,
            close_until: None,
        }
    }

    /// What carries the session.
    #[inline]
    #[must_use]
    pub fn transport(&self) -> TransportKind {
        self.transport
    }

    /// The revision the client speaks.
    #[inline]
    #[must_use]
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// How far the session is in its life.
    #[inline]
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Why the session is over; meaningless before [`Actions::CLOSED`].
    #[must_use]
    pub fn reason(&self) -> CloseReason {
        self.reason
    }

    /// Whether a GET waits for something to be sent.
    #[inline]
    #[must_use]
    pub fn get_waits(&self) -> bool {
        self.get
    }

    /// Whether a POST is under way. Messages of a WebSocket that has just become the transport wait for its end.
    #[inline]
    #[must_use]
    pub fn post_under_way(&self) -> bool {
        self.post
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

    /// When [`tick`](Session::tick) wants to be called next; `None` when the session is over.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let heartbeat = match self.stage {
            Stage::Open => Some(self.heartbeat),
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

    /// A GET arrived. If it is taken, it waits until [`answer`](Session::answer) says what for.
    ///
    /// # Errors
    ///
    /// The refusal, and with [`Refused::Overlap`] what closing the session takes.
    pub fn get(&mut self) -> Result<Actions, (Refused, Actions)> {
        match self.stage {
            Stage::Closed => return Err((Refused::Closed, Actions::NONE)),
            Stage::Open | Stage::Closing => {}
        }
        if self.transport != TransportKind::Polling {
            return Err((Refused::TransportMismatch, Actions::NONE));
        }
        if self.get {
            return Err((Refused::Overlap, self.end(CloseReason::TransportError)));
        }
        self.get = true;
        Ok(Actions::ANSWER)
    }

    /// What the waiting GET is answered with, if it is time. `queued`: whether packets wait to be sent.
    ///
    /// The GET waits no more once this has returned an answer.
    pub fn answer(&mut self, queued: bool) -> Option<Answer> {
        if !self.get {
            return None;
        }
        let mut answer = Answer {
            packets: queued,
            tail: self.tail,
            actions: Actions::NONE,
        };
        match self.stage {
            Stage::Closed => answer.packets = false,
            // After a switch the queue is the WebSocket's.
            _ if self.transport == TransportKind::WebSocket => answer.packets = false,
            // The close comes with the next GET, as from Node: the official client closes at once but hands packets on
            // in a later turn, so that it would drop what stands before the close in the same body.
            Stage::Closing if queued => answer.tail = Tail::Nothing,
            Stage::Closing => {
                self.get = false;
                answer.tail = Tail::Close;
                answer.actions = self.end(CloseReason::ForcedClose);
                return Some(answer);
            }
            Stage::Open if queued => answer.tail = Tail::Nothing,
            Stage::Open => {}
        }
        if !answer.packets && answer.tail == Tail::Nothing {
            return None;
        }
        self.get = false;
        self.tail = Tail::Nothing;
        Some(answer)
    }

    /// The waiting GET was given up by the client.
    pub fn get_lost(&mut self) -> Actions {
        if !self.get {
            return Actions::NONE;
        }
        self.get = false;
        // A GET that an upgrade has left behind is no loss.
        if self.transport == TransportKind::WebSocket {
            return Actions::NONE;
        }
        self.end(CloseReason::TransportError)
    }

    /// A POST arrived; its packets follow, then [`post_done`](Session::post_done) or
    /// [`post_lost`](Session::post_lost).
    ///
    /// # Errors
    ///
    /// The refusal, and with [`Refused::Overlap`] what closing the session takes.
    pub fn post(&mut self) -> Result<(), (Refused, Actions)> {
        if self.stage == Stage::Closed {
            return Err((Refused::Closed, Actions::NONE));
        }
        if self.transport != TransportKind::Polling {
            return Err((Refused::TransportMismatch, Actions::NONE));
        }
        if self.post {
            return Err((Refused::Overlap, self.end(CloseReason::TransportError)));
        }
        self.post = true;
        Ok(())
    }

    /// The body of the POST was read, and its packets were handed in (or it was refused as too long).
    pub fn post_done(&mut self) {
        self.post = false;
    }

    /// The client gave the POST up before its body was there.
    pub fn post_lost(&mut self) -> Actions {
        if !std::mem::take(&mut self.post) {
            return Actions::NONE;
        }
        self.end(CloseReason::TransportError)
    }

    /// The POST cannot be a payload (`Content-Type: application/octet-stream` in revision 4).
    pub fn post_invalid(&mut self) -> Actions {
        self.end(CloseReason::TransportError)
    }

    /// A packet arrived on a transport of the session.
    pub fn packet(
        &mut self,
        now: Instant,
        lane: Lane,
        packet: Received,
        config: &SessionConfig,
    ) -> Actions {
        match self.stage {
            Stage::Open => {}
            // The client is through with the session as well: nobody will fetch what is queued.
            Stage::Closing if packet == Received::Close => {
                return self.end(CloseReason::ForcedClose);
            }
            Stage::Closing | Stage::Closed => return Actions::NONE,
        }
        match (packet, self.revision) {
            (Received::Message, _) => Actions::DELIVER,
            (Received::Pong, Revision::V4) => {
                self.awaits_pong = false;
                self.heartbeat = now + config.ping_interval;
                // Until now the end of the timeout was next, which may be later than the next ping.
                Actions::RESCHEDULE
            }
            (Received::Ping | Received::Probe, Revision::V3) => {
                self.heartbeat = now + config.ping_interval + config.ping_timeout;
                Actions::PONG
            }
            // The heartbeat goes the other way.
            (Received::Ping | Received::Probe, Revision::V4) | (Received::Pong, Revision::V3) => {
                self.end(CloseReason::TransportError)
            }
            (Received::Close, _) => {
                let actions = self.end(CloseReason::TransportClose);
                if lane == Lane::Polling {
                    self.tail = Tail::Noop;
                }
                actions
            }
            (Received::Upgrade | Received::Ignored, _) => Actions::NONE,
            (Received::Invalid, _) => self.end(CloseReason::ParseError),
        }
    }

    /// The WebSocket that is the transport was closed by the peer, with or without a close frame.
    pub fn websocket_closed(&mut self) -> Actions {
        if self.transport == TransportKind::WebSocket {
            self.end(CloseReason::TransportClose)
        } else {
            Actions::NONE
        }
    }

    /// The WebSocket that is the transport failed: I/O error, or a violation of RFC 6455, or a message too long.
    pub fn websocket_failed(&mut self) -> Actions {
        if self.transport == TransportKind::WebSocket {
            self.end(CloseReason::TransportError)
        } else {
            Actions::NONE
        }
    }

    /// This side wants to close. `queued`: whether packets wait to be sent.
    ///
    /// `discard` throws them away; otherwise they go out first, for as long as the close timeout allows.
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
        if discard || (self.transport == TransportKind::WebSocket && !queued) {
            return self.end(CloseReason::ForcedClose);
        }
        self.stage = Stage::Closing;
        self.close_until = Some(now + config.close_timeout);
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

    /// All that was queued has been written to the WebSocket.
    #[inline]
    pub fn drained(&mut self) -> Actions {
        if self.stage == Stage::Closing && self.transport == TransportKind::WebSocket {
            self.end(CloseReason::ForcedClose)
        } else {
            Actions::NONE
        }
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Instant, config: &SessionConfig) -> Actions {
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let mut actions = Actions::NONE;
        if self.stage == Stage::Closed {
            return actions;
        }
        if due(self.close_until) {
            return self.end(CloseReason::ForcedClose);
        }
        if self.stage == Stage::Open && self.heartbeat <= now {
            if self.awaits_pong || self.revision == Revision::V3 {
                return self.end(CloseReason::PingTimeout);
            }
            self.awaits_pong = true;
            self.heartbeat = now + config.ping_timeout;
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
            self.noop_at = Some(now + config.noop_interval);
            if self.get {
                self.tail = Tail::Noop;
                actions |= Actions::ANSWER;
            }
        }
        actions
    }

    /// The one way into [`Stage::Closed`].
    fn end(&mut self, reason: CloseReason) -> Actions {
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
        if self.transport == TransportKind::WebSocket {
            actions |= Actions::CLOSE_WEBSOCKET;
        }
        actions
    }
}
