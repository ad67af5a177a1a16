//! Requests of open sessions, which are nearly all requests of long-polling: the engine is asked for their answers before
//! an `http::Request` is made of them. That would cost more than all the rest.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::ServeBody;
use super::request::Head;
use crate::service::Reply;

/// An engine, and the requests of its open sessions.
pub(crate) trait Sessions: Send + Sync {
    /// Has the session of a request answer it. `None`: it is of no open session, or not in order, or not usual.
    fn answer(&self, head: &Head<'_, '_>, body: &mut ServeBody) -> Option<Box<dyn Replies>>;
}

/// An answer that is being made.
pub(crate) trait Replies: Send {
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply>;
}

/// The sessions that are asked first, if any.
#[derive(Clone, Default)]
pub(super) struct Direct(pub(super) Option<Arc<dyn Sessions>>);

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Direct").field(&self.0.is_some()).finish()
    }
}
