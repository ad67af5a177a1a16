use bytes::Bytes;

use crate::CloseFrame;

/// Message that [`WebSocket::recv`](crate::WebSocket::recv) delivers and [`WebSocket::send`](crate::WebSocket::send)
/// takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Bytes),
    /// A ping of at most 125 bytes. A received one has already been answered.
    Ping(Bytes),
    /// A pong of at most 125 bytes.
    Pong(Bytes),
    /// A close of the connection. A received one is the last message.
    Close(Option<CloseFrame<'static>>),
}

impl From<String> for Message {
    fn from(text: String) -> Message {
        Message::Text(text)
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Message {
        Message::Text(text.to_owned())
    }
}

impl From<Bytes> for Message {
    fn from(bytes: Bytes) -> Message {
        Message::Binary(bytes)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Message {
        Message::Binary(bytes.into())
    }
}
