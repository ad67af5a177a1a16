//! Events as types, and namespaces whose events the compiler checks.
//!
//! A [`TypedEvent`] is a type whose name, arguments and acknowledgement are those of one event. It is received by
//! [`Namespace::on_event`](crate::Namespace::on_event) and sent by `emit_event` of whatever has `emit`. A [`Contract`]
//! says which events a namespace has: [`Namespace::typed`](crate::Namespace::typed) listens to no others, and
//! [`TypedSocket`], [`TypedNamespace`] and [`TypedOperator`] send no others. `fanfare-client` knows the same traits, so
//! that one crate of the application can hold the types for both.
//!
//! The derives need the feature `macros`.
//!
//! ```
//! # #[cfg(feature = "macros")] {
//! use fanfare::typed::TypedSocket;
//! use fanfare::{Ack, Contract, EmitError, Namespace, SocketIo, Typed, TypedEvent};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, TypedEvent)]
//! #[event(ack = usize)]
//! struct Say { room: String, text: String } // one argument, an object
//!
//! #[derive(Serialize, Deserialize, TypedEvent)]
//! struct Said(String, String); // two arguments
//!
//! #[derive(Contract)]
//! #[contract(namespace = "/chat", from_clients(Say), from_server(Said))]
//! struct Chat;
//!
//! async fn say(socket: TypedSocket<Chat>, Typed(say): Typed<Say>) -> Result<Ack<usize>, EmitError> {
//!     let length = say.text.len();
//!     socket.to(&say.room).emit(&Said(socket.id().to_string(), say.text))?;
//!     Ok(Ack(length))
//! }
//!
//! let io = SocketIo::builder().namespace(Namespace::typed::<Chat>().on_event(say)).build()?;
//! io.typed::<Chat>().to("lobby").emit(&Said("the house".into(), "we close at ten".into()))?;
//! # }
//! # Ok::<_, Box<dyn std::error::Error>>(())
//! ```

mod emit;
mod namespace;
mod operator;
mod receive;
mod server_event;
mod socket;

#[doc(hidden)]
pub use fanfare_protocol::typed::distinct;
pub use fanfare_protocol::typed::{
    Answer, At, BetweenServers, Contract, FromClients, FromServer, NoAck, TakesEvent, Typed,
    TypedEvent, Untyped,
};
pub use namespace::TypedNamespace;
pub use operator::{TypedEmitter, TypedOperator};
pub use server_event::TypedServerEvent;
pub use socket::TypedSocket;
