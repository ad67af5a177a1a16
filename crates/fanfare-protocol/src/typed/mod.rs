//! Events as types: names, arguments and acknowledgements that the compiler checks.
//!
//! [`TypedEvent`] is one event, [`Contract`] are those of a namespace. Both are made by derives of the same names
//! (feature `macros`), and are the same for servers and clients, so that one crate of the application can hold them for
//! both. Nothing of this comes over the wire: the other side may be JavaScript as ever.

mod args;
mod contract;
mod handler;

use serde::de::DeserializeOwned;

pub use args::Typed;
#[doc(hidden)]
pub use contract::distinct;
pub use contract::{BetweenServers, Contract, FromClients, FromServer, Untyped};
pub use handler::{At, TakesEvent};

/// One event: its name and what acknowledges it. The value is its arguments.
///
/// How many arguments a value is, follows from what it is to serde: a tuple struct is several, one for each field (a
/// single field is one argument); a unit struct is none; anything else, a struct with named fields or an enum, is one.
/// To be sent it must be [`Serialize`](serde::Serialize), to be received
/// [`Deserialize`](serde::Deserialize).
///
/// The derive is `#[derive(TypedEvent)]` (feature `macros`). By hand it is this:
///
/// ```
/// use fanfare_protocol::{NoAck, TypedEvent};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Moved(f64, f64);
///
/// impl TypedEvent for Moved {
///     const NAME: &'static str = "moved";
///     type Ack = NoAck;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event",
    label = "not an event",
    note = "`#[derive(TypedEvent)]` on the type makes it one; an event without a type of its own is sent with `emit`"
)]
pub trait TypedEvent {
    /// The name on the wire. Those that the protocol keeps for itself
    /// ([`RESERVED_EVENTS`](crate::socket::RESERVED_EVENTS)) cannot be sent.
    const NAME: &'static str;

    /// What acknowledges it: a tuple is several arguments, `()` none, anything else one. [`NoAck`] if nothing does.
    type Ack;
}

/// The acknowledgement of events that have none: it has no value, and cannot be awaited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAck {}

/// An acknowledgement that can be awaited: whatever can be deserialized.
#[diagnostic::on_unimplemented(
    message = "an acknowledgement `{Self}` cannot be awaited",
    label = "the acknowledgement of this event cannot be awaited",
    note = "events whose `Ack` is `NoAck` are not acknowledged; `#[event(ack = …)]` on their type changes it",
    note = "all others are acknowledged by a type that implements `serde::Deserialize` and owns what it holds"
)]
pub trait Answer: DeserializeOwned + Send + 'static {}

#[diagnostic::do_not_recommend]
impl<T: DeserializeOwned + Send + 'static> Answer for T {}
