//! Namespaces: their declaration before the server starts ([`Namespace`]), and their state at run time.

pub(crate) mod builder;
mod cluster;
mod dynamic;
mod holds;
mod pattern;
mod room_events;
mod router;
pub(crate) mod running;

pub(crate) use builder::{Namespace, with_slash};
pub(crate) use dynamic::{Declaration, Matcher, Origin, Parent};
pub(crate) use holds::HeldRooms;
pub use pattern::NamespaceParams;
pub(crate) use pattern::Pattern;
pub use room_events::{RoomEvent, RoomEvents};
pub(crate) use router::Behaviour;
pub use running::ParentNamespace;
pub(crate) use running::{Life, NamespaceHandle, NamespaceInner, RoomHold, Settings};
