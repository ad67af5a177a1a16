//! HTTP proxies, by `CONNECT`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::Io;
use super::url::{Target, UrlError};

/// Longest answer to CONNECT.
const MAX_ANSWER: usize = 16 * 1024;

/// An HTTP proxy that is asked to `CONNECT`.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    pub(crate) target: Target,
}

impl Proxy {
    /// From `http://[user:password@]host[:port]`. Proxies that want TLS themselves are not supported.
    pub(crate) fn parse(url: &str) -> Result<Self, UrlError> {
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let target = Target::parse(&url)?;
        if target.secure {
            return Err(UrlError::Invalid {
                url,
                message: "the proxy itself is spoken to without TLS, as http://host:port; \
                          what is inside of the tunnel stays encrypted"
                    .to_owned(),
            });
        }
        Ok(Self { target })
    }

    /// Asks for a tunnel to `host:port`.
    pub(crate) async fn tunnel(
        &self,
        io: &mut impl Io,
        host: &str,
        port: u16,
    ) -> std::io::Result<()> {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(credentials) = &self.target.credentials {
            let credentials = BASE64.encode(credentials);
            request.push_str(&format!("Proxy-Authorization: Basic {credentials}\r\n"));
        }
        request.push_str("\r\n");
        io.write_all(request.as_bytes()).await?;
        io.flush().await?;
        // Byte by byte: what follows the answer's head belongs to the tunnel.
        let mut answer = Vec::with_capacity(128);
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() > MAX_ANSWER {
                return Err(std::io::Error::other("the proxy's answer is too long"));
            }
            answer.push(io.read_u8().await?);
        }
        let answer = String::from_utf8_lossy(&answer);
        let line = answer.lines().next().unwrap_or_default();
        let status = line.split(' ').nth(1).unwrap_or_default();
        if status.starts_with('2') {
            Ok(())
        } else {
            Err(std::io::Error::other(format!("the proxy refused: {line}")))
        }
    }
}
