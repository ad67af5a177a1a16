//! Direct path for requests of open sessions, which are nearly all requests of long-polling: the engine answers them
//! before an `http::Request` is made, which would cost more than everything else.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::ServeBody;
use super::request::Head;
use crate::reply::Reply;

/// Engine that answers the requests of its open sessions.
pub(crate) trait Sessions: Send + Sync {
    /// Starts the response of the session that a request names. `None`: no open session has this id, the request is not
    /// valid, or it needs the service.
    fn answer(&self, head: &Head<'_, '_>, body: &mut ServeBody) -> Option<Box<dyn Replies>>;
}

/// Response in progress.
pub(crate) trait Replies: Send {
    fn poll_reply(&mut self, cx: &mut Context<'_>) -> Poll<Reply>;
}

/// Sessions that are asked before the service, if any.
#[derive(Clone, Default)]
pub(super) struct Direct(pub(super) Option<Arc<dyn Sessions>>);

impl fmt::Debug for Direct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Direct").field(&self.0.is_some()).finish()
    }
}
