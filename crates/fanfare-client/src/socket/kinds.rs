//! Kinds of handlers, and the values that are available to each.

use fanfare_core::{HandlerKind, HasSocket};

use super::Socket;
use crate::error::ConnectError;
use crate::event::Event;
use crate::event::lifecycle::{Connected, Disconnected};

/// Kind of handlers that run for an event.
#[derive(Debug)]
pub enum OnEvent {}
/// Kind of handlers that run when the socket connects.
#[derive(Debug)]
pub enum OnConnect {}
/// Kind of handlers that run when the socket disconnects.
#[derive(Debug)]
pub enum OnDisconnect {}
/// Kind of handlers that run when the socket fails to connect.
#[derive(Debug)]
pub enum OnConnectError {}

macro_rules! contexts {
    ($($kind:ty, $context:ty, |$cx:ident| $name:expr;)+) => {$(
        impl HandlerKind for $kind {
            type Socket = Socket;
            type Context<'a> = $context;
        }

        impl HasSocket for $context {
            type Socket = Socket;

            fn socket(&self) -> &Socket {
                &self.socket
            }

            fn event_name(&self) -> &str {
                let $cx = self;
                $name
            }
        }
    )+};
}

contexts! {
    OnEvent, EventContext, |cx| cx.event.name();
    OnConnect, ConnectContext, |_cx| "connect";
    OnDisconnect, DisconnectContext, |_cx| "disconnect";
    OnConnectError, ConnectErrorContext, |_cx| "connect_error";
}

/// Event and its socket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EventContext {
    /// Socket that received the event.
    pub socket: Socket,
    /// Received event.
    pub event: Event,
}

/// Connection and its socket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectContext {
    /// Socket that connected.
    pub socket: Socket,
    /// Details of the connection.
    pub connected: Connected,
}

/// Disconnection and its socket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DisconnectContext {
    /// Socket that disconnected.
    pub socket: Socket,
    /// Details of the disconnection.
    pub disconnected: Disconnected,
}

/// Failed connection and its socket.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectErrorContext {
    /// Socket that failed to connect.
    pub socket: Socket,
    /// Reason for the failure.
    pub error: ConnectError,
}
