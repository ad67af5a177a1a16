//! Contract of the events of a namespace.

use super::TypedEvent;
use crate::socket::RESERVED_EVENTS;

/// Contract of a namespace: the events that clients send, and those that the server sends (Node's `ListenEvents` and
/// `EmitEvents`).
///
/// The type's values do not matter; it names the contract. Its events are those with an `impl` of [`FromClients`],
/// [`FromServer`] or [`BetweenServers`], one for each event. The derive writes all of it:
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare_protocol::typed::{Contract, TypedEvent};
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
    /// Name of the namespace, with its leading slash; for a contract of many namespaces, the pattern or other source by
    /// which they are declared.
    const NAMESPACE: &'static str;

    /// Data that a server stores for each socket and shares with the other servers (Node's `SocketData`).
    type SocketData;

    /// Type of the `auth` that clients send when they connect; `()` if the contract names none. Exports describe it; a
    /// middleware extracts it like any other type.
    type Auth;
}

/// Direction in which an event is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Clients send it: see [`FromClients`].
    FromClients,
    /// The server sends it to clients: see [`FromServer`].
    FromServer,
    /// The servers of a cluster send it to each other: see [`BetweenServers`].
    BetweenServers,
}

/// Traversal of the events of a contract with a visitor; the derive of [`Contract`] implements it.
///
/// The exports are such visitors. An application can write its own:
///
/// ```
/// # #[cfg(feature = "macros")] {
/// use fanfare_protocol::typed::{AuthVisitor, Direction, EventVisitor, VisitEvents};
/// use fanfare_protocol::typed::{Contract, TypedEvent};
///
/// #[derive(TypedEvent)]
/// struct Say(String);
///
/// #[derive(Contract)]
/// #[contract(from_clients(Say))]
/// struct Chat;
///
/// /// Collects the names of events.
/// struct Names(Vec<&'static str>);
///
/// impl<E: TypedEvent> EventVisitor<E> for Names {
///     fn event(&mut self, _: Direction) {
///         self.0.push(E::NAME);
///     }
/// }
///
/// impl<A> AuthVisitor<A> for Names {
///     fn auth(&mut self) {}
/// }
///
/// let mut names = Names(Vec::new());
/// Chat::visit(&mut names);
/// assert_eq!(names.0, ["say"]);
/// # }
/// ```
pub trait VisitEvents<V>: Contract {
    /// Calls the visitor for each event, in the order of the contract, and then for the type of `auth`.
    fn visit(visitor: &mut V);
}

/// Visitor of events of the type `E`.
pub trait EventVisitor<E> {
    /// Visits the event `E`, which is sent in this direction.
    fn event(&mut self, direction: Direction);
}

/// Visitor of the type `A` of a contract's `auth`.
pub trait AuthVisitor<A> {
    /// Visits the type of `auth`, which is `()` if the contract names none.
    fn auth(&mut self);
}

/// Event that clients may send in namespaces of the contract `C`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event that clients send in `{C}`",
    label = "not in the contract",
    note = "the contract lists them: `#[contract(from_clients(…))]`"
)]
pub trait FromClients<C>: TypedEvent {}

/// Event that servers may send to clients in namespaces of the contract `C`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event that the server sends in `{C}`",
    label = "not in the contract",
    note = "the contract lists them: `#[contract(from_server(…))]`"
)]
pub trait FromServer<C>: TypedEvent {}

/// Event that the servers of a cluster may send each other in namespaces of the contract `C` (Node's
/// `ServerSideEvents`).
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an event that servers send each other in `{C}`",
    label = "not in the contract",
    note = "the contract lists them: `#[contract(between_servers(…))]`"
)]
pub trait BetweenServers<C>: TypedEvent {}

/// Absence of a contract: every event belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Untyped {}

impl<E: TypedEvent> FromClients<Untyped> for E {}
impl<E: TypedEvent> FromServer<Untyped> for E {}
impl<E: TypedEvent> BetweenServers<Untyped> for E {}

/// Checks at compile time, for the derive of [`Contract`], that the events of one direction have distinct names, and
/// none that the protocol reserves.
///
/// # Panics
/// If two names are equal, or one is reserved.
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
