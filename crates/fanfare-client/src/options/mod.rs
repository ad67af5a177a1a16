//! Options of managers and sockets, and the builders that collect them.

pub(crate) mod client;
mod manager;
mod socket;
mod transport;

pub(crate) use client::ClientBuilder;
pub use manager::ManagerBuilder;
pub use socket::SocketBuilder;
pub use transport::TransportOptions;
pub(crate) use transport::{check_namespace, endpoint};

pub use crate::error::{TlsError, UrlError};
pub use crate::io::connector::PerMessageDeflate;
pub use crate::io::tls::Tls;
pub use crate::protocol::{AuthError, BufferLimits, BufferPolicy, Parser};
pub use fanfare_protocol::engine::Protocol;
