//! Requests of long-polling: GETs, which are answered when there is something to send, and POSTs.

use super::state::Upgrade;
use super::{Actions, Answer, Session, SessionRejection, Stage, Tail};
use crate::engine::{CloseReason, Transport};

impl Session {
    /// Whether a GET is pending.
    #[inline]
    #[must_use]
    pub fn get_waits(&self) -> bool {
        self.get
    }

    /// Whether a POST is in progress. Messages of a WebSocket that has just become the transport wait for its end.
    #[inline]
    #[must_use]
    pub fn post_under_way(&self) -> bool {
        self.post
    }

    /// Whether a GET that arrives now may have overtaken other input: the loss of the pending GET, or the `upgrade`
    /// packet of a probed WebSocket. The driver handles that input, in a bounded time, before it calls
    /// [`get`](Session::get).
    #[must_use]
    pub fn get_is_early(&self) -> bool {
        self.stage != Stage::Closed
            && self.transport == Transport::Polling
            && (self.get || self.upgrade == Upgrade::Probed)
    }

    /// Whether a `close` packet in a POST may have overtaken the GET that it releases. The driver waits for that GET
    /// first, in a bounded time.
    #[must_use]
    pub fn close_is_early(&self) -> bool {
        self.stage == Stage::Open && self.transport == Transport::Polling && !self.get
    }

    /// Handles a GET. If it is accepted, it is pending until [`answer`](Session::answer) returns its answer.
    ///
    /// # Errors
    ///
    /// The rejection, and with [`SessionRejection::Overlap`] the actions that close the session.
    pub fn get(&mut self) -> Result<Actions, (SessionRejection, Actions)> {
        match self.stage {
            Stage::Closed => return Err((SessionRejection::Closed, Actions::NONE)),
            Stage::Open | Stage::Closing => {}
        }
        if self.transport != Transport::Polling {
            return Err((SessionRejection::TransportMismatch, Actions::NONE));
        }
        if self.get {
            return Err((
                SessionRejection::Overlap,
                self.end(CloseReason::TransportError),
            ));
        }
        self.get = true;
        Ok(Actions::ANSWER)
    }

    /// Returns the answer to the pending GET, if it is due. `queued`: whether packets are queued.
    ///
    /// The GET is no longer pending once this has returned an answer.
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
            // The driver keeps only packets that would have been sent before the end.
            Stage::Closed if queued && self.transport == Transport::Polling => {
                answer.tail = Tail::Nothing;
            }
            Stage::Closed => answer.packets = false,
            // After a switch the queue goes to the WebSocket.
            _ if self.transport == Transport::WebSocket => answer.packets = false,
            // The close comes with the next GET, as from Node: the official client closes at once but delivers packets
            // in a later turn of its event loop, so it would drop packets before the close in the same body.
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

    /// Handles a pending GET that the client aborted.
    pub fn get_lost(&mut self) -> Actions {
        if !self.get {
            return Actions::NONE;
        }
        self.get = false;
        // An aborted GET is irrelevant after an upgrade.
        if self.transport == Transport::WebSocket {
            return Actions::NONE;
        }
        self.end(CloseReason::TransportError)
    }

    /// Handles a GET that the client aborted before it was its turn. It is not known which of the two came first: one
    /// of them is lost, so the session ends, and the other one is rejected.
    pub fn early_get_lost(&mut self) -> Actions {
        if self.transport == Transport::WebSocket {
            return Actions::NONE;
        }
        let actions = self.end(CloseReason::TransportError);
        if !actions.is_empty() {
            self.tail = Tail::Rejected;
        }
        actions
    }

    /// Handles a POST; its packets follow, then [`post_done`](Session::post_done) or [`post_lost`](Session::post_lost).
    ///
    /// # Errors
    ///
    /// The rejection, and with [`SessionRejection::Overlap`] the actions that close the session.
    pub fn post(&mut self) -> Result<(), (SessionRejection, Actions)> {
        if self.stage == Stage::Closed {
            return Err((SessionRejection::Closed, Actions::NONE));
        }
        if self.transport != Transport::Polling {
            return Err((SessionRejection::TransportMismatch, Actions::NONE));
        }
        if self.post {
            return Err((
                SessionRejection::Overlap,
                self.end(CloseReason::TransportError),
            ));
        }
        self.post = true;
        Ok(())
    }

    /// Ends a POST whose body was read and whose packets were handled (or that was rejected as too long).
    pub fn post_done(&mut self) {
        self.post = false;
    }

    /// Handles a POST that the client aborted before its body arrived.
    pub fn post_lost(&mut self) -> Actions {
        if !std::mem::take(&mut self.post) {
            return Actions::NONE;
        }
        self.end(CloseReason::TransportError)
    }

    /// Rejects a POST that cannot be a payload (`Content-Type: application/octet-stream` in revision 4).
    pub fn post_invalid(&mut self) -> Actions {
        self.end(CloseReason::TransportError)
    }
}
