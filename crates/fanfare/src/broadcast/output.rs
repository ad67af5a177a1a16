//! Reports of broadcasts as return values of handlers, which are dropped.

use fanfare_protocol::typed::NoAck;

use super::BroadcastReport;
use crate::handler::{AckSink, Acknowledges, Discardable, EventError, IntoAck};

impl Discardable for BroadcastReport {}
impl Acknowledges<NoAck> for BroadcastReport {}

impl IntoAck for BroadcastReport {
    fn into_ack<S: AckSink>(self, _: S) -> Result<(), EventError> {
        Ok(())
    }
}
