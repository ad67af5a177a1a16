//! A handshake that waits for `allow_request`.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::Body;

use super::future::State;
use super::{EngineService, Refusal};
use crate::{AllowFuture, Handler, Handshake, Protocol};

/// A handshake that waits for `allow_request`.
pub(super) struct Gate<H: Handler, B> {
    service: EngineService<H>,
    decision: AllowFuture,
    /// Taken when the decision is there.
    request: Option<(Request<B>, Handshake)>,
    protocol: Protocol,
    upgrade: bool,
}

impl<H: Handler, B: Body<Data = Bytes> + Send + 'static> Gate<H, B> {
    pub(super) fn new(
        service: EngineService<H>,
        decision: AllowFuture,
        request: (Request<B>, Handshake),
        protocol: Protocol,
        upgrade: bool,
    ) -> Self {
        Gate {
            service,
            decision,
            request: Some(request),
            protocol,
            upgrade,
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<State<H, B>> {
        let decision = ready!(self.decision.as_mut().poll(cx));
        let Some((mut request, handshake)) = self.request.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match decision {
            Ok(()) => {
                self.service
                    .admit(&mut request, handshake, self.protocol, self.upgrade)
                    .state
            }
            Err(message) => {
                let refusal = Refusal::Forbidden(message);
                State::Ready(Some(Box::new(self.service.refuse(
                    &handshake,
                    &refusal,
                    self.upgrade,
                ))))
            }
        })
    }
}
