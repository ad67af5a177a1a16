use bytes::Bytes;
use fanfare_protocol::socket::AllArgs;
use serde_json::Value;

use super::{Attachments, EventName, FromContext, Rejection};
use crate::handler::{EventContext, OnEvent};

impl FromContext<OnEvent> for EventName {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self(cx.event().into()))
    }
}

/// The whole event without types, as `on_any` handlers take it.
///
/// Binary arguments appear as placeholders in `args` and as bytes in `attachments`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Name of the event.
    pub name: String,
    /// Arguments of the event.
    pub args: Vec<Value>,
    /// Binary attachments of the event.
    pub attachments: Vec<Bytes>,
}

impl FromContext<OnEvent> for Event {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        let AllArgs(args) = cx.data()?;
        Ok(Self {
            name: cx.event().to_owned(),
            args,
            attachments: cx.attachments().to_vec(),
        })
    }
}

impl FromContext<OnEvent> for Attachments {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self(cx.attachments().to_vec()))
    }
}
