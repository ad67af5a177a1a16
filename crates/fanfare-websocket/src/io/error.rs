use std::{io, time::Duration};

use http::{StatusCode, header::InvalidHeaderValue};

use crate::{
    ProtocolError,
    handshake::{HandshakeError, ResponseError},
};

/// Why a [`WebSocket`](crate::WebSocket) cannot receive or send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The peer broke the protocol or a limit; it was told so and the connection is closed.
    #[error("the peer broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// The stream ended without a closing handshake.
    #[error("the connection was lost without a closing handshake")]
    Lost,
    /// A message was to be sent after the closing handshake had begun.
    #[error("the connection is closed")]
    Closed,
    /// The peer did not do its part of the closing handshake in time.
    #[error("the closing handshake took longer than {0:?}")]
    CloseTimeout(Duration),
    /// The payload of a ping or pong is longer than 125 bytes (RFC 6455, section 5.5).
    #[error("a ping or pong has at most 125 bytes of payload, not {0}")]
    ControlTooLong(usize),
}

/// Why a connection is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The request did not arrive in time.
    #[error("the handshake took longer than {0:?}")]
    Timeout(Duration),
    /// What arrived is no HTTP request.
    #[error("the request cannot be read")]
    Head(#[from] HeadError),
    /// The request is no WebSocket handshake; it was answered.
    #[error("the handshake was refused")]
    Handshake(#[from] HandshakeError),
    /// The server's own check refused the request with this status.
    #[error("the handshake was refused with {0}")]
    Refused(StatusCode),
}

/// Why a client cannot connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address is not of the form `ws://host[:port]/path`.
    #[error("the address {uri:?} cannot be used: {why}")]
    Uri {
        /// What was given.
        uri: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host or a sub-protocol cannot stand in a header.
    #[error("the request cannot be written")]
    Header(#[from] InvalidHeaderValue),
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The handshake was not done in time.
    #[error("the handshake took longer than {0:?}")]
    Timeout(Duration),
    /// What arrived is no HTTP response.
    #[error("the response cannot be read")]
    Head(#[from] HeadError),
    /// The server answered with another status than 101.
    #[error("the server answered {status}: {body}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// The beginning of the body, which may say why.
        body: String,
    },
    /// The response does not open a WebSocket.
    #[error("the server's handshake is wrong")]
    Response(#[from] ResponseError),
}

/// Why the head of a request or response cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// It is not HTTP/1.
    #[error("it is not HTTP: {0}")]
    Malformed(String),
    /// It is too long.
    #[error("its head has more than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The stream ended before it was complete.
    #[error("the connection ended inside it")]
    Cut,
}
