//! Typed events, and namespaces whose events the compiler checks.
//!
//! A [`TypedEvent`] is a type that defines the name, the arguments and the acknowledgement of one event. It is received
//! by [`Namespace::on_event`](crate::Namespace::on_event) and sent by the method `emit_event` of every type that has
//! `emit`. A [`Contract`] lists the events of a namespace: [`Namespace::typed`](crate::Namespace::typed) handles no
//! others, and [`TypedSocket`], [`TypedNamespace`] and [`TypedOperator`] send no others. `fanfare-client` uses the same
//! traits, so that one crate of the application can define the types for both.
//!
//! The derives need the feature `macros`.
//!
//! ```
//! # #[cfg(feature = "macros")] {
//! use fanfare::typed::{Contract, Typed, TypedEvent, TypedSocket};
//! use fanfare::{Ack, EmitError, Namespace, SocketIo};
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

#[cfg(feature = "macros")]
pub use fanfare_macros::{ContractOfServer as Contract, TypedEventOfServer as TypedEvent};
#[cfg(feature = "validation")]
#[doc(hidden)]
pub use fanfare_protocol::typed::check_rules;
#[cfg(feature = "export")]
pub use fanfare_protocol::typed::export;
pub use fanfare_protocol::typed::traits::{Contract, TypedEvent};
pub use fanfare_protocol::typed::{
    Answer, Arguments, At, AuthVisitor, BetweenServers, Direction, EventVisitor, FromClients,
    FromServer, NoAck, TakesEvent, Typed, Untyped, VisitEvents,
};
#[doc(hidden)]
pub use fanfare_protocol::typed::{ArgsError, ProbeNothing, ProbeRules, RuleProbe, distinct};
pub use namespace::TypedNamespace;
pub use operator::{TypedEmitter, TypedOperator};
pub use server_event::TypedServerEvent;
pub use socket::TypedSocket;
