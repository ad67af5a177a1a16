//! TLS by rustls.

use crate::error::TlsError;

/// How `https:` and `wss:` servers are trusted, and what we show them.
///
/// By default the platform's root certificates are trusted; where there are none, Mozilla's.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = fanfare_client::Tls::new()
///     .root_certificate(std::fs::read("company-ca.pem")?)
///     .client_certificate(std::fs::read("me.pem")?, std::fs::read("me.key")?);
/// let client = fanfare_client::connect("https://example.com").tls(tls);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Tls {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) only_given_roots: bool,
    pub(crate) client: Option<(Vec<u8>, Vec<u8>)>,
    pub(crate) insecure: bool,
    pub(crate) server_name: Option<String>,
}

impl Tls {
    /// The default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Also trusts these root certificates (PEM, one or several; or one in DER).
    #[must_use]
    pub fn root_certificate(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.roots.push(certificates.into());
        self
    }

    /// Trusts only the roots given by [`root_certificate`](Self::root_certificate), not the platform's.
    #[must_use]
    pub fn only_given_roots(mut self) -> Self {
        self.only_given_roots = true;
        self
    }

    /// Shows this certificate (PEM, with its chain) and proves it with this key (PEM): mutual TLS.
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.client = Some((chain.into(), key.into()));
        self
    }

    /// Expects this name in the server's certificate instead of the URL's host.
    #[must_use]
    pub fn server_name(mut self, name: impl Into<String>) -> Self {
        self.server_name = Some(name.into());
        self
    }

    /// For a proxy on the way: the same trust, without what is meant for the server only.
    pub(crate) fn for_proxy(&self) -> Self {
        Self {
            client: None,
            server_name: None,
            ..self.clone()
        }
    }

    /// Accepts any certificate. Only for diagnosis: whoever is in between can read and change everything.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.insecure = true;
        self
    }
}

#[cfg(feature = "rustls")]
mod with_rustls {
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
    use rustls::crypto::{CryptoProvider, ring};
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
    use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

    use super::{Tls, TlsError};
    use crate::io::{BoxedIo, Io};

    /// A TLS configuration that is ready to use.
    #[derive(Clone)]
    pub(crate) struct TlsConnector {
        config: Arc<ClientConfig>,
        server_name: Option<String>,
    }

    impl std::fmt::Debug for TlsConnector {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("TlsConnector").finish_non_exhaustive()
        }
    }

    fn certificates(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        if !bytes.trim_ascii_start().starts_with(b"-----") {
            return Ok(vec![CertificateDer::from(bytes.to_vec())]);
        }
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(bytes).collect();
        let certificates =
            certificates.map_err(|error| TlsError::Certificate(error.to_string()))?;
        if certificates.is_empty() {
            return Err(TlsError::Certificate("no certificate in the PEM".into()));
        }
        Ok(certificates)
    }

    impl TlsConnector {
        pub(crate) fn new(options: &Tls) -> Result<Self, TlsError> {
            let provider = Arc::new(ring::default_provider());
            let mut roots = RootCertStore::empty();
            if !options.only_given_roots && !options.insecure {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
                if roots.is_empty() {
                    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
                }
            }
            for bytes in &options.roots {
                for certificate in certificates(bytes)? {
                    roots
                        .add(certificate)
                        .map_err(|error| TlsError::Certificate(error.to_string()))?;
                }
            }
            let builder = ClientConfig::builder_with_provider(provider.clone())
                .with_safe_default_protocol_versions()
                .map_err(|error| TlsError::Config(error.to_string()))?;
            let builder = if options.insecure {
                builder
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
            } else {
                let verifier =
                    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error| TlsError::Config(error.to_string()))?;
                builder.with_webpki_verifier(verifier)
            };
            let mut config = match &options.client {
                Some((chain, key)) => {
                    let key = PrivateKeyDer::from_pem_slice(key)
                        .map_err(|error| TlsError::Key(error.to_string()))?;
                    builder
                        .with_client_auth_cert(certificates(chain)?, key)
                        .map_err(|error| TlsError::Config(error.to_string()))?
                }
                None => builder.with_no_client_auth(),
            };
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Self {
                config: Arc::new(config),
                server_name: options.server_name.clone(),
            })
        }

        pub(crate) async fn connect(
            &self,
            host: &str,
            io: impl Io + 'static,
        ) -> std::io::Result<BoxedIo> {
            let name = self.server_name.clone().unwrap_or_else(|| host.to_owned());
            let name = ServerName::try_from(name)
                .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
            let connector = tokio_rustls::TlsConnector::from(self.config.clone());
            Ok(Box::new(connector.connect(name, io).await?))
        }
    }

    #[derive(Debug)]
    struct AcceptAny(Arc<CryptoProvider>);

    impl ServerCertVerifier for AcceptAny {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, rustls::Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, rustls::Error> {
            let algorithms = &self.0.signature_verification_algorithms;
            rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.0.signature_verification_algorithms.supported_schemes()
        }
    }
}

#[cfg(feature = "rustls")]
pub(crate) use with_rustls::TlsConnector;

#[cfg(not(feature = "rustls"))]
mod without {
    use super::{Tls, TlsError};
    use crate::io::{BoxedIo, Io};

    #[derive(Debug, Clone)]
    pub(crate) struct TlsConnector;

    impl TlsConnector {
        pub(crate) fn new(_: &Tls) -> Result<Self, TlsError> {
            Err(TlsError::Unsupported)
        }

        pub(crate) async fn connect(
            &self,
            _: &str,
            _: impl Io + 'static,
        ) -> std::io::Result<BoxedIo> {
            Err(std::io::Error::from(std::io::ErrorKind::Unsupported))
        }
    }
}

#[cfg(not(feature = "rustls"))]
pub(crate) use without::TlsConnector;
