//! Requests of sessions that live on other servers.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use fanfare_protocol::engine::ErrorCode;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, UPGRADE};
use http::{HeaderMap, Request, StatusCode};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use super::future::State;
use super::verify::RequestRejection;
use super::{EngineFuture, EngineService, Upgrade};
use crate::handler::Handler;
use crate::handshake::HandshakeRequest;
use crate::query::Params;
use crate::relay::{RelayBody, RelayFuture, RelayUpgrade, SessionRelay};
use crate::reply::{Answer, EngineBody};
use crate::stream::{KeepBusy, Takeover};

/// Response of another server that is awaited.
pub(super) struct Relayed<H: Handler> {
    service: EngineService<H>,
    answer: RelayFuture,
    /// The request, for the report if the session is unknown there too.
    request: HandshakeRequest,
    upgrade: Option<Upgrade>,
}

impl<H: Handler> Relayed<H> {
    /// Returns the response, and whether the other server made it: then it has its CORS headers already.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Answer, bool)> {
        let engine = self.service.engine();
        let answer = ready!(engine.poll_contained("relay", &mut self.answer, cx)).flatten();
        Poll::Ready(match (answer, self.upgrade) {
            (None, upgrade) => {
                let unknown = ErrorCode::UnknownSid.into();
                (self.service.reject(&self.request, &unknown, upgrade), false)
            }
            (Some(answer), upgrade) => {
                let answer = answer.map(EngineBody::new);
                match upgrade {
                    Some(Upgrade::Connect) => (connected(answer), true),
                    _ => (answer, true),
                }
            }
        })
    }
}

/// Converts the response of HTTP/1 to an upgrade into that of HTTP/2 (RFC 8441, section 5).
fn connected(mut answer: Answer) -> Answer {
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        *answer.status_mut() = StatusCode::OK;
    }
    for name in [CONNECTION, UPGRADE, SEC_WEBSOCKET_ACCEPT] {
        answer.headers_mut().remove(name);
    }
    answer
}

impl<H: Handler> EngineService<H> {
    /// Returns the relay and the session's id, if the request was rejected because its session may live on another
    /// server.
    pub(super) fn elsewhere(
        &self,
        why: &RequestRejection,
        params: &Params<'_>,
        headers: &HeaderMap,
    ) -> Option<(Arc<dyn SessionRelay>, String)> {
        let relay = self.engine.config.relay.as_ref()?;
        let RequestRejection::Code(ErrorCode::UnknownSid, _) = why else {
            return None;
        };
        let sid = params.sid.as_deref()?;
        let elsewhere = self
            .engine
            .contain("relay", || relay.is_elsewhere(sid, headers));
        elsewhere?.then(|| (relay.clone(), sid.to_owned()))
    }

    /// Sends a request to the server of its session.
    pub(super) fn relayed<B>(
        &self,
        (relay, sid): (Arc<dyn SessionRelay>, String),
        mut request: Request<B>,
        upgrade: Option<Upgrade>,
    ) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let report = HandshakeRequest::new(&request);
        let stream = upgrade.and_then(|_| client_stream(&mut request));
        let request = request.map(RelayBody::new);
        let sent = || relay.relay(&sid, request, stream);
        let answer = self.engine.contain("relay", sent);
        let relayed = Relayed {
            service: self.clone(),
            answer: answer.unwrap_or_else(|| Box::pin(async { None })),
            request: report,
            upgrade,
        };
        State::Relayed(Box::new(relayed)).into()
    }
}

/// Returns the stream to the client that there will be after the upgrade; `None`: the HTTP server has none.
fn client_stream<B>(request: &mut Request<B>) -> Option<RelayUpgrade> {
    if let Some(takeover) = request.extensions_mut().remove::<Takeover>() {
        return Some(RelayUpgrade::own(&takeover));
    }
    request.extensions().get::<OnUpgrade>()?;
    let busy = request.extensions_mut().remove::<KeepBusy>();
    Some(RelayUpgrade::hyper(hyper::upgrade::on(request), busy))
}
