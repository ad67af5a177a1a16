//! Dispatch of events to handlers: built once, read without locks.

use std::collections::HashMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::ack::AckSender;
use crate::adapter::ServerHandler;
use crate::error::EmitError;
use crate::handler::{
    ConnectHandler, ContractId, DisconnectHandler, EventError, EventHandler, Middleware,
    PacketMiddleware, Reports, Requirements,
};
use crate::socket::OutgoingHandler;

type Handlers = SmallVec<[EventHandler; 1]>;
/// Converts an error to an acknowledgement.
pub(crate) type ErrorShape = Arc<dyn Fn(&EventError) -> SendAck + Send + Sync>;
type SendAck = Box<dyn FnOnce(AckSender) -> Result<(), EmitError>>;

/// Handlers of a namespace.
#[derive(Default)]
pub(crate) struct Behaviour {
    /// Contract whose events the handlers take and send.
    pub(crate) contract: Option<ContractId>,
    pub(crate) middlewares: Vec<Middleware>,
    pub(crate) packet_middlewares: Vec<PacketMiddleware>,
    pub(crate) connect: Vec<ConnectHandler>,
    pub(crate) disconnecting: Vec<DisconnectHandler>,
    pub(crate) disconnect: Vec<DisconnectHandler>,
    events: HashMap<Box<str>, Handlers, foldhash::fast::RandomState>,
    pub(crate) any: Vec<EventHandler>,
    pub(crate) fallback: Option<EventHandler>,
    server_events: HashMap<Box<str>, Vec<ServerHandler>>,
    pub(crate) outgoing: Vec<OutgoingHandler>,
    /// Converts errors to acknowledgements, if the application has set a custom format.
    pub(crate) ack_errors: Option<ErrorShape>,
    pub(crate) reports: Reports,
}

impl Behaviour {
    pub(crate) fn add_event(&mut self, event: &str, handler: EventHandler) {
        self.events.entry(event.into()).or_default().push(handler);
    }

    pub(crate) fn add_server_event(&mut self, event: &str, handler: ServerHandler) {
        self.server_events
            .entry(event.into())
            .or_default()
            .push(handler);
    }

    pub(crate) fn server_handlers(&self, event: &str) -> &[ServerHandler] {
        self.server_events.get(event).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn event_names(&self) -> impl Iterator<Item = &str> {
        self.events.keys().map(|name| &**name)
    }

    pub(crate) fn server_event_names(&self) -> impl Iterator<Item = &str> {
        self.server_events.keys().map(|name| &**name)
    }

    /// Returns the handlers of an event in the order in which they were added.
    #[inline]
    pub(crate) fn handlers(&self, event: &str) -> &[EventHandler] {
        self.events.get(event).map_or(&[], SmallVec::as_slice)
    }

    pub(crate) fn requirements(&self) -> Requirements {
        let mut needs = Requirements::default();
        self.packet_middlewares
            .iter()
            .for_each(|h| h.requirements(&mut needs));
        self.middlewares
            .iter()
            .for_each(|h| h.requirements(&mut needs));
        self.connect.iter().for_each(|h| h.requirements(&mut needs));
        self.disconnecting
            .iter()
            .chain(&self.disconnect)
            .for_each(|h| h.requirements(&mut needs));
        let events = self
            .events
            .values()
            .flatten()
            .chain(&self.any)
            .chain(&self.fallback);
        events.for_each(|h| h.requirements(&mut needs));
        needs
    }
}

impl std::fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Behaviour")
            .field("middlewares", &self.middlewares.len())
            .field("events", &self.events.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}
