//! Engine.IO: the transport layer below Socket.IO.
//!
//! Protocol revision 4 is spoken by Socket.IO v3 and v4 clients, revision 3 ([`v3`]) by v1 and v2.

pub mod payload;
pub mod session;
pub mod v3;

mod close;
mod error;
mod open;
mod packet;
mod transport;

pub use close::CloseReason;
pub use error::ErrorCode;
pub use open::{Open, OpenError, Opened};
pub use packet::{Data, Packet, PacketError, PacketType};
pub use transport::{Protocol, Transport, Transports};
