//! Responses of the engine, and their bodies.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};

const XSS_PROTECTION: HeaderName = HeaderName::from_static("x-xss-protection");

pub(crate) type Answer = Response<EngineBody>;

/// Body of a response: nothing, or one piece.
#[derive(Debug, Default)]
pub struct EngineBody(Option<Bytes>);

impl EngineBody {
    /// Creates a body of these bytes.
    pub fn new(data: impl Into<Bytes>) -> EngineBody {
        let data = data.into();
        EngineBody((!data.is_empty()).then_some(data))
    }

    pub(crate) fn into_bytes(self) -> Bytes {
        self.0.unwrap_or_default()
    }
}

impl Body for EngineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|data| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |data| data.len() as u64))
    }
}

/// A response, in the form that is cheapest to write.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Response of a session, to which no hook adds header fields.
    Plain(Plain),
    Whole(Answer),
}

/// Response 200 of a session. The server adds the length of the body.
#[derive(Debug)]
pub(crate) struct Plain {
    pub(crate) content_type: &'static str,
    pub(crate) body: Bytes,
    /// Whether the response has the header `X-XSS-Protection: 0`, which Node adds for Internet Explorer.
    pub(crate) msie: bool,
}

impl Plain {
    /// Creates the response to a GET.
    pub(crate) fn payload(body: Bytes, binary: bool, msie: bool) -> Plain {
        let content_type = match binary {
            true => "application/octet-stream",
            false => "text/plain; charset=UTF-8",
        };
        Plain {
            content_type,
            body,
            msie,
        }
    }

    /// Creates the response to a POST.
    pub(crate) fn posted(msie: bool) -> Plain {
        Plain {
            content_type: "text/html",
            body: Bytes::from_static(b"ok"),
            msie,
        }
    }
}

impl From<Plain> for Answer {
    fn from(plain: Plain) -> Answer {
        let mut response = Response::new(EngineBody::new(plain.body));
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(plain.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if plain.msie {
            headers.insert(XSS_PROTECTION, HeaderValue::from_static("0"));
        }
        *response.headers_mut() = headers;
        response
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        match reply {
            Reply::Plain(plain) => plain.into(),
            Reply::Whole(answer) => answer,
        }
    }
}
