//! Body of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use super::chunked::{Chunked, Malformed};
use crate::scratch::SCRATCH_BYTES;

/// Maximum number of bytes of a body that wait for the service; the rest waits in the kernel.
const MAX_READY_BYTES: usize = SCRATCH_BYTES;

/// Body of a request that [`serve`](crate::serve()) passes to its service.
#[derive(Debug)]
pub struct ServeBody(Kind);

#[derive(Debug)]
enum Kind {
    /// A body that arrived together with the head.
    Whole(Option<Bytes>),
    /// A body whose end has not arrived yet.
    Arriving(Arc<Mutex<Arriving>>),
    Streamed(Incoming),
}

/// Reason for which the body of a request cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeBodyError {
    /// The connection ended before the body did.
    #[error("the connection ended within the body of a request")]
    Lost,
    /// Another error, in a body that hyper reads.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

/// State of a body that the connection and the service share.
#[derive(Debug)]
struct Arriving {
    /// Bytes that have arrived and were not taken yet.
    data: BytesMut,
    /// Number of bytes that have not arrived yet, if that is known.
    missing: Option<usize>,
    /// Whether everything has arrived.
    ended: bool,
    /// Whether the connection is gone.
    lost: bool,
    /// Waker of the service, which waits for more.
    taker: Option<Waker>,
    /// Waker of the connection, which waits until something is taken.
    feeder: Option<Waker>,
}

impl ServeBody {
    pub(super) fn whole(data: Bytes) -> ServeBody {
        ServeBody(Kind::Whole((!data.is_empty()).then_some(data)))
    }

    /// Takes the body, and leaves an empty one.
    pub(crate) fn take(&mut self) -> ServeBody {
        std::mem::replace(self, ServeBody(Kind::Whole(None)))
    }

    /// Creates a body of which `missing` bytes have not arrived, and the feed for them.
    pub(super) fn arriving(data: &[u8], missing: usize) -> (ServeBody, BodyFeed) {
        let arriving = Arriving::new(data.into(), Some(missing));
        let feed = BodyFeed {
            arriving: arriving.clone(),
            chunked: None,
        };
        (ServeBody(Kind::Arriving(arriving)), feed)
    }

    /// Creates a chunked body that begins with `input`. Returns it with its feed, unless it is complete, and with the
    /// number of bytes consumed.
    pub(super) fn chunked(input: &[u8]) -> Result<(ServeBody, Option<BodyFeed>, usize), Malformed> {
        let (mut chunked, mut data) = (Chunked::default(), BytesMut::new());
        let consumed = chunked.decode(input, |part| data.extend_from_slice(part))?;
        if chunked.is_done() {
            return Ok((ServeBody::whole(data.freeze()), None, consumed));
        }
        let arriving = Arriving::new(data, None);
        let feed = BodyFeed {
            arriving: arriving.clone(),
            chunked: Some(chunked),
        };
        Ok((ServeBody(Kind::Arriving(arriving)), Some(feed), consumed))
    }

    pub(super) fn streamed(body: Incoming) -> ServeBody {
        ServeBody(Kind::Streamed(body))
    }
}

/// Sender through which a connection supplies the rest of a body. If it is dropped too early, the body ends with an
/// error.
#[derive(Debug)]
pub(super) struct BodyFeed {
    arriving: Arc<Mutex<Arriving>>,
    /// Decoder if the body is chunked; otherwise its length is known.
    chunked: Option<Chunked>,
}

impl BodyFeed {
    pub(super) fn is_complete(&self) -> bool {
        self.arriving.lock().ended
    }

    /// Number of bytes that have not arrived yet, if that is known.
    pub(super) fn missing(&self) -> Option<usize> {
        let arriving = self.arriving.lock();
        if arriving.ended {
            Some(0)
        } else {
            arriving.missing
        }
    }

    /// Whether the body still exists; the service may have dropped it.
    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.arriving) > 1
    }

    /// Returns the number of bytes to read now. Pending: none until the service has taken some.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<usize> {
        let mut arriving = self.arriving.lock();
        if !self.is_wanted() {
            arriving.data = BytesMut::new();
        }
        let room = MAX_READY_BYTES.saturating_sub(arriving.data.len());
        if room == 0 {
            arriving.feeder = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(arriving.missing.map_or(room, |missing| room.min(missing)))
    }

    /// Accepts input and returns the length of the part that belongs to the body. The task of the caller is not woken,
    /// because it continues anyway.
    pub(super) fn push(&mut self, input: &[u8], cx: &Context<'_>) -> Result<usize, Malformed> {
        let wanted = self.is_wanted();
        let mut arriving = self.arriving.lock();
        let consumed = match &mut self.chunked {
            None => {
                let missing = arriving.missing.unwrap_or(0);
                let n = missing.min(input.len());
                arriving.missing = Some(missing - n);
                arriving.ended = missing == n;
                if wanted {
                    arriving.data.extend_from_slice(&input[..n]);
                }
                n
            }
            Some(chunked) => {
                let n = chunked.decode(input, |part| {
                    if wanted {
                        arriving.data.extend_from_slice(part);
                    }
                })?;
                arriving.ended = chunked.is_done();
                n
            }
        };
        let taker = arriving.taker.take();
        drop(arriving);
        if let Some(taker) = taker.filter(|taker| !taker.will_wake(cx.waker())) {
            taker.wake();
        }
        Ok(consumed)
    }
}

impl Drop for BodyFeed {
    fn drop(&mut self) {
        let mut arriving = self.arriving.lock();
        arriving.lost = !arriving.ended;
        let taker = arriving.taker.take();
        drop(arriving);
        if let Some(taker) = taker {
            taker.wake();
        }
    }
}

impl Arriving {
    fn new(data: BytesMut, missing: Option<usize>) -> Arc<Mutex<Arriving>> {
        Arc::new(Mutex::new(Arriving {
            data,
            missing,
            ended: false,
            lost: false,
            taker: None,
            feeder: None,
        }))
    }

    fn size_hint(&self) -> SizeHint {
        let here = self.data.len() as u64;
        match self.missing {
            Some(missing) => SizeHint::with_exact(here + missing as u64),
            None if self.ended => SizeHint::with_exact(here),
            None => {
                let mut hint = SizeHint::new();
                hint.set_lower(here);
                hint
            }
        }
    }

    fn poll_data(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, ServeBodyError>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(self.data.split().freeze())));
        }
        if self.ended {
            return Poll::Ready(None);
        }
        if self.lost {
            return Poll::Ready(Some(Err(ServeBodyError::Lost)));
        }
        self.taker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Body for ServeBody {
    type Data = Bytes;
    type Error = ServeBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ServeBodyError>>> {
        match &mut self.0 {
            Kind::Whole(data) => Poll::Ready(data.take().map(|data| Ok(Frame::data(data)))),
            Kind::Arriving(arriving) => {
                let mut arriving = arriving.lock();
                let data = arriving.poll_data(cx);
                let feeder = data.is_ready().then(|| arriving.feeder.take()).flatten();
                drop(arriving);
                if let Some(feeder) = feeder {
                    feeder.wake();
                }
                data.map(|data| data.map(|data| data.map(Frame::data)))
            }
            Kind::Streamed(body) => Pin::new(body)
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(ServeBodyError::from))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(data) => data.is_none(),
            Kind::Arriving(arriving) => {
                let arriving = arriving.lock();
                arriving.ended && arriving.data.is_empty()
            }
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(data) => SizeHint::with_exact(data.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Arriving(arriving) => arriving.lock().size_hint(),
            Kind::Streamed(body) => body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn take(body: &mut ServeBody) -> Option<Result<Bytes, ServeBodyError>> {
        let frame = poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await?;
        Some(frame.map(|frame| frame.into_data().unwrap()))
    }

    async fn push(feed: &mut BodyFeed, data: &'static [u8]) {
        let pushed = poll_fn(|cx| Poll::Ready(feed.push(data, cx))).await;
        assert_eq!(pushed.unwrap(), data.len());
    }

    #[tokio::test]
    async fn a_body_comes_as_it_is_fed_and_ends_when_all_has_come() {
        let (mut body, mut feed) = ServeBody::arriving(b"ab", 4);
        assert_eq!(body.size_hint().exact(), Some(6));
        assert_eq!(take(&mut body).await.unwrap().unwrap(), "ab");
        let taker = tokio::spawn(async move {
            let cd = take(&mut body).await.unwrap().unwrap();
            let ef = take(&mut body).await.unwrap().unwrap();
            let ended = take(&mut body).await.is_none() && body.is_end_stream();
            (cd, ef, ended)
        });
        for piece in [b"cd", b"ef"] {
            tokio::task::yield_now().await;
            push(&mut feed, piece).await;
        }
        assert_eq!(feed.missing(), Some(0));
        assert_eq!(taker.await.unwrap(), ("cd".into(), "ef".into(), true));
    }

    #[tokio::test]
    async fn a_body_whose_connection_ends_is_lost() {
        let (mut body, feed) = ServeBody::arriving(b"", 1);
        let taker = tokio::spawn(async move { take(&mut body).await });
        tokio::task::yield_now().await;
        drop(feed);
        let lost = taker.await.unwrap();
        assert!(matches!(lost, Some(Err(ServeBodyError::Lost))), "{lost:?}");

        let (mut body, mut feed) = ServeBody::arriving(b"", 1);
        push(&mut feed, b"x").await;
        drop(feed);
        assert_eq!(take(&mut body).await.unwrap().unwrap(), "x");
        assert!(take(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn what_nobody_wants_is_not_kept() {
        let (body, mut feed) = ServeBody::arriving(&[0; MAX_READY_BYTES], 2 * MAX_READY_BYTES);
        drop(body);
        for _ in 0..2 {
            assert_eq!(poll_fn(|cx| feed.poll_room(cx)).await, MAX_READY_BYTES);
            push(&mut feed, &[0; MAX_READY_BYTES]).await;
            assert_eq!(feed.arriving.lock().data.capacity(), 0);
        }
        assert_eq!(feed.missing(), Some(0));
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_taken() {
        let (mut body, mut feed) = ServeBody::arriving(&[0; MAX_READY_BYTES - 1], 3);
        assert_eq!(poll_fn(|cx| feed.poll_room(cx)).await, 1);
        push(&mut feed, &[0]).await;
        assert!(poll_fn(|cx| Poll::Ready(feed.poll_room(cx).is_pending())).await);
        let feeder = tokio::spawn(async move { poll_fn(|cx| feed.poll_room(cx)).await });
        tokio::task::yield_now().await;
        assert_eq!(
            take(&mut body).await.unwrap().unwrap().len(),
            MAX_READY_BYTES
        );
        assert_eq!(feeder.await.unwrap(), 2);
    }
}
