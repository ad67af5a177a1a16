//! Connections to one server: TCP, proxies, TLS.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::timeout;

use super::proxy::Proxy;
use super::stream::{DialError, Stream, tcp};
use super::tls::{Tls, TlsConnector};
#[cfg(feature = "rustls")]
use super::trust::TlsReport;
use super::url::Address;
use super::{BoxedIo, StreamSource};
use crate::error::TlsError;

/// Opener of connections to one server.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
///
/// use fanfare_client::net::{Address, Dialer};
/// use fanfare_client::options::Tls;
///
/// let address = Address::parse("https://example.com")?;
/// let dialer = Dialer::new(&address, &Tls::new())?.timeout(Duration::from_secs(10));
/// let peer = dialer.reach().await?;
/// let stream = dialer.dial().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Dialer {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    pub(crate) proxy: Option<Proxy>,
    /// Opens the byte stream in place of TCP.
    pub(crate) streams: Option<StreamSource>,
    timeout: Option<Duration>,
}

impl Dialer {
    /// Creates a dialer without a timeout; `tls` is used if the address says so.
    ///
    /// # Errors
    /// [`TlsError`] if a certificate or key cannot be used.
    pub fn new(address: &Address, tls: &Tls) -> Result<Self, TlsError> {
        Self::plain(address).with_tls(address.secure.then_some(tls))
    }

    /// Creates a dialer that reports on the server's certificate and the TLS handshake, by
    /// [`tls_report`](Self::tls_report).
    ///
    /// # Errors
    /// [`TlsError`] if a certificate or key cannot be used.
    #[cfg(feature = "rustls")]
    pub fn inspecting(address: &Address, tls: &Tls) -> Result<Self, TlsError> {
        let mut dialer = Self::plain(address);
        if address.secure {
            dialer.tls = Some(TlsConnector::inspecting(tls)?);
        }
        Ok(dialer)
    }

    fn plain(address: &Address) -> Self {
        Self {
            host: address.host.clone(),
            port: address.port,
            tls: None,
            proxy: None,
            streams: None,
            timeout: None,
        }
    }

    /// Returns a dialer for the same server, with TLS or without; the address does not matter.
    ///
    /// # Errors
    /// [`TlsError`] if a certificate or key cannot be used.
    pub fn with_tls(&self, tls: Option<&Tls>) -> Result<Self, TlsError> {
        Ok(Self {
            tls: tls.map(TlsConnector::new).transpose()?,
            ..self.clone()
        })
    }

    /// Result of the last TLS handshake of this dialer and its clones; `None` before, and if it was not created by
    /// [`inspecting`](Self::inspecting).
    #[cfg(feature = "rustls")]
    #[must_use]
    pub fn tls_report(&self) -> Option<TlsReport> {
        self.tls.as_ref()?.report()
    }

    /// Sets the timeout of TCP, and of the TLS handshake after it.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Opens and drops a TCP connection. Returns the address that answered.
    ///
    /// # Errors
    /// [`DialError`] if the host cannot be resolved or reached within the timeout.
    pub async fn reach(&self) -> Result<SocketAddr, DialError> {
        let tcp = self.in_time(tcp(&self.host, self.port)).await?;
        tcp.peer_addr().map_err(DialError::Tcp)
    }

    /// Opens a connection, with TLS if the address says so.
    ///
    /// # Errors
    /// [`DialError`] if a step fails or exceeds the timeout.
    pub async fn dial(&self) -> Result<Stream, DialError> {
        self.connect().await.map(Stream)
    }

    pub(crate) async fn connect(&self) -> Result<BoxedIo, DialError> {
        let (host, port) = (self.host.as_str(), self.port);
        let io: BoxedIo = match (&self.streams, &self.proxy) {
            (Some(streams), _) => streams.connect().await.map_err(DialError::Stream)?,
            (None, Some(proxy)) => {
                let tunnel = async { proxy.connect(host, port).await.map_err(DialError::Proxy) };
                self.in_time(tunnel).await?
            }
            (None, None) => Box::new(self.in_time(tcp(host, port)).await?),
        };
        match &self.tls {
            Some(tls) => {
                let handshake = async { tls.connect(host, io).await.map_err(DialError::Tls) };
                self.in_time(handshake).await
            }
            None => Ok(io),
        }
    }

    async fn in_time<T>(
        &self,
        step: impl Future<Output = Result<T, DialError>>,
    ) -> Result<T, DialError> {
        match self.timeout {
            Some(limit) => timeout(limit, step)
                .await
                .unwrap_or(Err(DialError::Timeout(limit))),
            None => step.await,
        }
    }
}
