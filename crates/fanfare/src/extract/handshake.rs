use super::{FromContext, Rejection};
use crate::handler::{HandlerKind, HasSocket};
use crate::socket::{Handshake, Socket};

impl<M: HandlerKind<Socket = Socket>> FromContext<M> for Handshake {
    fn from_context(cx: &M::Context<'_>) -> Result<Self, Rejection> {
        Ok(Self::new(cx.socket().clone()))
    }
}
