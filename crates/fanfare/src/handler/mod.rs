//! Handlers: async functions of extractors.

mod context;
mod erased;
pub(crate) mod reports;

pub use context::{
    ConnectContext, DisconnectContext, EventContext, OnConnect, OnDisconnect, OnEvent,
};
pub(crate) use erased::{
    ConnectHandler, DisconnectHandler, EventHandler, Middleware, PacketMiddleware, erase,
    erase_event, erase_middleware,
};
pub use fanfare_core::{
    AckSink, Acknowledges, Discardable, Handler, HandlerKind, HasSocket, IntoAck, IntoOutcome,
    Requirements,
};
pub(crate) use fanfare_core::{ConnectError, ContractId, EventError, INTERNAL, PendingAck};
pub(crate) use reports::Reports;
