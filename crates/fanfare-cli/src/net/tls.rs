//! TLS whose certificates can be inspected even if they are invalid.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fanfare_client::internal::{Verifier, client_config, describe, platform_roots};
use parking_lot::Mutex;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

pub(crate) use fanfare_client::internal::CertificateProblem;

use crate::exit::Failure;

/// Settings of TLS connections.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    seen: Arc<Mutex<Seen>>,
}

/// Result of the last handshake.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// Fault of the certificate.
    pub(crate) problem: Option<CertificateProblem>,
    /// Whether the certificate expires within [`EXPIRES_SOON`].
    pub(crate) expires_soon: bool,
    /// Protocol version: `TLSv1_3` or `TLSv1_2`.
    pub(crate) version: Option<String>,
}

impl Seen {
    fn certificate(
        &mut self,
        verify: &dyn Fn(UnixTime) -> Result<(), rustls::Error>,
        now: UnixTime,
    ) {
        let error = verify(now).err();
        let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + EXPIRES_SOON);
        self.expires_soon = error.is_none() && verify(later).is_err();
        self.problem = error.map(|error| {
            CertificateProblem::of(&error)
                .unwrap_or_else(|| CertificateProblem::Other(error.to_string()))
        });
    }
}

/// Time for which a certificate should still be valid.
pub(crate) const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

impl Tls {
    /// Loads the platform's roots (or Mozilla's if there are none) and those in `ca`, to verify certificates with.
    pub(crate) fn new(ca: Option<&Path>, insecure: bool) -> Result<Self, Failure> {
        let mut given = Vec::new();
        if let Some(file) = ca {
            let wrong = |why: String| {
                Failure::usage(format!("cannot use the certificates in {}", file.display()))
                    .because(why)
            };
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                given.push(certificate.map_err(|error| wrong(error.to_string()))?);
            }
            if given.is_empty() {
                return Err(wrong("there is no certificate in it".to_owned()));
            }
        }
        let setup = |why: String| Failure::usage("TLS cannot be set up").because(why);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let watched = seen.clone();
        let verifier = Verifier::new(platform_roots(), given)
            .map_err(setup)?
            .lenient(insecure)
            .watched(move |verify, now| watched.lock().certificate(verify, now));
        let config = client_config(verifier, |builder| Ok(builder.with_no_client_auth()));
        let config = config.map_err(setup)?;
        Ok(Self {
            config: Arc::new(config),
            seen,
        })
    }

    /// Returns the result of the last handshake.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().clone()
    }

    pub(super) async fn connect(
        &self,
        host: &str,
        tcp: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let stream = TlsConnector::from(self.config.clone())
            .connect(name, tcp)
            .await
            .map_err(|error| describe(error, host))?;
        let version = stream.get_ref().1.protocol_version();
        self.seen.lock().version = version
            .and_then(|version| version.as_str())
            .map(str::to_owned);
        Ok(stream)
    }
}
