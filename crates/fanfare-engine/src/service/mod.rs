//! The tower service: which request is answered how.

mod answer;
mod body;
mod future;
mod gate;
mod get;
mod post;
mod query;

use std::any::Any;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use fanfare_protocol::engine::ErrorCode;
use fanfare_protocol::engine::session::Refused;
use fanfare_websocket::ServerHandshake;
use http::header::{CONNECTION, CONTENT_TYPE, ORIGIN, SEC_WEBSOCKET_PROTOCOL, UPGRADE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Body;
use hyper::upgrade::OnUpgrade;

use crate::serve::Takeover;
use crate::{
    Connection, ConnectionError, Engine, Handler, Handshake, HttpRefusal, Protocol, Transport,
    websocket,
};

use crate::engine::OpenError;
use crate::handshake::head_len;
use crate::sid::Sid;
use answer::Answer;
pub use body::EngineBody;
pub use future::EngineFuture;
use future::State;
use gate::{Gate, Step};
use get::{Asking, Get};
use post::Post;
pub(crate) use post::received;
use query::Params;

/// Answers Engine.IO requests: a [`tower_service::Service`].
///
/// It answers what lies under [`Config::path`](crate::Config::path), and anything else with 404. WebSocket needs a
/// server that supports upgrades in hyper's way, as hyper's, axum's and [`serve`](crate::serve()) do.
pub struct EngineService<H: Handler> {
    engine: Arc<Engine<H>>,
    owner: Option<Owner>,
}

type Owner = Arc<dyn Any + Send + Sync>;

impl<H: Handler> EngineService<H> {
    pub(crate) fn new(engine: Arc<Engine<H>>) -> Self {
        EngineService {
            engine,
            owner: None,
        }
    }

    /// Keeps something else as long as the service lives, and while a connection that it lets in is being opened:
    /// what the handler needs, and cannot own because it owns the engine itself.
    #[must_use]
    pub fn keeping(mut self, owner: Arc<dyn Any + Send + Sync>) -> Self {
        self.owner = Some(owner);
        self
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Arc<Engine<H>> {
        &self.engine
    }

    /// Whether a request with this path is for the engine: a prefix test, as in Node.
    pub fn matches(&self, path: &str) -> bool {
        path.starts_with(self.engine.config.path.as_str())
    }

    /// Whether a request asks for a new session.
    pub fn is_handshake<B>(request: &Request<B>) -> bool {
        request.method() == Method::GET && !query::has_sid(request.uri().query().unwrap_or(""))
    }

    fn answer<B>(&self, request: Request<B>) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        if !self.matches(request.uri().path()) {
            return answer::empty(StatusCode::NOT_FOUND).into();
        }
        self.engine.runtime();
        let upgrade = is_upgrade(request.headers());
        match &self.engine.config.cors {
            Some(cors) => {
                let preflight = request.method() == Method::OPTIONS;
                let headers = Box::new(cors.headers(request.headers(), preflight));
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

    fn dispatch<B>(&self, mut request: Request<B>, upgrade: bool) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        match self.verify(&request, upgrade) {
            Err(refusal) => self
                .refuse(&Handshake::new(&request), &refusal, upgrade)
                .into(),
            Ok(Target::New(protocol)) => {
                let handshake = Handshake::new(&request);
                let Some(step) = Step::first(&self.engine.handler, &handshake) else {
                    return self.admit(&mut request, (handshake, None), protocol, upgrade);
                };
                let parts = (request, handshake);
                let gate = Gate::new(self.clone(), step, parts, protocol, upgrade);
                State::Gate(Box::new(gate)).into()
            }
            Ok(Target::Session(conn)) if upgrade => {
                self.upgrade(&mut request, Upgrading::Session(conn)).into()
            }
            Ok(Target::Session(conn)) => match *request.method() {
                Method::GET => {
                    let kind = Asking::read(request.headers(), &self.engine.config);
                    Get::start(&self.engine, conn, kind, false)
                }
                Method::POST => {
                    let msie = is_msie(request.headers());
                    Post::start(&self.engine, conn, request, msie)
                }
                _ => answer::empty(StatusCode::INTERNAL_SERVER_ERROR).into(),
            },
        }
    }

    /// Opens a session for a handshake that is in order.
    fn admit<B>(
        &self,
        request: &mut Request<B>,
        (handshake, sid): (Handshake, Option<Sid>),
        protocol: Protocol,
        upgrade: bool,
    ) -> EngineFuture<H, B>
    where
        B: Body<Data = Bytes> + Send + 'static,
    {
        if upgrade {
            return self
                .upgrade(request, Upgrading::New(handshake, protocol, sid))
                .into();
        }
        let kind = Asking::read(request.headers(), &self.engine.config);
        let opened = self
            .engine
            .open(handshake, protocol, Transport::Polling, sid, Vec::new());
        match opened {
            Ok(conn) => {
                self.engine.opened(&conn);
                Get::start(&self.engine, conn, kind, true)
            }
            Err(OpenError(handshake, why)) => {
                self.refuse_id(handshake.as_deref(), why, false).into()
            }
        }
    }

    /// Refuses a handshake for which there is no session id.
    pub(crate) fn refuse_id(
        &self,
        request: Option<&Handshake>,
        why: &str,
        upgrade: bool,
    ) -> Answer {
        self.engine
            .complain("no session id: the handshake is refused", why);
        let refusal = Refusal::NoId(why.to_owned());
        self.refuse(request.unwrap_or(&Handshake::default()), &refusal, upgrade)
    }

    /// Tells the handler of a refusal and makes its answer.
    fn refuse(&self, request: &Handshake, refusal: &Refusal, upgrade: bool) -> Answer {
        let mut detail = None;
        let (code, context, message) = match refusal {
            Refusal::Full => {
                self.engine.handler.refused(HttpRefusal::Connections);
                return answer::empty(StatusCode::SERVICE_UNAVAILABLE);
            }
            Refusal::HeadTooLong => {
                self.engine.handler.refused(HttpRefusal::HeadTooLong);
                return answer::empty(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
            }
            Refusal::Code(code, context) => (*code, *context, None),
            Refusal::NoId(why) => {
                detail = Some(why.as_str());
                (ErrorCode::BadRequest, "ID_GENERATION_ERROR", None)
            }
            Refusal::Forbidden(message) => (
                ErrorCode::Forbidden,
                "",
                Some(message.as_str()).filter(|m| !m.is_empty()),
            ),
        };
        self.engine.handler.connection_error(&ConnectionError {
            code,
            message: message.unwrap_or(code.message()),
            context,
            detail,
            request,
        });
        if upgrade {
            answer::upgrade_refusal(code, message)
        } else {
            answer::refusal(code, message)
        }
    }

    /// Node's `verify`, in its order.
    fn verify<B>(&self, request: &Request<B>, upgrade: bool) -> Result<Target<H>, Refusal> {
        let config = &self.engine.config;
        let params = Params::parse(request.uri().query().unwrap_or(""));
        let transport = match params.transport.as_deref() {
            Some("polling") if config.transports.polling => Transport::Polling,
            Some("websocket") if config.transports.websocket => Transport::WebSocket,
            _ => return Err(ErrorCode::UnknownTransport.into()),
        };
        if request
            .headers()
            .get(ORIGIN)
            .is_some_and(|origin| !is_header_text(origin.as_bytes()))
        {
            return Err(bad_request("INVALID_ORIGIN"));
        }
        if let Some(sid) = params.sid.as_deref() {
            let conn = self.engine.find(sid).ok_or(ErrorCode::UnknownSid)?;
            if !upgrade && conn.transport() != transport {
                return Err(bad_request("TRANSPORT_MISMATCH"));
            }
            if (conn.protocol() == Protocol::V4) != params.eio4 {
                return Err(bad_request("PROTOCOL_MISMATCH"));
            }
            if upgrade && transport != Transport::WebSocket {
                return Err(bad_request("TRANSPORT_MISMATCH"));
            }
            return Ok(Target::Session(conn));
        }
        if request.method() != Method::GET {
            return Err(ErrorCode::BadHandshakeMethod.into());
        }
        if (transport == Transport::WebSocket) != upgrade {
            return Err(bad_request("TRANSPORT_HANDSHAKE_ERROR"));
        }
        let protocol = match params.eio4 {
            true => Protocol::V4,
            false if config.allow_eio3 => Protocol::V3,
            false => return Err(ErrorCode::UnsupportedProtocolVersion.into()),
        };
        if !self.engine.takes_new() {
            return Err(Refusal::Full);
        }
        if head_len(request.uri(), request.headers()) > config.limits.max_header_bytes {
            return Err(Refusal::HeadTooLong);
        }
        Ok(Target::New(protocol))
    }

    fn upgrade<B>(&self, request: &mut Request<B>, target: Upgrading<H>) -> Answer {
        // Engine.IO knows no sub-protocols: as in Node, the first that the client offers is confirmed, because a
        // client that offers some gives up if none is.
        let offered = request.headers().get(SEC_WEBSOCKET_PROTOCOL);
        let offered = offered
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(',').next());
        let mut server = ServerHandshake::new().protocols(offered.map(str::trim));
        if let Some(deflate) = self.engine.config.per_message_deflate {
            server = server.permessage_deflate(deflate);
        }
        let accept = match server.validate(request) {
            Ok(accept) => accept,
            Err(error) => {
                let mut response = error.response().map(EngineBody::new);
                response
                    .headers_mut()
                    .insert(CONNECTION, HeaderValue::from_static("close"));
                return response;
            }
        };
        let takeover = request.extensions_mut().remove::<Takeover>();
        if takeover.is_none() && request.extensions().get::<OnUpgrade>().is_none() {
            let why = "the HTTP server does not support upgrades";
            self.engine.complain("no WebSocket", why);
            return answer::upgrade_refusal(ErrorCode::BadRequest, None);
        }
        let mut answer = accept.response().map(|()| EngineBody::default());
        let target = match target {
            Upgrading::New(handshake, protocol, sid) => {
                self.engine
                    .handler
                    .headers(&handshake, answer.headers_mut(), true);
                websocket::Target::New(handshake, protocol, sid)
            }
            Upgrading::Session(conn) => {
                self.engine
                    .handler
                    .headers(conn.handshake(), answer.headers_mut(), false);
                match self.engine.config.allow_upgrades {
                    true => websocket::Target::Probe(
                        conn,
                        wants_base64(request.uri().query().unwrap_or("")),
                    ),
                    false => websocket::Target::Refused,
                }
            }
        };
        let service = self.clone();
        let deflate = accept.permessage_deflate();
        let open = move |source| {
            let runtime = service.engine.runtime().clone();
            runtime.spawn(websocket::Task::new(service, source, target, deflate));
        };
        match takeover {
            Some(takeover) => takeover.set(|taken| open(websocket::Source::Taken(taken))),
            None => open(websocket::Source::Hyper(hyper::upgrade::on(request))),
        }
        answer
    }
}

/// What an accepted request is for.
enum Target<H: Handler> {
    New(Protocol),
    Session(Arc<Connection<H::State>>),
}

/// What a WebSocket is for.
enum Upgrading<H: Handler> {
    New(Handshake, Protocol, Option<Sid>),
    Session(Arc<Connection<H::State>>),
}

/// Why a request is refused.
enum Refusal {
    /// With what only the handler is told.
    Code(ErrorCode, &'static str),
    /// By `allow_request`, with its message.
    Forbidden(String),
    /// There is no session id for it, and why.
    NoId(String),
    /// There are too many connections, or the engine takes no new ones.
    Full,
    /// URL and headers are longer than [`Limits::max_header_bytes`](fanfare_protocol::Limits).
    HeadTooLong,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Code(code, "")
    }
}

fn bad_request(context: &'static str) -> Refusal {
    Refusal::Code(ErrorCode::BadRequest, context)
}

/// The answer to a GET or POST that the session refuses.
fn refused(refused: Refused) -> Answer {
    match refused {
        Refused::TransportMismatch => answer::refusal(ErrorCode::BadRequest, None),
        Refused::Overlap => answer::empty(StatusCode::BAD_REQUEST),
        // It closed since it was looked up.
        _ => answer::refusal(ErrorCode::UnknownSid, None),
    }
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key(UPGRADE)
        && headers
            .get_all(CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .any(|value| {
                value
                    .split(',')
                    .any(|token| token.trim().eq_ignore_ascii_case("upgrade"))
            })
}

/// Whether Node takes this for a header value without illegal characters.
fn is_header_text(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&b| b == b'\t' || (b >= b' ' && b != 0x7F))
}

/// Whether a request of Engine.IO v3 asks for binary messages as base64.
pub(crate) fn wants_base64(query: &str) -> bool {
    Params::parse(query).b64
}

fn is_msie(headers: &HeaderMap) -> bool {
    headers.get(USER_AGENT).is_some_and(|agent| {
        let agent = agent.as_bytes();
        memchr::memmem::find(agent, b";MSIE").is_some()
            || memchr::memmem::find(agent, b"Trident/").is_some()
    })
}

fn is_octet_stream(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .is_some_and(|value| value == "application/octet-stream")
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
