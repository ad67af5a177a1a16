//! Opening handshakes over a stream.

use std::time::Duration;

use http::{
    HeaderMap, Request, Response, StatusCode, Uri,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{AcceptError, ConnectError, HeadError, Options, WebSocket, head};
use crate::{
    Role,
    handshake::{ClientHandshake, ResponseError, ServerHandshake},
};

/// Maximum number of bytes of a rejection's body that are kept to report the reason.
const MAX_REJECTION_BODY_BYTES: usize = 4 << 10;
/// Timeout of that body; the status is worth more than the reason.
const REJECTION_BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Connects to `ws://host[:port]/path`.
///
/// For other streams, such as TLS, connect them and use [`WebSocket::client`].
///
/// # Errors
///
/// If there is no connection, or the server does not answer with a valid handshake.
pub async fn connect(uri: &str) -> Result<WebSocket<TcpStream>, ConnectError> {
    connect_with(uri, &Options::default()).await
}

/// As [`connect`], with options.
///
/// # Errors
///
/// The same.
pub async fn connect_with(
    uri: &str,
    options: &Options,
) -> Result<WebSocket<TcpStream>, ConnectError> {
    let wrong = |why| ConnectError::Uri {
        uri: uri.to_owned(),
        why,
    };
    let parsed: Uri = uri.parse().map_err(|_| wrong("it is not a URI"))?;
    match parsed.scheme_str() {
        Some("ws" | "http") => {}
        Some("wss" | "https") => {
            return Err(wrong(
                "for TLS, connect a TLS stream and use WebSocket::client",
            ));
        }
        _ => return Err(wrong("it does not begin with ws://")),
    }
    let host = parsed.host().ok_or_else(|| wrong("it has no host"))?;
    // An IPv6 address has brackets in a URI, and none elsewhere.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let open = async {
        let io = TcpStream::connect((host, parsed.port_u16().unwrap_or(80))).await?;
        io.set_nodelay(true)?;
        client(io, &parsed, options).await
    };
    timeout(options.open_timeout, open)
        .await
        .map_err(|_| ConnectError::Timeout(options.open_timeout))?
}

impl<IO: AsyncRead + AsyncWrite + Unpin> WebSocket<IO> {
    /// Accepts a WebSocket connection on a stream that a client has just opened. A request that is not a valid
    /// handshake is answered with the reason.
    ///
    /// # Errors
    ///
    /// If no valid handshake arrives in time.
    pub async fn accept(io: IO) -> Result<WebSocket<IO>, AcceptError> {
        WebSocket::accept_with(io, &Options::default(), |_| Ok(())).await
    }

    /// As [`accept`](WebSocket::accept), with options, and a check of the request (its path, `Origin`, cookies …): to
    /// reject it, return the status and the body to answer with.
    ///
    /// # Errors
    ///
    /// The same, and if `check` rejected the request.
    pub async fn accept_with(
        mut io: IO,
        options: &Options,
        check: impl FnOnce(&Request<()>) -> Result<(), (StatusCode, String)>,
    ) -> Result<WebSocket<IO>, AcceptError> {
        timeout(options.open_timeout, async move {
            let (request, rest) = match read_head(&mut io, options.max_head, head::parse_request)
                .await?
            {
                Ok(read) => read,
                Err(error) => {
                    let mut response =
                        Response::new(format!("The request cannot be read: {error}.\n"));
                    *response.status_mut() = match error {
                        HeadError::TooLong { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                        _ => StatusCode::BAD_REQUEST,
                    };
                    reject(&mut io, &response).await?;
                    return Err(error.into());
                }
            };
            let mut handshake = ServerHandshake::new().protocols(&options.protocols);
            if let Some(config) = options.permessage_deflate {
                handshake = handshake.permessage_deflate(config);
            }
            let accept = match handshake.validate(&request) {
                Ok(accept) => accept,
                Err(error) => {
                    reject(&mut io, &error.response()).await?;
                    return Err(error.into());
                }
            };
            if let Err((status, body)) = check(&request) {
                let mut response = Response::new(body);
                *response.status_mut() = status;
                reject(&mut io, &response).await?;
                return Err(AcceptError::Rejected(status));
            }
            io.write_all(&head::write_response(&accept.response(), ""))
                .await?;
            io.flush().await?;
            let mut websocket =
                WebSocket::new(io, Role::Server, rest, accept.permessage_deflate(), options);
            websocket.protocol = accept.protocol().map(Into::into);
            Ok(websocket)
        })
        .await
        .map_err(|_| AcceptError::Timeout(options.open_timeout))?
    }

    /// Opens a WebSocket as a client over a stream that is connected to the server of `uri`.
    ///
    /// # Errors
    ///
    /// If the server does not answer with a valid handshake in time.
    pub async fn client(
        io: IO,
        uri: &Uri,
        options: &Options,
    ) -> Result<WebSocket<IO>, ConnectError> {
        timeout(options.open_timeout, client(io, uri, options))
            .await
            .map_err(|_| ConnectError::Timeout(options.open_timeout))?
    }
}

async fn client<IO: AsyncRead + AsyncWrite + Unpin>(
    mut io: IO,
    uri: &Uri,
    options: &Options,
) -> Result<WebSocket<IO>, ConnectError> {
    let mut handshake = ClientHandshake::new().protocols(&options.protocols);
    if let Some(config) = options.permessage_deflate {
        handshake = handshake.permessage_deflate(config);
    }
    let mut request = handshake.request(uri)?;
    request.headers_mut().extend(options.headers.clone());
    io.write_all(&head::write_request(&request)).await?;
    io.flush().await?;
    let (response, rest) = read_head(&mut io, options.max_head, head::parse_response).await??;
    let accept = match handshake.check(response.status(), response.headers()) {
        Ok(accept) => accept,
        Err(ResponseError::Status(status)) => {
            let body = read_rejection(&mut io, response.headers(), rest).await?;
            return Err(ConnectError::Rejected { status, body });
        }
        Err(error) => return Err(error.into()),
    };
    let mut websocket =
        WebSocket::new(io, Role::Client, rest, accept.permessage_deflate(), options);
    websocket.protocol = accept.protocol().map(Into::into);
    Ok(websocket)
}

/// Reads the body of a rejection, as far as it arrives in time.
async fn read_rejection<IO: AsyncRead + Unpin>(
    io: &mut IO,
    headers: &HeaderMap,
    mut bytes: Vec<u8>,
) -> std::io::Result<String> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let chunked = header(TRANSFER_ENCODING).is_some_and(|coding| coding.ends_with("chunked"));
    let length = header(CONTENT_LENGTH)
        .and_then(|length| length.parse().ok())
        .unwrap_or(MAX_REJECTION_BODY_BYTES)
        .min(MAX_REJECTION_BODY_BYTES);
    let reading = async {
        while bytes.len() < length && !(chunked && unchunk(&bytes).1) {
            if io.read_buf(&mut bytes).await? == 0 {
                break;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    if let Ok(result) = timeout(REJECTION_BODY_TIMEOUT, reading).await {
        result?;
    }
    bytes.truncate(length);
    let body = if chunked { unchunk(&bytes).0 } else { bytes };
    Ok(String::from_utf8_lossy(&body).trim().to_owned())
}

/// Returns the content of a chunked body (RFC 9112, section 7.1) as far as it has arrived, and whether that is all of
/// it. Bytes that are not a valid chunk end it.
fn unchunk(mut bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes) {
            Ok(httparse::Status::Complete((start, size))) if size > 0 => (start, size),
            Ok(httparse::Status::Partial) => return (body, false),
            _ => return (body, true),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let chunk = &bytes[start..];
        let Some(rest) = size.checked_add(2).and_then(|end| chunk.get(end..)) else {
            body.extend_from_slice(&chunk[..size.min(chunk.len())]);
            return (body, false);
        };
        body.extend_from_slice(&chunk[..size]);
        bytes = rest;
    }
}

/// Reads a head; returns it with the bytes that arrived behind it.
async fn read_head<IO: AsyncRead + Unpin, T>(
    io: &mut IO,
    limit: usize,
    parse: impl Fn(&[u8]) -> Result<Option<(T, usize)>, HeadError>,
) -> std::io::Result<Result<(T, Vec<u8>), HeadError>> {
    let mut bytes = Vec::with_capacity(1024);
    loop {
        if io.read_buf(&mut bytes).await? == 0 {
            return Ok(Err(HeadError::Cut));
        }
        match parse(&bytes) {
            Ok(Some((head, end))) if end <= limit => return Ok(Ok((head, bytes.split_off(end)))),
            Ok(None) if bytes.len() < limit => {}
            Ok(_) => return Ok(Err(HeadError::TooLong { limit })),
            Err(error) => return Ok(Err(error)),
        }
    }
}

async fn reject<IO: AsyncWrite + Unpin>(
    io: &mut IO,
    response: &Response<String>,
) -> std::io::Result<()> {
    io.write_all(&head::write_response(response, response.body()))
        .await?;
    io.shutdown().await
}
