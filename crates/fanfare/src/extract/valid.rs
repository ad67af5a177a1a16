use fanfare_core::Valid;
use garde::Validate;
use serde::de::DeserializeOwned;

use super::{FromContext, OptionalFromContext, Rejection};
use crate::handler::{ConnectContext, EventContext, OnConnect, OnEvent};

fn of_event<T>(cx: &EventContext<'_>) -> Result<Valid<T>, Rejection>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    let (value,) = cx.data()?;
    Valid::check(value).map_err(Rejection::Args)
}

fn of_auth<T>(cx: &ConnectContext<'_>) -> Result<Valid<T>, Rejection>
where
    T: DeserializeOwned + Validate<Context: Default>,
{
    Valid::check(cx.socket.handshake().auth()?).map_err(Rejection::Auth)
}

impl<T: DeserializeOwned + Validate<Context: Default>> FromContext<OnEvent> for Valid<T> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        of_event(cx)
    }
}

/// Extracts `None` if the event has no arguments.
impl<T: DeserializeOwned + Validate<Context: Default>> OptionalFromContext<OnEvent> for Valid<T> {
    fn optional_from_context(cx: &EventContext<'_>) -> Result<Option<Self>, Rejection> {
        (cx.arg_count() > 0).then(|| of_event(cx)).transpose()
    }
}

impl<T: DeserializeOwned + Validate<Context: Default>> FromContext<OnConnect> for Valid<T> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &ConnectContext<'_>) -> Result<Self, Rejection> {
        of_auth(cx)
    }
}

/// Extracts `None` if the client has no `auth`.
impl<T: DeserializeOwned + Validate<Context: Default>> OptionalFromContext<OnConnect> for Valid<T> {
    fn optional_from_context(cx: &ConnectContext<'_>) -> Result<Option<Self>, Rejection> {
        cx.socket.has_auth().then(|| of_auth(cx)).transpose()
    }
}
