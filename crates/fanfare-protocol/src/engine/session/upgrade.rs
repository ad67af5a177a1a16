//! From polling to WebSocket: the probe and the switch.

use std::time::Instant;

use super::{Actions, Received, Refused, Session, SessionConfig, Stage, Tail, TransportKind};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upgrade {
    No,
    /// A WebSocket is there and has not said `2probe` yet.
    Attached,
    /// `3probe` was sent; a waiting GET is ended now and then.
    Probed,
}

impl Session {
    /// A WebSocket arrived that wants to become the transport of this session.
    ///
    /// # Errors
    ///
    /// [`Refused`] if it may not: it is to be closed at once.
    pub fn attach_probe(&mut self, now: Instant, config: &SessionConfig) -> Result<(), Refused> {
        if self.stage == Stage::Closed {
            return Err(Refused::Closed);
        }
        if self.upgraded || self.transport != TransportKind::Polling || self.upgrade != Upgrade::No
        {
            return Err(Refused::Upgrading);
        }
        self.upgrade = Upgrade::Attached;
        self.upgrade_until = Some(now + config.upgrade_timeout);
        Ok(())
    }

    /// A packet arrived on the probed WebSocket.
    pub fn probe_packet(
        &mut self,
        now: Instant,
        packet: Received,
        config: &SessionConfig,
    ) -> Actions {
        if self.upgrade == Upgrade::No {
            return Actions::NONE;
        }
        match packet {
            Received::Probe => {
                self.upgrade = Upgrade::Probed;
                self.noop_at = Some(now + config.noop_interval);
                Actions::PROBE_PONG
            }
            Received::Upgrade => self.switch(now, config),
            _ => {
                self.end_upgrade();
                Actions::CLOSE_PROBE
            }
        }
    }

    /// The probed WebSocket was lost or failed.
    pub fn probe_lost(&mut self) -> Actions {
        self.end_upgrade();
        Actions::NONE
    }

    fn switch(&mut self, now: Instant, config: &SessionConfig) -> Actions {
        self.end_upgrade();
        self.upgraded = true;
        self.transport = TransportKind::WebSocket;
        let mut actions = Actions::SWITCH | Actions::FLUSH;
        if self.awaits_pong {
            // The pong may have been on its way on the old transport: the wait begins anew.
            self.heartbeat = now + config.ping_timeout;
        }
        if self.get {
            // No official client has a GET open here. Should one: it gets nothing that matters.
            self.tail = Tail::Noop;
            actions |= Actions::ANSWER;
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
}
