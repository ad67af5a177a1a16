//! Events as types, and sockets whose events the compiler checks.
//!
//! A [`TypedEvent`] is a type whose name, arguments and acknowledgement are those of one event; a [`Contract`] says which
//! events a namespace has, and who sends them. The server `fanfare` knows the same traits, so that one crate of the
//! application can hold the types for both; the server may be another one as well.
//!
//! The derives need the feature `macros`.
//!
//! ```no_run
//! # #[cfg(feature = "macros")] {
//! use std::time::Duration;
//!
//! use fanfare_client::{Contract, Typed, TypedEvent};
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
//! let id: u64 = chat.emit_with_ack(&hello).timeout(Duration::from_secs(5)).await?;
//! # Ok(())
//! # }
//! # }
//! ```

mod builder;
mod socket;

pub use builder::TypedBuilder;
#[doc(hidden)]
pub use fanfare_protocol::typed::distinct;
pub use fanfare_protocol::typed::{
    Answer, At, BetweenServers, Contract, FromClients, FromServer, NoAck, TakesEvent, Typed,
    TypedEvent, Untyped,
};
pub use socket::{TypedEmitter, TypedSocket};
