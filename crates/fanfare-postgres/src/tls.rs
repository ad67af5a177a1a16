//! Encryption, if the address requests it.

use crate::error::ConfigError;

#[cfg(feature = "tls")]
pub(crate) type Connector = tokio_postgres_rustls::MakeRustlsConnect;
#[cfg(not(feature = "tls"))]
pub(crate) type Connector = tokio_postgres::NoTls;

/// Encryption of connections.
#[derive(Clone)]
pub(crate) struct Tls(pub(crate) Connector);

impl Tls {
    #[cfg(feature = "tls")]
    pub(crate) fn new() -> Result<Self, ConfigError> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
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
