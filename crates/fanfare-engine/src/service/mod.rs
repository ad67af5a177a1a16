//! Tower service that routes and answers requests.

mod answer;
mod future;
mod get;
mod hold;
mod pending_handshake;
mod post;
mod relayed;
mod served;
mod session;
mod verify;

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_protocol::engine::ErrorCode;
use fanfare_protocol::engine::session::SessionRejection;
use fanfare_websocket::ServerHandshake;
use http::header::{CONNECTION, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use crate::connection::{CloseMode, Connection};
use crate::engine::Engine;
use crate::handler::{ConnectionError, Handler};
use crate::handshake::HandshakeRequest;
use crate::http_options::Cors;
use crate::rejection::HttpRejection;
use crate::stream::{KeepBusy, Takeover};
use crate::websocket::{self, Owner};
use fanfare_protocol::engine::{CloseReason, Protocol, Transport};

use crate::engine::OpenError;
use crate::fields::Fields;
use crate::handshake::head_len;
use crate::query::{self, Params, wants_base64};
use crate::reply::{Answer, EngineBody, Plain, Reply};
use crate::sid::Sid;
pub use future::EngineFuture;
use future::State;
#[cfg(test)]
pub(crate) use get::take as take_get;
use get::{Get, PollResponseFormat};
#[cfg(test)]
pub(crate) use hold::IfEarly;
use pending_handshake::{HandshakeStage, PendingHandshake};
use post::Post;
pub use served::EngineServer;
use verify::{RequestRejection, Target, is_msie, is_octet_stream};

/// Tower service that answers Engine.IO requests.
///
/// It answers what lies under [`EngineConfig::path`](crate::config::EngineConfig::path), and everything else with 404.
/// WebSocket needs a server that supports upgrades in hyper's way, as hyper's, axum's and [`serve`](crate::serve()) do.
pub struct EngineService<H: Handler> {
    engine: Arc<Engine<H>>,
    owner: Option<Owner>,
}

impl<H: Handler> EngineService<H> {
    fn new(engine: Arc<Engine<H>>) -> Self {
        EngineService {
            engine,
            owner: None,
        }
    }

    /// Keeps `owner` alive as long as the service, and while a connection that it accepts is being opened: for state
    /// that the handler needs, and cannot own because that state owns the engine.
    #[must_use]
    pub fn keeping(mut self, owner: Arc<dyn Any + Send + Sync>) -> Self {
        self.owner = Some(owner);
        self
    }

    /// Returns the engine of this service.
    pub fn engine(&self) -> &Arc<Engine<H>> {
        &self.engine
    }

    /// Whether a request with this path belongs to the engine: a prefix test, as in Node.
    pub fn matches(&self, path: &str) -> bool {
        path.starts_with(self.engine.config.path.as_str())
    }

    /// Whether a request asks for a new session.
    pub fn is_handshake<B>(request: &Request<B>) -> bool {
        (request.method() == Method::GET || Upgrade::asked(request) == Some(Upgrade::Connect))
            && !query::has_sid(request.uri().query().unwrap_or(""))
    }

    fn answer<B>(&self, request: Request<B>) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        if !self.matches(request.uri().path()) {
            return answer::empty(StatusCode::NOT_FOUND).into();
        }
        self.engine.runtime();
        let upgrade = Upgrade::asked(&request);
        match &self.engine.config.cors {
            Some(cors) => {
                let preflight = request.method() == Method::OPTIONS;
                let Some(headers) = self.cors(cors, request.headers(), preflight) else {
                    return answer::last(StatusCode::INTERNAL_SERVER_ERROR).into();
                };
                let mut future = if preflight && !cors.preflight_continue {
                    let status = StatusCode::from_u16(cors.options_success_status);
                    answer::empty(status.unwrap_or(StatusCode::NO_CONTENT)).into()
                } else {
                    self.dispatch(request, upgrade)
                };
                future.cors = Some(headers);
                future.upgrade = upgrade;
                future
            }
            None => self.dispatch(request, upgrade),
        }
    }

    /// Returns the CORS headers of the response to a request with these headers. `None`: a function of the application
    /// panicked.
    fn cors(&self, cors: &Cors, request: &HeaderMap, preflight: bool) -> Option<Box<HeaderMap>> {
        let headers = || cors.headers(request, preflight);
        self.engine.contain("cors", headers).map(Box::new)
    }

    fn dispatch<B>(&self, mut request: Request<B>, upgrade: Option<Upgrade>) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        let params = Params::parse(request.uri().query().unwrap_or(""));
        let origin = request.headers().first(&ORIGIN);
        match self.verify(request.method(), &params, origin, upgrade) {
            Err(rejection) => {
                let elsewhere = self.elsewhere(&rejection, &params, request.headers());
                match elsewhere {
                    Some(elsewhere) => self.relayed(elsewhere, request, upgrade),
                    None => self
                        .reject(&HandshakeRequest::new(&request), &rejection, upgrade)
                        .into(),
                }
            }
            Ok(Target::New(protocol)) => {
                let limit = self.engine.config.limits.max_header_bytes;
                let handshake = HandshakeRequest::new(&request);
                if head_len(request.uri(), request.headers()) > limit {
                    return self
                        .reject(&handshake, &RequestRejection::HeadTooLong, upgrade)
                        .into();
                }
                let step = match HandshakeStage::first(&self.engine, &handshake) {
                    Ok(Some(step)) => step,
                    Ok(None) => {
                        return self.admit(&mut request, (handshake, None), protocol, upgrade);
                    }
                    Err(rejection) => return self.reject(&handshake, &rejection, upgrade).into(),
                };
                let parts = (request, handshake);
                let gate = PendingHandshake::new(self.clone(), step, parts, protocol, upgrade);
                State::Gate(Box::new(gate)).into()
            }
            Ok(Target::Session(conn)) => match (upgrade, request.method()) {
                (Some(how), _) => self
                    .upgrade(&mut request, how, Upgrading::Session(conn))
                    .into(),
                (None, &Method::GET) => {
                    let kind = PollResponseFormat::read(request.headers(), &self.engine.config);
                    Get::start(&self.engine, conn, kind, false)
                }
                (None, &Method::POST) => {
                    let headers = request.headers();
                    let (binary, msie) = (is_octet_stream(headers), is_msie(headers));
                    Post::start(&self.engine, conn, request.into_body(), binary, msie)
                }
                _ => answer::empty(StatusCode::INTERNAL_SERVER_ERROR).into(),
            },
        }
    }

    /// Opens a session for a valid handshake.
    fn admit<B>(
        &self,
        request: &mut Request<B>,
        (handshake, sid): (HandshakeRequest, Option<Sid>),
        protocol: Protocol,
        upgrade: Option<Upgrade>,
    ) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        if let Some(how) = upgrade {
            return self
                .upgrade(request, how, Upgrading::New(handshake, protocol, sid))
                .into();
        }
        let kind = PollResponseFormat::read(request.headers(), &self.engine.config);
        let opened = self
            .engine
            .open(handshake, protocol, Transport::Polling, sid, Vec::new());
        match opened {
            Ok(conn) => {
                self.engine.opened(&conn);
                Get::start(&self.engine, conn, kind, true)
            }
            Err(OpenError(handshake, why)) => {
                self.engine.no_session_id(handshake.as_deref(), why);
                answer::rejection(ErrorCode::BadRequest, None).into()
            }
        }
    }

    /// Reports a rejection to the handler and makes its response.
    fn reject(
        &self,
        request: &HandshakeRequest,
        rejection: &RequestRejection,
        upgrade: Option<Upgrade>,
    ) -> Answer {
        let mut detail = None;
        let (code, context, message) = match rejection {
            RequestRejection::Full => {
                self.engine.handler.rejected(HttpRejection::Connections);
                return answer::empty(StatusCode::SERVICE_UNAVAILABLE);
            }
            RequestRejection::HeadTooLong => {
                self.engine.handler.rejected(HttpRejection::HeadTooLong);
                return answer::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
            RequestRejection::Panicked => return answer::last(StatusCode::INTERNAL_SERVER_ERROR),
            RequestRejection::Code(code, context) => (*code, *context, None),
            RequestRejection::Jsonp => (
                ErrorCode::BadRequest,
                "JSONP",
                Some("JSONP is not supported"),
            ),
            RequestRejection::NoId(why) => {
                detail = Some(why.as_str());
                (ErrorCode::BadRequest, "ID_GENERATION_ERROR", None)
            }
            RequestRejection::Forbidden(message) => (
                ErrorCode::Forbidden,
                "",
                Some(message.as_str()).filter(|m| !m.is_empty()),
            ),
        };
        let error = ConnectionError {
            code,
            message: message.unwrap_or(code.message()),
            context,
            detail,
            request,
        };
        self.engine.connection_error(&error);
        match upgrade {
            Some(how) => answer::upgrade_rejection(code, message, how),
            None => answer::rejection(code, message),
        }
    }

    fn upgrade<B>(&self, request: &mut Request<B>, how: Upgrade, target: Upgrading<H>) -> Answer {
        // Engine.IO defines no sub-protocols: as in Node, the first one that the client offers is confirmed, because a
        // client that offers some fails if none is confirmed.
        let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let offered = offered
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(',').next());
        let mut server = ServerHandshake::new().protocols(offered.map(str::trim));
        if let Some(deflate) = self.engine.config.per_message_deflate {
            server = server.permessage_deflate(deflate);
        }
        let accept = match how {
            Upgrade::Header => server.validate(request),
            Upgrade::Connect => server.validate_connect(request.headers()),
        };
        let accept = match accept {
            Ok(accept) => accept,
            Err(error) => return answer::no_websocket(&error, how),
        };
        let takeover = request.extensions_mut().remove::<Takeover>();
        if takeover.is_none() && request.extensions().get::<OnUpgrade>().is_none() {
            let why = "the HTTP server does not support upgrades";
            self.engine.warn_throttled("no WebSocket", why);
            return answer::upgrade_rejection(ErrorCode::BadRequest, None, how);
        }
        let busy = request.extensions_mut().remove::<KeepBusy>();
        let mut answer = accept.response().map(|()| EngineBody::default());
        let target = match target {
            Upgrading::New(handshake, protocol, sid) => {
                if !self.engine.headers(&handshake, &mut answer, true) {
                    return answer::last(StatusCode::INTERNAL_SERVER_ERROR);
                }
                websocket::Target::New(handshake, protocol, sid)
            }
            Upgrading::Session(conn) => {
                if !self.engine.headers(conn.handshake(), &mut answer, false) {
                    conn.close(CloseMode::Discard, CloseReason::ForcedClose);
                    return answer::last(StatusCode::INTERNAL_SERVER_ERROR);
                }
                match self.engine.config.allow_upgrades {
                    true => websocket::Target::Probe(
                        conn,
                        wants_base64(request.uri().query().unwrap_or("")),
                    ),
                    false => websocket::Target::Rejected,
                }
            }
        };
        let service = self.clone();
        let deflate = accept.permessage_deflate();
        let open = move |source| {
            let runtime = service.engine.runtime().clone();
            runtime.spawn(websocket::Task::new(
                (service.engine, service.owner),
                source,
                target,
                deflate,
            ));
        };
        match takeover {
            Some(takeover) => takeover.set(|taken| open(websocket::Source::Taken(taken))),
            None => open(websocket::Source::Hyper(hyper::upgrade::on(request), busy)),
        }
        answer
    }
}

/// Purpose of a WebSocket.
enum Upgrading<H: Handler> {
    New(HandshakeRequest, Protocol, Option<Sid>),
    Session(Arc<Connection<H::State>>),
}

impl<H: Handler> Engine<H> {
    /// Calls the application to add headers to a response. `false`: it failed.
    fn headers(&self, handshake: &HandshakeRequest, answer: &mut Answer, initial: bool) -> bool {
        let headers = answer.headers_mut();
        let made = || self.handler.headers(handshake, headers, initial);
        self.contain("headers", made).unwrap_or(false)
    }

    /// Returns the response of a session, with these headers and those of the application.
    fn with_headers(
        &self,
        conn: &Arc<Connection<H::State>>,
        plain: Plain,
        added: [Option<(HeaderName, HeaderValue)>; 2],
        initial: bool,
    ) -> Reply {
        if added.iter().all(Option::is_none) && !self.handler.adds_headers(initial) {
            return Reply::Plain(plain);
        }
        let mut answer = Answer::from(plain);
        answer.headers_mut().extend(added.into_iter().flatten());
        if self.headers(conn.handshake(), &mut answer, initial) {
            return Reply::Whole(answer);
        }
        conn.close(CloseMode::Discard, CloseReason::ForcedClose);
        Reply::Whole(answer::last(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

/// Returns the response to a GET or POST that the session rejects.
fn rejected(rejected: SessionRejection) -> Answer {
    match rejected {
        SessionRejection::TransportMismatch => answer::rejection(ErrorCode::BadRequest, None),
        SessionRejection::Overlap => answer::empty(StatusCode::BAD_REQUEST),
        // The session closed after it was looked up.
        _ => answer::rejection(ErrorCode::UnknownSid, None),
    }
}

/// Way in which a request asks for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    /// By the header `Upgrade`, in HTTP/1 (RFC 6455).
    Header,
    /// By the method CONNECT, in HTTP/2 (RFC 8441).
    Connect,
}

impl Upgrade {
    /// Detects a request for a WebSocket; `None`: there is none. Offers of other protocols are ignored (RFC 9110,
    /// section 7.8).
    fn asked<B>(request: &Request<B>) -> Option<Upgrade> {
        let headers = request.headers();
        if request.method() == Method::CONNECT {
            let protocol = request.extensions().get::<hyper::ext::Protocol>();
            let websocket = protocol.is_some_and(|protocol| protocol.as_str() == "websocket");
            return websocket.then_some(Upgrade::Connect);
        }
        let asked = headers.contains_key(UPGRADE)
            && has_token(headers, &CONNECTION, "upgrade")
            && has_token(headers, &UPGRADE, "websocket");
        asked.then_some(Upgrade::Header)
    }
}

/// Whether a list header has this element, case-insensitively.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter();
    values
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

impl<H: Handler> Clone for EngineService<H> {
    fn clone(&self) -> Self {
        EngineService {
            engine: self.engine.clone(),
            owner: self.owner.clone(),
        }
    }
}

impl<H: Handler> fmt::Debug for EngineService<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineService")
            .field("engine", &self.engine)
            .finish()
    }
}

impl<H, B> tower_service::Service<Request<B>> for EngineService<H>
where
    H: Handler,
    B: Body<Data = Bytes> + Send + 'static,
{
    type Response = Response<EngineBody>;
    type Error = Infallible;
    type Future = EngineFuture<H, B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.answer(request)
    }
}
