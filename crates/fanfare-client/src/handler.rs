//! Handlers: async functions of extractors.
//!
//! | parameter | of handlers of | value |
//! |---|---|---|
//! | [`Socket`](crate::Socket) | all | the socket |
//! | [`Data<T>`](crate::Data) | events | the arguments, deserialized |
//! | [`Typed<E>`](crate::typed::Typed) | events | the arguments of an event that is a type |
//! | [`AckSender`](crate::ack::AckSender) | events | to acknowledge before the handler ends |
//! | [`EventName`](crate::extract::EventName), [`Attachments`](crate::extract::Attachments), [`Event`](crate::event::Event) | events | its name, its binary attachments, all of it |
//! | [`Connected`](crate::extract::Connected) | connections | id, recovered |
//! | [`Disconnected`](crate::extract::Disconnected), [`DisconnectReason`](crate::DisconnectReason) | disconnections | reason, details |
//! | [`ConnectError`](crate::ConnectError) | failed connections | the error |
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

pub use fanfare_core::{
    Acknowledges, Discardable, Handler, HandlerKind, HasSocket, IntoAck, IntoOutcome, Requirements,
};

pub use crate::socket::kinds::{
    ConnectContext, ConnectErrorContext, DisconnectContext, EventContext, OnConnect,
    OnConnectError, OnDisconnect, OnEvent,
};
