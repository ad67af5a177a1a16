//! Encryption, if the address requests it.

#[cfg(feature = "tls")]
use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::error::ConfigError;

#[cfg(feature = "tls")]
pub(crate) type Connector = tokio_postgres_rustls::MakeRustlsConnect;
#[cfg(not(feature = "tls"))]
pub(crate) type Connector = tokio_postgres::NoTls;

#[cfg(feature = "tls")]
fn invalid(error: &dyn std::fmt::Display) -> ConfigError {
    ConfigError::Tls(format!("the root certificates are invalid: {error}"))
}

/// Encryption of connections.
#[derive(Clone)]
pub(crate) struct Tls(pub(crate) Connector);

impl Tls {
    #[cfg(feature = "tls")]
    pub(crate) fn new(pem: Option<&[u8]>) -> Result<Self, ConfigError> {
        let mut roots = rustls::RootCertStore::empty();
        match pem {
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
            Some(pem) => {
                for certificate in CertificateDer::pem_slice_iter(pem) {
                    let certificate = certificate.map_err(|error| invalid(&error))?;
                    roots.add(certificate).map_err(|error| invalid(&error))?;
                }
                if roots.is_empty() {
                    return Err(invalid(&"there is no certificate"));
                }
            }
        }
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConfigError::Tls(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self(Connector::new(config)))
    }

    #[cfg(not(feature = "tls"))]
    pub(crate) fn new() -> Result<Self, ConfigError> {
        Ok(Self(tokio_postgres::NoTls))
    }
}
