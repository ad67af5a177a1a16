//! The argument of an event, with validation rules.

use fanfare_core::Valid;
use garde::Validate;
use serde::de::DeserializeOwned;

use super::{FromContext, OptionalFromContext, Rejection};
use crate::socket::kinds::{EventContext, OnEvent};

impl<T: DeserializeOwned + Validate<Context: Default>> FromContext<OnEvent> for Valid<T> {
    const TAKES_DATA: bool = true;

    fn from_context(cx: &EventContext) -> Result<Self, Rejection> {
        let (value,) = cx.event.data().map_err(Rejection::Args)?;
        Self::check(value).map_err(Rejection::Args)
    }
}

/// `None` if the event has no arguments.
impl<T: DeserializeOwned + Validate<Context: Default>> OptionalFromContext<OnEvent> for Valid<T> {
    fn optional_from_context(cx: &EventContext) -> Result<Option<Self>, Rejection> {
        let absent = cx.event.args().is_empty();
        (!absent).then(|| Self::from_context(cx)).transpose()
    }
}
