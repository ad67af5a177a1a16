//! Connections of the doctor and the load generator, which need access to each step.

pub(crate) mod http;
mod tls;

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) use tls::{CertificateProblem, Tls};

use crate::target::Target;

/// Suggests a fix for a failure to connect whose text is `why`, instead of the general one, where the cause is known.
pub(crate) fn fix(why: &str, origin: &str) -> String {
    if why.contains("the server's certificate is not for") {
        return "connect with a name that the certificate has; -k accepts any certificate, for tests"
            .to_owned();
    }
    if why.contains("the server's certificate") {
        return "--ca FILE trusts the certificate in a PEM file, also a self-signed one; -k accepts any, for tests"
            .to_owned();
    }
    format!("`fanfare doctor {origin}` finds out what is wrong")
}

/// Byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

/// TCP or TLS stream.
pub(crate) type Stream = Box<dyn Io>;

/// Opener of connections to one server.
#[derive(Clone)]
pub(crate) struct Dialer {
    host: String,
    port: u16,
    tls: Option<Tls>,
    timeout: Duration,
}

impl Dialer {
    /// Creates a dialer for the target; `tls` is used if its URL says so.
    pub(crate) fn new(target: &Target, tls: &Tls, timeout: Duration) -> Self {
        Self {
            host: target.host.clone(),
            port: target.port,
            tls: target.tls.then(|| tls.clone()),
            timeout,
        }
    }

    /// Returns a dialer for the same address, with TLS or without.
    pub(crate) fn with_tls(&self, tls: Option<&Tls>) -> Self {
        Self {
            tls: tls.cloned(),
            ..self.clone()
        }
    }

    /// Opens a TCP connection.
    pub(crate) async fn tcp(&self) -> Result<TcpStream, DialError> {
        let connect = async {
            let mut last = None;
            let found = tokio::net::lookup_host((self.host.as_str(), self.port))
                .await
                .map_err(|error| DialError::Name(self.host.clone(), error))?;
            for address in found {
                match TcpStream::connect(address).await {
                    Ok(stream) => {
                        let _ = stream.set_nodelay(true);
                        return Ok(stream);
                    }
                    Err(error) => last = Some(error),
                }
            }
            Err(match last {
                Some(error) => DialError::Tcp(error),
                None => DialError::Name(self.host.clone(), io::ErrorKind::NotFound.into()),
            })
        };
        timeout(self.timeout, connect)
            .await
            .map_err(|_| DialError::Timeout(self.timeout))?
    }

    /// Opens a connection, with TLS if the URL asks for it.
    pub(crate) async fn dial(&self) -> Result<Stream, DialError> {
        let tcp = self.tcp().await?;
        match &self.tls {
            None => Ok(Box::new(tcp)),
            Some(tls) => {
                let handshake = timeout(self.timeout, tls.connect(&self.host, tcp)).await;
                let stream = handshake.map_err(|_| DialError::Timeout(self.timeout))?;
                Ok(Box::new(stream.map_err(DialError::Tls)?))
            }
        }
    }
}

/// Reason for which there is no connection.
#[derive(Debug)]
pub(crate) enum DialError {
    /// The name cannot be resolved.
    Name(String, io::Error),
    /// TCP failed.
    Tcp(io::Error),
    /// The TLS handshake failed.
    Tls(io::Error),
    /// Connecting took too long.
    Timeout(Duration),
}

impl std::fmt::Display for DialError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(host, error) => write!(f, "the name {host} cannot be resolved: {error}"),
            Self::Tcp(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                write!(
                    f,
                    "connection refused: nothing listens there, or a firewall says no"
                )
            }
            // EMFILE, on every Unix.
            Self::Tcp(error) if cfg!(unix) && error.raw_os_error() == Some(24) => {
                write!(
                    f,
                    "too many open files: `ulimit -n 100000` in this shell raises the limit"
                )
            }
            Self::Tcp(error) => write!(f, "no TCP connection: {error}"),
            Self::Tls(error) => write!(f, "{error}"),
            Self::Timeout(after) => write!(f, "no answer within {after:?}"),
        }
    }
}
