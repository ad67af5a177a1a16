use fanfare_protocol::Value;
use fanfare_protocol::socket::AllArgs;

use super::{Attachments, EventName, FromContext, Rejection};
use crate::handler::{EventContext, OnEvent};

impl FromContext<OnEvent> for EventName {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self(cx.event().into()))
    }
}

/// The whole event without types, as `on_any` handlers take it.
///
/// Binary parts are [`Value::Binary`] where they are in the arguments, as with the [`args`](crate::adapter::ServerEvent::args)
/// of an event between servers. For arguments whose types are known, [`Data`](crate::Data) is cheaper.
///
/// ```
/// use fanfare::extract::Event;
/// use fanfare::{Namespace, Socket};
///
/// # let _ =
/// Namespace::new("/").on_any(async |socket: Socket, event: Event| {
///     println!("{} sent {}, {} arguments", socket.id(), event.name, event.args.len());
/// });
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Event {
    /// Name of the event.
    pub name: String,
    /// Arguments of the event.
    pub args: Vec<Value>,
}

impl FromContext<OnEvent> for Event {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        let AllArgs(args) = cx.data()?;
        Ok(Self {
            name: cx.event().to_owned(),
            args,
        })
    }
}

impl FromContext<OnEvent> for Attachments {
    fn from_context(cx: &EventContext<'_>) -> Result<Self, Rejection> {
        Ok(Self(cx.attachments().to_vec()))
    }
}
