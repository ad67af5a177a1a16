//! Handlers: async functions of extractors.
//!
//! | parameter | of handlers of | value |
//! |---|---|---|
//! | [`Socket`] | all | the socket |
//! | [`Data<T>`](crate::Data) | events | the arguments, deserialized |
//! | [`Typed<E>`](crate::typed::Typed) | events | the arguments of an event that is a type |
//! | [`AckSender`](crate::ack::AckSender) | events | to acknowledge before the handler ends |
//! | [`EventName`](crate::extract::EventName), [`Attachments`](crate::extract::Attachments), [`Event`] | events | its name, its binary attachments, all of it |
//! | [`Connected`] | connections | id, recovered |
//! | [`Disconnected`], [`DisconnectReason`](crate::DisconnectReason) | disconnections | reason, details |
//! | [`ConnectError`] | failed connections | the error |
//! | `Option<Data<T>>`, `Option<AckSender>` | events | `None` if there is none |
//! | `Result<E, Rejection>` | all | another extractor that may fail |
//!
//! A handler of an event returns `()`, [`Ack<T>`](crate::Ack) to acknowledge the event, or a `Result` of these; other handlers
//! return `()` or a `Result`. When an extractor fails, the handler does not run; the rejection is logged and sent to the
//! server if that expects an acknowledgement. A handler that panics answers with an error as well.
//!
//! A handler that needs the socket takes it as an argument. A handler that captures a clone of its socket keeps that
//! socket, and the connection, alive for ever: the socket holds its handlers.
//!
//! Handlers of one socket start in the order in which the events arrived and then run concurrently: a handler that waits
//! blocks neither the others nor the connection.

pub(crate) mod dispatch;
mod erased;

pub(crate) use dispatch::ListenerId;
pub(crate) use dispatch::{Handlers, dispatch};
pub(crate) use erased::{erase, erase_event};
pub(crate) use fanfare_core::EventError;
pub use fanfare_core::{
    Acknowledges, Discardable, Handler, HandlerKind, HasSocket, IntoAck, IntoOutcome, Requirements,
};

use crate::error::ConnectError;
use crate::event::Event;
use crate::extract::{Connected, Disconnected};
use crate::socket::Socket;

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
