//! Encrypted connections.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::connection::Io;
use crate::error::ConfigError;

/// Certificate authorities that are trusted.
#[derive(Clone)]
pub(crate) enum Roots {
    /// Those of the operating system.
    System,
    /// These, in PEM.
    Pem(Vec<u8>),
}

impl Roots {
    /// Checks that there is at least one certificate.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        match self {
            Self::System => Ok(()),
            Self::Pem(_) => self.store().map(drop).map_err(ConfigError::Certificates),
        }
    }

    fn store(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match self {
            Self::System => {
                let found = rustls_native_certs::load_native_certs();
                roots.add_parsable_certificates(found.certs);
            }
            Self::Pem(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| error.to_string())?;
                    roots.add(certificate).map_err(|error| error.to_string())?;
                }
            }
        }
        match roots.is_empty() {
            true => Err("there is no certificate".to_owned()),
            false => Ok(roots),
        }
    }

    /// Encrypts a connection, and checks the server's certificate.
    pub(crate) async fn encrypt(&self, stream: Box<dyn Io>, host: &str) -> io::Result<Box<dyn Io>> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .with_root_certificates(self.store().map_err(io::Error::other)?)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Box::new(connector.connect(name, stream).await?))
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "System",
            Self::Pem(_) => "Pem",
        })
    }
}
