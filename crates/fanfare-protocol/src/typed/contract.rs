//! Which events a namespace has.

use super::TypedEvent;
use crate::socket::RESERVED_EVENTS;

/// The events of a namespace: which of them clients send, and which the server (Node's `ListenEvents` and `EmitEvents`).
///
/// The type has no values that matter; it is the name of the contract. Which events belong to it, [`FromClients`],
/// [`FromServer`] and [`BetweenServers`] say, one `impl` for each event. The derive writes all of it:
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare_protocol::{Contract, TypedEvent};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize, TypedEvent)]
/// #[event(ack = u64)]
/// struct Say {
///     room: String,
///     text: String,
/// }
///
/// #[derive(Serialize, Deserialize, TypedEvent)]
/// struct Said(String);
///
/// #[derive(Contract)]
/// #[contract(namespace = "/chat", from_clients(Say), from_server(Said))]
/// struct Chat;
///
/// assert_eq!((Chat::NAMESPACE, Say::NAME, Said::NAME), ("/chat", "say", "said"));
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a contract",
    note = "`#[derive(Contract)]` on the type makes it one"
)]
pub trait Contract: 'static {
    /// The name of the namespace, with its leading slash; for a contract of many namespaces, whatever they are declared
    /// by.
    const NAMESPACE: &'static str;

    /// The data that a server keeps for each socket and shares with the other servers (Node's `SocketData`).
    type SocketData;
}

/// Clients may send this event in namespaces of the contract `C`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event that clients send in `{C}`",
    label = "not in the contract",
    note = "the contract lists them: `#[contract(from_clients(…))]`"
)]
pub trait FromClients<C>: TypedEvent {}

/// Servers may send this event to clients in namespaces of the contract `C`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event that the server sends in `{C}`",
    label = "not in the contract",
    note = "the contract lists them: `#[contract(from_server(…))]`"
)]
pub trait FromServer<C>: TypedEvent {}

/// The servers of a cluster may send each other this event in namespaces of the contract `C` (Node's
/// `ServerSideEvents`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event that servers send each other in `{C}`",
    label = "not in the contract",
    note = "the contract lists them: `#[contract(between_servers(…))]`"
)]
pub trait BetweenServers<C>: TypedEvent {}

/// No contract: every event belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untyped {}

impl<E: TypedEvent> FromClients<Untyped> for E {}
impl<E: TypedEvent> FromServer<Untyped> for E {}
impl<E: TypedEvent> BetweenServers<Untyped> for E {}

/// What the derive of [`Contract`] has the compiler evaluate: the events of one direction have names of their own, and
/// none that the protocol keeps for itself.
///
/// # Panics
/// If not.
pub const fn distinct(names: &[&str]) {
    let mut i = 0;
    while i < names.len() {
        let mut j = 0;
        while j < RESERVED_EVENTS.len() {
            assert!(
                !same(names[i], RESERVED_EVENTS[j]),
                "an event of the contract has a name that the protocol keeps for itself"
            );
            j += 1;
        }
        let mut j = i + 1;
        while j < names.len() {
            assert!(
                !same(names[i], names[j]),
                "two events of the contract that go the same way have the same name"
            );
            j += 1;
        }
        i += 1;
    }
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::distinct;

    #[test]
    fn names_of_one_direction_differ() {
        distinct(&[]);
        distinct(&["a", "b", "ab", "A"]);
    }

    #[test]
    #[should_panic(expected = "two events")]
    fn a_name_twice() {
        distinct(&["a", "b", "a"]);
    }

    #[test]
    #[should_panic(expected = "keeps for itself")]
    fn a_reserved_name() {
        distinct(&["a", "disconnect"]);
    }
}
