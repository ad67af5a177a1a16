//! Pending handshake: it waits for the application's `allow_request`, then for `generate_id`.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::Body;

use super::future::State;
use super::{EngineService, RequestRejection, Upgrade};
use crate::engine::Engine;
use crate::handler::{AllowFuture, GenerateIdFuture, Handler};
use crate::handshake::HandshakeRequest;
use crate::sid::Sid;
use fanfare_protocol::engine::Protocol;

/// Stage that a pending handshake waits for.
pub(super) enum HandshakeStage {
    Allow(AllowFuture),
    Id(GenerateIdFuture),
}

impl HandshakeStage {
    /// Returns the first stage that a handshake has to wait for, if any.
    pub(super) fn first<H: Handler>(
        engine: &Engine<H>,
        handshake: &HandshakeRequest,
    ) -> Result<Option<HandshakeStage>, RequestRejection> {
        let decision = engine.contain("allow_request", || engine.handler.allow_request(handshake));
        match decision.ok_or(RequestRejection::Panicked)? {
            Some(decision) => Ok(Some(HandshakeStage::Allow(decision))),
            None => HandshakeStage::second(engine, handshake),
        }
    }

    fn second<H: Handler>(
        engine: &Engine<H>,
        handshake: &HandshakeRequest,
    ) -> Result<Option<HandshakeStage>, RequestRejection> {
        let id = engine.contain("generate_id", || engine.handler.generate_id(handshake));
        Ok(id
            .ok_or(RequestRejection::Panicked)?
            .map(HandshakeStage::Id))
    }
}

/// A handshake that waits for the application.
pub(super) struct PendingHandshake<H: Handler, B> {
    service: EngineService<H>,
    step: HandshakeStage,
    /// The request, taken when the decision is made.
    request: Option<(Request<B>, HandshakeRequest)>,
    protocol: Protocol,
    upgrade: Option<Upgrade>,
}

impl<H: Handler, B: Body<Data = Bytes> + Send + 'static> PendingHandshake<H, B> {
    pub(super) fn new(
        service: EngineService<H>,
        step: HandshakeStage,
        request: (Request<B>, HandshakeRequest),
        protocol: Protocol,
        upgrade: Option<Upgrade>,
    ) -> Self {
        PendingHandshake {
            service,
            step,
            request: Some(request),
            protocol,
            upgrade,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<State<H, B>> {
        let engine = self.service.engine();
        let decision = loop {
            match &mut self.step {
                HandshakeStage::Allow(allow) => {
                    match ready!(engine.poll_contained("allow_request", allow, cx)) {
                        None => break Err(RequestRejection::Panicked),
                        Some(Err(message)) => break Err(RequestRejection::Forbidden(message)),
                        Some(Ok(())) => {}
                    }
                    let Some((_, handshake)) = &self.request else {
                        return Poll::Pending;
                    };
                    match HandshakeStage::second(engine, handshake) {
                        Ok(Some(step)) => self.step = step,
                        Ok(None) => break Ok(None),
                        Err(rejection) => break Err(rejection),
                    }
                }
                HandshakeStage::Id(id) => {
                    let Some(id) = ready!(engine.poll_contained("generate_id", id, cx)) else {
                        break Err(RequestRejection::Panicked);
                    };
                    break match id.map(|id| Sid::parse(&id).ok_or(id)) {
                        Ok(Ok(sid)) => Ok(Some(sid)),
                        Ok(Err(id)) => {
                            Err(RequestRejection::NoId(format!("{id:?} is no session id")))
                        }
                        Err(why) => Err(RequestRejection::NoId(why)),
                    };
                }
            }
        };
        let Some((mut request, handshake)) = self.request.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match decision {
            Ok(sid) => {
                let parts = (handshake, sid);
                self.service
                    .admit(&mut request, parts, self.protocol, self.upgrade)
                    .state
            }
            Err(rejection) => {
                let answer = self.service.reject(&handshake, &rejection, self.upgrade);
                State::Ready(Some(Box::new(answer)))
            }
        })
    }
}
