//! TLS, with certificates that can be looked at even if they are wrong.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::exit::Failure;

/// How to open TLS connections.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
    seen: Arc<Mutex<Seen>>,
}

/// What the last handshake showed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    /// What is wrong with the certificate.
    pub(crate) problem: Option<CertificateProblem>,
    /// The certificate will be out of date within this time.
    pub(crate) expires_soon: bool,
    /// `TLSv1_3` or `TLSv1_2`.
    pub(crate) version: Option<String>,
}

/// What is wrong with a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CertificateProblem {
    /// It is out of date.
    Expired,
    /// It is not yet valid.
    NotYet,
    /// It is for other names.
    Name,
    /// Signed by nobody we know: self-signed, or the chain is incomplete.
    Issuer,
    /// Something else.
    Other(String),
}

/// How long a certificate should still be valid.
pub(crate) const SOON: Duration = Duration::from_secs(14 * 24 * 3600);

impl Tls {
    /// Verifies certificates, with the platform's roots (or Mozilla's if there are none) and those in `ca`.
    pub(crate) fn new(ca: Option<&Path>, insecure: bool) -> Result<Self, Failure> {
        Self::build(ca, insecure)
    }

    fn build(ca: Option<&Path>, lenient: bool) -> Result<Self, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        }
        if let Some(file) = ca {
            let wrong = |why: String| {
                Failure::usage(format!("cannot use the certificates in {}", file.display()))
                    .because(why)
            };
            let certificates =
                CertificateDer::pem_file_iter(file).map_err(|error| wrong(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let setup = |why: String| Failure::usage("TLS cannot be set up").because(why);
        let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone())
            .build()
            .map_err(|error| setup(error.to_string()))?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let verifier = Verifier {
            strict,
            lenient,
            seen: seen.clone(),
            provider: provider.clone(),
        };
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| setup(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        // WebSocket needs HTTP/1.1; a proxy that prefers HTTP/2 must be told.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            config: Arc::new(config),
            seen,
        })
    }

    /// What the last handshake showed.
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
            .await?;
        let version = stream.get_ref().1.protocol_version();
        self.seen.lock().version = version
            .and_then(|version| version.as_str())
            .map(str::to_owned);
        Ok(stream)
    }
}

#[derive(Debug)]
struct Verifier {
    strict: Arc<WebPkiServerVerifier>,
    lenient: bool,
    seen: Arc<Mutex<Seen>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let at = |time| {
            self.strict
                .verify_server_cert(end_entity, intermediates, server_name, ocsp, time)
        };
        let result = at(now);
        let mut seen = self.seen.lock();
        seen.problem = result.as_ref().err().map(problem);
        let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
        seen.expires_soon = result.is_ok() && at(later).is_err();
        match result {
            Err(_) if self.lenient => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

fn problem(error: &rustls::Error) -> CertificateProblem {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                CertificateProblem::Expired
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                CertificateProblem::NotYet
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                CertificateProblem::Name
            }
            // A root of the same name, and not the same key, is no more trusted than none.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                CertificateProblem::Issuer
            }
            other => CertificateProblem::Other(other.to_string()),
        },
        other => CertificateProblem::Other(other.to_string()),
    }
}
