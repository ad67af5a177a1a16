//! Requests and answers between servers: JSON, with events as binary values in MessagePack.

use std::time::Duration;

use fanfare_protocol::socket::EncodeError;
use fanfare_protocol::{EncodedEvent, EncodedValue, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::adapter::SessionData;
use crate::recovery::logged::{Identity, LoggedPacket};

/// A request to all other servers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Request {
    /// The session of a client.
    Session {
        pid: String,
        /// Position of the last event that the client received, as it sent it.
        offset: Option<String>,
    },
    /// The events that the client missed, the next page of them.
    Events {
        pid: String,
        /// Secret of the lender for this loan.
        loan: String,
        /// Position after which the page begins.
        after: u64,
        /// Rooms that the client is still in.
        rooms: Vec<String>,
    },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Answer {
    /// The server does not have the session.
    Unknown,
    /// The session cannot be recovered; the label of the reason.
    Failed(String),
    Session(Loan),
    /// A session that the adapter had stored.
    Stored(Stored),
    Events(Page),
}

/// A session that is lent.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Loan {
    pub(super) loan: String,
    pub(super) id: String,
    pub(super) rooms: Vec<String>,
    pub(super) data: serde_json::Value,
    /// Position of the lender up to which the client has received everything.
    pub(super) after: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    id: String,
    rooms: Vec<String>,
    data: serde_json::Value,
    position: Option<String>,
}

impl From<SessionData> for Stored {
    fn from(session: SessionData) -> Self {
        Self {
            id: session.id,
            rooms: session.rooms,
            data: session.data,
            position: session.position,
        }
    }
}

impl Stored {
    pub(super) fn into_session(self, private_id: &str) -> SessionData {
        SessionData::new(private_id, self.id)
            .rooms(self.rooms)
            .data(self.data)
            .position(self.position)
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Page {
    pub(super) events: Vec<Event>,
    /// Position of the lender at the end of the page.
    pub(super) after: u64,
    /// Whether there are more; otherwise the session has ended at the lender.
    pub(super) more: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Event {
    /// Number of the event.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    number: Option<u64>,
    /// Whether no other server has received it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    local: bool,
    /// Age in milliseconds.
    age: u64,
    event: Value,
}

impl Event {
    pub(super) fn new(logged: &LoggedPacket, age: Duration) -> Option<Self> {
        Some(Self {
            number: logged.identity.number(),
            local: logged.identity == Identity::Local,
            age: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
            event: Value::Binary(logged.event.as_ref()?.data().msgpack().clone()),
        })
    }

    pub(super) fn identity(&self) -> Identity {
        match self.number {
            Some(number) => Identity::Numbered(number),
            None if self.local => Identity::Local,
            None => Identity::Unnumbered,
        }
    }

    pub(super) fn age(&self) -> Duration {
        Duration::from_millis(self.age)
    }

    /// Returns the event; `None` if it cannot be read.
    pub(super) fn event(&self) -> Option<EncodedEvent> {
        match &self.event {
            Value::Binary(bytes) => EncodedEvent::from_msgpack(bytes.clone()).ok(),
            _ => None,
        }
    }

    /// Length of the event, in bytes.
    pub(super) fn len(&self) -> usize {
        match &self.event {
            Value::Binary(bytes) => bytes.len(),
            _ => 0,
        }
    }
}

pub(super) fn encode<T: Serialize>(message: &T) -> Result<EncodedValue, EncodeError> {
    EncodedValue::new(message)
}

/// Reads a message; `None` if it is invalid, or of a kind that this version does not know.
pub(super) fn decode<T: DeserializeOwned>(message: &EncodedValue) -> Option<T> {
    message.args()?.decode().ok()
}
