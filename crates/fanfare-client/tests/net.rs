//! Tests of the network stack that tools use.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fanfare::http::Cookie;
use fanfare::{Namespace, SocketIo};
use fanfare_client::net::{
    Address, CertificateProblem, DialError, Dialer, HttpConnection, HttpError, TlsReport,
};
use fanfare_client::options::Tls;
use http::Request;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{self, ServerConfig};

const DEADLINE: Duration = Duration::from_secs(60);

fn get(address: &Address, path: &str) -> Request<Bytes> {
    Request::get(path)
        .header("host", address.authority())
        .body(Bytes::new())
        .unwrap()
}

#[tokio::test]
async fn requests_over_one_connection_and_over_new_ones() {
    let io = SocketIo::builder()
        .namespace(Namespace::new("/"))
        .cookie(Cookie::new("affinity"))
        .build()
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bound = listener.local_addr().unwrap();
    tokio::spawn(fanfare::serve(io).listener(listener));

    let address = Address::parse(&format!("http://{bound}/chat?a=b")).unwrap();
    let named = (address.namespace.as_str(), address.query.as_deref());
    assert_eq!(named, ("/chat", Some("a=b")));
    let dialer = Dialer::new(&address, &Tls::new()).unwrap();
    let dialer = dialer.timeout(DEADLINE);
    assert_eq!(dialer.reach().await.unwrap(), bound);
    let mut connection = HttpConnection::open(&dialer).await.unwrap();
    let handshake = "/socket.io/?EIO=4&transport=polling";
    for _ in 0..2 {
        let response = connection.send(get(&address, handshake)).await.unwrap();
        assert_eq!(response.status, 200);
        assert!(response.text().starts_with("0{\"sid\""));
        assert!(response.cookies().starts_with("affinity="));
        assert!(!response.cookies().contains(';'), "no attributes");
        assert!(response.header("content-type").starts_with("text/plain"));
        assert_eq!(response.header("x-missing"), "");
    }
    let once = HttpConnection::once(&dialer, get(&address, "/socket.io/?EIO=9"), DEADLINE);
    assert_eq!(once.await.unwrap().status, 400);
    assert!(dialer.tls_report().is_none());
}

#[tokio::test]
async fn each_step_has_its_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let dialer = Dialer::new(&address, &Tls::new()).unwrap();
    // It accepts, and says nothing.
    let limit = Duration::from_millis(50);
    let silent = HttpConnection::once(&dialer, get(&address, "/"), limit).await;
    assert!(matches!(silent, Err(HttpError::Timeout(_))), "{silent:?}");
    let encrypted = dialer.with_tls(Some(&Tls::new())).unwrap().timeout(limit);
    let silent = encrypted.dial().await;
    assert!(matches!(silent, Err(DialError::Timeout(_))), "{silent:?}");
    drop(listener);
    let refused = dialer.reach().await;
    assert!(matches!(refused, Err(DialError::Tcp(_))), "{refused:?}");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = Address::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let dialer = Dialer::new(&address, &Tls::new()).unwrap();
    let answering = async {
        let (mut io, _) = listener.accept().await.unwrap();
        io.read_u8().await.unwrap();
        io.write_all(b"no HTTP\r\n\r\n").await.unwrap();
        io
    };
    let asking = HttpConnection::once(&dialer, get(&address, "/"), DEADLINE);
    let (nonsense, _io) = tokio::join!(asking, answering);
    assert!(
        matches!(nonsense, Err(HttpError::Exchange(_))),
        "{nonsense:?}"
    );
    let unknown = Address::parse("http://no-such-host.invalid").unwrap();
    let unknown = Dialer::new(&unknown, &Tls::new()).unwrap().dial().await;
    let Err(DialError::Name { host, .. }) = unknown else {
        panic!("{unknown:?}")
    };
    assert_eq!(host, "no-such-host.invalid");
}

/// Starts a TLS server that echoes one byte, with a certificate for `name` that is valid for this time. Returns its port
/// and the certificate.
async fn echo(name: &str, valid: Duration) -> (u16, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.not_after = (SystemTime::now() + valid).into();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((tcp, _)) = listener.accept().await {
            // A client that does not trust the certificate ends the handshake.
            if let Ok(mut tls) = acceptor.accept(tcp).await
                && let Ok(byte) = tls.read_u8().await
            {
                let _ = tls.write_u8(byte).await;
            }
        }
    });
    (port, certificate.pem())
}

/// Dials with an inspection. Returns whether a byte came back, and the report.
async fn inspect(port: u16, tls: &Tls) -> (bool, TlsReport) {
    let address = Address::parse(&format!("https://127.0.0.1:{port}")).unwrap();
    let dialer = Dialer::inspecting(&address, tls).unwrap().timeout(DEADLINE);
    assert!(dialer.tls_report().is_none(), "nothing was dialled");
    let echoed = match dialer.dial().await {
        Ok(mut stream) => {
            stream.write_u8(7).await.unwrap();
            stream.flush().await.unwrap();
            stream.read_u8().await.unwrap() == 7
        }
        Err(error) => {
            assert!(matches!(error, DialError::Tls(_)), "{error:?}");
            false
        }
    };
    (echoed, dialer.tls_report().unwrap())
}

#[tokio::test]
async fn certificates_are_reported_on_whether_they_are_accepted_or_not() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let (port, pem) = echo("127.0.0.1", DAY * 100).await;
    let trusting = Tls::new().root_certificate(pem);
    let (echoed, report) = inspect(port, &trusting).await;
    assert!(echoed && report.problem.is_none() && !report.expires_soon);
    assert_eq!(report.version, Some("TLSv1_3"));

    let (echoed, report) = inspect(port, &Tls::new()).await;
    assert!(!echoed);
    assert_eq!(report.problem, Some(CertificateProblem::Issuer));
    assert_eq!(report.version, None, "the handshake failed");
    let any = Tls::new().danger_accept_any_certificate();
    let (echoed, report) = inspect(port, &any).await;
    assert!(echoed, "accepted");
    assert_eq!(report.problem, Some(CertificateProblem::Issuer));

    let (port, pem) = echo("127.0.0.1", DAY * 5).await;
    let (echoed, report) = inspect(port, &Tls::new().root_certificate(pem)).await;
    assert!(echoed && report.problem.is_none() && report.expires_soon);
    let (port, pem) = echo("elsewhere.example", DAY * 100).await;
    let (echoed, report) = inspect(port, &Tls::new().root_certificate(pem)).await;
    assert!(!echoed);
    assert_eq!(report.problem, Some(CertificateProblem::Name));
}
