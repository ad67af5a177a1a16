use std::{io, time::Duration};

use http::{StatusCode, header::InvalidHeaderValue};

use crate::{
    ProtocolError,
    handshake::{HandshakeError, ResponseError},
};

/// Reason for which a [`WebSocket`](crate::WebSocket) cannot receive or send.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The peer broke the protocol or a limit; it was sent a close frame, and the connection is closed.
    #[error("the peer broke the protocol")]
    Protocol(#[from] ProtocolError),
    /// The stream ended without a closing handshake.
    #[error("the connection was lost without a closing handshake")]
    Lost,
    /// A message was sent after the closing handshake had begun.
    #[error("the connection is closed")]
    Closed,
    /// The peer did not complete the closing handshake in time.
    #[error("the closing handshake took longer than {0:?}")]
    CloseTimeout(Duration),
    /// The payload of a ping or pong is longer than 125 bytes (RFC 6455, section 5.5).
    #[error("a ping or pong has at most 125 bytes of payload, not {0}")]
    ControlTooLong(usize),
}

/// Reason for which a connection is not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The request did not arrive in time.
    #[error("the handshake took longer than {0:?}")]
    Timeout(Duration),
    /// The input is not an HTTP request.
    #[error("the request cannot be read")]
    Head(#[from] HeadError),
    /// The request is not a WebSocket handshake; it was answered.
    #[error("the handshake was rejected")]
    Handshake(#[from] HandshakeError),
    /// The server's own check rejected the request with this status.
    #[error("the handshake was rejected with {0}")]
    Rejected(StatusCode),
}

/// Reason for which a client cannot connect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address does not have the format `ws://host[:port]/path`.
    #[error("the address {uri:?} cannot be used: {why}")]
    Uri {
        /// Address as it was given.
        uri: String,
        /// Problem with the address.
        why: &'static str,
    },
    /// The host or a sub-protocol is not a valid header value.
    #[error("the request cannot be written")]
    Header(#[from] InvalidHeaderValue),
    /// The stream failed.
    #[error("the connection failed")]
    Io(#[from] io::Error),
    /// The handshake did not finish in time.
    #[error("the handshake took longer than {0:?}")]
    Timeout(Duration),
    /// The input is not an HTTP response.
    #[error("the response cannot be read")]
    Head(#[from] HeadError),
    /// The status of the response is not 101.
    #[error("the server answered {status}: {body}")]
    Rejected {
        /// Status of the response.
        status: StatusCode,
        /// Beginning of the body, which may state the reason.
        body: String,
    },
    /// The response does not open a WebSocket.
    #[error("the server's handshake is wrong")]
    Response(#[from] ResponseError),
}

/// Reason for which the head of a request or response cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// The head is not HTTP/1.
    #[error("it is not HTTP: {0}")]
    Malformed(String),
    /// The head is too long.
    #[error("its head has more than {limit} bytes")]
    TooLong {
        /// Limit in bytes.
        limit: usize,
    },
    /// The stream ended before the head was complete.
    #[error("the connection ended inside it")]
    Cut,
}
