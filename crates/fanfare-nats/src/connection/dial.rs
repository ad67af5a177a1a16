//! Opening a connection to a server.

use std::io;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::options::{ConnectionOptions, ServerAddress, encrypt};
use crate::protocol::{Connect, Operation, Parser, ProtocolError, ServerInfo};

/// Reason for which there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the server closed the connection")]
    Closed,
    #[error("the server says: {0}")]
    Server(String),
    #[error(transparent)]
    Protocol(#[from] ProtocolError),
    #[error("the handshake failed: {0}")]
    NoHandshake(&'static str),
    #[error("the server did not answer for {0:?}")]
    Silent(Duration),
    #[error("the server is about to stop")]
    Stopping,
}

/// Byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Connection that the server has accepted.
pub(super) struct Dialed {
    pub(super) stream: Box<dyn Io>,
    pub(super) parser: Parser,
    pub(super) buffer: BytesMut,
    pub(super) info: ServerInfo,
}

async fn next(
    stream: &mut Box<dyn Io>,
    parser: &mut Parser,
    buffer: &mut BytesMut,
) -> Result<Operation, Lost> {
    loop {
        if let Some(operation) = parser.next(buffer)? {
            return Ok(operation);
        }
        if stream.read_buf(buffer).await? == 0 {
            return Err(Lost::Closed);
        }
    }
}

/// Opens a connection: greeting, encryption, options, first answer.
pub(super) async fn dial(
    address: &ServerAddress,
    options: &ConnectionOptions,
) -> Result<Dialed, Lost> {
    let tcp = TcpStream::connect((address.host.as_str(), address.port)).await?;
    tcp.set_nodelay(true)?;
    let (mut parser, mut buffer) = (Parser::default(), BytesMut::with_capacity(4096));
    let mut stream: Box<dyn Io> = Box::new(tcp);
    let info = match next(&mut stream, &mut parser, &mut buffer).await? {
        Operation::Info(info) => *info,
        Operation::Error(error) => return Err(Lost::Server(error)),
        _ => return Err(Lost::NoHandshake("it does not begin with INFO")),
    };
    if !info.headers {
        let error = "the server has no headers, which came with version 2.2";
        return Err(Lost::NoHandshake(error));
    }
    let encrypted = address.tls || info.tls_required;
    if encrypted {
        if !buffer.is_empty() {
            return Err(Lost::NoHandshake("bytes before the encryption"));
        }
        stream = encrypt(stream, &address.host, options).await?;
    }
    let own = address.credentials.as_ref();
    let credentials = own.or(options.credentials.as_ref());
    let connect = Connect {
        verbose: false,
        pedantic: false,
        tls_required: encrypted,
        headers: true,
        no_responders: true,
        echo: false,
        protocol: 1,
        lang: "rust-fanfare",
        version: env!("CARGO_PKG_VERSION"),
        name: &options.name,
        user: credentials.and_then(|c| c.user.as_deref()),
        pass: credentials.and_then(|c| c.password.as_deref()),
        auth_token: credentials.and_then(|c| c.token.as_deref()),
    };
    let connect = serde_json::to_string(&connect).map_err(io::Error::other)?;
    let hello = format!("CONNECT {connect}\r\nPING\r\n");
    stream.write_all(hello.as_bytes()).await?;
    stream.flush().await?;
    loop {
        match next(&mut stream, &mut parser, &mut buffer).await? {
            Operation::Pong => break,
            Operation::Error(error) => return Err(Lost::Server(error)),
            _ => {}
        }
    }
    Ok(Dialed {
        stream,
        parser,
        buffer,
        info,
    })
}
