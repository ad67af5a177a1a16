//! A request and its response.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, Response};

use super::HttpService;
use super::body::BodyFeed;
use super::request::{Incoming, Keep};
use super::response::Form;
use super::sessions::{Replies, Sessions};
use crate::reply::{EngineBody, Reply};
use crate::stream::Takeover;

/// A request and its response.
pub(super) struct Exchange<F> {
    answer: Answer<F>,
    /// Destination of the rest of the body.
    pub(super) feed: Option<BodyFeed>,
    pub(super) takeover: Option<Takeover>,
    keep: Keep,
    /// Whether the response is only a head, because the request is HEAD.
    bodiless: bool,
}

enum Answer<F> {
    Making(F),
    /// Response of a session, in progress.
    Replying(Box<dyn Replies>),
    /// Response that waits for those before it.
    Made(Option<Box<Reply>>),
}

impl<F> Exchange<F>
where
    F: Future<Output = Result<Response<EngineBody>, std::convert::Infallible>> + Unpin,
{
    pub(super) fn begin<S: HttpService<Future = F>>(
        incoming: Incoming<'_, '_>,
        service: &mut S,
        sessions: Option<&dyn Sessions>,
        identify: impl FnOnce(&mut Extensions),
    ) -> Option<Self> {
        let Incoming {
            head,
            mut body,
            feed,
            keep,
            upgrade,
            ..
        } = incoming;
        let usual = sessions.filter(|_| !upgrade);
        if let Some(replies) = usual.and_then(|sessions| sessions.answer(&head, &mut body)) {
            return Some(Exchange {
                answer: Answer::Replying(replies),
                feed,
                takeover: None,
                keep,
                bodiless: false,
            });
        }
        let takeover = upgrade.then(Takeover::default);
        let mut request = head.request(body)?;
        identify(request.extensions_mut());
        if let Some(takeover) = &takeover {
            request.extensions_mut().insert(takeover.clone());
        }
        Some(Exchange {
            answer: Answer::Making(service.call(request)),
            feed,
            takeover,
            keep,
            bodiless: head.method() == "HEAD",
        })
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Reply> {
        match &mut self.answer {
            Answer::Making(answer) => Pin::new(answer).poll(cx).map(|answer| match answer {
                Ok(answer) => Reply::Whole(answer),
                Err(never) => match never {},
            }),
            Answer::Replying(replies) => replies.poll_reply(cx),
            Answer::Made(reply) => Poll::Ready(match reply.take() {
                Some(reply) => *reply,
                None => Reply::Whole(Response::default()),
            }),
        }
    }

    /// Polls the response before its turn, and stores it once it is ready.
    pub(super) fn make(&mut self, cx: &mut Context<'_>) {
        if !matches!(self.answer, Answer::Made(_))
            && let Poll::Ready(answer) = self.poll(cx)
        {
            self.answer = Answer::Made(Some(Box::new(answer)));
        }
    }

    /// Returns the destination of the next bytes, unless the body is complete.
    pub(super) fn feed(&mut self) -> Option<&mut BodyFeed> {
        self.feed.as_mut().filter(|feed| !feed.is_complete())
    }

    /// Whether another request may be handled before this one is answered.
    pub(super) fn may_be_followed(&self) -> bool {
        let complete = self.feed.as_ref().is_none_or(BodyFeed::is_complete);
        complete && self.takeover.is_none() && self.keep != Keep::Close
    }

    /// Ends the body with an error, and the connection after the response.
    pub(super) fn breaks_off(&mut self) {
        self.feed = None;
        self.keep = Keep::Close;
    }

    pub(super) fn form(&self) -> Form {
        Form {
            close: self.keep == Keep::Close,
            told: self.keep == Keep::Told,
            bodiless: self.bodiless,
        }
    }
}
