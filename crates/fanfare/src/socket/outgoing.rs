//! Listeners for outgoing events.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::EncodedEvent;
use fanfare_protocol::socket::{ArgsBuf, ArgsError};
use serde::de::DeserializeOwned;

use super::Socket;

/// An event that is being sent to a client, as [`on_any_outgoing`](Socket::on_any_outgoing) sees it.
#[derive(Clone)]
pub struct OutgoingEvent {
    name: String,
    args: ArgsBuf,
}

impl OutgoingEvent {
    /// Creates the view of an event; `None` if the application passed arguments that are no JSON.
    pub(crate) fn new(event: &EncodedEvent) -> Option<Self> {
        Some(Self {
            name: event.name().to_owned(),
            args: event.args()?,
        })
    }

    /// Returns the name of the event.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of arguments.
    pub fn arg_count(&self) -> usize {
        self.args.as_args().len()
    }

    /// Returns the binary attachments, in order.
    pub fn attachments(&self) -> Vec<Bytes> {
        self.args.as_args().attachments().to_vec()
    }

    /// Deserializes the arguments: a tuple takes several, any other type the first.
    ///
    /// # Errors
    /// If they do not fit the type.
    pub fn data<T: DeserializeOwned>(&self) -> Result<T, ArgsError> {
        self.args.decode()
    }
}

impl fmt::Debug for OutgoingEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutgoingEvent")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

pub(crate) type OutgoingHandler = Arc<dyn Fn(&Socket, &OutgoingEvent) + Send + Sync>;
