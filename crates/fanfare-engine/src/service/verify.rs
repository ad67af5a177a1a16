//! Checks of requests.

use std::sync::Arc;

use fanfare_protocol::engine::ErrorCode;
use http::Method;
use http::header::{CONTENT_TYPE, USER_AGENT};

use super::{EngineService, Upgrade};
use crate::connection::Connection;
use crate::fields::Fields;
use crate::flags::Flags;
use crate::handler::Handler;
use crate::query::Params;
use fanfare_protocol::engine::{Protocol, Transport};

/// Purpose of an accepted request.
pub(super) enum Target<H: Handler> {
    New(Protocol),
    Session(Arc<Connection<H::State>>),
}

/// Reason for which a request is rejected.
pub(super) enum RequestRejection {
    /// Error code, with the detail that only the handler gets.
    Code(ErrorCode, &'static str),
    /// A hook of the application has panicked.
    Panicked,
    /// `allow_request` rejected the request, with this message.
    Forbidden(String),
    /// The request asks for a script as the response (JSONP).
    Jsonp,
    /// There is no session id for the request, for this reason.
    NoId(String),
    /// There are too many connections, or the engine takes no new ones.
    Full,
    /// URL and headers are longer than [`Limits::max_header_bytes`](fanfare_protocol::Limits).
    HeadTooLong,
}

impl From<ErrorCode> for RequestRejection {
    fn from(code: ErrorCode) -> RequestRejection {
        RequestRejection::Code(code, "")
    }
}

fn bad_request(context: &'static str) -> RequestRejection {
    RequestRejection::Code(ErrorCode::BadRequest, context)
}

impl<H: Handler> EngineService<H> {
    /// Checks a request as Node's `verify` does, in the same order.
    pub(super) fn verify(
        &self,
        method: &Method,
        params: &Params<'_>,
        origin: Option<&[u8]>,
        upgrade: Option<Upgrade>,
    ) -> Result<Target<H>, RequestRejection> {
        let config = &self.engine.config;
        let method = match upgrade {
            // HTTP/1 uses GET with `Upgrade` for this.
            Some(Upgrade::Connect) => &Method::GET,
            _ => method,
        };
        let upgrade = upgrade.is_some();
        let named = params.transport.as_deref().and_then(Transport::from_name);
        let transport = named
            .filter(|transport| config.transports.contains(*transport))
            .ok_or(ErrorCode::UnknownTransport)?;
        if let Some(origin) = origin {
            if !is_header_text(origin) {
                return Err(bad_request("INVALID_ORIGIN"));
            }
            let allowed = config.origins.as_ref();
            if allowed.is_some_and(|allowed| !allowed.iter().any(|ours| origin == ours.as_bytes()))
            {
                return Err(RequestRejection::Code(
                    ErrorCode::Forbidden,
                    "ORIGIN_NOT_ALLOWED",
                ));
            }
        }
        if params.jsonp && transport == Transport::Polling {
            return Err(RequestRejection::Jsonp);
        }
        if let Some(sid) = params.sid.as_deref() {
            let conn = self.engine.find(sid).ok_or(ErrorCode::UnknownSid)?;
            conn.expire();
            if conn.flags.has(Flags::CLOSED) {
                return Err(ErrorCode::UnknownSid.into());
            }
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
        if method != Method::GET {
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
            return Err(RequestRejection::Full);
        }
        Ok(Target::New(protocol))
    }
}

/// Whether Node considers this a header value without illegal characters.
fn is_header_text(value: &[u8]) -> bool {
    value
        .iter()
        .all(|&b| b == b'\t' || (b >= b' ' && b != 0x7F))
}

/// Whether Node considers this an old browser, which gets an additional header: its user agent contains `;MSIE` or
/// `Trident/`.
pub(super) fn is_msie(fields: &impl Fields) -> bool {
    fields.first(&USER_AGENT).is_some_and(|agent| {
        memchr::memchr2_iter(b'M', b'T', agent).any(|at| match agent[at] {
            b'M' => agent[at..].starts_with(b"MSIE") && at > 0 && agent[at - 1] == b';',
            _ => agent[at..].starts_with(b"Trident/"),
        })
    })
}

pub(super) fn is_octet_stream(fields: &impl Fields) -> bool {
    fields.first(&CONTENT_TYPE) == Some(b"application/octet-stream")
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue};

    use super::*;

    #[test]
    fn old_browsers_are_known_as_by_node() {
        for (agent, is) in [
            ("Mozilla/4.0 (compatible;MSIE 8.0; Windows NT 6.1)", true),
            ("Mozilla/5.0 (Windows NT 6.3; Trident/7.0; rv:11.0)", true),
            ("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1)", false),
            ("MSIE;MSI", false),
            ("Mozilla/5.0 (X11) Trident", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
            assert_eq!(is_msie(&headers), is, "{agent}");
        }
        assert!(!is_msie(&HeaderMap::new()));
    }
}
