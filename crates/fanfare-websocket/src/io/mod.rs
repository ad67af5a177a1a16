//! [`WebSocket`]: the codec on a tokio stream.

mod error;
mod head;
mod message;
mod open;
mod options;
mod websocket;

pub use error::{AcceptError, ConnectError, Error, HeadError};
pub use message::Message;
pub use open::{connect, connect_with};
pub use options::Options;
pub use websocket::WebSocket;
