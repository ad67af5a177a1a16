//! The body of a request.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// The body of a request that [`serve`](crate::serve()) hands to its service.
#[derive(Debug)]
pub struct ServeBody(Kind);

#[derive(Debug)]
enum Kind {
    /// It came together with the head.
    Whole(Option<Bytes>),
    Streamed(Incoming),
}

impl ServeBody {
    pub(super) fn whole(data: Bytes) -> ServeBody {
        ServeBody(Kind::Whole((!data.is_empty()).then_some(data)))
    }

    pub(super) fn streamed(body: Incoming) -> ServeBody {
        ServeBody(Kind::Streamed(body))
    }
}

impl Body for ServeBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.0 {
            Kind::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Kind::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(data) => data.is_none(),
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(data) => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}
