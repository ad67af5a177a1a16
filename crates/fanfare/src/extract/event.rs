use bytes::Bytes;
use serde_json::Value;

use super::{FromContext, Rejection};
use crate::handler::{EventContext, OnEvent};

/// The name of the event, for handlers of several events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventName(pub String);

impl FromContext<OnEvent> for EventName {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self(cx.event().to_owned()))
    }
}

/// The whole event without types: what `on_any` handlers take.
///
/// Binary arguments stand as their placeholders in `args` and as bytes in `attachments`.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub args: Vec<Value>,
    /// Its binary attachments.
    pub attachments: Vec<Bytes>,
}

fn values(cx: &EventContext<'_>) -> Result<Vec<Value>, Rejection> {
    (0..cx.args.len())
        .map(|n| cx.args.skip(n).decode::<Value>().map_err(Rejection::Args))
        .collect()
}

impl FromContext<OnEvent> for Event {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self {
            name: cx.event().to_owned(),
            args: values(cx)?,
            attachments: cx.attachments().to_vec(),
        })
    }
}

/// The binary attachments of the event, in order; each one shares the memory of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachments(pub Vec<Bytes>);

impl FromContext<OnEvent> for Attachments {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self(cx.attachments().to_vec()))
    }
}
