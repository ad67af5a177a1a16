//! Options of managers and sockets, and the builders that collect them.

mod client;
mod manager;
mod socket;
mod transport;

pub use client::ClientBuilder;
pub use manager::ManagerBuilder;
pub use socket::SocketBuilder;
pub(crate) use socket::{SocketOptions, auth_callback, auth_json};
pub use transport::TransportOptions;
