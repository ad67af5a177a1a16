//! The arguments of an event.

use fanfare_core::Data;
use serde::de::DeserializeOwned;

use super::{FromContext, OptionalFromContext, Rejection};
use crate::socket::kinds::{EventContext, OnEvent};

impl<T: DeserializeOwned> FromContext<OnEvent> for Data<T> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        cx.event.data().map(Self).map_err(Rejection::Args)
    }
}

impl<T: DeserializeOwned> OptionalFromContext<OnEvent> for Data<T> {
    fn optional_from_context(cx: &EventContext) -> Result<Option<Self>, Rejection> {
        let absent = cx.event.args().is_empty();
        (!absent).then(|| Self::from_context(cx)).transpose()
    }
}
