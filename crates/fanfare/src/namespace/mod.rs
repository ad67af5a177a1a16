//! Namespaces: what is declared before the server starts ([`Namespace`]) and what runs then.

mod builder;
mod cluster;
mod dynamic;
mod room_events;
mod router;
mod running;

pub use builder::Namespace;
pub(crate) use builder::with_slash;
pub(crate) use dynamic::{Matcher, Parent};
pub use room_events::{RoomEvent, RoomEvents};
pub(crate) use router::Behaviour;
pub use running::{NamespaceHandle, ParentNamespace};
pub(crate) use running::{NamespaceInner, Settings};
