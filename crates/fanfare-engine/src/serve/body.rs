//! The body of a request.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;

use crate::scratch::SCRATCH;

/// So much of a body lies ready at most; the rest waits with the kernel.
const READY: usize = SCRATCH;

/// The body of a request that [`serve`](crate::serve()) hands to its service.
#[derive(Debug)]
pub struct ServeBody(Kind);

#[derive(Debug)]
enum Kind {
    /// It came together with the head.
    Whole(Option<Bytes>),
    /// Its end is still to come.
    Arriving(Arc<Mutex<Arriving>>),
    Streamed(Incoming),
}

/// Why the body of a request cannot be read to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeBodyError {
    /// The connection ended before.
    #[error("the connection ended within the body of a request")]
    Lost,
    /// Another fault, in a body that hyper reads.
    #[error(transparent)]
    Hyper(#[from] hyper::Error),
}

/// A body of known length, between the connection that reads it and the service.
#[derive(Debug)]
struct Arriving {
    /// What has come and was not taken yet.
    data: BytesMut,
    /// Bytes that have not come yet.
    missing: usize,
    /// The connection is gone.
    lost: bool,
    /// The service waits for more.
    taker: Option<Waker>,
    /// The connection waits until something is taken.
    feeder: Option<Waker>,
}

impl ServeBody {
    pub(super) fn whole(data: Bytes) -> ServeBody {
        ServeBody(Kind::Whole((!data.is_empty()).then_some(data)))
    }

    /// A body of which so many bytes are missing, and what they are fed to.
    pub(super) fn arriving(data: &[u8], missing: usize) -> (ServeBody, BodyFeed) {
        let arriving = Arc::new(Mutex::new(Arriving {
            data: data.into(),
            missing,
            lost: false,
            taker: None,
            feeder: None,
        }));
        let feed = BodyFeed(arriving.clone());
        (ServeBody(Kind::Arriving(arriving)), feed)
    }

    pub(super) fn streamed(body: Incoming) -> ServeBody {
        ServeBody(Kind::Streamed(body))
    }
}

/// Where a connection puts the rest of a body. If it goes before all has come, the body ends with an error.
#[derive(Debug)]
pub(super) struct BodyFeed(Arc<Mutex<Arriving>>);

impl BodyFeed {
    /// How many bytes have not come yet.
    pub(super) fn missing(&self) -> usize {
        self.0.lock().missing
    }

    /// Whether there is a body yet; the service may have dropped it.
    fn is_wanted(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    /// How many bytes are to be read now. Pending: none before some are taken.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<usize> {
        let mut arriving = self.0.lock();
        if !self.is_wanted() {
            arriving.data = BytesMut::new();
        }
        let room = READY.saturating_sub(arriving.data.len());
        if room == 0 {
            arriving.feeder = Some(cx.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(room.min(arriving.missing))
    }

    /// Takes what has come: no more than is missing. The caller goes on with its own task anyway.
    pub(super) fn push(&self, data: &[u8], cx: &Context<'_>) {
        let mut arriving = self.0.lock();
        arriving.missing -= data.len();
        if self.is_wanted() {
            arriving.data.extend_from_slice(data);
        }
        let taker = arriving.taker.take();
        drop(arriving);
        if let Some(taker) = taker.filter(|taker| !taker.will_wake(cx.waker())) {
            taker.wake();
        }
    }
}

impl Drop for BodyFeed {
    fn drop(&mut self) {
        let mut arriving = self.0.lock();
        arriving.lost = arriving.missing > 0;
        let taker = arriving.taker.take();
        drop(arriving);
        if let Some(taker) = taker {
            taker.wake();
        }
    }
}

impl Arriving {
    fn len(&self) -> usize {
        self.data.len() + self.missing
    }

    fn poll_data(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, ServeBodyError>>> {
        if !self.data.is_empty() {
            return Poll::Ready(Some(Ok(self.data.split().freeze())));
        }
        if self.missing == 0 {
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
            Kind::Arriving(arriving) => arriving.lock().len() == 0,
            Kind::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        let len = match &self.0 {
            Kind::Whole(data) => data.as_ref().map_or(0, Bytes::len),
            Kind::Arriving(arriving) => arriving.lock().len(),
            Kind::Streamed(body) => return body.size_hint(),
        };
        SizeHint::with_exact(len as u64)
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

    async fn push(feed: &BodyFeed, data: &'static [u8]) {
        poll_fn(|cx| {
            feed.push(data, cx);
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn a_body_comes_as_it_is_fed_and_ends_when_all_has_come() {
        let (mut body, feed) = ServeBody::arriving(b"ab", 4);
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
            push(&feed, piece).await;
        }
        assert_eq!(feed.missing(), 0);
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

        let (mut body, feed) = ServeBody::arriving(b"", 1);
        push(&feed, b"x").await;
        drop(feed);
        assert_eq!(take(&mut body).await.unwrap().unwrap(), "x");
        assert!(take(&mut body).await.is_none());
    }

    #[tokio::test]
    async fn what_nobody_wants_is_not_kept() {
        let (body, feed) = ServeBody::arriving(&[0; READY], 2 * READY);
        drop(body);
        for _ in 0..2 {
            assert_eq!(poll_fn(|cx| feed.poll_room(cx)).await, READY);
            push(&feed, &[0; READY]).await;
            assert_eq!(feed.0.lock().data.capacity(), 0);
        }
        assert_eq!(feed.missing(), 0);
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_taken() {
        let (mut body, feed) = ServeBody::arriving(&[0; READY - 1], 3);
        assert_eq!(poll_fn(|cx| feed.poll_room(cx)).await, 1);
        push(&feed, &[0]).await;
        assert!(poll_fn(|cx| Poll::Ready(feed.poll_room(cx).is_pending())).await);
        let feeder = tokio::spawn(async move { poll_fn(|cx| feed.poll_room(cx)).await });
        tokio::task::yield_now().await;
        assert_eq!(take(&mut body).await.unwrap().unwrap().len(), READY);
        assert_eq!(feeder.await.unwrap(), 2);
    }
}
