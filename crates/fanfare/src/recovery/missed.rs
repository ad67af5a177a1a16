//! Events that a client has missed.

use fanfare_engine::EncodedMessage;
use fanfare_protocol::recovery::{Log, Offset, Position};

use super::RecoveryFailure;
use super::logged::LoggedPacket;
use super::state::{Claim, Session};
use super::store::Recovery;
use crate::log_target;

impl Recovery {
    pub(super) fn missed(
        &self,
        log: &Log<LoggedPacket>,
        claim: &Claim,
    ) -> Result<Vec<EncodedMessage>, RecoveryFailure> {
        let session = &claim.session;
        let after = self.position_after(log, session, claim.offset.as_deref())?;
        let missed = self.since(log, session, after)?;
        self.check_replay(session, &missed)?;
        Ok(missed
            .into_iter()
            .map(|(_, logged)| logged.message.clone())
            .collect())
    }

    /// Returns the events after a position that a session has missed.
    pub(super) fn since<'a>(
        &self,
        log: &'a Log<LoggedPacket>,
        session: &Session,
        after: Position,
    ) -> Result<Vec<(Position, &'a LoggedPacket)>, RecoveryFailure> {
        let settled = session.left_at.checked_sub(self.heartbeat);
        log.missed(&session.memberships, after, settled)
            .map_err(|error| {
                tracing::debug!(target: log_target::RECOVERY, socket = %session.id, %error, "cannot recover");
                RecoveryFailure::EventsGone
            })
    }

    /// Returns the position up to which a client has received everything, by the offset that it sent.
    pub(super) fn position_after(
        &self,
        log: &Log<LoggedPacket>,
        session: &Session,
        offset: Option<&str>,
    ) -> Result<Position, RecoveryFailure> {
        match offset.map(|text| Offset::parse(&self.epoch, text)) {
            Some(Offset::Own(position)) if position <= log.position() => {
                Ok(position.max(session.start))
            }
            // If the client had got any event in this session, it would know one of our offsets.
            None | Some(Offset::Foreign) => Ok(session.start),
            Some(_) => {
                let missed = self.since(log, session, session.start)?;
                match missed.iter().any(|(position, _)| *position <= session.left) {
                    true => Err(RecoveryFailure::UnknownOffset),
                    false => Ok(session.start),
                }
            }
        }
    }

    /// Checks that what a session has missed is not too long to be sent again.
    pub(super) fn check_replay(
        &self,
        session: &Session,
        missed: &[(Position, &LoggedPacket)],
    ) -> Result<(), RecoveryFailure> {
        let lengths = missed.iter().map(|(_, logged)| logged.message.len());
        let bytes: usize = lengths.sum();
        if bytes > self.max_replay {
            let limit = self.max_replay;
            tracing::debug!(target: log_target::RECOVERY, socket = %session.id, bytes, limit, "too much to send again");
            return Err(RecoveryFailure::TooMuchMissed);
        }
        Ok(())
    }
}
