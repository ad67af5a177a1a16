//! Verification of servers, and descriptions of its errors.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WantsClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
};

/// Returns the platform's root certificates, or Mozilla's if there are none.
pub(super) fn platform_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// Returns a client configuration that delegates trust to the verifier. It offers HTTP/1.1 only, as WebSocket needs, so
/// that a proxy does not choose HTTP/2.
///
/// # Errors
/// A text, if the provider has no cipher suite for TLS 1.2 and 1.3.
pub(super) fn client_config(
    verifier: Verifier,
    with_auth: impl FnOnce(
        ConfigBuilder<ClientConfig, WantsClientCert>,
    ) -> Result<ClientConfig, rustls::Error>,
) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(verifier.provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = with_auth(builder).map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Observer of each certificate: gets a function that verifies it at a given time, and the current time.
type Watch = dyn Fn(&dyn Fn(UnixTime) -> Result<(), rustls::Error>, UnixTime) + Send + Sync;

/// Verifier of servers by their chain to a root (WebPKI), and of servers that present one of the given certificates.
///
/// `openssl req -x509` makes a certificate that may sign others (`CA:TRUE`), and servers use it as their own. WebPKI
/// rejects such a certificate from a server, while curl and browsers accept it if they trust exactly that one. So does
/// this verifier: the bytes, dates and names must be right, and the server proves that it has the key, as with any
/// other.
pub(super) struct Verifier {
    /// WebPKI verifier; `None` if there is no root to verify against.
    webpki: Option<Arc<WebPkiServerVerifier>>,
    given: Vec<CertificateDer<'static>>,
    lenient: bool,
    watch: Option<Box<Watch>>,
    provider: Arc<CryptoProvider>,
}

impl Verifier {
    /// Trusts `roots`, and the `given` certificates both as roots and as server certificates.
    ///
    /// # Errors
    /// A text, if one of them cannot be a root, or if there is none at all.
    pub(super) fn new(
        mut roots: RootCertStore,
        given: Vec<CertificateDer<'static>>,
    ) -> Result<Self, String> {
        for certificate in &given {
            let added = roots.add(certificate.clone());
            added.map_err(|error| error.to_string())?;
        }
        let provider = Arc::new(ring::default_provider());
        let roots = Arc::new(roots);
        let webpki = WebPkiServerVerifier::builder_with_provider(roots, provider.clone()).build();
        Ok(Self {
            webpki: Some(webpki.map_err(|error| error.to_string())?),
            given,
            lenient: false,
            watch: None,
            provider,
        })
    }

    /// Trusts every server.
    pub(super) fn of_any() -> Self {
        Self {
            webpki: None,
            given: Vec::new(),
            lenient: true,
            watch: None,
            provider: Arc::new(ring::default_provider()),
        }
    }

    /// Accepts every certificate if `lenient`, even with errors.
    #[must_use]
    pub(super) fn lenient(mut self, lenient: bool) -> Self {
        self.lenient = lenient;
        self
    }

    /// Passes each certificate to `watch` before the decision.
    #[must_use]
    pub(super) fn watched(
        mut self,
        watch: impl Fn(&dyn Fn(UnixTime) -> Result<(), rustls::Error>, UnixTime) + Send + Sync + 'static,
    ) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    fn verify(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        let Some(webpki) = &self.webpki else {
            return Ok(());
        };
        match webpki.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(error) if self.is_given_itself(&error, certificate) => {
                verify_server_name(&ParsedCertificate::try_from(certificate)?, name)
            }
            other => other.map(|_| ()),
        }
    }

    /// Whether the only error of WebPKI is that a certificate, which is one of the given ones, may sign others. WebPKI
    /// checks the dates first.
    fn is_given_itself(&self, error: &rustls::Error, certificate: &CertificateDer<'_>) -> bool {
        let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else {
            return false;
        };
        // The error's type is in a crate that rustls does not export; under another name it is not recognised.
        format!("{:?}", other.0) == "CaUsedAsEndEntity"
            && self.given.iter().any(|given| given == certificate)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("webpki", &self.webpki)
            .field("lenient", &self.lenient)
            .finish_non_exhaustive()
    }
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
        let verify = |at| self.verify(end_entity, intermediates, server_name, ocsp, at);
        if let Some(watch) = &self.watch {
            watch(&verify, now);
        }
        if !self.lenient {
            verify(now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}

/// Time for which a certificate should still be valid: 14 days.
const EXPIRES_SOON: Duration = Duration::from_secs(14 * 24 * 3600);

/// Result of a TLS handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsReport {
    /// Fault of the server's certificate.
    pub problem: Option<CertificateProblem>,
    /// Whether the certificate, which has no fault, expires within 14 days.
    pub expires_soon: bool,
    /// Version of the protocol, `TLSv1_3` or `TLSv1_2`; `None` if the handshake failed.
    pub version: Option<&'static str>,
}

impl TlsReport {
    /// Creates the report on a certificate that `verify` verifies at a given time.
    pub(super) fn of_certificate(
        verify: &dyn Fn(UnixTime) -> Result<(), rustls::Error>,
        now: UnixTime,
    ) -> Self {
        let error = verify(now).err();
        let later = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + EXPIRES_SOON);
        Self {
            expires_soon: error.is_none() && verify(later).is_err(),
            problem: error.map(|error| {
                CertificateProblem::of(&error)
                    .unwrap_or_else(|| CertificateProblem::Other(error.to_string()))
            }),
            version: None,
        }
    }
}

/// Fault of a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateProblem {
    /// It has expired.
    Expired,
    /// It is not yet valid.
    NotYet,
    /// It is for other names.
    Name,
    /// Its issuer is not trusted: it is self-signed, or the chain is incomplete.
    Issuer,
    /// It has another fault.
    Other(String),
}

impl CertificateProblem {
    /// Returns the fault; `None` if the error is not about a certificate.
    pub(super) fn of(error: &rustls::Error) -> Option<Self> {
        let rustls::Error::InvalidCertificate(error) = error else {
            return None;
        };
        Some(match error {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYet
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                Self::Name
            }
            // A root of the same name with another key is not trusted either.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Self::Issuer,
            CertificateError::Other(other) if format!("{:?}", other.0) == "CaUsedAsEndEntity" => {
                Self::Issuer
            }
            other => Self::Other(other.to_string()),
        })
    }

    /// Describes the fault in a sentence; `host` is the requested name.
    #[must_use]
    pub fn describe(&self, host: &str) -> String {
        match self {
            Self::Expired => "the server's certificate has expired".to_owned(),
            Self::NotYet => "the server's certificate is not valid yet".to_owned(),
            Self::Name => format!("the server's certificate is not for {host}"),
            Self::Issuer => {
                "the server's certificate is signed by nobody who is trusted".to_owned()
            }
            Self::Other(why) => format!("the server's certificate is wrong: {why}"),
        }
    }
}

/// Describes the error of a TLS handshake in plain words.
pub(super) fn describe(error: std::io::Error, host: &str) -> std::io::Error {
    let Some(cause) = error.get_ref().and_then(|cause| cause.downcast_ref()) else {
        return error;
    };
    let text = match cause {
        rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => {
            "what answers does not speak TLS".to_owned()
        }
        cause => match CertificateProblem::of(cause) {
            Some(problem) => problem.describe(host),
            None => return error,
        },
    };
    std::io::Error::new(error.kind(), text)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// Returns a certificate made by `openssl req -x509`, for `localhost` and the year 2030.
    fn own() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2030, 1, 1);
        params.not_after = date_time_ymd(2031, 1, 1);
        params
            .self_signed(&KeyPair::generate().unwrap())
            .unwrap()
            .into()
    }

    fn verify(
        given: &CertificateDer<'static>,
        shown: &CertificateDer<'static>,
        name: &'static str,
        year: u64,
    ) -> Option<CertificateProblem> {
        let verifier = Verifier::new(RootCertStore::empty(), vec![given.clone()]).unwrap();
        let name = ServerName::try_from(name).unwrap();
        // Approximately the middle of the year.
        let since = Duration::from_secs((year - 1970) * 31_557_600 + 15_000_000);
        let now = UnixTime::since_unix_epoch(since);
        let result = verifier.verify_server_cert(shown, &[], &name, &[], now);
        result
            .err()
            .map(|error| CertificateProblem::of(&error).unwrap())
    }

    #[test]
    fn a_given_certificate_is_trusted_itself_for_its_names_and_dates_only() {
        let (given, other) = (own(), own());
        let verify = |shown, name, year| verify(&given, shown, name, year);
        assert_eq!(verify(&given, "localhost", 2030), None);
        assert_eq!(
            verify(&given, "elsewhere.example", 2030),
            Some(CertificateProblem::Name)
        );
        assert_eq!(
            verify(&given, "localhost", 2032),
            Some(CertificateProblem::Expired)
        );
        assert_eq!(
            verify(&given, "localhost", 2028),
            Some(CertificateProblem::NotYet)
        );
        assert_eq!(
            verify(&other, "localhost", 2030),
            Some(CertificateProblem::Issuer),
            "of the same name, and not the same certificate"
        );
    }
}
