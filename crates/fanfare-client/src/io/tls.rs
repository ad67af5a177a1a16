//! TLS with rustls.

use crate::error::TlsError;

/// Trust in `https:` and `wss:` servers, and the client's certificate.
///
/// By default the platform's root certificates are trusted, or Mozilla's if there are none.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let tls = fanfare_client::options::Tls::new()
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
    /// Returns the default.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these root certificates as well (PEM, one or several; or one in DER).
    ///
    /// A server may also present one of them as its own, as with the self-signed ones of `openssl req -x509`: it is
    /// trusted for the names and dates in it.
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

    /// Presents this certificate (PEM, with its chain) and proves it with this key (PEM): mutual TLS.
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

    /// Returns the same trust for a proxy, without the settings that apply to the server only.
    pub(crate) fn for_proxy(&self) -> Self {
        Self {
            client: None,
            server_name: None,
            ..self.clone()
        }
    }

    /// Accepts any certificate. Only for diagnosis: a man in the middle can read and change everything.
    #[must_use]
    pub fn danger_accept_any_certificate(mut self) -> Self {
        self.insecure = true;
        self
    }
}

#[cfg(feature = "rustls")]
mod with_rustls {
    use std::sync::Arc;

    use parking_lot::Mutex;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};

    use super::{Tls, TlsError};
    use crate::io::trust::{TlsReport, Verifier, client_config, describe, platform_roots};
    use crate::io::{BoxedIo, Io};

    /// TLS configuration that is ready to use.
    #[derive(Clone)]
    pub(crate) struct TlsConnector {
        config: Arc<ClientConfig>,
        server_name: Option<String>,
        /// Result of the last handshake, if it is wanted.
        report: Option<Arc<Mutex<Option<TlsReport>>>>,
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
            Self::with_report(options, None)
        }

        /// Creates a connector with a report of each handshake.
        pub(crate) fn inspecting(options: &Tls) -> Result<Self, TlsError> {
            Self::with_report(options, Some(Arc::default()))
        }

        /// Returns the result of the last handshake.
        pub(crate) fn report(&self) -> Option<TlsReport> {
            self.report.as_ref()?.lock().clone()
        }

        fn with_report(
            options: &Tls,
            report: Option<Arc<Mutex<Option<TlsReport>>>>,
        ) -> Result<Self, TlsError> {
            let mut given = Vec::new();
            for bytes in &options.roots {
                given.extend(certificates(bytes)?);
            }
            let verifier = if options.insecure && report.is_none() {
                Verifier::of_any()
            } else {
                let roots = match options.only_given_roots {
                    true => RootCertStore::empty(),
                    false => platform_roots(),
                };
                let verifier = Verifier::new(roots, given).map_err(TlsError::Certificate)?;
                verifier.lenient(options.insecure)
            };
            let verifier = match report.clone() {
                Some(report) => verifier.watched(move |verify, now| {
                    *report.lock() = Some(TlsReport::of_certificate(verify, now));
                }),
                None => verifier,
            };
            let client = match &options.client {
                Some((chain, key)) => {
                    let key = PrivateKeyDer::from_pem_slice(key)
                        .map_err(|error| TlsError::Key(error.to_string()))?;
                    Some((certificates(chain)?, key))
                }
                None => None,
            };
            let config = client_config(verifier, |builder| match client {
                Some((chain, key)) => builder.with_client_auth_cert(chain, key),
                None => Ok(builder.with_no_client_auth()),
            });
            let config = config.map_err(TlsError::Config)?;
            Ok(Self {
                config: Arc::new(config),
                server_name: options.server_name.clone(),
                report,
            })
        }

        pub(crate) async fn connect(
            &self,
            host: &str,
            io: impl Io + 'static,
        ) -> std::io::Result<BoxedIo> {
            let name = self.server_name.clone().unwrap_or_else(|| host.to_owned());
            let server = ServerName::try_from(name.clone())
                .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidInput, error))?;
            let connector = tokio_rustls::TlsConnector::from(self.config.clone());
            match connector.connect(server, io).await {
                Ok(stream) => {
                    if let Some(report) = &self.report
                        && let Some(report) = &mut *report.lock()
                    {
                        let version = stream.get_ref().1.protocol_version();
                        report.version = version.and_then(|version| version.as_str());
                    }
                    Ok(Box::new(stream))
                }
                Err(error) => Err(describe(error, &name)),
            }
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
