//! Events as types: names, arguments and acknowledgements that the compiler checks.
//!
//! [`TypedEvent`] is one event, [`Contract`] are those of a namespace. Both have derives of the same names (feature
//! `macros`), and are the same for servers and clients, so that one crate of the application can hold them for both.
//! They do not change the wire format: the other side may be JavaScript as before.

mod args;
mod contract;
mod event;
#[cfg(feature = "export")]
pub mod export;
mod handler;
mod rules;

pub use args::Typed;
#[doc(hidden)]
pub use contract::distinct;
pub use contract::{
    AuthVisitor, BetweenServers, Contract, Direction, EventVisitor, FromClients, FromServer,
    Untyped, VisitEvents,
};
pub use event::{Answer, Arguments, NoAck, TypedEvent};
#[cfg(feature = "macros")]
pub use fanfare_macros::{Contract, TypedEvent};
pub use handler::{At, TakesEvent};
#[cfg(feature = "validation")]
#[doc(hidden)]
pub use rules::check_rules;
#[doc(hidden)]
pub use rules::{ProbeNothing, ProbeRules, RuleProbe};

#[doc(hidden)]
pub use crate::socket::ArgsError;

/// The traits without the derives of the same names, for crates with other derives.
#[doc(hidden)]
pub mod traits {
    pub use super::contract::Contract;
    pub use super::event::TypedEvent;
}
