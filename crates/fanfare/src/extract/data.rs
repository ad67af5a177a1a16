use fanfare_core::{Data, FromContext, OptionalFromContext, Rejection};
use serde::de::DeserializeOwned;

use crate::handler::{ConnectContext, EventContext, OnConnect, OnEvent};

impl<T: DeserializeOwned> FromContext<OnEvent> for Data<T> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        cx.data().map(Self)
    }
}

impl<T: DeserializeOwned> OptionalFromContext<OnEvent> for Data<T> {
    fn optional_from_context(cx: &EventContext<'_>) -> Result<Option<Self>, Rejection> {
        (cx.arg_count() > 0)
            .then(|| cx.data().map(Self))
            .transpose()
    }
}

impl<T: DeserializeOwned> FromContext<OnConnect> for Data<T> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &ConnectContext<'_>) -> Result<Self, Rejection> {
        cx.socket.handshake().auth().map(Self)
    }
}

impl<T: DeserializeOwned> OptionalFromContext<OnConnect> for Data<T> {
    fn optional_from_context(cx: &ConnectContext<'_>) -> Result<Option<Self>, Rejection> {
        cx.socket
            .has_auth()
            .then(|| cx.socket.handshake().auth().map(Self))
            .transpose()
    }
}
