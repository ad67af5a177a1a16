//! HTTP proxies, by `CONNECT`.

use http::HeaderValue;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::stream::tcp;
use super::tls::{Tls, TlsConnector};
use super::url::Address;
use super::{BoxedIo, Io};
use crate::error::BuildError;

/// Maximum length of the answer to CONNECT, in bytes.
const MAX_PROXY_REPLY_BYTES: usize = 16 * 1024;

/// HTTP proxy that supports `CONNECT`.
#[derive(Debug, Clone)]
pub(crate) struct Proxy {
    address: Address,
    /// TLS for the connection to the proxy itself, if the proxy uses it.
    tls: Option<TlsConnector>,
}

impl Proxy {
    /// Parses `http://[user:password@]host[:port]`, or `https://…` for TLS to the proxy itself, which is verified
    /// according to `tls`.
    pub(crate) fn new(url: &str, tls: &Tls) -> Result<Self, BuildError> {
        let url = if url.contains("://") {
            url.to_owned()
        } else {
            format!("http://{url}")
        };
        let address = Address::parse(&url).map_err(BuildError::Proxy)?;
        let tls = address.secure.then(|| TlsConnector::new(tls)).transpose()?;
        Ok(Self { address, tls })
    }

    /// Connects to the proxy and requests a tunnel to `host:port`.
    pub(crate) async fn connect(&self, host: &str, port: u16) -> std::io::Result<BoxedIo> {
        let proxy = self.address.host.as_str();
        let tcp = tcp(proxy, self.address.port).await?;
        let mut io: BoxedIo = match &self.tls {
            Some(tls) => {
                let connecting = tls.connect(proxy, tcp).await;
                connecting.map_err(|error| std::io::Error::other(format!("proxy: {error}")))?
            }
            None => Box::new(tcp),
        };
        self.tunnel(&mut io, host, port).await?;
        Ok(io)
    }

    async fn tunnel(&self, io: &mut impl Io, host: &str, port: u16) -> std::io::Result<()> {
        let host = if host.contains(':') {
            format!("[{host}]")
        } else {
            host.to_owned()
        };
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(Ok(value)) = self
            .address
            .authorization()
            .as_ref()
            .map(HeaderValue::to_str)
        {
            request.push_str(&format!("Proxy-Authorization: {value}\r\n"));
        }
        request.push_str("\r\n");
        io.write_all(request.as_bytes()).await?;
        io.flush().await?;
        // Byte by byte: the data after the answer's head belong to the tunnel.
        let mut answer = Vec::with_capacity(128);
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() > MAX_PROXY_REPLY_BYTES {
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
