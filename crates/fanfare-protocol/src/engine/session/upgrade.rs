//! Upgrade from polling to WebSocket: the probe and the switch.

use std::time::Instant;

use super::state::Upgrade;
use super::{Actions, Received, Session, SessionConfig, SessionRejection, Stage, Tail};
use crate::deadline;
use crate::engine::Transport;

impl Session {
    /// Attaches a WebSocket that requests to become the transport of this session.
    ///
    /// # Errors
    ///
    /// [`SessionRejection`] if it may not: the driver closes it at once.
    pub fn attach_probe(
        &mut self,
        now: Instant,
        config: &SessionConfig,
    ) -> Result<(), SessionRejection> {
        if self.stage == Stage::Closed {
            return Err(SessionRejection::Closed);
        }
        if self.upgraded || self.transport != Transport::Polling || self.upgrade != Upgrade::No {
            return Err(SessionRejection::Upgrading);
        }
        self.upgrade = Upgrade::Attached;
        if self.paused_until.is_none() {
            self.upgrade_until = Some(deadline(now, config.upgrade_timeout));
        }
        Ok(())
    }

    /// Handles a packet from the probed WebSocket.
    pub fn probe_packet(
        &mut self,
        now: Instant,
        packet: Received,
        config: &SessionConfig,
    ) -> Actions {
        let expired = self.expire(now);
        if !expired.is_empty() {
            return expired;
        }
        if self.upgrade == Upgrade::No {
            return Actions::NONE;
        }
        if self.upgrade_until.is_some_and(|until| until <= now) {
            self.end_upgrade();
            return Actions::CLOSE_PROBE;
        }
        match packet {
            Received::Probe => {
                self.upgrade = Upgrade::Probed;
                self.noop_at = Some(deadline(now, config.noop_interval));
                Actions::PROBE_PONG
            }
            Received::Upgrade => self.switch(now, config),
            _ => {
                self.end_upgrade();
                Actions::CLOSE_PROBE
            }
        }
    }

    /// Handles the loss or failure of the probed WebSocket.
    pub fn probe_lost(&mut self) -> Actions {
        self.end_upgrade();
        Actions::NONE
    }

    fn switch(&mut self, now: Instant, config: &SessionConfig) -> Actions {
        self.end_upgrade();
        self.upgraded = true;
        self.transport = Transport::WebSocket;
        let mut actions = Actions::SWITCH | Actions::FLUSH;
        if self.awaits_pong {
            // The pong may be in flight on the old transport, so its deadline starts again.
            self.heartbeat = deadline(now, config.ping_timeout);
        }
        if self.get {
            // No official client has a GET pending here. If one does, a noop ends it.
            self.tail = Tail::Noop;
            actions |= Actions::ANSWER;
        }
        actions
    }
}
