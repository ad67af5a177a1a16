//! Listeners for what is sent.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_protocol::socket::{ArgsBuf, ArgsError, IntoArgs};
use serde::de::DeserializeOwned;

use super::Socket;
use crate::adapter::{from_values, to_values};

/// An event that is being sent to a client, as [`on_any_outgoing`](Socket::on_any_outgoing) sees it.
#[derive(Clone)]
pub struct OutgoingEvent {
    name: String,
    args: ArgsBuf,
}

impl OutgoingEvent {
    /// `None` if it cannot be sent either.
    pub(crate) fn new(event: &str, args: &impl IntoArgs) -> Option<Self> {
        let values = to_values(event, args).ok()?;
        Some(Self {
            name: event.to_owned(),
            args: from_values(&values[1..])?,
        })
    }

    /// The name of the event.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many arguments there are.
    pub fn arg_count(&self) -> usize {
        self.args.as_args().len()
    }

    /// The binary attachments, in order.
    pub fn attachments(&self) -> Vec<Bytes> {
        self.args.as_args().attachments().to_vec()
    }

    /// The arguments: a tuple takes several, anything else the first.
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
