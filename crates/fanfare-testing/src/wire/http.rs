//! HTTP/1.1.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Io;
use crate::within;

/// Request that arrived at an [`Http`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// Method, such as `GET`.
    pub method: String,
    /// Request target, such as `/socket.io/?EIO=4&transport=polling`.
    pub target: String,
    /// Request line and header lines, as received.
    pub head: String,
    /// Body: as many bytes as `Content-Length` says.
    pub body: Vec<u8>,
}

/// Response that arrived at an [`Http`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Status line and header lines, as received.
    pub head: String,
    /// Body: as many bytes as `Content-Length` says, none if the status is 101.
    pub body: Vec<u8>,
}

impl Request {
    /// Returns the value of the first header line with this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        text(&self.body)
    }
}

impl Response {
    /// Returns the value of the first header line with this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    /// Returns the body as text.
    ///
    /// # Panics
    /// If it is not UTF-8.
    #[must_use]
    pub fn text(&self) -> &str {
        text(&self.body)
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn text(body: &[u8]) -> &str {
    std::str::from_utf8(body).unwrap_or_else(|_| panic!("expected text, not {body:?}"))
}

/// HTTP/1.1 connection that sends the test's bytes, at the client's or the server's end.
///
/// Bodies have a `Content-Length`; chunked ones are not decoded. It is a stream, too, of what follows the last message:
/// after an upgrade, or in a tunnel.
///
/// ```
/// use fanfare::SocketIo;
/// use fanfare_testing::TestServer;
/// use fanfare_testing::wire::Http;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = TestServer::start(SocketIo::builder().build()?);
/// let mut http = Http::new(server.link().connect().await?);
/// http.send_request("GET", "/socket.io/?EIO=4&transport=pigeon", "", b"").await;
/// let response = http.response().await;
/// assert_eq!(response.status, 400);
/// assert_eq!(response.text(), r#"{"code":0,"message":"Transport unknown"}"#);
/// # Ok(())
/// # }
/// ```
pub struct Http {
    stream: Box<dyn Io>,
    /// Bytes that have arrived and belong to no message yet.
    pub(super) input: Vec<u8>,
}

impl Http {
    /// Uses a stream.
    #[must_use]
    pub fn new(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            input: Vec::new(),
        }
    }

    /// Sends bytes as they are, such as a part of a request.
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn send(&mut self, bytes: &[u8]) {
        let sent = self.try_send(bytes).await;
        sent.unwrap_or_else(|error| panic!("the bytes were not sent: {error}"));
    }

    /// Sends bytes as [`send`](Self::send) does.
    pub(super) async fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let sent = async {
            self.stream.write_all(bytes).await?;
            self.stream.flush().await
        };
        within("sending", sent).await
    }

    /// Sends a request, with the header `Content-Length` if there is a body. `headers` are whole lines, each with its
    /// `\r\n`.
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn send_request(&mut self, method: &str, target: &str, headers: &str, body: &[u8]) {
        let length = match body.len() {
            0 => String::new(),
            length => format!("Content-Length: {length}\r\n"),
        };
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: fanfare.test\r\n{headers}{length}\r\n");
        self.send(&[head.as_bytes(), body].concat()).await;
    }

    /// Sends a response, with the header `Content-Length`. `headers` are whole lines, each with its `\r\n`.
    ///
    /// ```
    /// use fanfare_testing::Link;
    /// use fanfare_testing::wire::Http;
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() {
    /// // A server that is out of order.
    /// let network = Link::to(async |stream, _| {
    ///     let mut http = Http::new(stream);
    ///     while http.request().await.is_some() {
    ///         http.respond(503, "Retry-After: 60\r\n", b"later").await;
    ///     }
    /// });
    /// let error = network.client().fail_fast().await.unwrap_err();
    /// assert!(error.to_string().contains("503"), "{error}");
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the connection has ended.
    pub async fn respond(&mut self, status: u16, headers: &str, body: &[u8]) {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} \r\n{headers}Content-Length: {length}\r\n\r\n");
        self.send(&[head.as_bytes(), body].concat()).await;
    }

    /// Receives a request; returns `None` if the connection ends before one is complete. It waits without a deadline, as
    /// servers do.
    ///
    /// # Panics
    /// If something else arrives.
    pub async fn request(&mut self) -> Option<Request> {
        let head = self.head().await?;
        let body = self.body(&head).await?;
        let mut words = head.split(' ').map(str::to_owned);
        let line = words.next().zip(words.next());
        let (method, target) = line.unwrap_or_else(|| panic!("expected a request, not {head:?}"));
        Some(Request {
            method,
            target,
            head,
            body,
        })
    }

    /// Receives a response.
    ///
    /// # Panics
    /// If something else arrives, or the connection ends.
    pub async fn response(&mut self) -> Response {
        let response = within("a response", self.read_response()).await;
        response.unwrap_or_else(|| {
            let input = String::from_utf8_lossy(&self.input);
            panic!("the connection ended before a response was complete: {input:?}")
        })
    }

    async fn read_response(&mut self) -> Option<Response> {
        let head = self.head().await?;
        let status = head.get(9..12).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("expected a response, not {head:?}"));
        let body = match status {
            101 => Vec::new(),
            _ => self.body(&head).await?,
        };
        Some(Response { status, head, body })
    }

    /// Receives everything up to the end of the connection.
    pub async fn read_to_end(&mut self) -> Vec<u8> {
        within("the end of the connection", async {
            while self.fill().await > 0 {}
        })
        .await;
        std::mem::take(&mut self.input)
    }

    async fn head(&mut self) -> Option<String> {
        let mut searched: usize = 0;
        let end = loop {
            let from = searched.saturating_sub(3);
            let found = self.input[from..].windows(4).position(|w| w == b"\r\n\r\n");
            if let Some(at) = found {
                break from + at + 4;
            }
            searched = self.input.len();
            if self.fill().await == 0 {
                return None;
            }
        };
        let head = self.input.drain(..end).collect();
        Some(String::from_utf8(head).unwrap_or_else(|error| panic!("expected a head: {error}")))
    }

    async fn body(&mut self, head: &str) -> Option<Vec<u8>> {
        let length = header(head, "content-length").unwrap_or("0");
        let length = length.parse();
        let length: usize = length.unwrap_or_else(|_| panic!("expected a length in {head:?}"));
        while self.input.len() < length {
            if self.fill().await == 0 {
                return None;
            }
        }
        Some(self.input.drain(..length).collect())
    }

    /// Waits for further input and returns its length in bytes: 0 at the end of the connection.
    pub(super) async fn fill(&mut self) -> usize {
        self.stream.read_buf(&mut self.input).await.unwrap_or(0)
    }
}

impl AsyncRead for Http {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.input.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.input.len().min(buf.remaining());
        buf.put_slice(&self.input[..n]);
        self.input.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("input_bytes", &self.input.len())
            .finish_non_exhaustive()
    }
}
