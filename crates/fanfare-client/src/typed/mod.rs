//! Typed events, and sockets whose events the compiler checks.
//!
//! A [`TypedEvent`] is a type with the name, arguments and acknowledgement of one event; a [`Contract`] lists the
//! events of a namespace and their senders. The server crate `fanfare` uses the same traits, so that one crate of the
//! application can hold the types for both; the server may be another one as well.
//!
//! The derives need the feature `macros`.
//!
//! ```no_run
//! # #[cfg(feature = "macros")] {
//! use std::time::Duration;
//!
//! use fanfare_client::typed::{Contract, Typed, TypedEvent};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, TypedEvent)]
//! #[event(ack = u64)]
//! struct Say { room: String, text: String } // one argument, an object
//!
//! #[derive(Serialize, Deserialize, TypedEvent)]
//! struct Said(String, String); // two arguments
//!
//! #[derive(Contract)]
//! #[contract(namespace = "/chat", from_clients(Say), from_server(Said))]
//! struct Chat;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let chat = fanfare_client::connect("http://localhost:3000")
//!     .typed::<Chat>()
//!     .on(async |Typed(Said(who, text)): Typed<Said>| println!("{who}: {text}"))
//!     .await?;
//!
//! let hello = Say { room: "lobby".into(), text: "hello".into() };
//! let id: u64 = chat.timeout(Duration::from_secs(5)).emit_with_ack(&hello).await?;
//! # Ok(())
//! # }
//! # }
//! ```

mod builder;
mod socket;

pub use builder::TypedBuilder;
#[cfg(feature = "macros")]
pub use fanfare_macros::{ContractOfClient as Contract, TypedEventOfClient as TypedEvent};
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
pub use socket::{TypedEmitter, TypedSocket};
