//! A handshake that waits for the application: for `allow_request`, then for `generate_id`.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::Body;

use super::future::State;
use super::{EngineService, Refusal};
use crate::sid::Sid;
use crate::{AllowFuture, GenerateIdFuture, Handler, Handshake, Protocol};

/// What is waited for.
pub(super) enum Step {
    Allow(AllowFuture),
    Id(GenerateIdFuture),
}

impl Step {
    /// What a handshake has to wait for first, if for anything.
    pub(super) fn first<H: Handler>(handler: &H, handshake: &Handshake) -> Option<Step> {
        match handler.allow_request(handshake) {
            Some(decision) => Some(Step::Allow(decision)),
            None => Step::second(handler, handshake),
        }
    }

    fn second<H: Handler>(handler: &H, handshake: &Handshake) -> Option<Step> {
        handler.generate_id(handshake).map(Step::Id)
    }
}

/// A handshake that waits for the application.
pub(super) struct Gate<H: Handler, B> {
    service: EngineService<H>,
    step: Step,
    /// Taken when the decision is there.
    request: Option<(Request<B>, Handshake)>,
    protocol: Protocol,
    upgrade: bool,
}

impl<H: Handler, B: Body<Data = Bytes> + Send + 'static> Gate<H, B> {
    pub(super) fn new(
        service: EngineService<H>,
        step: Step,
        request: (Request<B>, Handshake),
        protocol: Protocol,
        upgrade: bool,
    ) -> Self {
        Gate {
            service,
            step,
            request: Some(request),
            protocol,
            upgrade,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<State<H, B>> {
        let decision = loop {
            match &mut self.step {
                Step::Allow(allow) => match ready!(allow.as_mut().poll(cx)) {
                    Err(message) => break Err(Refusal::Forbidden(message)),
                    Ok(()) => {
                        let handshake = self.request.as_ref().map(|(_, handshake)| handshake);
                        let handler = self.service.engine().handler();
                        match handshake.and_then(|handshake| Step::second(handler, handshake)) {
                            Some(step) => self.step = step,
                            None => break Ok(None),
                        }
                    }
                },
                Step::Id(id) => {
                    let id = ready!(id.as_mut().poll(cx));
                    break match id.map(|id| Sid::parse(&id).ok_or(id)) {
                        Ok(Ok(sid)) => Ok(Some(sid)),
                        Ok(Err(id)) => Err(Refusal::NoId(format!("{id:?} is no session id"))),
                        Err(why) => Err(Refusal::NoId(why)),
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
            Err(refusal) => {
                let answer = self.service.refuse(&handshake, &refusal, self.upgrade);
                State::Ready(Some(Box::new(answer)))
            }
        })
    }
}
