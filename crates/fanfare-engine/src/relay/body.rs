//! Body of a request that is relayed.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Body of a request for a session of another server, as it arrives from the client.
pub struct RelayBody(Pin<Box<dyn Body<Data = Bytes, Error = RelayBodyError> + Send>>);

/// Error of a body that ended before it was complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body of the request ended before it was complete")]
pub struct RelayBodyError;

impl RelayBody {
    pub(crate) fn new<B: Body<Data = Bytes> + Send + 'static>(body: B) -> Self {
        Self(Box::pin(Arriving(Box::pin(body))))
    }
}

impl fmt::Debug for RelayBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RelayBody")
    }
}

impl Body for RelayBody {
    type Data = Bytes;
    type Error = RelayBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayBodyError>>> {
        self.0.as_mut().poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// Body of a request on any HTTP server. Its errors become [`RelayBodyError`].
struct Arriving<B>(Pin<Box<B>>);

impl<B: Body<Data = Bytes>> Body for Arriving<B> {
    type Data = Bytes;
    type Error = RelayBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RelayBodyError>>> {
        let frame = self.0.as_mut().poll_frame(cx);
        frame.map(|frame| frame.map(|frame| frame.map_err(|_| RelayBodyError)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}
